"""Two hosts and one address: the second gateway takes over from the first, and what either acknowledged is stored once."""

import asyncio

import pytest
from tests.support import Logger, assert_exactly_once, running_loggers, wait_acked, wait_until

pytestmark = [pytest.mark.slow, pytest.mark.faults]

QUICK = {"database__retry_first_secs": 0.1, "database__retry_max_secs": 0.5, "database__statement_timeout_secs": 10}
ACCEPT = ("--unknown-mn", "accept")


async def pending(gateway):
    """How many packets wait in a gateway's journal."""
    metrics = await asyncio.to_thread(gateway.metrics)
    return metrics["hj212gw_journal_pending_packets"]


@pytest.mark.parametrize("database_is", ["well", "away"])
async def test_second_gateway_takes_the_address(database, serve, database_is):
    """The first is killed under load, with packets in its journal; the second takes its port; the first's come later."""
    await database.start(migrated=True)
    first = serve(database.dsn, *ACCEPT, folder="a", **QUICK)
    second = serve(database.dsn, *ACCEPT, folder="b", **QUICK)
    await asyncio.to_thread(first.start)
    second.port = first.port
    loggers = [Logger(f"VIP{number:011d}", first.port) for number in range(6)]
    async with running_loggers(loggers):
        await wait_acked(loggers, 500)
        if database_is == "away":
            await database.stop()
            await wait_acked(loggers, 500)
            assert await pending(first) >= 400
        await asyncio.to_thread(first.kill)
        before = [len(logger.acked) for logger in loggers]
        await asyncio.to_thread(second.start)
        await wait_acked(loggers, 500)
        assert all(len(logger.acked) > count for logger, count in zip(loggers, before, strict=True)), "all came over"
        if database_is == "away":
            await database.start()
        await wait_acked(loggers, 200)
        # The failed host is back, without the address; its journal is drained beside the other's.
        first.port = 0
        await asyncio.to_thread(first.start)
    for gateway in (first, second):
        await wait_until(lambda gateway=gateway: _is_empty(gateway))
    frames = [frame for logger in loggers for frame in logger.acked]
    assert await assert_exactly_once(database.dsn, frames) >= 1200
    for gateway in (first, second):
        assert await asyncio.to_thread(gateway.stop) == 0


async def _is_empty(gateway):
    return await pending(gateway) == 0
