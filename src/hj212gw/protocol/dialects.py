"""What one data logger is allowed beyond the standard: its CRC, its length, its closing, its keys.

Everything is off by default and switched on by dated registry rows, never by guess.
"""

import enum
from collections.abc import Callable, Iterable
from typing import NamedTuple

from hj212gw.errors import ConfigError


class CrcKind(enum.StrEnum):
    """Which CRC a data logger sends, and is answered in."""

    STANDARD = "standard"
    MODBUS = "crc_modbus"
    SWAPPED = "crc_modbus_swapped"


class Key(NamedTuple):
    """A key for SM4; never printed.

    Attributes:
        key_id: what it is called, unique by data logger at a time.
        secret: 16 bytes.
    """

    key_id: str
    secret: bytes

    def __repr__(self) -> str:
        return f"Key({self.key_id!r}, not shown)"


class Dialect(NamedTuple):
    """What one data logger is allowed; the default is the standard.

    Attributes:
        crc: which CRC it sends.
        short_crc: its CRC comes without leading zeros.
        counts_characters: its length counts characters, not bytes.
        lacks_closing: its data segment ends without `&&`.
        single_ampersand: its data area stands between single `&`.
        keys: in force now, newest first.
    """

    crc: CrcKind = CrcKind.STANDARD
    short_crc: bool = False
    counts_characters: bool = False
    lacks_closing: bool = False
    single_ampersand: bool = False
    keys: tuple[Key, ...] = ()


DialectOf = Callable[[str], Dialect | None]  # by MN as sent; None: the standard

SLUGS = (
    "crc_modbus",
    "crc_modbus_swapped",
    "crc_short",
    "length_characters",
    "closing_missing",
    "single_ampersand",
)


def make_dialect(slugs: Iterable[str], keys: Iterable[Key] = ()) -> Dialect:
    """Make a dialect of its slugs; of two CRCs the last counts.

    Args:
        slugs: of `SLUGS`.
        keys: in force, newest first.

    Raises:
        ConfigError: a slug is none of `SLUGS`.
    """
    names = tuple(slugs)
    for name in names:
        if name not in SLUGS:
            raise ConfigError(f"a dialect is one of {', '.join(SLUGS)}, got {name!r}")
    kinds = [CrcKind(name) for name in names if name in {CrcKind.MODBUS, CrcKind.SWAPPED}]
    return Dialect(
        crc=kinds[-1] if kinds else CrcKind.STANDARD,
        short_crc="crc_short" in names,
        counts_characters="length_characters" in names,
        lacks_closing="closing_missing" in names,
        single_ampersand="single_ampersand" in names,
        keys=tuple(keys),
    )
