"""Tests of cutting a stream into frames."""

import pytest
from tests.strategies import make_segment

from hj212gw.errors import FrameError
from hj212gw.protocol import Discard, Frame, FrameBuffer, check_crc, crc_text, encode_frame
from hj212gw.protocol.crc import explain_crc
from hj212gw.protocol.frames import NOISE_SPAN
from hj212gw.protocol.shape import MAX_DECLARED

SEGMENT = make_segment(1)
FRAME = encode_frame(SEGMENT)
OTHER = encode_frame(make_segment(2))


def run(*chunks: bytes, max_segment: int = 4096) -> list[Frame | Discard]:
    """Feed chunks to a new buffer, close it, and return all events."""
    buffer = FrameBuffer(max_segment=max_segment)
    return [event for chunk in chunks for event in buffer.feed(chunk)] + buffer.close()


def reasons(events: list[Frame | Discard]) -> list[str]:
    """Name each event: its reason, or `frame`."""
    return [event.reason if isinstance(event, Discard) else "frame" for event in events]


def lie(declared: int, segment: bytes = SEGMENT, crc: bytes | None = None, trailer: bytes = b"\r\n") -> bytes:
    """Write a frame whose length, CRC or trailer may be wrong."""
    return b"##%04d" % declared + segment + (crc_text(segment) if crc is None else crc) + trailer


def test_a_frame_is_header_length_segment_crc_and_trailer() -> None:
    """Table 2 of 6.3.1, to the byte."""
    written = b"".join((b"##", b"%04d" % len(SEGMENT), SEGMENT, crc_text(SEGMENT), b"\r\n"))
    assert written == FRAME
    assert run(FRAME) == [Frame(SEGMENT, FRAME, 0)]


@pytest.mark.parametrize("length", [1024, 1025, 4096])
def test_a_long_segment_is_accepted_up_to_the_limit(length: int) -> None:
    """Over 1024 bytes a frame is accepted with a warning."""
    segment = make_segment(1, "x" * (length - len(make_segment(1, ""))))
    (event,) = run(encode_frame(segment))
    assert isinstance(event, Frame)
    assert event.segment == segment
    assert event.warnings == (("too_long",) if length > 1024 else ())


def test_a_segment_over_the_limit_is_rejected_as_a_whole() -> None:
    """The reject holds all of the frame, names the limit, and the next frame comes at once."""
    for size in (4100, 9000):
        long = encode_frame(make_segment(1, "x" * size))
        buffer = FrameBuffer()
        first, second = buffer.feed(long + FRAME)
        assert isinstance(first, Discard)
        assert (first.reason, first.raw) == ("too_long", long)
        assert "over the limit of 4096" in first.detail
        assert second == Frame(SEGMENT, FRAME, len(long))
        assert buffer.close() == []


def test_a_lower_limit_can_be_set() -> None:
    """The limit is a setting."""
    assert reasons(run(FRAME, max_segment=len(SEGMENT))) == ["frame"]
    first, *_ = run(FRAME, max_segment=len(SEGMENT) - 1)
    assert isinstance(first, Discard)
    assert first.reason == "too_long"


def test_a_segment_is_written_up_to_four_digits_of_length() -> None:
    """A longer one has no length field."""
    assert encode_frame(b"x" * MAX_DECLARED).startswith(b"##9999x")
    with pytest.raises(FrameError, match="at most 9999 bytes, got 10000") as caught:
        encode_frame(b"x" * (MAX_DECLARED + 1))
    assert caught.value.reason == "too_long"


@pytest.mark.parametrize(("trailer", "warning"), [(b"\r\n", ()), (b"\n", ("lf_only",)), (b"\r", ("no_crlf",))])
def test_the_trailer_may_be_odd(trailer: bytes, warning: tuple[str, ...]) -> None:
    """LF alone, CR alone or nothing is accepted with a warning."""
    raw = FRAME[:-2] + trailer
    assert run(raw + OTHER) == [Frame(SEGMENT, raw, 0, warning), Frame(OTHER[6:-6], OTHER, len(raw))]
    assert run(raw) == [Frame(SEGMENT, raw, 0, warning)]


def test_glued_frames_need_no_trailer() -> None:
    """A frame is cut by its length, so the next may follow at once."""
    assert [event.warnings for event in run(FRAME[:-2] + OTHER[:-2] + FRAME)] == [("no_crlf",), ("no_crlf",), ()]


@pytest.mark.parametrize("crc", [crc_text(SEGMENT).lower(), crc_text(SEGMENT).lower().swapcase()])
def test_the_crc_may_be_in_lower_case(crc: bytes) -> None:
    """Letter case does not count; lower case is told."""
    (event,) = run(lie(len(SEGMENT), crc=crc))
    assert isinstance(event, Frame)
    assert ("crc_lower_case" in event.warnings) == (crc != crc.upper())


def test_marks_inside_a_data_area_do_not_start_a_frame() -> None:
    """Log text may hold ##, && and a CR LF."""
    segment = make_segment(1, "i11001-Info=//##0101QN=2016&&1C80\r\n##//")
    assert run(encode_frame(segment) + FRAME) == [
        Frame(segment, encode_frame(segment), 0),
        Frame(SEGMENT, FRAME, len(segment) + 12),
    ]


def test_a_whole_frame_inside_log_text_does_not_start_a_frame() -> None:
    """As long as it does not end where the frame around it ends."""
    segment = make_segment(1, f"i11001-Info=//{FRAME.decode()}//")
    assert reasons(run(encode_frame(segment))) == ["frame"]


def test_a_wrong_crc_is_told_with_the_right_one() -> None:
    """The byte, what came and what is right are named."""
    (event,) = run(lie(len(SEGMENT), crc=b"12AB"))
    assert isinstance(event, Discard)
    assert event.reason == "crc"
    right = crc_text(SEGMENT).decode()
    assert event.detail == f"CRC at byte {6 + len(SEGMENT)} is '12AB', the right one is {right}"


def test_other_crc_algorithms_are_named() -> None:
    """CRC-16/MODBUS, plain or with its bytes swapped, is the usual mistake."""
    assert explain_crc(b"123456789", b"4b37", 0).endswith("it equals CRC-16/MODBUS")
    assert explain_crc(b"123456789", b"374B", 0).endswith("it equals CRC-16/MODBUS with its bytes swapped")
    assert "MODBUS" not in explain_crc(b"123456789", b"\xff\r\n'", 0)


def test_a_frame_inside_one_with_a_wrong_crc_is_found() -> None:
    """A header from noise may declare just to the end of a good frame."""
    stream = b"##%04dAA" % (len(FRAME) - 6 + 2) + FRAME
    first, second = run(stream)
    assert isinstance(first, Discard)
    assert (first.reason, first.raw) == ("crc", stream[:8])
    assert second == Frame(SEGMENT, FRAME, 8)


def test_a_frame_inside_one_that_ends_with_it_is_the_one_meant() -> None:
    """Log text that holds a whole frame goes on behind it; a header from noise does not, even with a right CRC."""
    fillers = (b"A%03x" % number for number in range(0x1000))
    outer = (filler + FRAME[:-6] for filler in fillers)
    segment = next(segment for segment in outer if crc_text(segment) == FRAME[-6:-2])
    first, second = run(lie(len(segment), segment))
    assert isinstance(first, Discard)
    assert (first.reason, first.detail) == ("length", "the frame that starts at byte 10 ends at the same byte")
    assert second == Frame(SEGMENT, FRAME, 10)


@pytest.mark.parametrize("cut", [1, 2, 3, 6])
def test_a_crc_that_lacks_digits_does_not_take_the_next_frames_mark(cut: int) -> None:
    """Some formatters do not pad; without CR LF the next ## follows at once."""
    short = FRAME[:-2][:-cut] if cut < 4 else FRAME[:-6]
    for chunks in ([short + OTHER], [short + OTHER[:3], OTHER[3:]], [short + OTHER[:1], OTHER[1:4], OTHER[4:]]):
        first, second = run(*chunks)
        assert isinstance(first, Discard)
        assert (first.reason, first.raw) == ("crc", short)
        assert second == Frame(OTHER[6:-6], OTHER, len(short))


def test_a_crc_that_only_looks_like_the_next_mark_is_discarded_when_more_comes() -> None:
    """Waiting for the rest of a header ends as soon as it is none."""
    raw = FRAME[:-4] + b"##"
    buffer = FrameBuffer()
    assert buffer.feed(raw) == []
    (event,) = buffer.feed(b"x")
    assert event.raw == raw
    assert reasons(run(raw)) == ["crc"]


@pytest.mark.parametrize("wrong", [-6, -1, 1, 6])
def test_a_wrong_length_is_told_with_the_true_one(wrong: int) -> None:
    """The reject ends at the frame's natural end, and the next frame comes out."""
    raw = lie(len(SEGMENT) + wrong)
    first, second = run(raw + OTHER)
    assert isinstance(first, Discard)
    assert (first.reason, first.raw) == ("length", raw)
    assert f"length {len(SEGMENT) + wrong} at byte 2" in first.detail
    assert f"stands after {len(SEGMENT)} bytes, with a CRC that is right there" in first.detail
    assert second == Frame(OTHER[6:-6], OTHER, len(raw))


def test_a_wrong_length_and_a_wrong_crc_are_both_told() -> None:
    """The right CRC of the true length is named."""
    first, _ = run(lie(len(SEGMENT) - 3, crc=b"0140") + OTHER)
    assert isinstance(first, Discard)
    assert f"wrong, {crc_text(SEGMENT).decode()} is right there" in first.detail


def test_a_missing_closing_mark_with_a_right_crc_is_a_reason_of_its_own() -> None:
    """A relay that rewrote packets dropped the closing && and made its own CRC (section 17, 13)."""
    segment = SEGMENT[:-2]
    (event,) = run(encode_frame(segment))
    assert isinstance(event, Discard)
    assert event.reason == "trailer"
    assert "closing && before byte" in event.detail


def test_a_length_without_four_digits_is_a_header_fault() -> None:
    """The whole frame is the reject, and the next one comes out."""
    raw = b"##453" + FRAME[6:]
    first, second = run(raw + OTHER)
    assert isinstance(first, Discard)
    assert (first.reason, first.raw) == ("header", raw)
    assert "at byte 2 is not four digits" in first.detail
    assert second == Frame(OTHER[6:-6], OTHER, len(raw))


def test_a_header_that_declares_too_much_does_not_hold_up_what_follows() -> None:
    """The frames behind it come out as they come in."""
    buffer = FrameBuffer()
    assert reasons(buffer.feed(lie(9999) + FRAME + OTHER)) == ["too_long", "frame", "frame"]


def test_a_header_within_the_limit_is_waited_for_and_then_given_up() -> None:
    """A frame that lies about its length slows its own sender, and loses nobody's frames."""
    buffer = FrameBuffer()
    assert buffer.feed(lie(300) + FRAME) == []
    assert reasons(buffer.feed(OTHER * 2)) == ["length", "frame", "frame", "frame"]


def test_an_unfinished_frame_is_incomplete_at_the_end_of_the_stream() -> None:
    """It says how much was missing."""
    (event,) = run(FRAME[:50])
    assert isinstance(event, Discard)
    assert event.reason == "incomplete"
    assert event.detail == f"length {len(SEGMENT)} at byte 2 needs {len(FRAME) - 2} bytes, 50 came"


@pytest.mark.parametrize("start", [b"#", b"##", b"##00", b"##0087", b"##0087Q"])
def test_the_first_bytes_of_a_header_are_incomplete_at_the_end_of_the_stream(start: bytes) -> None:
    """What could still have become a frame is not called noise."""
    assert reasons(run(start)) == ["incomplete"]


def test_frames_behind_an_unfinished_one_come_out_at_the_end_of_the_stream() -> None:
    """A truncated frame does not swallow the next ones."""
    assert reasons(run(lie(4000) + FRAME + OTHER)) == ["incomplete", "frame", "frame"]


def test_noise_is_reported_in_bounded_spans() -> None:
    """Each byte is in one of them."""
    noise = b"\x01\x02" * NOISE_SPAN
    buffer = FrameBuffer()
    events = buffer.feed(noise) + buffer.close()
    assert reasons(events) == ["noise", "noise"]
    assert b"".join(event.raw for event in events) == noise


def test_a_mark_cut_by_a_span_of_noise_is_still_found() -> None:
    """A header may begin at any byte round the end of a span."""
    for lead in range(NOISE_SPAN - 9, NOISE_SPAN + 9):
        events = run(b"x" * lead + FRAME)
        assert events[-1] == Frame(SEGMENT, FRAME, lead)


def test_a_failed_frame_is_skipped_in_bounded_spans() -> None:
    """Without an end in sight the reject ends at the limit."""
    events = run(b"##0050AA" + b"x" * 200, max_segment=60)
    assert reasons(events) == ["length", "noise", "noise", "noise"]
    assert len(events[0].raw) == 72


def test_a_frame_that_lacks_only_its_trailer_can_be_released() -> None:
    """The session does so after a moment, so that a data logger without CR LF is answered."""
    buffer = FrameBuffer()
    assert not buffer.awaits_trailer
    assert buffer.release() == []
    assert buffer.feed(FRAME[:-2]) == []
    assert buffer.awaits_trailer
    assert buffer.pending_bytes == len(FRAME) - 2
    assert buffer.release() == [Frame(SEGMENT, FRAME[:-2], 0, ("no_crlf",))]
    assert not buffer.awaits_trailer
    assert buffer.pending_bytes == 0


def test_a_frame_with_half_its_trailer_can_be_released() -> None:
    """LF may still come and is dropped then."""
    buffer = FrameBuffer()
    buffer.feed(FRAME[:-1])
    assert buffer.awaits_trailer
    assert buffer.release() == [Frame(SEGMENT, FRAME[:-1], 0, ("no_crlf",))]
    assert buffer.feed(b"\n" + OTHER) == [Frame(OTHER[6:-6], OTHER, len(FRAME))]


@pytest.mark.parametrize("start", [FRAME[:40], b"noise", b"##9999QN=", FRAME[:-4] + b"##", b"##0000"])
def test_nothing_else_is_released(start: bytes) -> None:
    """An unfinished frame, noise, or what may be the next frame's mark stays."""
    buffer = FrameBuffer()
    buffer.feed(start)
    assert not buffer.awaits_trailer
    assert buffer.release() == []


def test_the_check_is_given_segment_and_crc() -> None:
    """A data logger's dialect or key can decide."""
    seen = []

    def check(segment: bytes, crc: bytes) -> bool:
        seen.append((segment, crc))
        return True

    raw = lie(len(SEGMENT), crc=b"zzzz")
    (event,) = FrameBuffer(check=check).feed(raw)
    assert isinstance(event, Frame)
    assert seen == [(SEGMENT, b"zzzz")]


def test_check_crc_wants_four_characters_of_the_right_value() -> None:
    """Any letter case, nothing else."""
    right = crc_text(SEGMENT)
    assert check_crc(SEGMENT, right)
    assert check_crc(SEGMENT, right.lower())
    assert not check_crc(SEGMENT, right[:3])
    assert not check_crc(SEGMENT, b"0000" if right != b"0000" else b"0001")


def test_a_frame_prints_short_and_safe() -> None:
    """Bounded and without control characters."""
    frame = Frame(b"QN=\r\n\x1b[2J" + b"x" * 500, b"", 7)
    assert str(frame) == "Frame(509 bytes at 7: b'QN=\\r\\n\\x1b[2J" + "x" * 31 + "')"
