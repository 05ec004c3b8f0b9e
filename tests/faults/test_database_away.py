"""A gateway that starts or stops while its database is away: senders are acknowledged, and all is stored once later."""

import asyncio

import pytest
from tests.faults.scene import ACCEPT, QUICK
from tests.support import (
    Logger,
    assert_conserved,
    assert_exactly_once,
    run_cli,
    running_loggers,
    secs,
    wait_acked,
    wait_for,
    wait_until,
)

pytestmark = [pytest.mark.slow, pytest.mark.faults]


async def assert_ready(gateway):
    """The gateway takes packets: its journal is writable."""
    assert await asyncio.to_thread(gateway.get, "/readyz") == (200, "ready\n")


async def finish(gateway, loggers):
    """All that was acknowledged is stored once, nothing was lost in between, and the gateway stops in order."""
    frames = [frame for logger in loggers for frame in logger.acked]
    stored = await assert_exactly_once(gateway.ready["dsn"], frames)
    await assert_conserved(gateway)
    assert await asyncio.to_thread(gateway.stop) == 0
    return stored


async def test_database_away_at_start(database, serve):
    """A gateway that never saw its database accepts, is ready, and drains once the database is there."""
    await database.start(migrated=True)
    await database.stop()
    gateway = serve(database.dsn, *ACCEPT, **QUICK)
    await asyncio.to_thread(gateway.start)
    async with running_loggers([Logger(f"AWAY{number:010d}", gateway.port) for number in range(4)]) as loggers:
        await wait_acked(loggers, 500)
        await assert_ready(gateway)
        await wait_until(lambda: has_logged(gateway, "store.lost"))
        await database.start()
        await wait_until(lambda: has_logged(gateway, "store.recovered"))
        await wait_acked(loggers, 200)
    assert await finish(gateway, loggers) >= 700


async def has_logged(gateway, event):
    """Whether the gateway wrote an event."""
    return gateway.has_logged(event)


async def test_schema_that_is_not_there_yet(database, serve):
    """Without migrations nothing is drained and intake goes on; `db migrate` is all that is needed."""
    await database.start()
    gateway = serve(database.dsn, *ACCEPT, **QUICK)
    await asyncio.to_thread(gateway.start)
    async with running_loggers([Logger(f"EMPT{number:010d}", gateway.port) for number in range(2)]) as loggers:
        await wait_acked(loggers, 200)
        await wait_until(lambda: has_logged(gateway, "store.refused"))
        assert "hj212gw db migrate" in gateway.log()
        await assert_ready(gateway)
        code, _, err = await asyncio.to_thread(run_cli, "db", "migrate", "--dsn", database.dsn)
        assert code == 0, err
        await wait_acked(loggers, 200)
    await finish(gateway, loggers)


async def test_stop_while_the_database_is_frozen(database, serve):
    """A stop does not wait for a database that says nothing longer than it is allowed to."""
    await database.start(migrated=True)
    slow = {**QUICK, "database__statement_timeout_secs": 60}
    gateway = serve(database.dsn, *ACCEPT, gateway__stop_timeout_secs=1, **slow)
    await asyncio.to_thread(gateway.start)
    async with running_loggers([Logger(f"STOP{number:010d}", gateway.port) for number in range(2)]) as loggers:
        await wait_acked(loggers, 300)
        database.freeze()
        await wait_acked(loggers, 300)
        loop = asyncio.get_running_loop()
        began = loop.time()
        assert await asyncio.to_thread(gateway.stop) == 0
        assert loop.time() - began < secs(6)
        database.thaw()
        await asyncio.to_thread(gateway.start)
    frames = [frame for logger in loggers for frame in logger.acked]
    await assert_exactly_once(database.dsn, frames)
    await assert_conserved(gateway, is_first=False)
    assert await asyncio.to_thread(gateway.stop) == 0


async def test_up_starts_without_its_database(database, serve):
    """`up` with a database that is away takes packets, migrates when it is there, and stops in order."""
    await database.start()
    await database.stop()
    gateway = serve(database.dsn, command="up", **QUICK)
    await asyncio.to_thread(gateway.start)
    async with running_loggers([Logger("UPAWAY00000001", gateway.port)]) as loggers:
        await wait_acked(loggers, 100)
        await assert_ready(gateway)
        await database.start()
        await wait_until(lambda: has_logged(gateway, "store.recovered"))
    await finish(gateway, loggers)


async def test_stop_while_the_database_is_away(database, serve):
    """What is acknowledged stays in the journal, the stop is quick, and the next start stores it."""
    await database.start(migrated=True)
    await database.stop()
    gateway = serve(database.dsn, *ACCEPT, **QUICK)
    await asyncio.to_thread(gateway.start)
    async with running_loggers([Logger("LATE0000000001", gateway.port)]) as loggers:
        await wait_acked(loggers, 200)
    loop = asyncio.get_running_loop()
    began = loop.time()
    assert await asyncio.to_thread(gateway.stop) == 0
    assert loop.time() - began < secs(5)
    wait_for(lambda: gateway.has_logged("gateway.stopped"))
    await database.start()
    await asyncio.to_thread(gateway.start)
    await assert_exactly_once(database.dsn, loggers[0].acked)
    await assert_conserved(gateway, is_first=False)
    assert await asyncio.to_thread(gateway.stop) == 0
