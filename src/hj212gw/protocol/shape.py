"""Where the parts of a frame stand (HJ 212-2017, 6.3.1, table 2), for those who cut, judge and write frames."""

import re

MARK_BYTES = 2  # ##
HEAD_BYTES = 6  # ## and length
CRC_DIGITS = 4
MAX_STANDARD_SEGMENT = 1024  # 6.3.1; field loggers send more, so this only warns
MAX_DECLARED = 9999

# Two letters after the digits keep other protocols that begin with ## (GB 17691) from being waited for.
HEADER = re.compile(rb"##[0-9]{4}[A-Za-z]{2}")
EVIDENCE_BYTES = 8  # bytes that tell a header: ##, four digits and the first two letters of a field name


def find_end(buffer: bytes | bytearray, stop: int, *, final: bool) -> int | None:
    """Find where a frame ends whose CRC ends at `stop`.

    Args:
        buffer: holds the frame, and may go on behind it.
        stop: index behind the CRC.
        final: nothing comes after the buffer.

    Returns:
        The index behind CR LF, or what stands for it; None to wait for more; less than `stop` when the CRC is cut off.
    """
    trailer = buffer[stop : stop + 2]
    if trailer == b"\r\n":
        return stop + 2
    if trailer.startswith(b"\n"):
        return stop + 1
    if not final and (len(buffer) <= stop or trailer == b"\r"):
        return None
    if len(buffer) < stop:
        return stop - 1
    return stop + 1 if trailer.startswith(b"\r") else stop


def trailer_warnings(segment: bytes, crc: bytes, trailer: bytes) -> tuple[str, ...]:
    """Name what is odd yet accepted round a data segment.

    Args:
        segment: the data segment in the standard's shape.
        crc: its digits as they came.
        trailer: what came behind them, up to CR LF.

    Returns:
        Slugs, of `too_long`, `crc_lower_case`, `lf_only`, `no_crlf`.
    """
    return tuple(
        slug
        for slug, holds in (
            ("too_long", len(segment) > MAX_STANDARD_SEGMENT),
            ("crc_lower_case", crc != crc.upper()),
            ("lf_only", trailer == b"\n"),
            ("no_crlf", trailer in (b"", b"\r")),
        )
        if holds
    )
