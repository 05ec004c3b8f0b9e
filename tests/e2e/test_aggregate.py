"""The aggregator as a process: beside a database that is killed, killed itself at any moment, twice, in `up`."""

import asyncio
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import asyncpg
from tests.assessment import city
from tests.assessment.city import StandingClock, figures, forget, local, make_aggregator, send, send_day
from tests.support import as_env, run_cli, secs, wait_until

from hj212gw.protocol import FrameBuffer, encode_frame
from hj212gw.protocol.times import WIRE_ZONE

MN = "010000A8900016F000169DC0"


def launch(dsn, moment):
    """Start an aggregator that looks all the time; its clock all but stands still."""
    command = [sys.executable, "-m", "hj212gw", "aggregate", "--dsn", dsn, "--http", "127.0.0.1:0", "--simulated-clock"]
    command += ["--clock-epoch", moment.isoformat(), "--clock-speed", "0.001"]
    env = {**os.environ, **as_env({"aggregator.interval_secs": 0.1})}
    return subprocess.Popen(command, stderr=subprocess.DEVNULL, env=env)


async def is_idle(admin):
    """Whether all that is stale is computed and what is over is frozen, since something was stale at least once."""
    row = await admin.fetchrow(
        "SELECT (SELECT count(*) FROM hj212.dirty) + (SELECT count(*) FROM hj212.stale_days) AS left_over,"
        " (SELECT rules FROM hj212.assessment_state) AS rules,"
        " EXISTS (SELECT FROM hj212.rate_counts WHERE replaced_at IS NULL AND provisional AND stage = 'immediate'"
        "         AND period = 'day' AND period_start = $1) AS is_open", city.DAY
    )  # fmt: skip
    return row["rules"] is not None and not row["left_over"] and not row["is_open"]


async def assert_as_from_nothing(admin, dsn, moment):
    """The figures there are those of a run that nobody disturbed."""
    found = await figures(admin)
    assert found[1]
    await forget(admin)
    await make_aggregator(dsn, StandingClock(moment)).work()
    assert await figures(admin) == found


async def test_killed_again_and_again(postgres_dsn):
    """Two run, one of them is ended at any moment, while data and corrections come: the figures are right."""
    admin = await asyncpg.connect(postgres_dsn)
    await city.found(admin)
    moment = local(20)
    aggregators = [launch(postgres_dsn, moment) for _ in range(2)]
    try:
        for day in range(4):
            await send_day(admin, day)
            aggregators[day % 2].kill()
            aggregators[day % 2].wait()
            aggregators[day % 2] = launch(postgres_dsn, moment)
            await send(admin, "O1", local(day, 3), after=timedelta(days=2), flag="D")
        await wait_until(lambda: is_idle(admin), 60)
    finally:
        for process in aggregators:
            process.kill()
            process.wait()
    await assert_as_from_nothing(admin, postgres_dsn, moment)
    await admin.close()


async def test_database_is_killed_meanwhile(database):
    """It comes back, and the aggregator goes on by itself."""
    await database.start()
    admin = await asyncpg.connect(database.dsn)
    await city.found(admin)
    for day in range(3):
        await send_day(admin, day)
    process = launch(database.dsn, local(20))
    try:
        await wait_until(lambda: is_idle(admin), 60)
        await send_day(admin, 3)
        await admin.close()
        database.kill()
        await database.start()
        admin = await asyncpg.connect(database.dsn)
        await admin.execute("SET search_path = hj212, public")
        await send_day(admin, 4)
        await wait_until(lambda: is_idle(admin), 60)
        assert process.poll() is None
    finally:
        process.kill()
        process.wait()
    await assert_as_from_nothing(admin, database.dsn, local(20))
    await admin.close()


async def test_up_keeps_rates(serve, dsn, connection):
    """From a data logger's hour data to v_rates, without anybody asking; after noon it is too late for the other stage."""
    yesterday = (
        (datetime.now(UTC) - timedelta(days=1)).astimezone(WIRE_ZONE).replace(hour=0, minute=0, second=0, microsecond=0)
    )
    await connection.execute("INSERT INTO hj212.enterprises (enterprise, name, county) VALUES ('E1', 'Mill', 'North')")
    await connection.execute(
        "INSERT INTO hj212.outlets (outlet, enterprise, name, medium) VALUES ('O1', 'E1', 'One', 'water')"
    )
    await connection.execute("INSERT INTO hj212.data_loggers (mn, st, outlet) VALUES ($1, '32', 'O1')", MN)
    await connection.execute(
        "INSERT INTO hj212.base_list (outlet, factor, valid_from) VALUES ('O1', 'w01018', $1)", yesterday
    )
    with serve(dsn, command="up", aggregator__interval_secs=0.1) as gateway:
        frames = [make_hour(yesterday + timedelta(hours=hour)) for hour in range(24)]
        await exchange(gateway.port, frames)

        async def row():
            return await connection.fetchrow(
                "SELECT * FROM hj212.v_rates WHERE level = 'city' AND period = 'day' AND stage = 'completed'"
                " AND policy = 'national_platform_v2' AND period_start = $1 AND groups_received = 24", yesterday.date()
            )  # fmt: skip

        rate = await wait_until(row, 60)
        assert (rate["expected_groups"], rate["valid_groups"], rate["effective"], rate["passed"]) == (24, 24, 1.0, True)

        async def is_counted():  # after the figures
            return gateway.metrics()["hj212gw_loggers_registered"] == 1

        await wait_until(is_counted)
    code, _, err = run_cli("aggregate", "--once", "--dsn", dsn)
    assert (code, "figures changed: 0" in err) == (0, True), err


def make_hour(hour_at):
    """Hour data of one factor, and an answer asked for."""
    moment = f"{hour_at:%Y%m%d%H%M%S}"
    cp = f"DataTime={moment};w01018-Min=1,w01018-Avg=2,w01018-Max=3,w01018-Cou=4,w01018-Flag=N"
    return encode_frame(f"QN={moment}001;ST=32;CN=2061;PW=123456;MN={MN};Flag=5;CP=&&{cp}&&".encode())


async def exchange(port, frames):
    """Send frames and wait for as many answers."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    buffer, count = FrameBuffer(), 0
    writer.write(b"".join(frames))
    async with asyncio.timeout(secs(30)):
        while count < len(frames):
            data = await reader.read(1 << 16)
            assert data
            count += len(list(buffer.feed(data)))
    writer.close()
