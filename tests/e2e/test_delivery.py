"""Promises 1 to 3 with real processes: acknowledged means stored exactly once, whatever ends in between."""

import asyncio

import asyncpg
import pytest
from tests.support import (
    GatewayProcess,
    Logger,
    assert_conserved,
    assert_exactly_once,
    make_frame,
    read_some,
    secs,
    wait_until,
)


async def acked_more(loggers, count):
    """Whether so many packets were acknowledged."""
    return sum(len(logger.acked) for logger in loggers) >= count


@pytest.mark.slow
async def test_stop_drains_and_keeps_everything(tmp_path):
    """SIGTERM under load: the gateway answers what it took, drains, and ends with nothing pending."""
    gateway = GatewayProcess(tmp_path).start()
    loggers = [Logger(f"STOP{number:010d}", gateway.port) for number in range(4)]
    running = [asyncio.create_task(logger.run()) for logger in loggers]
    await wait_until(lambda: acked_more(loggers, 500))
    assert await asyncio.to_thread(gateway.stop) == 0
    assert "pending_packets=0" in gateway.log() or '"pending_packets":0' in gateway.log().replace(" ", "")
    for logger in loggers:
        logger.stopping = True
    await asyncio.to_thread(gateway.start)
    async with asyncio.timeout(secs(30)):
        await asyncio.gather(*running)
    await assert_exactly_once(gateway.ready["dsn"], [frame for logger in loggers for frame in logger.acked])
    await assert_conserved(gateway, is_first=False)
    assert await asyncio.to_thread(gateway.stop) == 0
    gateway.assert_quiet()


async def test_answers_and_views(tmp_path):
    """One connection with several MNs, bad frames and noise between: good ones are answered, all is accounted for."""
    with GatewayProcess(tmp_path) as gateway:
        good = [make_frame(f"MN{number % 3:012d}", number) for number in range(9)]
        bad = good[0][:-6] + b"FFFF\r\n"
        reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
        writer.write(b"GET / HTTP/1.1\r\n\r\n" + b"".join(good[:5]) + bad + b"\x0e\x0f\0\0" + b"".join(good[5:]))
        writer.write(good[0])
        answers = b""
        async with asyncio.timeout(secs(20)):
            while answers.count(b"CN=9014") < 10:
                answers += await read_some(reader)
        writer.close()
        connection = await asyncpg.connect(gateway.ready["dsn"])

        async def stored():
            return await connection.fetchval("SELECT count(*) FROM hj212.v_packets") == 9

        await wait_until(stored)
        assert await connection.fetchval("SELECT count(*) FROM hj212.v_readings") == 36

        async def rejected():
            return await connection.fetch("SELECT reason, raw, peer FROM hj212.v_rejects")

        rejects = await wait_until(rejected)
        assert [(row["reason"], bytes(row["raw"])) for row in rejects] == [("crc", bad)]
        metrics = await asyncio.to_thread(gateway.metrics)
        assert metrics["hj212gw_frames_received_total"] == 11
        assert metrics["hj212gw_frames_accepted_total"] == 10
        assert metrics["hj212gw_packets_repeated_total"] == 1
        assert metrics['hj212gw_acks_sent_total{cn="9014"}'] == 10
        assert metrics["hj212gw_noise_discarded_bytes_total"] == 22
        assert (await asyncio.to_thread(gateway.get, "/readyz"))[0] == 200
        await connection.close()
        await assert_conserved(gateway)
