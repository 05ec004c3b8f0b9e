"""Two gateways with the same journal, as after cloning a machine: what either acknowledged is rescued, each packet once."""

import asyncio
import shutil

import pytest
from tests.support import Logger, assert_exactly_once, run_cli, running_loggers, wait_acked, wait_until

from hj212gw.journal import inspect

pytestmark = [pytest.mark.slow, pytest.mark.faults]

ACCEPT = ("--unknown-mn", "accept")
QUICK = {"database__retry_first_secs": 0.1, "database__retry_max_secs": 0.5, "database__statement_timeout_secs": 10}


async def fill(gateway, loggers, count):
    """Have packets acknowledged into a gateway's journal, and stop it."""
    await asyncio.to_thread(gateway.start)
    async with running_loggers(loggers):
        for logger in loggers:
            logger.port = gateway.port
        await wait_acked(loggers, count)
    assert await asyncio.to_thread(gateway.stop) == 0


async def drain(gateway):
    """Start a gateway, wait until its journal is in the database, and stop it."""
    await asyncio.to_thread(gateway.start)

    async def is_empty():
        return not (await asyncio.to_thread(gateway.metrics))["hj212gw_journal_pending_packets"]

    await wait_until(is_empty)
    stored = (await asyncio.to_thread(gateway.metrics))["hj212gw_packets_stored_total"]
    assert await asyncio.to_thread(gateway.stop) == 0
    return stored


async def test_what_twins_acknowledged_is_rescued(database, serve):
    """One drains past the other's packets, which ends with what to do; both journals renewed, all is stored once."""
    await database.start(migrated=True)
    settings = {**QUICK, "gateway__stop_timeout_secs": 1}
    one, two = (serve(database.dsn, *ACCEPT, folder=folder, **settings) for folder in ("one", "two"))
    journals = [gateway.folder / "data" / "journal" for gateway in (one, two)]
    loggers = [Logger(f"TWIN{number:010d}", 0) for number in range(4)]
    await fill(one, loggers[:1], 100)
    shutil.copytree(journals[0], journals[1])
    await database.stop()
    await fill(one, loggers[1:2], 100)
    await fill(two, loggers[2:], 2000)
    assert inspect(journals[0]).uuid == inspect(journals[1]).uuid
    await database.start()
    await drain(two)  # and so moves past what only the first has
    one.launch()
    assert await asyncio.to_thread(one.wait) == 1
    assert "hj212gw journal renew" in one.log()
    for gateway, journal in zip((one, two), journals, strict=True):
        code, _, err = await asyncio.to_thread(run_cli, "journal", "renew", journal, gateway.folder / "new")
        assert (code, "Drain it with" in err) == (0, True), err
        renewed = serve(database.dsn, *ACCEPT, folder=gateway.folder.name, journal__directory=gateway.folder / "new")
        stored = await drain(renewed)
        assert stored == (len(loggers[1].acked) if gateway is one else 0)
    await assert_exactly_once(database.dsn, [frame for logger in loggers for frame in logger.acked])
