"""A database of the first version, brought to the newest schema, still says what it said, and goes on."""

import asyncio
import gzip
import socket
from datetime import UTC, datetime
from pathlib import Path

import asyncpg
import pytest
from tests.support import GatewayProcess, make_frame, run_cli, secs, wait_until

from hj212gw.store.migrate import load_migrations, read_state

DUMP = Path(__file__).parent / "first_schema.sql.gz"
ROLES = ("hj212_owner", "hj212_gateway", "hj212_aggregator", "hj212_analyst")
# What analysts could ask then, with keys that give the rows an order.
THEN = {
    "v_readings": "data_time mn st cn factor nth outlet enterprise rtd min avg max cou zs_avg data_flag received_at updated_at qn extra",
    "v_packets": "received_at digest mn st cn qn pnum pno flag edition peer state warnings raw qn_at",
    "v_rejects": "received_at raw peer reason detail",
    "v_odd_readings": "received_at mn cn factor nth data_time data_time_text rtd avg qn",
    "v_history": "data_time mn cn factor nth rtd avg received_at replaced_at origin data_flag",
    "v_loggers": "mn outlet enterprise registered last_packet_at last_data_time clock_skew_secs origin st",
}
COUNTS = {"v_readings": 88, "v_packets": 32, "v_rejects": 1, "v_odd_readings": 5, "v_history": 2, "v_loggers": 9}
FOUND_MN = "530499A8900016F000169D77"


async def ask(connection):
    """What the first version's views hold, by view."""
    answers = {}
    for view, columns in THEN.items():
        names = columns.replace(" ", ", ")
        answers[view] = await connection.fetch(
            f"SELECT {names} FROM hj212.{view} ORDER BY {names.replace(', raw', '')}"
        )
    return {view: [tuple(row) for row in rows] for view, rows in answers.items()}


@pytest.fixture
async def old_dsn(empty_dsn):
    """A database as version 0.1.0 left it."""
    connection = await asyncpg.connect(empty_dsn)
    await connection.execute("DROP EXTENSION IF EXISTS timescaledb CASCADE")  # its tables were native partitions
    for role in ROLES:  # of the server, so not in the dump of a database
        if not await connection.fetchval("SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = $1)", role):
            await connection.execute(f"CREATE ROLE {role} NOLOGIN")
    await connection.execute("SET check_function_bodies = off; SET search_path = ''")  # as every dump begins
    await connection.execute(gzip.decompress(DUMP.read_bytes()).decode())
    await connection.close()
    return empty_dsn


async def migrate_with_command(dsn):
    """Bring the schema up to date as an operator does."""
    code, _, err = await asyncio.to_thread(run_cli, "db", "migrate", "--dsn", dsn)
    assert code == 0, err
    return err


async def test_first_schema_says_what_it_said(old_dsn):
    """Every row that the first version's views had is there after the migrations, value by value.

    But for data loggers that were ended: they counted as registered then (0020).
    """
    connection = await asyncpg.connect(old_dsn)
    before = await ask(connection)
    assert {view: len(rows) for view, rows in before.items()} == COUNTS
    state = await read_state(connection)
    assert [name for _, name, _ in state.applied] == [migration.name for migration in load_migrations()[:4]]
    said = await migrate_with_command(old_dsn)
    assert all(f"applied {name}" in said for name in state.pending)
    await connection.reload_schema_state()
    ended = {row["mn"] for row in await connection.fetch("SELECT mn FROM hj212.data_loggers WHERE valid_to <= now()")}
    assert ended
    place = THEN["v_loggers"].split().index("registered")
    before["v_loggers"] = [
        (*row[:place], row[place] and row[0] not in ended, *row[place + 1 :]) for row in before["v_loggers"]
    ]
    assert await ask(connection) == before
    assert (await read_state(connection)).pending == []
    await connection.close()
    assert "applied" not in await migrate_with_command(old_dsn)


async def test_first_schema_goes_on(old_dsn, tmp_path):
    """A gateway knows the old packets again, stores new ones, and the archive can be verified."""
    await migrate_with_command(old_dsn)
    connection = await asyncpg.connect(old_dsn)
    old = [bytes(row["raw"]) for row in await connection.fetch("SELECT raw FROM hj212.v_packets ORDER BY received_at")]
    new = make_frame(FOUND_MN, 3, moment=datetime.now(UTC).replace(microsecond=0))
    with GatewayProcess(tmp_path, "serve", "--dsn", old_dsn) as gateway:
        with socket.create_connection(("127.0.0.1", gateway.port), timeout=secs(30)) as line:
            for frame in (*old, new):
                line.sendall(frame)
                assert b"CN=9014" in line.recv(4096)

        async def is_stored():
            return await connection.fetchval("SELECT count(*) FROM hj212.v_packets") == len(old) + 1

        await wait_until(is_stored)
        assert gateway.metrics()["hj212gw_packets_repeated_total"] >= len(old)
    await connection.close()
    code, _, err = await asyncio.to_thread(run_cli, "db", "verify", "--dsn", old_dsn)
    assert code == 0, err
