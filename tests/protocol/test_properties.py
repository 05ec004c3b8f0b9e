"""Properties of the protocol core that hold for any input."""

import re
from collections.abc import Callable

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st
from tests import strategies as own

from hj212gw.errors import DataAreaError, PacketError
from hj212gw.protocol import (
    Discard,
    Frame,
    FrameBuffer,
    Packet,
    Reading,
    check_crc,
    crc16,
    encode_data_area,
    encode_frame,
    encode_packet,
    encode_readings,
    open_frame,
    parse_data_area,
    parse_packet,
    parse_readings,
)
from hj212gw.protocol import crc as crc_module
from hj212gw.protocol import packets as packets_module
from hj212gw.protocol.readings import read_rows
from hj212gw.protocol.shapes import Shapes

Event = Frame | Discard
SMALL = 64  # a max_segment that makes limits easy to meet


def run(chunks: list[bytes], *, max_segment: int = 4096) -> list[Event]:
    """Feed chunks to a new buffer, close it, and return all events."""
    buffer = FrameBuffer(max_segment=max_segment)
    return [event for chunk in chunks for event in buffer.feed(chunk)] + buffer.close()


def frames_of(events: list[Event]) -> list[Frame]:
    """Return the frames among events."""
    return [event for event in events if isinstance(event, Frame)]


def parse_or_refuse(segment: bytes) -> Packet | PacketError:
    """Return the packet, or the one error that may be raised."""
    try:
        return parse_packet(segment)
    except PacketError as error:
        return error


def plain_crc(segment: bytes) -> int:
    """Compute the CRC the way annex A words it, a bit at a time: the oracle."""
    register = 0xFFFF
    for byte in segment:
        register = register >> 8 ^ byte
        for _ in range(8):
            register = register >> 1 ^ (0xA001 if register & 1 else 0)
    return register


@given(st.binary(max_size=300))
def test_crc_equals_the_plain_algorithm(segment: bytes) -> None:
    """The C routine and the fold in Python give what the standard's loop gives."""
    assert crc16(segment) == plain_crc(segment)
    if segment:
        state = crc_module._fold_state(segment)
        assert crc_module._CRC_AFTER[state] == plain_crc(segment)


@given(st.data(), own.streams)
def test_events_are_the_same_for_any_chunking(data: st.DataObject, stream: bytes) -> None:
    """How a stream is cut on its way changes nothing."""
    whole = run([stream])
    assert run([stream[i : i + 1] for i in range(len(stream))]) == whole
    assert run(data.draw(own.chunkings(stream))) == whole


@given(st.data(), own.streams)
def test_events_are_the_same_for_any_chunking_near_the_limits(data: st.DataObject, stream: bytes) -> None:
    """Spans that are cut by the limits are cut at the same bytes for any chunking."""
    whole = run([stream], max_segment=SMALL)
    assert run([stream[i : i + 1] for i in range(len(stream))], max_segment=SMALL) == whole
    assert run(data.draw(own.chunkings(stream)), max_segment=SMALL) == whole


@given(own.streams | st.binary(max_size=400))
def test_no_byte_is_lost_or_told_twice(stream: bytes) -> None:
    """The events' raw bytes, joined, are the stream, and each event says where it stood."""
    for max_segment in (4096, SMALL):
        events = run([stream], max_segment=max_segment)
        assert b"".join(event.raw for event in events) == stream
        offset = 0
        for event in events:
            assert event.offset == offset
            offset += len(event.raw)


@given(own.streams, st.integers(1, 50))
def test_memory_is_bounded(stream: bytes, size: int) -> None:
    """Never more is held than a frame and a header: of the accepted length, or of the one passed over."""
    declared = [int(digits) for digits in re.findall(rb"##([0-9]{4})[A-Za-z]{2}", stream)]
    buffer = FrameBuffer(max_segment=SMALL)
    for start in range(0, len(stream), size):
        buffer.feed(stream[start : start + size])
        assert buffer.pending_bytes <= max([SMALL, *declared]) + 12 + 8


@given(own.streams)
def test_frames_are_checked_a_bounded_number_of_times(stream: bytes) -> None:
    """Work is linear: fed byte by byte, each header costs a few looks, whatever it declares."""
    looks = 0

    def check(segment: bytes, crc: bytes) -> bool:
        nonlocal looks
        looks += 1
        return check_crc(segment, crc)

    buffer = FrameBuffer(check=check)
    for i in range(len(stream)):
        buffer.feed(stream[i : i + 1])
    buffer.close()
    assert looks <= 9 * len(re.findall(rb"##[0-9]{4}[A-Za-z]{2}", stream))


@given(own.noise, own.noise, own.frames)
@example(b"##00", b"", encode_frame(own.make_segment(1)))
@example(b"##0009QN=1;&&&&140", b"", encode_frame(own.make_segment(1)))
def test_a_good_frame_is_found_after_any_noise(first: bytes, second: bytes, frame: bytes) -> None:
    """Whatever came before, a good frame comes out once the stream ends."""
    assume(frame not in first + second)
    found = frames_of(run([first + second + frame]))
    assert found
    assert found[-1].raw == frame


@given(own.noise, st.binary(max_size=20), own.frames, st.integers(0, 3))
@example(b"##0101AA", b"", encode_frame(own.make_segment(0, "")), 0)
def test_a_header_that_declares_up_to_a_good_frames_end_does_not_hide_it(
    noise: bytes, lead: bytes, frame: bytes, trailer: int
) -> None:
    """A lying header whose CRC agrees by chance, once in 256, is told from the frame inside."""
    inside = b"AA" + lead + frame[: -2 if trailer == 0 else len(frame)]
    declared = len(inside) - 4 - (0 if trailer == 0 else 2)
    stream = b"##%04d" % declared + inside
    # Where every CRC is right, a header in the noise that declares up to any && hides what is between.
    for check, before in ((check_crc, noise), (lambda _segment, _crc: True, b"")):
        buffer = FrameBuffer(check=check)
        found = frames_of(buffer.feed(before + stream) + buffer.close())
        assert found
        assert found[-1].segment == frame[6:-6]


@given(st.lists(own.frames, min_size=1, max_size=4), st.sampled_from([b"##9999QN=2026", b"##9999AA", b"##4097ST=32;"]))
def test_frames_behind_a_header_over_the_limit_come_out_at_once(frames: list[bytes], lie: bytes) -> None:
    """A header that declares more than is accepted is not waited for."""
    found = frames_of(FrameBuffer().feed(lie + b"".join(frames)))
    assert [frame.raw for frame in found] == frames


@given(st.lists(own.frames, min_size=1, max_size=6))
def test_glued_frames_without_trailer_are_all_found(frames: list[bytes]) -> None:
    """A chain of frames with one CR LF at its end gives each of them."""
    found = frames_of(run([b"".join(frame[:-2] for frame in frames) + b"\r\n"]))
    assert [frame.raw for frame in found[:-1]] == [frame[:-2] for frame in frames[:-1]]
    assert found[-1].raw == frames[-1]


@given(own.frames, own.frames)
def test_a_released_frames_trailer_is_dropped_when_it_comes_late(first: bytes, second: bytes) -> None:
    """A frame given out before its CR LF came is not followed by noise."""
    for chunks in ([b"\r\n", second], [b"\r", b"", b"\n" + second], [b"\n" + second], [b"", second]):
        buffer = FrameBuffer()
        assert buffer.feed(first[:-2]) == []
        assert buffer.awaits_trailer
        (released,) = buffer.release()
        assert isinstance(released, Frame)
        rest = [event for chunk in chunks for event in buffer.feed(chunk)]
        assert [event.raw for event in rest] == [second]
        assert rest[0].offset == len(first) - 2 + sum(map(len, chunks)) - len(second)


@given(own.frames | own.frames.map(lambda frame: frame[:-2]))
def test_a_kept_frame_opens_to_what_it_was(raw: bytes) -> None:
    """Segment and warnings can be had again from the bytes that are kept."""
    (frame,) = frames_of(run([raw]))
    assert open_frame(frame.raw) == (frame.segment, b"", frame.warnings, "")


@given(st.binary(max_size=200) | st.builds(own.make_segment, st.integers(0, 999)) | own.streams)
def test_parse_packet_raises_nothing_but_its_own_error(segment: bytes) -> None:
    """Any bytes are a packet or a PacketError that names a byte of the input."""
    outcome = parse_or_refuse(segment)
    if isinstance(outcome, PacketError):
        assert 0 <= outcome.offset <= len(segment)
    else:
        assert outcome.cp in segment


header_fields = st.sampled_from(
    ["QN=20260301080000123", "QN=1617957600465", "QN=", "ST=32", "ST=101", "CN=2011", "CN=9014", "CN=20", "PW=123456",
     "PW=", "MN=" + own.MN, "MN=", "MN=A110000_0001", "Flag=5", "Flag=7", "Flag=9", "Flag=14", "FLAG=0", "Flag=256",
     "Flag=", "PNUM=2", "PNO=1", "PNO=0002", "PNUM=0", "RF=1", "RF=0", "USCC=91", "x", "", " ", ",MN=1", "MN =2 "]
)  # fmt: skip


@given(st.lists(header_fields, max_size=9), st.sampled_from([";CP=&&", "CP=&&", "; CP=&&", ";CP=&"]), own.data_areas)
def test_parse_packet_is_total_on_nearly_right_headers(fields: list[str], opening: str, cp: bytes) -> None:
    """Any mixture of header fields is a packet or a PacketError with a return code of table 7."""
    segment = ";".join(fields).encode() + opening.encode() + cp + b"&&"
    outcome = parse_or_refuse(segment)
    if isinstance(outcome, PacketError):
        assert outcome.qn_rtn in {3, 4, 5, 6, 7, 8, 100}
    else:
        assert outcome.cp.endswith(cp)


usual_segments = st.builds(
    "{}ST={};CN={};PW={};MN={};{}CP=&&x=1&&".format,
    st.just("") | st.from_regex(r"QN=[0-9]{17};", fullmatch=True) | st.just("QN=20260229010101001;"),
    st.sampled_from(["32", "21", "A0"]),
    st.from_regex(r"[0-9]{4}", fullmatch=True),
    st.sampled_from(["123456", "abcDEF"]),
    st.sampled_from([own.MN, own.MN[:14], "18AAH", own.MN + "01234567"]),
    st.just("") | st.builds("Flag={};".format, st.integers(0, 99)),
).map(str.encode)


@given(usual_segments)
def test_the_usual_headers_are_read_as_field_by_field(segment: bytes) -> None:
    """The short way through the usual header agrees with the long one."""
    assert parse_packet(segment) == packets_module._parse_odd(segment)


@given(own.packets())
def test_packets_are_read_back_as_they_were_written(packet: Packet) -> None:
    """Writing and reading a packet gives the same packet, warnings aside."""
    try:
        segment = encode_packet(packet)
    except PacketError:
        assert any("CP=&&" in text for text in (packet.mn, packet.pw, *(value for _, value in packet.extra)))
        return
    assert parse_packet(segment)._replace(warnings=()) == packet


field_texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)


@given(st.lists(st.lists(st.tuples(field_texts.map(str.strip), field_texts), min_size=1, max_size=3), max_size=4))
@example([[("a", "//b;c//")], [("d", "//")]])
@example([[("a", "////")], [("d", "x=//y")]])
def test_data_areas_are_read_back_as_they_were_written(groups: list[list[tuple[str, str]]]) -> None:
    """What can be written is read back; what would be read as something else is refused."""
    try:
        area = encode_data_area(groups)
    except DataAreaError:
        return
    assert parse_data_area(area).groups == tuple(map(tuple, groups))


logs = st.text("ab;,=&/ 清\x01", max_size=20).map("//{}//".format)


@given(st.lists(logs, min_size=1, max_size=4))
def test_logs_keep_their_separators(texts: list[str]) -> None:
    """Log text between its fences comes back whole."""
    groups = [[(f"i1{i}001-Info", text)] for i, text in enumerate(texts)]
    try:
        area = encode_data_area(groups)
    except DataAreaError:
        assert any(re.search("//[;,]|///[/;,]", text) for text in texts)
        return
    assert parse_data_area(area).groups == tuple(map(tuple, groups))


@given(own.data_areas)
def test_parse_data_area_keeps_every_field(cp: bytes) -> None:
    """Any bytes give groups, and none of them is empty."""
    area = parse_data_area(cp)
    assert all(area.groups)
    for group in area.groups:
        for name, _ in group:
            assert name == name.strip()


@given(own.data_areas)
@example(b"DataTime=20260301080000;A=//x;w01018-Rtd=1;B=y//")
@example(b"DataTime=20260301080000;DataTime=\xff;w01018-Rtd=1")
def test_readings_by_plan_equal_the_plain_way(cp: bytes) -> None:
    """A shape met before is read as if it were new."""
    plain = read_rows(parse_data_area(cp))
    assert parse_readings(cp) == plain
    assert parse_readings(cp) == plain


@given(own.readable_areas(), st.data())
def test_a_planned_shape_is_read_right_with_any_other_values(cp: bytes, data: st.DataObject) -> None:
    """A plan learnt from one packet reads another of the same shape as the plain way does."""
    own.learn(cp)
    strange = st.one_of(own.values.map(str.encode), st.binary(max_size=6), st.just(b"1.5"), st.just(b"N"))
    other = re.sub(rb"=[^=;,]*", lambda match: b"=" + data.draw(strange | st.just(match.group()[1:])), cp)
    assert parse_readings(other) == read_rows(parse_data_area(other))


@given(own.readable_areas())
@example(b"DataTime=20260301080000;w01018-Rtd=1.5,w01018-Flag=N;w01018-Rtd=2,w01018-Flag=D;LA-Min=0.5")
def test_picked_values_are_the_readings(cp: bytes) -> None:
    """Values and their layout say what the rows say, and only where there is nothing to warn of."""
    readings = read_rows(parse_data_area(cp))
    values = own.learn(cp)
    if values is None:
        return
    assert values.make_readings() == readings
    assert readings.warnings == ()
    assert values.data_time_text == readings.data_time_text
    rows = []
    for factor, nth, (*places, flag_place) in values.layout.rows:
        numbers = (None if place is None else values.numbers[place] for place in places)
        flag = None if flag_place is None else values.flags[flag_place].decode()
        rows.append(Reading._make((factor, nth, values.data_time, *numbers, flag, None)))
    assert rows == readings.rows


@given(own.reading_rows())
def test_readings_are_read_back_as_they_were_written(rows: list[Reading]) -> None:
    """Writing and reading rows gives the same rows, and no value is written with an exponent."""
    area = encode_readings(rows, own.DATA_TIME)
    assert parse_readings(area).rows == rows
    assert not re.search(rb"=[-0-9.]+e", area)


@given(own.data_areas)
def test_what_was_read_can_be_written_and_read_again(cp: bytes) -> None:
    """Readings of a packet, odd ones included, survive being written and read once more."""
    readings = parse_readings(cp)
    try:
        area = encode_readings(readings.rows, readings.data_time_text)
    except DataAreaError:
        return
    assert parse_readings(area).rows == readings.rows


def test_shapes_are_bounded() -> None:
    """A flood of made-up shapes does not grow the process, whether they are understood or only counted."""
    for learn_after in (1, 1000):
        shapes = Shapes(learn_after=learn_after, max_names=50)
        for i in range(100):
            values = shapes.pick_values(b"DataTime=20260301080000;w%05d-Rtd=1,w%05d-Flag=N" % (i, i))
            assert (values is None) == (learn_after > 1)
            assert 1 <= len(shapes) <= 50 // 4


def test_shape_is_understood_once_it_came_a_few_times() -> None:
    """Until then, and for what it does not capture, the plain way reads; both say the same."""
    shapes = Shapes(learn_after=3)
    cps = [b"DataTime=20260301080000;w01018-Rtd=%d.5,w01018-Flag=N" % i for i in range(5)]
    picked = [shapes.pick_values(cp) for cp in cps]
    assert [values is not None for values in picked] == [False, False, True, True, True]
    assert [values.make_readings() for values in picked if values] == [parse_readings(cp) for cp in cps[2:]]
    for odd in (b"NaN", b"", b"-", b"1.2.3", b"1e5", b"1_0"):
        assert shapes.pick_values(cps[0].replace(b"0.5", odd)) is None
    assert shapes.pick_values(cps[0].replace(b"20260301", b"20261301")) is None
    assert shapes.pick_values(cps[0].replace(b"=N", b"=?")) is None


@pytest.mark.parametrize(
    "cp",
    [
        b"DataTime=20260301080000",
        b"w01018-Rtd=1,w01018-Flag=N",
        b"DataTime=20260301080000;w01018-Rtd =1",
        b"DataTime=20260301080000;w01\x00018-Rtd=1",
        b"DataTime=20260301080000;%b-Rtd=1" % (b"w" * 61),
        b"DataTime=20260301080000;w01018-Rtd=1,w01018=2",
        b"DataTime=20260301080000;w01018-Rtd=1;i11001-Info=//x//",
        b"DataTime=20260301080000;w01018-Rtd=1;DataTime=20260301090000",
        b"DataTime=20260301080000;w01018-Rtd=1=2",
        b"DataTime=20260301080000;\xb3-Rtd=1",
    ],
)
def test_shape_that_may_mean_more_is_left_to_the_plain_way(cp: bytes) -> None:
    """However often it comes."""
    shapes = Shapes(learn_after=1)
    assert [shapes.pick_values(cp) for _ in range(2)] == [None, None]
    assert len(shapes) == 1


def test_factor_named_twice_gives_two_rows_by_shape_too() -> None:
    """In the order sent, as the plain way reads them."""
    cp = b"DataTime=20260301080000;w01018-Rtd=1,w01018-Flag=N;w01018-Rtd=2,w01018-Flag=D"
    values = Shapes(learn_after=1).pick_values(cp)
    assert values is not None
    assert values.make_readings() == parse_readings(cp)
    assert [reading.nth for reading in values.make_readings().rows] == [0, 1]


UNITS: list[Callable[[int], bytes]] = [
    lambda _: b"##4000AA",
    lambda _: b"##3994AA&&",
    lambda _: b"##3990AA&&0000",
    lambda _: b"##9999AA",
    lambda _: b"#",
    lambda _: b"&&",
    lambda i: b"##%04dAA&&" % (i % 4096),
]


@pytest.mark.parametrize("unit", UNITS)
def test_work_is_linear_for_streams_made_to_be_slow(unit: Callable[[int], bytes]) -> None:
    """Each header is checked at most once when it comes whole, however many others it claims to hold."""
    count, looks = 4500, 0

    def check(segment: bytes, crc: bytes) -> bool:
        nonlocal looks
        looks += 1
        return check_crc(segment, crc)

    buffer = FrameBuffer(check=check)
    for i in range(count):
        buffer.feed(unit(i))
        assert buffer.pending_bytes <= 9999 + 12 + 8
    buffer.close()
    assert looks <= count
