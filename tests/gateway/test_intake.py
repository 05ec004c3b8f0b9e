"""From a frame to its answer: what is kept, what is refused, and that every byte is accounted for."""

import asyncio
import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.gateway.support import LIMITS, MIB, Counts, big_frame, eventually, frame, live_gateway, on_both_loops, qns
from tests.strategies import chunkings, streams

from hj212gw.gateway.networks import Access, NetworkList
from hj212gw.protocol import Frame, FrameBuffer
from hj212gw.store.retention import Retention

SMALL = {"max_bytes": 4 * MIB, "segment_bytes": MIB // 4}


def assert_all_counted(counts, live):
    """Every frame that came was accepted or rejected, and is in the journal or was counted as dropped."""
    live.gateway.publish()
    received, accepted = counts("frames_received_total"), counts("frames_accepted_total")
    assert received == accepted + counts.reject_total()
    assert accepted == len(live.frames())
    assert counts.reject_total() == len(live.rejects()) + counts.sum("rejects_dropped_total")


@on_both_loops
async def test_counts_follow_what_came(tmp_path):
    """Accepted, rejected, answers by CN, and one latency an answer."""
    counts = Counts()
    async with live_gateway(tmp_path) as live:
        line = await live.connect()
        await line.send(frame(1), frame(2, flag="4"), frame(3)[:-6] + b"FFFF\r\n", frame(4, "9015"))
        assert len(await line.answers(2)) == 2
        await eventually(lambda: len(live.rejects()) == 1)
        assert_all_counted(counts, live)
    assert counts("acks_sent_total", cn="9014") == counts("acks_sent_total", cn="9013") == 1
    assert counts("ack_duration_seconds_count") == 2
    assert counts("sessions_opened_total") == 1


@on_both_loops
async def test_arrival_and_peer_are_kept(tmp_path):
    """A record holds the frame as it came, when, and from whom."""
    async with live_gateway(tmp_path) as live:
        line = await live.connect()
        await line.send(frame(1), frame(2))
        await line.answers(2)
        first, second = live.records()
        assert first.received_at_us <= second.received_at_us
        assert {first.peer, second.peer} == {f"127.0.0.1:{line.port}"}
        assert (first.body, first.note) == (frame(1), "")


@on_both_loops
async def test_real_time_data_waits_before_hour_data_does(tmp_path):
    """In the journal's last part only hour and day data is taken; that is told, and ends by itself."""
    counts = Counts()
    async with live_gateway(tmp_path, journal=SMALL) as live:
        real_time, hourly = await live.connect(), await live.connect()
        sending = asyncio.create_task(real_time.send(*[big_frame(number) for number in range(1500)]))
        await eventually(lambda: live.intake._blocked)
        fault = live.gateway.find_fault()
        assert fault.startswith("the journal has no room:")
        assert "hour and day data" in fault
        assert counts("journal_filled_total") == 1
        await hourly.send(frame(1, "2061"), frame(2, "2031"))
        assert len(await hourly.answers(2)) == 2
        taken = len(live.frames()) - 2
        assert len(await real_time.answers(taken)) == taken < 1500
        answering = asyncio.create_task(real_time.answers(1500 - taken))
        await live.drain_until(answering.done)
        await sending
        await live.drain_until(lambda: live.gateway.find_fault() is None)


@on_both_loops
async def test_pressure_of_the_moment_is_no_full_journal(tmp_path):
    """More than the journal may hold in memory makes sessions wait for the disk; nobody is alarmed."""
    counts = Counts()
    journal = {"backlog_bytes": 64 * 1024, "group_wait_secs": 0.05, "group_records": 5000}
    async with live_gateway(tmp_path, journal=journal) as live:
        lines = [await live.connect() for _ in range(4)]
        sending = [asyncio.create_task(line.send(*[big_frame(n) for n in range(50)])) for line in lines]
        await eventually(lambda: live.intake._blocked)
        assert live.gateway.find_fault() is None
        for line in lines:
            assert len(await line.answers(50)) == 50
        await asyncio.gather(*sending)
        assert_all_counted(counts, live)
    assert counts("journal_filled_total") == 0


async def test_rejects_beyond_their_share_are_counted(tmp_path):
    """Rubbish cannot fill the journal: what is over its share is counted and not kept, good packets go on."""
    counts = Counts()
    async with live_gateway(tmp_path, journal={**SMALL, "reject_share": 0.01}) as live:
        line = await live.connect()
        bad = big_frame(1)[:-6] + b"0000\r\n"
        await line.send(*[bad] * 100, frame(2))
        assert qns(await line.answers(1)) == ["20260301080000002"]
        assert 0 < len(live.rejects()) < 15
        assert_all_counted(counts, live)


async def test_repeats_and_reordering_cost_nothing_at_the_door(tmp_path):
    """Two lines that send the same packets are both answered in their own order."""
    async with live_gateway(tmp_path) as live:
        lines = [await live.connect() for _ in range(2)]
        for line, order in zip(lines, (range(50), range(49, -1, -1)), strict=True):
            await line.send(b"".join(map(frame, order)))
        first, second = [await line.answers(50) for line in lines]
        assert first == second[::-1]


async def feed(stream, chunks):
    """Send a stream in chunks, end it, and compare with what the protocol says is in it."""
    counts = Counts()
    with tempfile.TemporaryDirectory() as folder:
        async with live_gateway(Path(folder)) as live:
            line = await live.connect()
            await line.send(*chunks)
            await line.finish()
            answers = await line.rest()
            await eventually(lambda: not live.intake.sessions and not live.intake.waiting_bytes)
            buffer = FrameBuffer()
            events = [*buffer.feed(stream), *buffer.close()]
            kept = [event.raw for event in events if isinstance(event, Frame)]
            await eventually(lambda: live.journal.stats().queued_records == 0)
            assert live.frames() == kept
            assert len(answers) == len(kept)
            assert_all_counted(counts, live)
            noise = sum(len(event.raw) for event in events if event.__class__ is not Frame and event.reason == "noise")
            assert counts("noise_discarded_bytes_total") == noise


@settings(max_examples=40)
@given(st.data())
def test_any_stream_is_accounted_for(data):
    """Whatever comes in whatever chunks: good frames are kept and answered, the rest is told, no callback raises."""
    stream = data.draw(streams)
    asyncio.run(feed(stream, data.draw(chunkings(stream))))


@on_both_loops
async def test_second_line_that_speaks_for_an_mn_is_marked(tmp_path):
    """While the first one lives; once it is gone the next one speaks for the MN."""
    async with live_gateway(tmp_path) as live:
        first, second = await live.connect(), await live.connect()
        await first.send(frame(1), frame(2, mn="OTHER"))
        await first.answers(2)
        await second.send(frame(3), frame(4, mn="THIRD"))
        await second.answers(2)
        await first.close()
        await eventually(lambda: len(live.intake.sessions) == 1)
        await second.send(frame(5))
        await second.answers(1)
        await first.close()
        assert [record.note for record in live.records()] == ["", "", "\trival", "", ""]


async def test_line_whose_packet_found_no_room_does_not_speak_for_the_mn(tmp_path):
    """It is sent away while the journal is full; the data logger's next line is no rival of its own past."""
    async with live_gateway(tmp_path, journal=SMALL) as live:
        filling, cut_off = await live.connect(), await live.connect(local_addr=("127.0.0.9", 0))
        sending = asyncio.create_task(filling.send(*[big_frame(number) for number in range(1500)]))
        await eventually(lambda: live.intake._blocked)
        await cut_off.send(frame(1, mn="LOGGER"))
        await eventually(lambda: len(live.intake._blocked) == 2)
        live.gateway.replace(LIMITS._replace(access=Access(denied=NetworkList(["127.0.0.9/32"]))), Retention())
        await eventually(lambda: len(live.intake.sessions) == 1)
        answering = asyncio.create_task(filling.answers(1500))
        await live.drain_until(answering.done)
        await sending
        again = await live.connect()
        await again.send(frame(2, mn="LOGGER"))
        await again.answers(1)
        assert [record.note for record in live.records()][-1] == ""


@on_both_loops
async def test_second_line_from_another_network_is_foreign(tmp_path):
    """While the first one lives; it is answered as ever."""
    async with live_gateway(tmp_path) as live:
        first = await live.connect()
        await first.send(frame(1))
        await first.answers(1)
        for number, host in enumerate(("127.0.0.9", "127.9.0.1")):
            other = await live.connect(local_addr=(host, 0))
            await other.send(frame(2 + number))
            assert len(await other.answers(1)) == 1
        assert [record.note for record in live.records()] == ["", "\trival", "\trival foreign_peer"]
