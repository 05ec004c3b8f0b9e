"""Bytes to frames and back (HJ 212-2017, 6.3.1, table 2).

::

    ##  LLLL  <data segment: LLLL bytes>  CCCC  CR LF

A frame is cut by its length, never by a search for CR LF or ``&&``: log text and 2025 cipher text
may hold either. Only a frame that failed is searched, for the next ``##`` + four digits.
"""

import re
from collections.abc import Callable
from typing import NamedTuple

from hj212gw.errors import FrameError
from hj212gw.protocol.crc import crc_text, modbus_crc16

MAX_STANDARD_SEGMENT = 1024  # 6.3.1; field loggers send more, so this only warns
MAX_SEGMENT = 4096  # default of the accepted length
MAX_DECLARED = 9999
NOISE_SPAN = 4096  # noise is reported in spans of at most this many bytes, or of max_segment

_MARK = 2  # ##
_HEAD = 6  # ## and length
_CRC = 4
_EVIDENCE = 8  # bytes that tell a header: ##, four digits and the first two letters of a field name

# Two letters after the digits keep other protocols that begin with ## (GB 17691) from being waited for.
_HEADER = re.compile(rb"##[0-9]{4}[A-Za-z]{2}")
_HEADER_START = re.compile(rb"#(?:#(?:[0-9]{1,3}|[0-9]{4}[A-Za-z]?)?)?\Z")
_SHORT_LENGTH = re.compile(rb"##[0-9]{0,5}[ ]?[A-Z]{2}=")
_POSSIBLE_CRC = re.compile(rb"[0-9A-Fa-f]{2}[048Cc][01]")  # section 3: the low byte has eight values
_NATURAL_END = re.compile(rb"&&[0-9A-Fa-f]{4}(?:\r?\n|(?=##))")

Check = Callable[[bytes, bytes], bool]


class Frame(NamedTuple):
    """A whole and checked frame.

    Attributes:
        segment: the data segment, 0 to 9999 bytes.
        raw: the frame as it came, trailer included.
        offset: where it began, in bytes since the stream did.
        warnings: slugs of what was odd yet accepted.
    """

    segment: bytes
    raw: bytes
    offset: int
    warnings: tuple[str, ...] = ()

    def __str__(self) -> str:
        """Print short, bounded and without control characters."""
        return f"Frame({len(self.segment)} bytes at {self.offset}: {self.segment[:40]!a})"


class Discard(NamedTuple):
    """A span that is no frame.

    Attributes:
        reason: crc, length, header, trailer, too_long, incomplete or noise.
        detail: which check failed, at which byte of the stream, and what was expected.
        raw: the span, bounded.
        offset: where it began, in bytes since the stream did.
    """

    reason: str
    detail: str
    raw: bytes
    offset: int


class _Failure(NamedTuple):
    reason: str
    detail: str
    span: int  # most bytes it takes with it


def check_crc(segment: bytes, crc: bytes) -> bool:
    """Tell whether `crc`, four characters of any letter case, is the segment's (annex A)."""
    expected = crc_text(segment)
    return crc == expected or crc.upper() == expected


def encode_frame(segment: bytes) -> bytes:
    """Wrap a data segment into a frame.

    Args:
        segment: 0 to 9999 bytes; more than 1024 is beyond the standard but occurs.

    Raises:
        FrameError: the length does not fit four digits.
    """
    if len(segment) > MAX_DECLARED:
        message = f"a data segment has at most {MAX_DECLARED} bytes, got {len(segment)}"
        raise FrameError(message, reason="too_long")
    return b"##%04d%b%b\r\n" % (len(segment), segment, crc_text(segment))


class FrameBuffer:
    """Cuts a byte stream into frames and discards, the same for any chunking, in linear time.

    Args:
        check: decides whether a segment and its four CRC characters belong together; pure.
        max_segment: longest accepted data segment in bytes; a header that declares more is not waited for.

    Between calls the buffer holds less than one frame of that length (of the length declared while a longer
    one is passed over) and the eight bytes that tell a header.
    """

    def __init__(self, *, check: Check = check_crc, max_segment: int = MAX_SEGMENT) -> None:
        self._check = check
        self._max_segment = max_segment
        self._buffer = bytearray()
        self._pos = 0  # start of the span looked at; before it everything is reported
        self._scanned = 0  # no header starts between _pos and here
        self._needed = 0  # nothing can be decided before the buffer has this length
        self._failure: _Failure | None = None
        self._offset = 0  # of the buffer's first byte in the stream
        self._after_release = False

    @property
    def pending_bytes(self) -> int:
        """Bytes held and not yet reported."""
        return len(self._buffer) - self._pos

    @property
    def awaits_trailer(self) -> bool:
        """Whether a frame is complete but for CR LF, which some data loggers never send."""
        is_open = self._failure is None and 0 < self._needed <= len(self._buffer) + 2 and self._has_body()
        return is_open and not _HEADER_START.search(self._buffer, max(0, len(self._buffer) - _EVIDENCE))

    def feed(self, data: bytes) -> list[Frame | Discard]:
        """Take bytes as they came and return what they complete, in stream order."""
        if self._after_release and data:
            data = self._drop_late_trailer(data)
        self._buffer += data
        return self._run(final=False) if len(self._buffer) >= self._needed else []

    def release(self) -> list[Frame | Discard]:
        """Return the frame that only lacks its CR LF; a CR LF that comes later is dropped."""
        if not self.awaits_trailer:
            return []
        events = self._run(final=True)
        self._after_release = True
        return events

    def close(self) -> list[Frame | Discard]:
        """Report what is left at the end of the stream; an unfinished frame is `incomplete`."""
        return self._run(final=True)

    def _run(self, *, final: bool) -> list[Frame | Discard]:
        events: list[Frame | Discard] = []
        self._needed = 0
        while self._pos < len(self._buffer):
            event = self._next(final=final)
            if event is None:
                break
            events.append(event)
        if self._pos:
            del self._buffer[: self._pos]
            self._offset += self._pos
            self._needed = max(0, self._needed - self._pos)
            self._scanned = max(0, self._scanned - self._pos)
            self._pos = 0
        return events

    def _next(self, *, final: bool) -> Frame | Discard | None:
        """Decide about the span at `_pos`; None when more bytes are needed."""
        if self._failure is not None:
            return self._skip_failed(final=final)
        buffer, pos = self._buffer, self._pos
        if not _HEADER.match(buffer, pos):
            return self._skip_noise(final=final)
        length = int(buffer[pos + _MARK : pos + _HEAD])
        if length > self._max_segment:
            where = self._offset + pos + _MARK
            return self._fail(
                "too_long",
                f"length {length} at byte {where} is over the limit of {self._max_segment}",
                final=final,
            )
        stop = pos + _HEAD + length + _CRC
        end = self._find_end(stop, final=final)
        if end is None:
            return None
        if end < stop:
            have = len(buffer) - pos
            detail = f"length {length} at byte {self._offset + pos + _MARK} needs {stop - pos} bytes, {have} came"
            return self._fail("incomplete", detail, final=final)
        return self._judge(stop, end, final=final)

    def _find_end(self, stop: int, *, final: bool) -> int | None:
        """Find where the frame ends behind its CRC; None to wait, less than `stop` when cut off."""
        buffer = self._buffer
        trailer = buffer[stop : stop + 2]
        if trailer == b"\r\n":
            return stop + 2
        if trailer.startswith(b"\n"):
            return stop + 1
        if not final and (len(buffer) <= stop or trailer == b"\r"):
            self._needed = max(stop + 1, len(buffer) + 1)
            return None
        if len(buffer) < stop:
            return stop - 1
        return stop + 1 if trailer.startswith(b"\r") else stop

    def _judge(self, stop: int, end: int, *, final: bool) -> Frame | Discard | None:
        """Check a complete frame whose CRC ends at `stop` and whose trailer ends at `end`."""
        raw = bytes(self._buffer[self._pos : end])
        body = stop - self._pos - _CRC
        segment, crc = raw[_HEAD:body], raw[body : body + _CRC]
        if segment.endswith(b"&&"):
            if self._check(segment, crc):
                if b"#" in segment and (hidden := self._find_hidden(stop)):
                    where = self._offset + hidden
                    return self._discard(
                        "length", f"the frame that starts at byte {where} ends at the same byte", hidden
                    )
                offset = self._offset + self._pos
                self._move(end)
                trailer = raw[body + _CRC :]
                if trailer == b"\r\n" and len(segment) <= MAX_STANDARD_SEGMENT and crc == crc.upper():
                    return Frame(segment, raw, offset)
                return Frame(segment, raw, offset, _frame_warnings(segment, crc, trailer))
            return self._fail_crc(segment, crc, end, final=final)
        if _POSSIBLE_CRC.match(crc) and self._check(segment, crc):
            detail = f"the closing && before byte {self._offset + stop - _CRC} is missing; the CRC is right"
            return self._fail("trailer", detail, final=final)
        where = self._offset + self._pos + _MARK
        detail = f"length {len(segment)} at byte {where} does not end at a closing && followed by the CRC"
        return self._fail("length", detail, final=final)

    def _find_hidden(self, stop: int) -> int | None:
        """Find a header inside when a frame inside ends where this one does: noise that looked like a header.

        Either both CRCs agree by chance, once in 256, or a whole frame was packed into a data area just so;
        and then the one inside is the frame that would be lost.
        """
        headers = [match.start() for match in _HEADER.finditer(self._buffer, self._pos + _MARK, stop)]
        ends = (start + _HEAD + int(self._buffer[start + _MARK : start + _HEAD]) + _CRC for start in headers)
        return headers[0] if stop in ends else None

    def _fail_crc(self, segment: bytes, crc: bytes, end: int, *, final: bool) -> Discard | None:
        """Discard a frame of the right shape with a wrong CRC, up to a header that begins in it."""
        buffer, start = self._buffer, self._pos + _MARK
        inner = _HEADER.search(buffer, start, end + _EVIDENCE - 1)
        if inner is None and not final:
            # A CRC of three digits and no CR LF: the first bytes of the next frame stand in its place.
            cut = _HEADER_START.search(buffer, max(start, len(buffer) - _EVIDENCE))
            if cut and cut.start() < end:
                self._needed = len(buffer) + 1
                return None
        where = self._offset + self._pos + _HEAD + len(segment)
        return self._discard("crc", explain_crc(segment, crc, where), inner.start() if inner else end)

    def _fail(self, reason: str, detail: str, *, final: bool) -> Discard | None:
        declared = int(self._buffer[self._pos + _MARK : self._pos + _HEAD])
        span = max(declared, self._max_segment) + _HEAD + _CRC + 2
        self._failure = _Failure(reason, detail, span)
        self._scanned = self._pos + _MARK
        return self._skip_failed(final=final)

    def _skip_failed(self, *, final: bool) -> Discard | None:
        """Discard a failed frame up to its natural end or the next header, within its span."""
        buffer, pos = self._buffer, self._pos
        failure = self._failure
        assert failure is not None
        limit = pos + failure.span
        header = _HEADER.search(buffer, self._scanned, limit + _EVIDENCE)
        natural = _NATURAL_END.search(buffer, self._scanned, header.start() + _MARK if header else limit)
        stops = [match for match in (header and header.start(), natural and natural.end()) if match]
        if not stops and not final and len(buffer) < limit + _EVIDENCE:
            # _EVIDENCE + 2 bytes back: a mark that is cut by the end of the buffer is seen whole next time.
            self._scanned = max(self._scanned, len(buffer) - _EVIDENCE - 2)
            self._needed = len(buffer) + 1
            return None
        self._failure = None
        detail = failure.detail
        if failure.reason == "length" and natural:
            segment = bytes(buffer[pos + _HEAD : natural.start() + 2])
            crc = bytes(buffer[natural.start() + 2 : natural.start() + 2 + _CRC])
            verdict = "right" if check_crc(segment, crc) else f"wrong, {crc_text(segment).decode()} is right"
            detail += f"; that stands after {len(segment)} bytes, with a CRC that is {verdict} there"
        return self._discard(failure.reason, detail, min(stops, default=min(limit, len(buffer))))

    def _skip_noise(self, *, final: bool) -> Discard | None:
        buffer, pos = self._buffer, self._pos
        limit = pos + min(NOISE_SPAN, self._max_segment)
        header = _HEADER.search(buffer, max(self._scanned, pos), limit + _EVIDENCE)
        if header:
            return self._discard_noise(header.start())
        if len(buffer) >= limit + _EVIDENCE:
            return self._discard_noise(limit)
        if final and _HEADER_START.match(buffer, pos):
            detail = f"the stream ends in a frame's header at byte {self._offset + pos}"
            return self._discard("incomplete", detail, len(buffer))
        if final:
            return self._discard_noise(len(buffer))
        self._scanned = max(pos, len(buffer) - _EVIDENCE + 1)
        self._needed = len(buffer) + 1
        return None

    def _discard_noise(self, end: int) -> Discard:
        raw = bytes(self._buffer[self._pos : end])
        where = self._offset + self._pos
        if _SHORT_LENGTH.match(raw):
            return self._discard("header", f"the length at byte {where + _MARK} is not four digits", end)
        return self._discard("noise", f"no frame starts in {len(raw)} bytes from byte {where}", end)

    def _discard(self, reason: str, detail: str, end: int) -> Discard:
        raw = bytes(self._buffer[self._pos : end])
        offset = self._offset + self._pos
        self._move(end)
        return Discard(reason, detail, raw, offset)

    def _move(self, end: int) -> None:
        self._pos = self._scanned = end

    def _has_body(self) -> bool:
        match = _HEADER.match(self._buffer, self._pos)
        if not match:
            return False
        length = int(self._buffer[self._pos + _MARK : self._pos + _HEAD])
        return len(self._buffer) >= self._pos + _HEAD + length + _CRC

    def _drop_late_trailer(self, data: bytes) -> bytes:
        late = 2 if data.startswith(b"\r\n") else 1 if data.startswith((b"\r", b"\n")) else 0
        self._after_release = data == b"\r"
        self._offset += late
        return data[late:]


def _frame_warnings(segment: bytes, crc: bytes, trailer: bytes) -> tuple[str, ...]:
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


def explain_crc(segment: bytes, crc: bytes, where: int) -> str:
    """Say what is wrong with a CRC: the right one, and a known other algorithm that gives it.

    Args:
        segment: the data segment.
        crc: the four characters that came.
        where: their byte in the stream.
    """
    text = f"CRC at byte {where} is {ascii(crc)[1:]}, the right one is {crc_text(segment).decode()}"
    modbus = b"%04X" % modbus_crc16(segment)
    if crc.upper() == modbus:
        return f"{text}; it equals CRC-16/MODBUS"
    if crc.upper() == modbus[2:] + modbus[:2]:
        return f"{text}; it equals CRC-16/MODBUS with its bytes swapped"
    return text


def open_frame(raw: bytes) -> tuple[bytes, tuple[str, ...]]:
    """Return data segment and warnings of a frame that was checked when it came, as kept in `Frame.raw`."""
    stop = _HEAD + int(raw[_MARK:_HEAD])
    segment, crc, trailer = raw[_HEAD:stop], raw[stop : stop + _CRC], raw[stop + _CRC :]
    if trailer == b"\r\n" and stop <= _HEAD + MAX_STANDARD_SEGMENT and crc == crc.upper():
        return segment, ()
    return segment, _frame_warnings(segment, crc, trailer)
