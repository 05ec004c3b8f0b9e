"""Clocks: the machine's that jumps back and forward, and midnights at the ends of months, years and February."""

import os
from datetime import datetime, timedelta
from pathlib import Path

import asyncpg
import pytest
from tests.faults.scene import ACCEPT, QUICK, Line, ask, scene
from tests.support import make_frame

from hj212gw.protocol.times import WIRE_ZONE
from hj212gw.store.migrate import migrate

pytestmark = [pytest.mark.slow, pytest.mark.faults]

BRINKS = {
    "month": datetime(2027, 4, 30, 23, 59, 59, tzinfo=WIRE_ZONE),
    "year": datetime(2027, 12, 31, 23, 59, 59, tzinfo=WIRE_ZONE),
    "february": datetime(2027, 2, 28, 23, 59, 59, tzinfo=WIRE_ZONE),
    "leap day": datetime(2028, 2, 28, 23, 59, 59, tzinfo=WIRE_ZONE),
    "end of leap day": datetime(2028, 2, 29, 23, 59, 59, tzinfo=WIRE_ZONE),
    "midnight of UTC": datetime(2028, 1, 1, 7, 59, 59, tzinfo=WIRE_ZONE),
}


def clock(moment):
    """Options that set the gateway's clock."""
    return ("--simulated-clock", "--clock-epoch", moment.isoformat())


@pytest.mark.parametrize("brink", BRINKS.values(), ids=BRINKS)
async def test_midnight_passes(serve, postgres_dsn, brink):
    """Packets of the last millisecond and the first of the new day find their partitions, while the clock passes it."""
    connection = await asyncpg.connect(postgres_dsn)
    await migrate(connection, now=brink - timedelta(days=1))
    await connection.close()
    gateway = serve(postgres_dsn, *ACCEPT, *clock(brink - timedelta(seconds=1)))
    async with scene(gateway, mns=()) as told:
        line = await Line.open(gateway.port)
        for seconds in range(-1, 3):
            moment = brink + timedelta(seconds=seconds)
            frames = [
                make_frame("BRINK000000001", 999, moment=moment),
                make_frame("BRINK000000002", 0, moment=moment, cn="2061"),
            ]
            await line.send(*frames)
            await line.answers(2)
            told.frames += frames
        line.close()
        await told.drains()
        days = await ask(
            told.dsn,
            "SELECT DISTINCT (data_time AT TIME ZONE 'Asia/Shanghai')::date AS day FROM hj212.v_readings ORDER BY 1",
        )
        assert [row["day"] for row in days] == sorted({brink.date(), (brink + timedelta(seconds=1)).date()})
        assert not await ask(told.dsn, "SELECT 1 FROM hj212.v_odd_readings")


def find_faketime():
    """The library that gives a program another time of day (Debian: libfaketime), None without it."""
    given = os.environ.get("HJ212_TEST_FAKETIME")
    found = [Path(given)] if given else sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))
    return next((path for path in found if path.exists()), None)


@pytest.mark.skipif(
    find_faketime() is None, reason="needs libfaketime, or HJ212_TEST_FAKETIME=/path/libfaketimeMT.so.1"
)
async def test_clock_jumps_under_load(serve, dsn, tmp_path):
    """The system's clock goes back and forward by half a day while packets come: all are acknowledged and stored once."""
    shift = tmp_path / "shift"
    shift.write_text("+0\n")
    gateway = serve(dsn, *ACCEPT)
    gateway.env |= {
        "LD_PRELOAD": str(find_faketime()),
        "FAKETIME_TIMESTAMP_FILE": str(shift),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }
    async with scene(gateway) as told:
        for hours in ("+0", "-12", "+12", "-1", "+0"):
            shift.write_text(f"{hours}h\n")
            await told.acks(200)
            await told.drains()
        days = "SELECT max(received_at) - min(received_at) AS span FROM hj212.v_packets"
        assert timedelta(hours=23) < (await ask(told.dsn, days))[0]["span"] < timedelta(hours=25)
        await told.is_ready()


@pytest.mark.parametrize("hours", [-20, 20], ids=["back", "forward"])
async def test_clock_jumps_between_two_starts(serve, database, hours):
    """What the journal holds of one time and what comes in another are stored once, each with the arrival it had."""
    await database.start(migrated=True)
    await database.stop()
    now = datetime.now(WIRE_ZONE)
    gateway = serve(database.dsn, *ACCEPT, *clock(now), **QUICK)
    async with scene(gateway) as told:
        await told.acks(300)
        gateway.options = ("--dsn", database.dsn, *ACCEPT, *clock(now + timedelta(hours=hours)))
        await told.restarts(killed=True)
        await told.acks(300)
        await database.start()
        await told.acks(100)
    connection = await asyncpg.connect(database.dsn)
    spread = await connection.fetchval("SELECT max(received_at) - min(received_at) FROM hj212.v_packets")
    await connection.close()
    assert abs(spread - timedelta(hours=20)) < timedelta(minutes=5)
    assert not gateway.has_logged("journal.damaged")
