"""What senders get and what is stored of it, with a real gateway and a real database."""

import asyncio
import os
import socket

import pytest
from tests.support import (
    Logger,
    assert_conserved,
    assert_exactly_once,
    make_frame,
    read_some,
    running_loggers,
    secs,
    wait_acked,
)

NOISE = (
    b"GET / HTTP/1.1\r\nHost: example.org\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(range(200)),  # TLS hello
    b"\x0e\x0f\x00\x00\x00\x06\x01\x04\x00\x00\x00d",  # Modbus/TCP poll
    b"##\x02\xfeLSVAU2180E2000001\x01\x00\x1a\x15\x0b\x1c\x0e\x1e\x05\x00\x01",  # GB 17691
)


@pytest.fixture
async def gateway(serve, dsn):
    """A gateway that takes everybody, beside a migrated database."""
    process = serve(dsn, "--unknown-mn", "accept")
    await asyncio.to_thread(process.start)
    yield process
    assert await asyncio.to_thread(process.stop) == 0


async def count_answers(port, data, count):
    """Send bytes on a line of their own and wait for so many answers."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(data)
    answers = b""
    async with asyncio.timeout(secs(20)):
        while answers.count(b"CN=9014") < count:
            answers += await read_some(reader)
    writer.close()
    return answers.count(b"CN=9014")


async def test_packet_sent_a_thousand_times_is_stored_once(gateway):
    """Every repeat is acknowledged, over as many lines as one MN may have, and changes nothing."""
    frame = make_frame("REPEAT0000000001", 1)
    counts = await asyncio.gather(*(count_answers(gateway.port, frame * n, n) for n in (400, 300, 300)))
    assert sum(counts) == 1000
    await assert_exactly_once(gateway.ready["dsn"], [frame])
    await assert_conserved(gateway)
    metrics = await asyncio.to_thread(gateway.metrics)
    assert metrics["hj212gw_packets_repeated_total"] == 999
    assert metrics["hj212gw_readings_stored_total"] == 4


async def test_other_protocols_leave_nothing_behind(gateway):
    """What speaks something else on the port is counted; the same line can still speak HJ 212."""
    frames = [make_frame("NOISE00000000001", number) for number in range(len(NOISE))]
    stream = b"".join(noise * 50 + frame for noise, frame in zip(NOISE, frames, strict=True))
    await count_answers(gateway.port, stream, len(frames))
    await assert_exactly_once(gateway.ready["dsn"], frames)
    await assert_conserved(gateway)
    metrics = await asyncio.to_thread(gateway.metrics)
    assert metrics["hj212gw_frames_rejected_total"] == 0
    assert metrics["hj212gw_noise_discarded_bytes_total"] == 50 * sum(map(len, NOISE))


class Fickle(Logger):
    """A data logger whose network cuts the line after every few answers."""

    async def talk(self, reader, writer):
        """Talk as long as the line holds, then cut it without a word."""
        enough = len(self.acked) + self.number % 7 + 1
        talking = asyncio.ensure_future(super().talk(reader, writer))
        while not talking.done() and len(self.acked) < enough:
            await asyncio.wait({talking}, timeout=0.005)
        talking.cancel()
        await asyncio.wait({talking})
        linger = b"\x01\0\0\0" + b"\0\0\0\0"  # on, 0 s: the end is a reset
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        writer.transport.abort()


async def test_senders_that_reset_lose_nothing_acknowledged(gateway):
    """Lines are reset in the midst of it all; what was acknowledged before is stored once."""
    async with running_loggers([Fickle(f"RESET{number:09d}", gateway.port) for number in range(4)]) as loggers:
        await wait_acked(loggers, 300)
    frames = [frame for logger in loggers for frame in logger.acked]
    assert await assert_exactly_once(gateway.ready["dsn"], frames) >= 300
    await assert_conserved(gateway)


async def test_senders_that_never_read_cost_no_memory(gateway):
    """Ten lines that send all they can and take no answers are paused; others are served."""
    await count_answers(gateway.port, make_frame("READER0000000001", 0), 1)
    before = gateway.memory_bytes()
    deaf = [await asyncio.open_connection("127.0.0.1", gateway.port, limit=1) for _ in range(10)]
    sending = []
    for number, (reader, writer) in enumerate(deaf):
        reader._transport.pause_reading()
        writer.write(make_frame(f"DEAF{number:012d}", 1) * 10_000)
        sending.append(asyncio.create_task(writer.drain()))
    frames = [make_frame("READER0000000001", number) for number in range(1, 200)]
    assert await count_answers(gateway.port, b"".join(frames), len(frames)) == len(frames)
    assert gateway.memory_bytes() - before < 64 << 20
    for task, (_, writer) in zip(sending, deaf, strict=True):
        task.cancel()
        writer.transport.abort()
    await asyncio.wait(sending)
    await assert_conserved(gateway, timeout=60)


async def test_log_that_nobody_reads_stops_nothing(serve, dsn):
    """The log's pipe is gone or its disk is full: packets are answered, kept and stored all the same."""
    gateway = serve(dsn, "--unknown-mn", "accept", log__level="debug")
    reading, gateway.log_file = gateway.log_file, gateway.folder / "pipe"
    os.mkfifo(gateway.log_file)
    with os.fdopen(os.open(gateway.log_file, os.O_RDONLY | os.O_NONBLOCK), "rb"):
        await asyncio.to_thread(gateway.start)
    gateway.log_file = reading
    gateway.log_file.touch()
    frames = [make_frame("SILENT000000001", number) for number in range(20)]
    for frame in frames:
        bad = frame[:-6] + b"0000\r\n"
        await count_answers(gateway.port, bad + frame, 1)
    await assert_exactly_once(dsn, frames)
    await assert_conserved(gateway)
    gateway.kill()
