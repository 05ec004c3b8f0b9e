"""A journal without room: nothing is acknowledged that is not kept, it is said, and all goes on by itself."""

import asyncio

import pytest
from tests.support import (
    Logger,
    assert_conserved,
    assert_exactly_once,
    make_frame,
    mounted,
    running_loggers,
    wait_acked,
    wait_until,
)

pytestmark = [pytest.mark.slow, pytest.mark.faults]

MIB = 1 << 20
SETTINGS = {
    "journal__segment_bytes": MIB,
    "journal__reserve_bytes": MIB,
    "database__retry_first_secs": 0.1,
    "database__retry_max_secs": 0.5,
}


@pytest.fixture
async def away(database):
    """A migrated database that is stopped."""
    await database.start(migrated=True)
    await database.stop()
    return database


def make_wide(mn, number):
    """A packet of hour data that is nearly as long as may be, with two readings."""
    return make_frame(mn, number, cn="2061", factors=("w01018",), extra=f"i11001-Info=//{'x' * 3700}//")


async def has_logged(gateway, event):
    """Whether the gateway wrote an event."""
    return gateway.has_logged(event)


async def is_ready(gateway):
    """Whether the gateway says that it takes packets."""
    return await asyncio.to_thread(gateway.get, "/readyz") == (200, "ready\n")


async def assert_stuck(gateway, loggers):
    """Nothing is acknowledged any more, and that is told where an operator looks."""
    await wait_until(lambda: has_logged(gateway, "journal.filled"))
    status, reason = await asyncio.to_thread(gateway.get, "/readyz")
    assert (status, reason[:23]) == (503, "the journal has no room")
    assert await asyncio.to_thread(gateway.get, "/healthz") == (200, "alive\n")

    async def is_full():  # on a full disk it tries again and again whether there is room
        return (await asyncio.to_thread(gateway.metrics))["hj212gw_journal_full"] == 1

    await wait_until(is_full)
    acked = sum(len(logger.acked) for logger in loggers)

    async def is_still():
        nonlocal acked
        before, acked = acked, sum(len(logger.acked) for logger in loggers)
        metrics = await asyncio.to_thread(gateway.metrics)
        return (
            acked == before and metrics["hj212gw_frames_accepted_total"] == metrics["hj212gw_journal_pending_packets"]
        )

    await wait_until(is_still)


async def fill_and_go_on(gateway, database):
    """Fill the journal while the database is away, and see all stored once it is back."""
    await asyncio.to_thread(gateway.start)
    made = [Logger(f"FULL{number:010d}", gateway.port, make=make_wide) for number in range(4)]
    async with running_loggers(made) as loggers:
        await assert_stuck(gateway, loggers)
        await database.start()
        await wait_until(lambda: has_logged(gateway, "journal.freed"))
        await wait_acked(loggers, 200)
    # While they send, they fill what room there is at once: that is told, each time, and passes with them.
    await wait_until(lambda: is_ready(gateway))
    frames = [frame for logger in loggers for frame in logger.acked]
    await assert_exactly_once(database.dsn, frames, factors=2)
    await assert_conserved(gateway)
    assert await asyncio.to_thread(gateway.stop) == 0


async def test_full_journal_holds_senders_up_until_there_is_room(serve, away):
    """At its largest size the journal takes nothing more; drained, it goes on where it stopped."""
    gateway = serve(away.dsn, "--unknown-mn", "accept", journal__max_bytes=64 * MIB, **SETTINGS)
    await fill_and_go_on(gateway, away)


async def test_full_disk_holds_senders_up_until_there_is_room(serve, away, tmp_path):
    """A disk that is full before the journal is does the same."""
    with mounted(tmp_path / "gateway" / "data" / "journal", "size=12m"):
        gateway = serve(away.dsn, "--unknown-mn", "accept", **SETTINGS)
        await fill_and_go_on(gateway, away)


async def test_full_disk_does_not_hold_up_a_stop(serve, away, tmp_path):
    """What was acknowledged is kept over the stop; what was not, the senders still have."""
    with mounted(tmp_path / "gateway" / "data" / "journal", "size=12m"):
        gateway = serve(away.dsn, "--unknown-mn", "accept", **SETTINGS)
        await asyncio.to_thread(gateway.start)
        made = [Logger(f"FULL{number:010d}", gateway.port, make=make_wide) for number in range(4)]
        async with running_loggers(made) as loggers:
            await assert_stuck(gateway, loggers)
            assert await asyncio.to_thread(gateway.stop, 20) == 0
            await away.start()
            await asyncio.to_thread(gateway.start)
        frames = [frame for logger in loggers for frame in logger.acked]
        await assert_exactly_once(away.dsn, frames, factors=2)
        await assert_conserved(gateway, is_first=False)
        assert await asyncio.to_thread(gateway.stop) == 0
