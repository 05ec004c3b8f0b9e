"""Frames out of prebuilt pieces are what the protocol's own code would have written."""

from datetime import timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.simulators.load_support import make_plan
from tests.support import digest_of

from hj212gw.errors import ConfigError
from hj212gw.protocol import Edition, Frame, FrameBuffer, encode_answer, parse_packet, parse_readings
from hj212sim.load.frames import FrameSource, Stream, find_factors


def make_stream(plan, connection=0):
    """The packets of one connection."""
    source = FrameSource(plan)
    return Stream(source, [source.make_lane(logger) for logger in plan.loggers_of(connection)])


def read(data):
    """The packets of a stream, which must be whole frames without a warning."""
    events = FrameBuffer().feed(data)
    assert all(isinstance(event, Frame) and not event.warnings for event in events), events
    packets = [parse_packet(event.segment) for event in events]
    assert not [packet.warnings for packet in packets if packet.warnings]
    return packets


@pytest.mark.parametrize("edition", list(Edition))
@pytest.mark.parametrize("cns", [("2011",), ("2011", "2061"), ("2051", "2031", "2011")])
def test_frames_are_accepted(edition, cns):
    """Every frame has its edition, an answer due, the commands in turn, and each factor once."""
    packets = read(make_stream(make_plan(edition=edition, cns=cns)).emit(300, 0.0, 0.0))
    codes = find_factors(edition, 3)
    assert len(packets) == 300
    assert {packet.edition for packet in packets} == {edition}
    assert all(packet.wants_answer for packet in packets)
    assert {packet.cn for packet in packets} == set(cns)
    for packet in packets:
        readings = parse_readings(packet.cp)
        assert tuple(row.factor for row in readings.rows) == codes
        assert readings.warnings == ()
        assert all((row.rtd is None) != (packet.cn == "2011") for row in readings.rows)


def test_packets_are_unique():
    """No two packets of a run have the same QN and MN, nor the same MN and DataTime."""
    plan = make_plan(connections=2, loggers=5, cns=("2011", "2061"))
    packets = [packet for number in range(2) for packet in read(make_stream(plan, number).emit(500, 0.0, 0.0))]
    assert len({packet.mn for packet in packets}) == 5
    assert len({(packet.qn, packet.mn) for packet in packets}) == 1000
    assert len({(packet.mn, packet.cp.split(b";")[0]) for packet in packets}) == 1000


def test_seeds_do_not_meet():
    """Another seed has other MNs, the same one the same frames."""
    mine, same, other = (make_stream(make_plan(seed=seed)).emit(50, 0.0, 0.0) for seed in (1, 1, 2))
    assert mine == same
    assert not {packet.mn for packet in read(mine)} & {packet.mn for packet in read(other)}


@given(seed=st.integers(0, 2**32), connection=st.integers(0, 2), first=st.integers(0, 10**6), count=st.integers(1, 40))
def test_crc_of_any_frame(seed, connection, first, count):
    """The CRC that is put together from constants is the one computed over the bytes."""
    stream = make_stream(make_plan(seed=seed, cns=("2011", "2061"), packets=10**7), connection)
    stream.sent = first
    assert len(read(stream.emit(count, 0.0, 0.0))) == count


@pytest.mark.parametrize("edition", list(Edition))
def test_what_waits_is_found_by_the_answer(edition):
    """The head of the gateway's answer is the key; each packet has one of its own, and keeps its due time and number."""
    stream = make_stream(make_plan(edition=edition))
    packets = read(stream.emit(30, 5.0, 0.25))
    answers = [encode_answer(packet, "9014") for packet in packets]
    waiting = [stream.unacked.pop(answer[6 : 6 + stream.answer_bytes]) for answer in answers]
    assert waiting == [(5.0 + 0.25 * number, number) for number in range(30)]
    assert stream.unacked == {}
    for number, packet in enumerate(packets):
        assert stream.find(packet.qn, "" if edition is Edition.V2005 else packet.mn) == number


def test_what_was_never_sent_is_not_found():
    """A QN ahead, a QN before, another's MN and a QN that is none belong to no packet."""
    stream = make_stream(make_plan())
    first, *_, last = read(stream.emit(9, 0.0, 0.0))
    assert stream.find(first.qn, first.mn) == 0
    assert stream.find(last.qn, last.mn) == 8
    assert stream.find("20991231235959000", last.mn) is None
    assert stream.find("20200101000000000", last.mn) is None
    assert stream.find(first.qn[:14] + "999", first.mn) is None
    assert stream.find(first.qn, last.mn) is None
    assert stream.find("", first.mn) is None


def test_a_repeat_is_the_same_bytes():
    """What has no answer is sent again as it was, QN included, in its order."""
    stream = make_stream(make_plan(cns=("2011", "2061")))
    frames = stream.emit(20, 0.0, 0.0)
    assert stream.repeat() == frames
    del stream.unacked[stream.key_of(3)]
    assert read(stream.repeat()) == [packet for number, packet in enumerate(read(frames)) if number != 3]
    assert stream.sent == 20


def test_segments_have_the_gateway_s_digest():
    """What the check makes again are the segments that were sent, with the sums of their values."""
    plan = make_plan(cns=("2011", "2061"))
    source, stream = FrameSource(plan), make_stream(plan)
    for number in range(20):
        step, place = divmod(number, 3)
        lane = source.make_lane(plan.loggers_of(0)[place])
        frame = stream.frame(number)
        assert frame[6:-6] == source.segment(lane, step)
        assert len(digest_of(frame)) == 16
        rows = parse_readings(parse_packet(frame[6:-6]).cp).rows
        values = [row.avg if row.rtd is None else row.rtd for row in rows]
        assert source.millis(lane, step) == round(sum(values) * 1000)
        assert rows[0].data_time.timestamp() == plan.begin_secs + step


def test_factors_are_bounded():
    """There are not more factors than the catalogue has, nor more than fit into a packet."""
    assert len(find_factors(Edition.V2017, 30)) == 30
    with pytest.raises(ConfigError, match="expected 1 to"):
        find_factors(Edition.V2005, 30)
    with pytest.raises(ConfigError, match="--factors 66: a 2061 would have"):
        FrameSource(make_plan(factors=66, cns=("2061",)))


def test_a_day_passes_into_the_next():
    """Times are the wire's, eight hours ahead of UTC, over midnight too."""
    stream = make_stream(make_plan(connections=1, loggers=1, packets=100_000))
    stream.sent = 16 * 3600 - 2 + 86_400
    packets = read(stream.emit(4, 0.0, 0.0))
    moments = [parse_readings(packet.cp).rows[0].data_time for packet in packets]
    assert {later - earlier for earlier, later in pairwise(moments)} == {timedelta(seconds=1)}
