"""What single data loggers do differently, where their owner allows it (spec section 17, rows 1, 2, 5, 7, 13, 14).

The standard is tried first; what a dialect allows is tried only on a frame that failed, or that is right only by
chance: cipher text has the right CRC once in 256. A dialect tolerates the standard too: a data logger may be mended.
"""

import codecs
import enum
import itertools
import re
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from hj212gw.errors import ConfigError, FrameError, PacketError
from hj212gw.protocol.cipher import (
    BLOCK_BYTES,
    PRINTED_START,
    decrypt_area,
    is_printed,
    looks_plain,
    parse_printed,
    printed_size,
)
from hj212gw.protocol.crc import crc16, modbus_crc16
from hj212gw.protocol.packets import parse_packet
from hj212gw.protocol.shape import (
    CRC_DIGITS,
    HEAD_BYTES,
    HEADER,
    MARK_BYTES,
    MAX_DECLARED,
    MAX_STANDARD_SEGMENT,
    find_end,
    trailer_warnings,
)

SLUGS = (
    "crc_modbus",
    "crc_modbus_swapped",
    "crc_short",
    "length_characters",
    "closing_missing",
    "single_ampersand",
)
CIPHER_PRINTED = "cipher_printed"

_MAX_HEADER = 512  # bytes in front of CP= in which MN is looked for
_CP = b"CP=&"
_CP_EQUALS = 3
_MN = re.compile(rb"(?:\A|[;, ])MN=([^;#]*)", re.IGNORECASE)
_HEADER_TEXT = re.compile(rb'[ -"$-~]+')  # printable and no #: noise that a header began is no header text
_SHORT_CRC = re.compile(rb"([0-9A-Fa-f]{1,3})\r?\n")
_LAST_SHORT_CRC = re.compile(rb"([0-9A-Fa-f]{1,3})(?:\r?\n|\r?\Z)")
_HEX = re.compile(rb"[0-9A-Fa-f]+")
ENCODINGS = ("utf-8", "gbk")
_WIDEST = 4  # bytes of a character
_LENGTH_DIGITS = 4


class CrcKind(enum.StrEnum):
    """How the four digits are made; the value is the warning, and the registry's word, of those that are not right."""

    STANDARD = "standard"
    MODBUS = "crc_modbus"
    SWAPPED = "crc_modbus_swapped"


class Key(NamedTuple):
    """A data logger's SM4 key.

    Attributes:
        key_id: its name, shown everywhere.
        secret: 16 bytes, shown nowhere.
    """

    key_id: str
    secret: bytes

    def __repr__(self) -> str:
        """Show the name only."""
        return f"Key({self.key_id!r}, ******)"

    def __str__(self) -> str:
        return repr(self)


class Dialect(NamedTuple):
    """What one data logger is allowed; the default is the standard.

    Attributes:
        crc: the CRC it may send beside the right one; also that of its answers.
        short_crc: its CRC may lack leading zeros, where CR LF or LF follows.
        counts_characters: its length may count characters, of UTF-8 or GBK.
        lacks_closing: its data segment may end without &&.
        single_ampersand: & may stand for && on both sides of its data area, or on one.
        keys: in force now, newest first.
    """

    crc: CrcKind = CrcKind.STANDARD
    short_crc: bool = False
    counts_characters: bool = False
    lacks_closing: bool = False
    single_ampersand: bool = False
    keys: tuple[Key, ...] = ()


_CRC_SLUGS = frozenset((CrcKind.MODBUS, CrcKind.SWAPPED))
DialectOf = Callable[[str], Dialect | None]
STANDARD = Dialect()


class Opened(NamedTuple):
    """A frame's data segment.

    Attributes:
        segment: plain text in the standard's shape: decrypted, && completed; what `parse_packet` reads.
        sent: the segment as it came where that differs, else empty.
        warnings: slugs of what was odd yet accepted, dialects included.
        key_id: of the key it was decrypted with, "" for plain.
    """

    segment: bytes
    sent: bytes
    warnings: tuple[str, ...]
    key_id: str = ""


class Match(NamedTuple):
    """A frame found by a dialect.

    Attributes:
        opened: its content.
        end: index behind its trailer.
    """

    opened: Opened
    end: int


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
    kinds = [CrcKind(name) for name in names if name in _CRC_SLUGS]
    return Dialect(
        crc=kinds[-1] if kinds else CrcKind.STANDARD,
        short_crc="crc_short" in names,
        counts_characters="length_characters" in names,
        lacks_closing="closing_missing" in names,
        single_ampersand="single_ampersand" in names,
        keys=tuple(keys),
    )


def compute_crc(segment: bytes, kind: CrcKind) -> int:
    """Compute a segment's CRC of any kind, 0 to 0xFFFF."""
    if kind is CrcKind.STANDARD:
        return crc16(segment)
    value = modbus_crc16(segment)
    return value if kind is CrcKind.MODBUS else (value & 0xFF) << 8 | value >> 8


def find_mn(segment: bytes | bytearray, start: int = 0) -> str | None:
    """Find MN in a data segment that begins at `start` and need not be whole; as sent, None where there is none."""
    head = bytes(segment[start : start + _MAX_HEADER]).partition(b"CP=")[0]
    match = _MN.search(head)
    return match[1].strip(b" ,").decode("latin-1") if match else None


def match_frame(
    buffer: bytes | bytearray, pos: int, dialect: Dialect, *, limit: int, final: bool
) -> Match | int | None:
    """Read the frame whose header stands at `pos` by a dialect.

    Args:
        buffer: holds the header at least.
        pos: index of its ##.
        dialect: what to allow beside the standard.
        limit: longest accepted data segment in bytes; one whose cipher is printed may take five times as many.
        final: nothing comes after the buffer.

    Returns:
        The frame; None where there is none; where its CRC ends when more bytes are needed to tell.
    """
    start = pos + HEAD_BYTES
    short = _LAST_SHORT_CRC if final else _SHORT_CRC
    for size, slug in _sizes(buffer, start, dialect, limit):
        stop = start + size + CRC_DIGITS
        brief = short.match(buffer, start + size) if dialect.short_crc else None
        if brief:
            stop, end = brief.end(1), brief.end()
        elif (found := find_end(buffer, stop, final=final)) is None:
            return stop
        elif found < stop:
            continue
        else:
            end = found
        # A header inside may be that of the frame which would be lost.
        if HEADER.search(buffer, start, stop):
            continue
        sent, crc = bytes(buffer[start : start + size]), bytes(buffer[start + size : stop])
        opened = _open(sent, crc, dialect, slug)
        if opened:
            trailer = trailer_warnings(opened.segment, crc, bytes(buffer[stop:end]))
            return Match(opened._replace(warnings=trailer + opened.warnings), end)
    return None


def _sizes(buffer: bytes | bytearray, start: int, dialect: Dialect, limit: int) -> Iterator[tuple[int, str]]:
    """Yield how many bytes a data segment may take, and why where that is not what its length says.

    Where that cannot be told yet it is more than the buffer holds.
    """
    declared = int(buffer[start - _LENGTH_DIGITS : start])
    yield declared, ""
    if dialect.counts_characters:
        held = bytes(buffer[start : start + min(_WIDEST * declared, limit)])
        sizes = (_size_of_characters(held, declared, encoding) for encoding in ENCODINGS)
        yield from ((size, "length_characters") for size in sizes if declared < size <= limit)
    cut = buffer.find(_CP, start, start + min(declared, _MAX_HEADER)) if dialect.keys else -1
    if cut >= 0:
        for opening, closing in _marks(dialect):
            around = cut + _CP_EQUALS + len(opening) - start + len(closing)
            area = declared - around
            if area >= BLOCK_BYTES and buffer.startswith(opening + PRINTED_START, cut + _CP_EQUALS):
                yield around + printed_size(area), CIPHER_PRINTED


def _size_of_characters(held: bytes, count: int, encoding: str) -> int:
    """Tell how many bytes the first `count` characters take: at least, where fewer are held; 0 for another encoding."""
    decoder = codecs.getincrementaldecoder(encoding)()
    try:
        text = decoder.decode(held)
    except UnicodeDecodeError as error:
        text = held[: error.start].decode(encoding)
        if len(text) < count:
            return 0
    if len(text) < count:
        return len(held) + count - len(text)
    return len(text[:count].encode(encoding))


def _open(sent: bytes, crc: bytes, dialect: Dialect, slug: str) -> Opened | None:
    """Open a data segment whose size is that of its length field, or another for the reason of `slug`."""
    cut = sent.find(_CP)
    if cut < 0 or not _HEADER_TEXT.fullmatch(sent, 0, cut) or not _HEX.fullmatch(crc):
        return None
    head, rest = sent[: cut + _CP_EQUALS], sent[cut + _CP_EQUALS :]
    for opening, closing in _marks(dialect):
        if not rest.startswith(opening) or not rest.endswith(closing, len(opening)):
            continue
        area = rest[len(opening) : len(rest) - len(closing)]
        for key_id, plain in _texts(area, dialect.keys):
            kind = _match_crc(head + opening + plain + closing, crc, dialect.crc)
            # A printed cipher whose CRC agrees as it is, once in 256, is still no text; half a mark is no text either.
            is_text = bool(key_id) or (slug != CIPHER_PRINTED and (closing or not plain.endswith(b"&")))
            if kind is None or not is_text:
                continue
            used = {
                slug,
                kind.value,
                "crc_short" if len(crc) < CRC_DIGITS else "",
                "" if closing else "closing_missing",
                "single_ampersand" if b"&" in (opening, closing) else "",
                CIPHER_PRINTED if key_id and is_printed(area) else "",
            }
            segment = b"%b&&%b&&" % (head, plain)
            warnings = tuple(name for name in (*SLUGS, CIPHER_PRINTED) if name in used)
            return Opened(segment, b"" if sent == segment else sent, warnings, key_id)
    return None


def _marks(dialect: Dialect) -> list[tuple[bytes, bytes]]:
    """Return the marks that may open and close a data area, the standard's first."""
    marks = [(b"&&", b"&&")]
    if dialect.single_ampersand:
        marks += [(b"&&", b"&"), (b"&", b"&&"), (b"&", b"&")]
    if dialect.lacks_closing:
        marks += [(opening, b"") for opening in ((b"&&", b"&") if dialect.single_ampersand else (b"&&",))]
    return marks


def _texts(area: bytes, keys: tuple[Key, ...]) -> Iterator[tuple[str, bytes]]:
    """Yield what a data area may say: as it is, and decrypted where that gives text."""
    is_plain = looks_plain(area)
    if is_plain:
        yield "", area
    raw = parse_printed(area) if is_printed(area) else area
    if raw is not None and len(raw) >= BLOCK_BYTES:
        for key in keys:
            plain = decrypt_area(raw, key.secret)
            # A wrong key gives the right CRC once in 256, and text practically never.
            if looks_plain(plain):
                yield key.key_id, plain
    if not is_plain:
        yield "", area


def _match_crc(segment: bytes, crc: bytes, kind: CrcKind) -> CrcKind | None:
    """Tell which CRC the digits are: the standard's, the kind allowed beside it, or neither."""
    value = int(crc, 16)
    return next((each for each in dict.fromkeys((CrcKind.STANDARD, kind)) if compute_crc(segment, each) == value), None)


def open_frame(raw: bytes, dialect: Dialect = STANDARD) -> Opened:
    """Read a frame again that was accepted before, as kept in `Frame.raw`.

    Args:
        raw: the frame as it came, trailer included.
        dialect: of the slugs among its warnings and of the key named by its `key_id`; pure.

    Raises:
        FrameError: the dialect or the key is not what it was accepted with.
    """
    stop = HEAD_BYTES + int(raw[MARK_BYTES:HEAD_BYTES])
    if dialect == STANDARD:
        segment, crc, trailer = raw[HEAD_BYTES:stop], raw[stop : stop + CRC_DIGITS], raw[stop + CRC_DIGITS :]
        if trailer == b"\r\n" and stop <= HEAD_BYTES + MAX_STANDARD_SEGMENT and crc == crc.upper():
            return Opened(segment, b"", ())
        return Opened(segment, b"", trailer_warnings(segment, crc, trailer))
    found = match_frame(raw, 0, dialect, limit=MAX_DECLARED, final=True)
    if not isinstance(found, Match):
        raise FrameError("the frame is not of this dialect, or its key is another", reason="crc")
    return found.opened


def find_dialect(raw: bytes) -> tuple[str, tuple[str, ...]] | None:
    """Find the dialect under which a rejected span would be one good frame, the most modest one first.

    Args:
        raw: what was rejected, possibly with more round it or without its CR LF.

    Returns:
        MN as sent and slugs, one at least; None where no dialect helps. Keys are not tried.
    """
    header = HEADER.search(raw)
    mn = find_mn(raw, header.start() + HEAD_BYTES) if header else None
    if header is None or not mn:
        return None
    for slugs in _COMBINATIONS:
        found = match_frame(raw, header.start(), make_dialect(slugs), limit=MAX_DECLARED, final=True)
        if isinstance(found, Match) and set(slugs) <= set(found.opened.warnings) and _is_packet(found.opened.segment):
            return mn, slugs
    return None


_COMBINATIONS = tuple(
    slugs
    for size in range(1, len(SLUGS))
    for slugs in itertools.combinations(SLUGS, size)
    if not _CRC_SLUGS.issubset(slugs)
)


def _is_packet(segment: bytes) -> bool:
    try:
        parse_packet(segment)
    except PacketError:
        return False
    return True
