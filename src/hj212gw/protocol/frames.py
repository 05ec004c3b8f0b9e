"""Bytes to frames (HJ 212-2017, 6.3.1, table 2).

::

    ##  LLLL  <data segment: LLLL bytes>  CCCC  CR LF

A frame is cut by its length, never by a search for CR LF or ``&&``: log text and 2025 cipher text
may hold either. Only a frame that failed is searched, for the next ``##`` + four digits, after its data
logger's dialect was asked.
"""

import re
from collections.abc import Callable
from typing import NamedTuple

from hj212gw.protocol.crc import check_crc, crc_text, explain_crc
from hj212gw.protocol.dialects import DialectOf, Match, find_mn, match_frame
from hj212gw.protocol.shape import (
    CRC_DIGITS,
    EVIDENCE_BYTES,
    HEAD_BYTES,
    HEADER,
    MARK_BYTES,
    MAX_STANDARD_SEGMENT,
    find_end,
    trailer_warnings,
)

MAX_SEGMENT = 4096  # default of the accepted length
NOISE_SPAN = 4096  # noise is reported in spans of at most this many bytes, or of max_segment

_HEADER_START = re.compile(rb"#(?:#(?:[0-9]{1,3}|[0-9]{4}[A-Za-z]?)?)?\Z")
_SHORT_LENGTH = re.compile(rb"##[0-9]{0,5}[ ]?[A-Z]{2}=")
_POSSIBLE_CRC = re.compile(rb"[0-9A-Fa-f]{2}[048Cc][01]")  # section 3: the low byte has eight values
_DIGITS = re.compile(rb"[0-9A-Fa-f]{4}")
_NATURAL_END = re.compile(rb"&&[0-9A-Fa-f]{4}(?:\r?\n|(?=##))")

_OPENING = b"CP=&&"

Check = Callable[[bytes, bytes], bool]
_new = tuple.__new__


class Frame(NamedTuple):
    """A whole and checked frame.

    Attributes:
        segment: the data segment, plain and in the standard's shape, 0 to 9999 bytes.
        raw: the frame as it came, trailer included.
        offset: where it began, in bytes since the stream did.
        warnings: slugs of what was odd yet accepted, those of the dialect in use among them.
        key_id: of the key the data area came encrypted with, "" for plain.
        sent: the data segment as it came where that differs from `segment`, else empty.
    """

    segment: bytes
    raw: bytes
    offset: int
    warnings: tuple[str, ...] = ()
    key_id: str = ""
    sent: bytes = b""

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


class FrameBuffer:
    """Cuts a byte stream into frames and discards, the same for any chunking, in linear time.

    Args:
        dialect_of: tells by MN as sent what a data logger is allowed; asked when the standard says no; pure
            while a frame is waited for. None: the standard for all.
        max_segment: longest accepted data segment in bytes; a header that declares more is not waited for.
        check: decides whether a segment and its four CRC characters belong together by the standard; pure.

    Between calls the buffer holds less than one frame of that length (of the length declared while a longer
    one is passed over; five times that length for a printed cipher) and the eight bytes that tell a header.
    """

    def __init__(
        self, dialect_of: DialectOf | None = None, *, max_segment: int = MAX_SEGMENT, check: Check = check_crc
    ) -> None:
        self._dialect_of = dialect_of
        self._check = check
        self._max_segment = max_segment
        self._buffer = bytearray()
        self._pos = 0  # start of the span looked at; before it everything is reported
        self._scanned = 0  # no header starts between _pos and here
        self._needed = 0  # nothing can be decided before the buffer has this length
        self._stop = 0  # where the CRC of the frame ends that is waited for
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
        is_open = self._failure is None and 0 < self._stop <= len(self._buffer)
        if not is_open or not _DIGITS.match(self._buffer, self._stop - CRC_DIGITS):
            return False
        return not _HEADER_START.search(self._buffer, max(0, len(self._buffer) - EVIDENCE_BYTES))

    def feed(self, data: bytes) -> list[Frame | Discard]:
        """Take bytes as they came and return what they complete, in stream order."""
        if self._after_release and data:
            data = self._drop_late_trailer(data)
        if len(self._buffer) + len(data) < self._needed:
            self._buffer += data
            return []
        events: list[Frame | Discard] = []
        # What was looked at before goes on where it stopped; what begins a frame is most likely an ordinary one.
        if self._failure is None and self._scanned <= self._pos:
            data = self._take_ordinary(bytes(self._buffer) + data if self._buffer else data, events)
            self._buffer = bytearray(data)
        else:
            self._buffer += data
        events += self._run(final=False)
        return events

    def _take_ordinary(self, data: bytes, events: list[Frame | Discard]) -> bytes:
        """Take the frames in front that the standard itself could have sent, in half the time of the careful way.

        Returns:
            What is left: nothing, the beginning of a frame, or something odd.
        """
        offset, size, longest, check = (
            self._offset,
            len(data),
            min(self._max_segment, MAX_STANDARD_SEGMENT),
            self._check,
        )
        pos = 0
        while HEADER.match(data, pos):
            start = pos + HEAD_BYTES
            body = start + int(data[pos + MARK_BYTES : start])
            end = body + CRC_DIGITS + 2
            crc = data[body : end - 2]
            if end > size or data[end - 2 : end] != b"\r\n" or body - start > longest or crc != crc.upper():
                break
            segment = data[start:body]
            is_plain = segment.endswith(b"&&") and b"#" not in segment and segment.isascii()
            if not is_plain or segment.find(_OPENING, 0, -2) < 0 or not check(segment, crc):
                break
            events.append(_new(Frame, (segment, data[pos:end], offset + pos, (), "", b"")))
            pos = end
        self._offset += pos
        return data[pos:] if pos else data

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
        self._needed = self._stop = 0
        while self._pos < len(self._buffer):
            event = self._next(final=final)
            if event is None:
                break
            events.append(event)
        if self._pos:
            del self._buffer[: self._pos]
            self._offset += self._pos
            self._needed = max(0, self._needed - self._pos)
            self._stop = max(0, self._stop - self._pos)
            self._scanned = max(0, self._scanned - self._pos)
            self._pos = 0
        return events

    def _next(self, *, final: bool) -> Frame | Discard | None:
        """Decide about the span at `_pos`; None when more bytes are needed."""
        if self._failure is not None:
            return self._skip_failed(final=final)
        buffer, pos = self._buffer, self._pos
        if not HEADER.match(buffer, pos):
            return self._skip_noise(final=final)
        length = int(buffer[pos + MARK_BYTES : pos + HEAD_BYTES])
        if length > self._max_segment:
            where = self._offset + pos + MARK_BYTES
            return self._fail(
                "too_long",
                f"length {length} at byte {where} is over the limit of {self._max_segment}",
                final=final,
            )
        stop = pos + HEAD_BYTES + length + CRC_DIGITS
        end = find_end(buffer, stop, final=final)
        if end is not None and end >= stop:
            return self._judge(stop, end, final=final)
        if self._dialect_of is not None and len(buffer) > stop - CRC_DIGITS + 1:
            # A CRC of one or two digits and CR LF is whole before four digits are.
            frame = self._match_dialect(final=final)
            if frame is not None:
                return frame
        return self._lack(stop, final=final)

    def _lack(self, stop: int, *, final: bool) -> Discard | None:
        """Wait for the rest of a frame, or discard it when none will come."""
        if not final:
            self._wait(stop)
            return None
        where, have = self._offset + self._pos + MARK_BYTES, len(self._buffer) - self._pos
        length = stop - self._pos - HEAD_BYTES - CRC_DIGITS
        detail = f"length {length} at byte {where} needs {stop - self._pos} bytes, {have} came"
        return self._fail("incomplete", detail, final=True)

    def _wait(self, stop: int) -> None:
        """Wait for the frame whose CRC ends at `stop`, or for what follows it."""
        self._stop = stop
        # A dialect's CRC of one digit and LF is the least that can end a frame.
        least = stop + 1 if self._dialect_of is None else stop - CRC_DIGITS + 2
        self._needed = max(least, len(self._buffer) + 1)

    def _judge(self, stop: int, end: int, *, final: bool) -> Frame | Discard | None:
        """Check a complete frame whose CRC ends at `stop` and whose trailer ends at `end`."""
        raw = bytes(self._buffer[self._pos : end])
        body = stop - self._pos - CRC_DIGITS
        segment, crc = raw[HEAD_BYTES:body], raw[body : body + CRC_DIGITS]
        is_right = segment.endswith(b"&&") and self._check(segment, crc)
        is_usual = is_right and segment.isascii() and segment.find(_OPENING, 0, -2) >= 0
        if self._dialect_of is not None and not is_usual:
            frame = self._match_dialect(final=final)
            if frame is not None or self._needed:
                return frame
        if not is_right:
            return self._reject(segment, crc, end, final=final)
        if b"#" in segment and (hidden := self._find_hidden(stop)):
            detail = f"the frame that starts at byte {self._offset + hidden} ends at the same byte"
            return self._discard("length", detail, hidden)
        offset = self._offset + self._pos
        self._move(end)
        trailer = raw[body + CRC_DIGITS :]
        if trailer == b"\r\n" and len(segment) <= MAX_STANDARD_SEGMENT and crc == crc.upper():
            return Frame(segment, raw, offset)
        return Frame(segment, raw, offset, trailer_warnings(segment, crc, trailer))

    def _match_dialect(self, *, final: bool) -> Frame | None:
        """Read the frame by its data logger's dialect; None where that fails, or with `_needed` set to wait."""
        assert self._dialect_of is not None
        mn = find_mn(self._buffer, self._pos + HEAD_BYTES)
        dialect = self._dialect_of(mn) if mn is not None else None
        if dialect is None:
            return None
        found = match_frame(self._buffer, self._pos, dialect, limit=self._max_segment, final=final)
        if isinstance(found, Match):
            raw, offset = bytes(self._buffer[self._pos : found.end]), self._offset + self._pos
            self._move(found.end)
            opened = found.opened
            return Frame(opened.segment, raw, offset, opened.warnings, opened.key_id, opened.sent)
        if found is not None:
            self._wait(found)
        return None

    def _reject(self, segment: bytes, crc: bytes, end: int, *, final: bool) -> Discard | None:
        """Discard a complete frame that is wrong."""
        if segment.endswith(b"&&"):
            return self._fail_crc(segment, crc, end, final=final)
        where = self._offset + self._pos + HEAD_BYTES + len(segment)
        if _POSSIBLE_CRC.match(crc) and self._check(segment, crc):
            return self._fail(
                "trailer", f"the closing && before byte {where} is missing; the CRC is right", final=final
            )
        where = self._offset + self._pos + MARK_BYTES
        detail = f"length {len(segment)} at byte {where} does not end at a closing && followed by the CRC"
        return self._fail("length", detail, final=final)

    def _find_hidden(self, stop: int) -> int | None:
        """Find a header inside when a frame inside ends where this one does: noise that looked like a header.

        Either both CRCs agree by chance, once in 256, or a whole frame was packed into a data area just so;
        and then the one inside is the frame that would be lost.
        """
        headers = [match.start() for match in HEADER.finditer(self._buffer, self._pos + MARK_BYTES, stop)]
        ends = (
            start + HEAD_BYTES + int(self._buffer[start + MARK_BYTES : start + HEAD_BYTES]) + CRC_DIGITS
            for start in headers
        )
        return headers[0] if stop in ends else None

    def _fail_crc(self, segment: bytes, crc: bytes, end: int, *, final: bool) -> Discard | None:
        """Discard a frame of the right shape with a wrong CRC, up to a header that begins in it."""
        buffer, start = self._buffer, self._pos + MARK_BYTES
        inner = HEADER.search(buffer, start, end + EVIDENCE_BYTES - 1)
        if inner is None and not final:
            # A CRC of three digits and no CR LF: the first bytes of the next frame stand in its place.
            cut = _HEADER_START.search(buffer, max(start, len(buffer) - EVIDENCE_BYTES))
            if cut and cut.start() < end:
                self._needed = len(buffer) + 1
                return None
        where = self._offset + self._pos + HEAD_BYTES + len(segment)
        return self._discard("crc", explain_crc(segment, crc, where), inner.start() if inner else end)

    def _fail(self, reason: str, detail: str, *, final: bool) -> Discard | None:
        declared = int(self._buffer[self._pos + MARK_BYTES : self._pos + HEAD_BYTES])
        span = max(declared, self._max_segment) + HEAD_BYTES + CRC_DIGITS + 2
        self._failure = _Failure(reason, detail, span)
        self._scanned = self._pos + MARK_BYTES
        return self._skip_failed(final=final)

    def _skip_failed(self, *, final: bool) -> Discard | None:
        """Discard a failed frame up to its natural end or the next header, within its span."""
        buffer, pos = self._buffer, self._pos
        failure = self._failure
        assert failure is not None
        limit = pos + failure.span
        header = HEADER.search(buffer, self._scanned, limit + EVIDENCE_BYTES)
        natural = _NATURAL_END.search(buffer, self._scanned, header.start() + MARK_BYTES if header else limit)
        stops = [match for match in (header and header.start(), natural and natural.end()) if match]
        if not stops and not final and len(buffer) < limit + EVIDENCE_BYTES:
            # EVIDENCE_BYTES + 2 bytes back: a mark that is cut by the end of the buffer is seen whole next time.
            self._scanned = max(self._scanned, len(buffer) - EVIDENCE_BYTES - 2)
            self._needed = len(buffer) + 1
            return None
        self._failure = None
        detail = failure.detail
        if failure.reason == "length" and natural:
            segment = bytes(buffer[pos + HEAD_BYTES : natural.start() + 2])
            crc = bytes(buffer[natural.start() + 2 : natural.start() + 2 + CRC_DIGITS])
            verdict = "right" if check_crc(segment, crc) else f"wrong, {crc_text(segment).decode()} is right"
            detail += f"; that stands after {len(segment)} bytes, with a CRC that is {verdict} there"
        return self._discard(failure.reason, detail, min(stops, default=min(limit, len(buffer))))

    def _skip_noise(self, *, final: bool) -> Discard | None:
        buffer, pos = self._buffer, self._pos
        limit = pos + min(NOISE_SPAN, self._max_segment)
        header = HEADER.search(buffer, max(self._scanned, pos), limit + EVIDENCE_BYTES)
        if header:
            return self._discard_noise(header.start())
        if len(buffer) >= limit + EVIDENCE_BYTES:
            return self._discard_noise(limit)
        if final and _HEADER_START.match(buffer, pos):
            detail = f"the stream ends in a frame's header at byte {self._offset + pos}"
            return self._discard("incomplete", detail, len(buffer))
        if final:
            return self._discard_noise(len(buffer))
        self._scanned = max(pos, len(buffer) - EVIDENCE_BYTES + 1)
        self._needed = len(buffer) + 1
        return None

    def _discard_noise(self, end: int) -> Discard:
        raw = bytes(self._buffer[self._pos : end])
        where = self._offset + self._pos
        if _SHORT_LENGTH.match(raw):
            return self._discard("header", f"the length at byte {where + MARK_BYTES} is not four digits", end)
        return self._discard("noise", f"no frame starts in {len(raw)} bytes from byte {where}", end)

    def _discard(self, reason: str, detail: str, end: int) -> Discard:
        raw = bytes(self._buffer[self._pos : end])
        offset = self._offset + self._pos
        self._move(end)
        return Discard(reason, detail, raw, offset)

    def _move(self, end: int) -> None:
        self._pos = self._scanned = end

    def _drop_late_trailer(self, data: bytes) -> bytes:
        late = 2 if data.startswith(b"\r\n") else 1 if data.startswith((b"\r", b"\n")) else 0
        self._after_release = data == b"\r"
        self._offset += late
        return data[late:]
