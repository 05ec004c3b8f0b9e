"""A running gateway seals the days of its raw archive by its own clock."""

import asyncio
import json
from datetime import datetime, timedelta

import pytest
from tests.support import Logger, assert_exactly_once, make_frame, run_cli, running_loggers, wait_acked, wait_until

EPOCH = datetime.fromisoformat("2026-03-01T23:52:00+08:00")
MIDNIGHT = datetime.fromisoformat("2026-03-02T00:00:00+08:00")


@pytest.mark.slow
@pytest.mark.parametrize("workers", ["1", "2"])
async def test_day_is_sealed_after_midnight(dsn, connection, serve, workers):
    """Some minutes around a simulated midnight; what is sealed is what was acknowledged before, and it is told.

    Several workers agree on the simulated time, and one of them seals for all.
    """
    clock = ("--simulated-clock", "--clock-epoch", EPOCH.isoformat(), "--clock-speed", "120")
    gateway = serve(dsn, "--unknown-mn", "accept", "--workers", workers, *clock)
    await asyncio.to_thread(gateway.start)

    def make(mn, number):
        return make_frame(mn, number, moment=EPOCH - timedelta(hours=1) + timedelta(seconds=number))

    async with running_loggers([Logger("SEAL0000000001", gateway.port, make=make, pause=0.2)]) as loggers:
        await wait_acked(loggers, 50)

    async def is_sealed():
        return await connection.fetch("SELECT day, part, rows FROM hj212.v_day_digests")

    (entry,) = await wait_until(is_sealed, 60)
    assert entry["part"] == "packets"
    stored = await assert_exactly_once(dsn, loggers[0].acked)
    before = "SELECT count(*) FROM hj212.v_packets WHERE received_at < $1"
    assert 0 < entry["rows"] == await connection.fetchval(before, MIDNIGHT) <= stored
    assert gateway.has_logged("day.sealed")
    assert await asyncio.to_thread(gateway.stop) == 0
    code, out, err = await asyncio.to_thread(run_cli, "db", "verify", "--dsn", dsn, "--json")
    assert code == 0, err
    assert json.loads(out)["newest"]["day"] == str(entry["day"])
