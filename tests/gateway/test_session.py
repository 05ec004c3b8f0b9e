"""One connection on real sockets: what is answered, how, and how much may wait."""

import asyncio
import socket

import pytest
from tests.gateway.support import (
    CP,
    KIB,
    MIB,
    MN,
    Counts,
    big_frame,
    eventually,
    frame,
    live_gateway,
    on_both_loops,
    qns,
)
from tests.support import secs, wait_for

from hj212gw.gateway.session import KEEPALIVE, TRAILER_WAIT_SECS
from hj212gw.journal import inspect
from hj212gw.protocol import encode_frame, parse_packet

NOISE = (
    b"GET /metrics HTTP/1.1\r\nHost: example.org\r\nUser-Agent: x\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(range(256)),  # TLS hello
    b"\x0e\x0f\x00\x00\x00\x06\x01\x04\x00\x00\x00d" * 20,  # Modbus/TCP polls
    b"\x01\x03\x00\x00\x00\x0a\xc5\xcd" * 20,  # Modbus RTU polls
    b"##\x02\xfeLSVAU2180E2000001\x01\x00\x1a\x15\x0b\x1c\x0e\x1e\x05\x00\x01" * 5,  # GB 17691
    b"##\x01\xfe12345678901234567\x01\x00\x06" * 5,
)


@on_both_loops
async def test_many_mns_share_a_connection(tmp_path):
    """Every packet is answered with its own MN, in the order they came."""
    mns = [f"{number:024d}" for number in range(50)]
    async with live_gateway(tmp_path) as live:
        line = await live.connect()
        await line.send(b"".join(frame(number, mn=mn) for number, mn in enumerate(mns)))
        answers = await line.answers(50)
        assert [answer.partition(b"MN=")[2][:24].decode() for answer in answers] == mns
        assert live.session().mns == set(mns)
        assert live.frames() == [frame(number, mn=mn) for number, mn in enumerate(mns)]


@on_both_loops
async def test_many_connections_of_one_mn(tmp_path):
    """Each connection gets the answers to its own packets."""
    async with live_gateway(tmp_path) as live:
        lines = [await live.connect() for _ in range(20)]
        await asyncio.gather(*(line.send(frame(number), frame(100 + number)) for number, line in enumerate(lines)))
        for number, line in enumerate(lines):
            expected = [f"20260301080000{n:03d}" for n in (number, 100 + number)]
            assert qns(await line.answers(2)) == expected
        assert len(live.frames()) == 40
        assert {record.peer for record in live.records()} == {f"127.0.0.1:{line.port}" for line in lines}


SHAPES = {
    "2005 with QN": (
        "QN=20040516010101001;ST=32;CN=2051;PW=123456;MN=88888880000001;Flag=1",
        "ST=91;CN=9014;CP=&&QN=20040516010101001;CN=2051&&",
    ),
    "2005 without QN": ("ST=32;CN=2011;PW=123456;MN=88888880000001;Flag=1", "ST=91;CN=9014;CP=&&CN=2011&&"),
    "2017": (
        f"QN=20160801085857223;ST=32;CN=2011;PW=123456;MN={MN};Flag=5",
        f"QN=20160801085857223;ST=91;CN=9014;PW=123456;MN={MN};Flag=4;CP=&&&&",
    ),
    "2025": (
        f"QN=20240429114224393;ST=31;CN=2051;PW=123456;MN={MN};Flag=9",
        f"QN=20240429114224393;ST=91;CN=9014;PW=123456;MN={MN};Flag=8;CP=&&&&",
    ),
    "surface water": (
        "QN=20260706103512345;ST=21;CN=2011;PW=123456;MN=A110000_0001;Flag=9",
        "QN=20260706103512345;ST=91;CN=9014;PW=123456;MN=A110000_0001;Flag=8;CP=&&&&",
    ),
}


@pytest.mark.parametrize("edition", SHAPES)
async def test_answer_has_the_shape_of_the_edition(tmp_path, edition):
    """To the byte, as spec 8.2 gives it."""
    header, answer = SHAPES[edition]
    async with live_gateway(tmp_path) as live:
        line = await live.connect()
        await line.send(encode_frame(f"{header};CP=&&{CP}&&".encode()))
        assert await line.answers(1) == [encode_frame(answer.encode())]


@pytest.mark.parametrize("cn", ["9015", "1013", "2072"])
async def test_notice_gets_9013(tmp_path, cn):
    """Heartbeat, clock request and alarm are answered as notices."""
    async with live_gateway(tmp_path) as live:
        line = await live.connect()
        await line.send(frame(7, cn))
        answer = f"QN=20260301080000007;ST=91;CN=9013;PW=123456;MN={MN};Flag=4;CP=&&&&"
        assert await line.answers(1) == [encode_frame(answer.encode())]


async def test_answers_and_requests_are_not_answered(tmp_path):
    """They are kept as any packet, and the next upload gets the first answer."""
    unanswered = ["9011", "9012", "9013", "9014", "1012", "1062", "3012"]
    async with live_gateway(tmp_path) as live:
        line = await live.connect()
        for number, cn in enumerate(unanswered):
            await line.send(frame(number, cn, st="91", cp="QnRtn=1"))
        await line.send(frame(900), frame(901, flag="4"), frame(902))
        assert qns(await line.answers(2)) == ["20260301080000900", "20260301080000902"]
        assert len(live.frames()) == len(unanswered) + 3
        await line.finish()
        assert await line.rest() == []


@on_both_loops
async def test_frame_without_cr_lf_is_answered_soon(tmp_path):
    """A data logger that never sends CR LF does not wait for its next packet."""
    async with live_gateway(tmp_path) as live:
        line = await live.connect()
        loop = asyncio.get_running_loop()
        for number in range(3):
            began = loop.time()
            await line.send(frame(number)[:-2])
            assert qns(await line.answers(1)) == [f"20260301080000{number:03d}"]
            assert loop.time() - began < secs(TRAILER_WAIT_SECS + 0.4)
        await line.send(b"\r\n" + frame(3))
        assert qns(await line.answers(1)) == ["20260301080000003"]
        assert (live.rejects(), live.session().noise_bytes) == ([], 0)


@on_both_loops
async def test_half_closed_sender_gets_its_answers(tmp_path):
    """What was sent before the end is answered, then the gateway closes too."""
    counts = Counts()
    async with live_gateway(tmp_path, journal={"group_wait_secs": 0.1}) as live:
        for number in range(3):
            line = await live.connect()
            await line.send(frame(number), frame(100 + number)[:-2])
            await line.finish()
            assert len(await line.rest()) == 2
        await eventually(lambda: not live.intake.sessions)
        assert counts("sessions_closed_total", reason="peer") == 3


@on_both_loops
async def test_half_closed_sender_gets_answers_of_the_same_moment(tmp_path):
    """An end that the loop sees in the same turn as the commit does not cut the answer off."""
    async with live_gateway(tmp_path, journal={"group_wait_secs": 0.2}) as live:
        line = await live.connect()
        await line.send(frame())
        await eventually(lambda: live.intake.waiting_bytes)
        await line.finish()
        wait_for(lambda: inspect(tmp_path / "journal").records == 1)  # the loop stands still meanwhile
        assert len(await line.rest()) == 1


def identities(frames):
    """QN and MN of each frame."""
    return {(packet.qn, packet.mn) for packet in (parse_packet(raw[6:-6]) for raw in frames)}


@on_both_loops
async def test_sender_that_resets_loses_nothing_that_was_acked(tmp_path):
    """Whatever was acknowledged before the cut is in the journal, and the end is reported once."""
    counts = Counts()
    acked = []
    async with live_gateway(tmp_path) as live:
        for number in range(30):
            line = await live.connect()
            await line.send(b"".join(frame(n, mn=f"{number:024d}") for n in range(20)))
            acked += await line.answers(number % 20)
            line.reset()
        await eventually(lambda: not live.intake.sessions)
        await eventually(lambda: live.intake.waiting_bytes == 0)
        assert identities(acked) <= identities(live.frames())
        assert len(acked) == sum(number % 20 for number in range(30))
    assert counts("sessions_closed_total", reason="reset") + counts("sessions_closed_total", reason="peer") == 30


@on_both_loops
async def test_one_byte_at_a_time(tmp_path):
    """Chunks as small as a modem may make them change nothing."""
    async with live_gateway(tmp_path) as live:
        line = await live.connect()
        line.writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        data = frame(1) + NOISE[0] + frame(2)
        await line.send(*(data[at : at + 1] for at in range(len(data))))
        assert qns(await line.answers(2)) == ["20260301080000001", "20260301080000002"]
        assert live.frames() == [frame(1), frame(2)]


@on_both_loops
async def test_hundred_packets_in_one_segment(tmp_path):
    """All are answered, in order."""
    async with live_gateway(tmp_path) as live:
        line = await live.connect()
        await line.send(b"".join(map(frame, range(100))))
        assert qns(await line.answers(100)) == [f"20260301080000{number:03d}" for number in range(100)]


async def test_same_packet_is_answered_each_time(tmp_path):
    """A repeat is a packet like any other at the door."""
    async with live_gateway(tmp_path) as live:
        line = await live.connect()
        await line.send(frame() * 1000)
        assert set(qns(await line.answers(1000))) == {"20260301080000000"}
        assert len(live.frames()) == 1000


@pytest.mark.parametrize("noise", NOISE, ids=["http", "tls", "modbus_tcp", "modbus_rtu", "gb17691", "gb17691_b"])
async def test_other_protocols_are_noise(tmp_path, noise):
    """They are counted, not kept, and the connection stays usable."""
    counts = Counts()
    async with live_gateway(tmp_path) as live:
        line = await live.connect()
        await line.send(noise, frame(1), noise, frame(2))
        assert qns(await line.answers(2)) == ["20260301080000001", "20260301080000002"]
        assert (len(live.records()), live.rejects()) == (2, [])
        assert live.session().noise_bytes == 2 * len(noise)
        assert counts("noise_discarded_bytes_total") == 2 * len(noise)
    assert counts("frames_received_total") == counts("frames_accepted_total") == 2


async def test_bad_frames_are_kept_with_their_reason(tmp_path):
    """Each failed check is told, the good frames between are answered."""
    wrong_crc = frame(1)[:-6] + b"0000\r\n"
    no_cn = encode_frame(b"QN=20260301080000001;ST=32;PW=123456;MN=1;Flag=5;CP=&&&&")
    async with live_gateway(tmp_path) as live:
        line = await live.connect()
        await line.send(wrong_crc, frame(2), no_cn, frame(3), frame(4)[:40])
        assert len(await line.answers(2)) == 2
        await line.finish()
        assert await line.rest() == []
        await eventually(lambda: len(live.rejects()) == 3)
        assert live.rejects() == [("crc", wrong_crc), ("header", no_cn), ("incomplete", frame(4)[:40])]
        details = [record.note.partition("\t")[2] for record in live.records(1)]
        assert "CN" in details[1]
        assert "123456" not in "".join(details)


@on_both_loops
async def test_sender_that_never_reads_is_paused(tmp_path):
    """Its answers stop the reading of more; nothing grows, and reading goes on when it takes them."""
    async with live_gateway(tmp_path, session_high_water_bytes=16 * KIB) as live:
        connection = socket.socket()
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        await asyncio.get_running_loop().sock_connect(_unblocked(connection), live.address)
        line = await live.connect(sock=connection)
        line.reader._transport.pause_reading()
        sending = asyncio.create_task(line.send(*[frame() * 50] * 2000))
        await eventually(lambda: live.intake.sessions and "answers" in live.session()._pauses)
        await eventually(lambda: not live.session().has_waiting)
        taken = live.session().packet_count
        assert not live.is_reading()
        assert live.session()._transport.get_write_buffer_size() < 256 * KIB
        assert live.journal.stats().pending_records == taken < 100_000
        assert not sending.done()
        line.reader._transport.resume_reading()
        assert len(await line.answers(taken)) == taken
        await eventually(lambda: live.session().packet_count > taken)
        sending.cancel()
        await asyncio.wait({sending})


def _unblocked(connection):
    connection.setblocking(False)
    return connection


@on_both_loops
async def test_water_marks_pause_and_resume_reading(tmp_path):
    """Reading stops above the mark of a session and goes on at a quarter of it, with nothing lost."""
    async with live_gateway(
        tmp_path, session_high_water_bytes=16 * KIB, journal={"group_wait_secs": 0.3, "group_records": 5000}
    ) as live:
        line = await live.connect()
        await line.send(b"".join(frame(n) for n in range(200)))
        await eventually(lambda: live.intake.sessions and "water" in live.session()._pauses)
        assert not live.is_reading()
        await line.send(b"".join(frame(n) for n in range(200, 1000)))
        assert len(await line.answers(1000)) == 1000
        assert live.is_reading()
        assert len(live.frames()) == 1000


@on_both_loops
async def test_shared_water_mark_pauses_all(tmp_path):
    """What waits of all sessions together pauses each that adds to it, and all go on."""
    async with live_gateway(
        tmp_path, high_water_bytes=32 * KIB, journal={"group_wait_secs": 0.3, "group_records": 5000}
    ) as live:
        lines = [await live.connect() for _ in range(4)]
        for line in lines:
            await line.send(b"".join(frame(n) for n in range(100)))
        await eventually(lambda: any("shared water" in session._pauses for session in live.intake.sessions))
        for line in lines:
            assert len(await line.answers(100)) == 100
        await eventually(lambda: all(session._transport.is_reading() for session in live.intake.sessions))
        assert live.intake.waiting_bytes == 0


@on_both_loops
async def test_silent_session_is_closed(tmp_path):
    """After the idle timeout the line is closed with its reason; one that speaks stays."""
    counts = Counts()
    async with live_gateway(tmp_path, idle_timeout_secs=0.5) as live:
        silent, speaking = await live.connect(), await live.connect()
        ended = asyncio.create_task(silent.rest())
        while not ended.done():
            await speaking.send(frame())
            await speaking.answers(1)
            await asyncio.wait({ended}, timeout=0.1)
        assert ended.result() == []
        assert counts("sessions_closed_total", reason="idle") == 1
        assert len(live.intake.sessions) == 1


@on_both_loops
async def test_sockets_are_tuned(tmp_path):
    """Keepalive finds a dead line in two minutes, and so does data that nobody acknowledges."""
    async with live_gateway(tmp_path) as live:
        line = await live.connect()
        await line.send(frame())
        await line.answers(1)
        connection = live.session()._transport.get_extra_info("socket")
        assert connection.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
        assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 1
        found = {name: connection.getsockopt(socket.IPPROTO_TCP, getattr(socket, name)) for name in KEEPALIVE}
        assert found == {"TCP_KEEPIDLE": 60, "TCP_KEEPINTVL": 15, "TCP_KEEPCNT": 4, "TCP_USER_TIMEOUT": 60_000}


@on_both_loops
async def test_too_many_sessions_are_turned_away(tmp_path):
    """Where all were heard a connection over the limit is closed at once, and room is used again."""
    counts = Counts()
    async with live_gateway(tmp_path, max_sessions=2) as live:
        first, second = await live.connect(), await live.connect()
        for line in (first, second):
            await line.send(frame())
            assert len(await line.answers(1)) == 1
        third = await live.connect()
        assert await third.rest() == []
        assert counts("sessions_closed_total", reason="limit") == 1
        for line in (first, second):
            await line.send(frame())
            assert len(await line.answers(1)) == 1
        await first.close()
        await eventually(lambda: len(live.intake.sessions) == 1)
        fourth = await live.connect()
        await fourth.send(frame())
        assert len(await fourth.answers(1)) == 1


@on_both_loops
async def test_full_journal_stops_reading_until_there_is_room(tmp_path):
    """The packet that found no room is not answered, nothing more is read, and all goes on by itself."""
    async with live_gateway(tmp_path, journal={"max_bytes": 4 * MIB, "segment_bytes": MIB}) as live:
        line = await live.connect()
        frames = [big_frame(number, "2061") for number in range(1500)]
        sending = asyncio.create_task(line.send(*frames))
        await eventually(lambda: live.intake.sessions and "room" in live.session()._pauses)
        await eventually(lambda: not live.session().has_waiting)
        taken = live.session().packet_count
        assert live.frames() == frames[:taken]
        assert live.gateway.find_fault().startswith("the journal has no room")
        assert len(await line.answers(taken)) == taken
        await live.drain_until(lambda: live.session().packet_count == len(frames))
        assert len(await line.answers(len(frames) - taken)) == len(frames) - taken
        await sending
        assert live.gateway.find_fault() is None


async def test_session_that_ends_without_room_is_accounted_for(tmp_path):
    """Packets that were read and cannot be kept are counted when their line ends; they were not answered."""
    counts = Counts()
    async with live_gateway(tmp_path, journal={"max_bytes": 4 * MIB, "segment_bytes": MIB}) as live:
        line = await live.connect()
        sending = asyncio.create_task(line.send(*[big_frame(number, "2061") for number in range(1500)]))
        await eventually(lambda: live.intake.sessions and "room" in live.session()._pauses)
        sending.cancel()
        await asyncio.wait({sending})
        line.reset()
        session = live.session()
        waiting = len(session._events)  # some may have found room since
        session.abort("other")
        await eventually(lambda: not live.intake.sessions)
        live.gateway.publish()
        assert waiting > 0
        assert counts.reject_total() >= waiting
        assert counts("frames_received_total") == counts("frames_accepted_total") + counts.reject_total()
        assert not live.intake._blocked
