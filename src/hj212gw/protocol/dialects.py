"""What one data logger is allowed beyond the standard: its CRC, its length, its closing, its keys.

Everything is off by default and switched on by dated registry rows, never by guess.
"""

import re

from hj212gw.protocol.crc import modbus_crc16

SLUGS = (
    "crc_modbus",
    "crc_modbus_swapped",
    "crc_short",
    "length_characters",
    "closing_missing",
    "single_ampersand",
)

_SPAN = re.compile(rb"##([0-9]{4})(.*)([0-9A-Fa-f]{4})\r?\n?", re.DOTALL)
_MN = re.compile(rb"MN=([^;]*);")


def find_dialect(raw: bytes) -> tuple[str, tuple[str, ...]] | None:
    """Return MN and slugs under which a rejected span would be one good frame, else None."""
    match = _SPAN.fullmatch(raw)
    if match is None or len(match[2]) != int(match[1]) or not match[2].endswith(b"&&"):
        return None
    crc = b"%04X" % modbus_crc16(match[2])
    mn = _MN.search(match[2])
    name = mn[1].decode("ascii", "replace") if mn else ""
    slugs = {crc: "crc_modbus", crc[2:] + crc[:2]: "crc_modbus_swapped"}
    slug = slugs.get(match[3].upper())
    return (name, (slug,)) if slug else None
