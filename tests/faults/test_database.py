"""Whatever becomes of the database: senders are acknowledged, memory is bounded, and all is stored once afterwards."""

import asyncio
from contextlib import asynccontextmanager

import asyncpg
import pytest
from tests.faults.scene import ACCEPT, QUICK, ROOMY, ask, scene
from tests.proxy import Proxy
from tests.support import Database, mounted, run_cli, wait_until

pytestmark = [pytest.mark.slow, pytest.mark.faults]

GATEWAY_ENDS = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'hj212gw%'"


@asynccontextmanager
async def killed(database):
    """Every process of the server ended at once."""
    database.kill()
    yield
    await database.stop()
    await database.start()


@asynccontextmanager
async def stopped(database):
    """The server stopped in order."""
    await database.stop()
    yield
    await database.start()


@asynccontextmanager
async def paused(database):
    """Every process of the server stopped where it stands: connections stay and say nothing."""
    database.freeze()
    yield
    database.thaw()


@asynccontextmanager
async def read_only(database):
    """No transaction may write, as on a standby after a failover."""
    await ask(database.dsn, "ALTER SYSTEM SET default_transaction_read_only = on")
    await ask(database.dsn, "SELECT pg_reload_conf()")
    yield
    await ask(database.dsn, "ALTER SYSTEM RESET default_transaction_read_only")
    await ask(database.dsn, "SELECT pg_reload_conf()")


@asynccontextmanager
async def out_of_connections(database):
    """Others have taken all connections there are."""
    taken = []
    gateways = "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'hj212gw%'"
    taken.append(await asyncpg.connect(database.dsn))

    async def is_crowded():
        await taken[0].execute(GATEWAY_ENDS)
        try:
            while True:
                taken.append(await asyncpg.connect(database.dsn))
        except asyncpg.TooManyConnectionsError:
            return await taken[0].fetchval(gateways) == 0

    await wait_until(is_crowded)
    yield
    for connection in taken:
        await connection.close()


@asynccontextmanager
async def disk_full(database):
    """Not a byte left on the server's disk; the server may end over it and is started again once there is room."""
    filler = database.folder / "filler"
    with filler.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(65536))
        except OSError:
            pass
    yield
    filler.unlink()
    if not database.server.running:
        await database.stop()
        await database.start()


FAULTS = [killed, stopped, paused, read_only, out_of_connections]


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
async def test_database_is(fault, serve):
    """Killed, stopped, paused, read-only or crowded: the senders do not notice, and the gateway comes back by itself."""
    database = Database({**ROOMY, "max_connections": "14"})
    try:
        await database.start(migrated=True)
        async with scene(serve(database.dsn, *ACCEPT, **QUICK)) as gateway:
            await gateway.acks(300)
            async with fault(database):
                await gateway.loses_the_database()
                await gateway.keeps_its_memory(600)
                await gateway.holds(500)
                await gateway.is_ready()
            await gateway.has_the_database_again()
            await gateway.acks(100)
    finally:
        await database.remove()


async def test_database_has_its_disk_full(serve):
    """Rows that find no room are tried again until there is; none goes to quarantine over it."""
    database = Database({**ROOMY, "wal_recycle": "off", "max_wal_size": "64MB", "min_wal_size": "32MB"})
    try:
        with mounted(database.folder, "size=200m,mode=755"):
            await database.start(migrated=True)
            async with scene(serve(database.dsn, *ACCEPT, **QUICK)) as gateway:
                await gateway.acks(300)
                async with disk_full(database):
                    await gateway.loses_the_database()
                    await gateway.acks(600)
                    await gateway.is_ready()
                await gateway.has_the_database_again()
                await gateway.acks(100)
            await database.stop()
    finally:
        await database.remove()


async def test_database_is_slow(database, serve):
    """Behind a line that takes its time: the journal grows, senders do not wait, and the rest follows."""
    await database.start(migrated=True)
    async with Proxy(database.dsn) as line, scene(serve(line.dsn, *ACCEPT, **QUICK | SLOW)) as gateway:
        gateway.dsn = gateway.gateway.ready["dsn"] = database.dsn
        await gateway.acks(300)
        line.delay_secs, line.chunk_bytes = 0.05, 8192
        await gateway.acks(600)
        await gateway.is_ready()
        line.delay_secs, line.chunk_bytes = 0.0, 65536
        await gateway.drains()


SLOW = {"database__statement_timeout_secs": 30}


async def test_line_to_the_database_says_nothing(database, serve):
    """In the midst of a batch the line falls silent and stays open: given up, cut, and opened again."""
    await database.start(migrated=True)
    async with Proxy(database.dsn) as line, scene(serve(line.dsn, *ACCEPT, **QUICK)) as gateway:
        gateway.dsn = gateway.gateway.ready["dsn"] = database.dsn
        await gateway.acks(300)
        line.hold_at = b"readings_rtd"
        await gateway.loses_the_database()
        await gateway.acks(300)
        line.cut()
        line.go_on()
        await gateway.has_the_database_again()


async def test_line_to_the_database_is_lost_at_commit(database, serve):
    """The server commits and its answer is lost: nothing is stored twice, and what was stored is counted."""
    await database.start(migrated=True)
    async with Proxy(database.dsn) as line, scene(serve(line.dsn, *ACCEPT, **QUICK)) as gateway:
        gateway.dsn = gateway.gateway.ready["dsn"] = database.dsn
        for cuts in range(1, 4):
            await gateway.acks(200)
            line.cut_after = b"COMMIT;"
            await gateway.loses_the_database()
            await gateway.has_the_database_again()
            assert line.cuts == cuts


async def test_schema_is_dropped(database, serve):
    """The drain says what to do and intake goes on; migrated again, the database gets all that the journal has kept."""
    await database.start(migrated=True)
    async with scene(serve(database.dsn, *ACCEPT, **QUICK)) as gateway:
        await gateway.acks(300)
        await gateway.drains()
        await ask(database.dsn, "DROP SCHEMA hj212 CASCADE")
        await gateway.loses_the_database()
        await gateway.says("store.refused")
        assert "hj212gw db migrate" in gateway.gateway.log()
        await gateway.acks(300)
        await gateway.is_ready()
        code, _, err = await asyncio.to_thread(run_cli, "db", "migrate", "--dsn", database.dsn)
        assert code == 0, err
        await gateway.has_the_database_again()
        gateway.is_whole = False  # what was stored before is stored again, and counted again
