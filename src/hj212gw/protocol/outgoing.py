"""Frames to be sent: answers, and what a data logger of some dialect sends, for simulators, tests and `encode`."""

from hj212gw.errors import FrameError
from hj212gw.protocol.cipher import OPENING, encrypt_area, print_cipher
from hj212gw.protocol.crc import crc_text
from hj212gw.protocol.dialects import ENCODINGS, CrcKind, Dialect, compute_crc
from hj212gw.protocol.shape import MAX_DECLARED

_CLOSING = b"&&"


def encode_frame(segment: bytes, crc: CrcKind = CrcKind.STANDARD) -> bytes:
    """Wrap a data segment into a frame.

    Args:
        segment: 0 to 9999 bytes; more than 1024 is beyond the standard but occurs.
        crc: the algorithm, for data loggers that know none but their own.

    Raises:
        FrameError: the length does not fit four digits.
    """
    if len(segment) > MAX_DECLARED:
        message = f"a data segment has at most {MAX_DECLARED} bytes, got {len(segment)}"
        raise FrameError(message, reason="too_long")
    digits = crc_text(segment) if crc is CrcKind.STANDARD else b"%04X" % compute_crc(segment, crc)
    return b"##%04d%b%b\r\n" % (len(segment), segment, digits)


def encode_frame_as(segment: bytes, dialect: Dialect, *, is_printed: bool = False) -> bytes:
    """Wrap a data segment into a frame that has all of a dialect's peculiarities.

    Args:
        segment: plain and in the standard's shape, ``...;CP=&&...&&``.
        dialect: with keys, the data area is encrypted with the first of them; length and CRC stay those of
            the plain text (HJ 212-2025, 6.4).
        is_printed: write the cipher as the standard prints it.

    Raises:
        FrameError: the segment is of another shape, or its length does not fit four digits.
    """
    head, opening, area = segment.partition(OPENING)
    if not opening or not area.endswith(_CLOSING):
        raise FrameError("a data segment ends in CP=&&...&&", reason="trailer")
    mark = b"&" if dialect.single_ampersand else b"&&"
    head, area, closing = head + b"CP=" + mark, area[: -len(_CLOSING)], b"" if dialect.lacks_closing else mark
    plain = head + area + closing
    length = _count_characters(plain) if dialect.counts_characters else len(plain)
    if length > MAX_DECLARED:
        raise FrameError(f"a data segment has at most {MAX_DECLARED} bytes, got {length}", reason="too_long")
    if dialect.keys:
        area = encrypt_area(area, dialect.keys[0].secret)
        area = print_cipher(area) if is_printed else area
    value = compute_crc(plain, dialect.crc)
    digits = b"%X" % value if dialect.short_crc else b"%04X" % value
    return b"##%04d%b%b\r\n" % (length, head + area + closing, digits)


def _count_characters(segment: bytes) -> int:
    for encoding in ENCODINGS:
        try:
            return len(segment.decode(encoding))
        except UnicodeDecodeError:
            continue
    return len(segment)
