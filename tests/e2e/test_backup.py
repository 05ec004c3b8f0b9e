"""Promise 2 after a disaster: a database restored from a backup is filled up again from the journal, each packet once."""

import asyncio
import subprocess

import asyncpg
import pytest
from tests.conftest import with_database
from tests.support import (
    Database,
    Logger,
    assert_exactly_once,
    run_cli,
    running_loggers,
    secs,
    wait_acked,
    wait_until,
)

pytestmark = [pytest.mark.slow, pytest.mark.faults]

# Segments so small that many are drained, sealed and kept when the database goes back in time.
SETTINGS = {
    "journal__segment_bytes": 1 << 20,
    "database__retry_first_secs": 0.1,
    "database__retry_max_secs": 0.5,
    "database__statement_timeout_secs": 10,
}
ACCEPT = ("--unknown-mn", "accept")


def run_program(database, name, *arguments, stdin=None):
    """Run a program that stands beside the server's; skip where the server came without it."""
    program = database.server.bin_dir / name
    if not program.exists():
        pytest.skip(
            f"{database.server.bin_dir} has no {name}: the backup test needs a PostgreSQL with its client programs"
        )
    done = subprocess.run([program, *arguments], capture_output=True, timeout=secs(120), input=stdin, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


async def position_of(dsn):
    """The journal's position in the database."""
    connection = await asyncpg.connect(dsn)
    try:
        return await connection.fetchval("SELECT position FROM hj212.journals")
    finally:
        await connection.close()


async def wait_drained(dsn, gateway):
    """Wait until the drain has moved on; return the position."""
    reached = await position_of(dsn)

    async def is_past():
        return await position_of(dsn) > reached

    await wait_until(is_past)
    metrics = await asyncio.to_thread(gateway.metrics)
    assert metrics["hj212gw_packets_stored_total"] > 0
    return await position_of(dsn)


async def restore(database, dump, roles=None):
    """Put a dump in the place of whatever stands in the database, as an operator does.

    In one transaction: a gateway that runs must not write into tables that have no keys yet.
    """
    if roles is not None:
        run_program(database, "psql", "-q", "-d", database.dsn, stdin=roles)
    admin = await asyncpg.connect(with_database(database.dsn, "postgres"))
    await admin.execute("DROP DATABASE IF EXISTS hj212 WITH (FORCE)")
    await admin.execute("CREATE DATABASE hj212")
    await admin.close()
    run_program(database, "pg_restore", "--single-transaction", "-d", database.dsn, stdin=dump)


async def assert_counted(dsn):
    """What the days of the archive were counted with is what the tables hold: sealing finds nothing short."""
    connection = await asyncpg.connect(dsn)
    try:
        written = await connection.fetchrow("SELECT sum(packets + strays), sum(rejects) FROM hj212.archive_days")
        there = await connection.fetchrow(
            "SELECT (SELECT count(*) FROM hj212.packets), (SELECT count(*) FROM hj212.rejects)"
        )
        assert tuple(written) == tuple(there)
    finally:
        await connection.close()
    code, _, err = await asyncio.to_thread(run_cli, "db", "verify", "--dsn", dsn)
    assert code == 0, err


@pytest.mark.parametrize("gateway_is", ["killed", "running"])
async def test_restored_database_is_filled_up_again(database, serve, gateway_is):
    """Dump, go on, lose the database, restore: all that was ever acknowledged is stored once."""
    await database.start(migrated=True)
    gateway = serve(database.dsn, *ACCEPT, **SETTINGS)
    await asyncio.to_thread(gateway.start)
    async with running_loggers([Logger(f"BACK{number:010d}", gateway.port) for number in range(4)]) as loggers:
        await wait_acked(loggers, 1000)
        dumped_at = await wait_drained(database.dsn, gateway)
        dump = await asyncio.to_thread(run_program, database, "pg_dump", "-Fc", "-d", database.dsn)
        await wait_acked(loggers, 3000)
        lost_at = await wait_drained(database.dsn, gateway)
        if gateway_is == "killed":
            await asyncio.to_thread(gateway.kill)
        database.kill()
        await database.stop()
        await database.start()
        await restore(database, dump)
        assert dumped_at <= await position_of(database.dsn) < lost_at
        if gateway_is == "killed":
            await asyncio.to_thread(gateway.start)
        await wait_acked(loggers, 500)
    frames = [frame for logger in loggers for frame in logger.acked]
    assert await assert_exactly_once(database.dsn, frames) >= 4500
    assert await asyncio.to_thread(gateway.stop) == 0
    assert len(list((gateway.folder / "data" / "journal").glob("segment-*.db"))) > 1
    await assert_counted(database.dsn)


async def test_backup_on_another_server(database, serve, tmp_path):
    """With the roles dumped too, the gateway goes on against another server with the journal it has."""
    await database.start(migrated=True)
    gateway = serve(database.dsn, *ACCEPT, **SETTINGS)
    await asyncio.to_thread(gateway.start)
    async with running_loggers([Logger("MOVE0000000001", gateway.port)]) as loggers:
        await wait_acked(loggers, 300)
        await wait_drained(database.dsn, gateway)
        dump = await asyncio.to_thread(run_program, database, "pg_dump", "-Fc", "-d", database.dsn)
        roles = await asyncio.to_thread(run_program, database, "pg_dumpall", "--roles-only", "-d", database.dsn)
        await wait_acked(loggers, 300)
        await wait_drained(database.dsn, gateway)
    await asyncio.to_thread(gateway.kill)
    other = Database()
    try:
        await other.start()
        await restore(other, dump, roles)
        moved = serve(other.dsn, *ACCEPT, **SETTINGS)
        await asyncio.to_thread(moved.start)
        assert await assert_exactly_once(other.dsn, loggers[0].acked) >= 600
        assert await asyncio.to_thread(moved.stop) == 0
        await assert_counted(other.dsn)
    finally:
        await other.remove()
