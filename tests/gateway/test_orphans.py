"""Journals that no process fills: drained to their end, whatever is in the way, and looked at again."""

import asyncio
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from functools import partial

import asyncpg
import pytest
from tests.gateway.support import DRAIN_LIMITS, JOURNAL, Counts, eventually, frame, live_gateway
from tests.support import secs

from hj212gw.clock import Clock
from hj212gw.errors import JournalUnwritable
from hj212gw.gateway.admission import Admission
from hj212gw.gateway.batches import BatchMaker
from hj212gw.gateway.drain import Drain
from hj212gw.gateway.orphans import Orphans
from hj212gw.journal import Journal, JournalSettings, inspect
from hj212gw.store.migrate import migrate
from hj212gw.store.writer import Writer

NOWHERE = "postgresql://nobody@127.0.0.1:1/nothing"


@pytest.fixture
async def database(postgres_dsn):
    """A connection to a migrated database; its `dsn` is what the drain connects to."""
    connection = await asyncpg.connect(postgres_dsn, server_settings={"search_path": "hj212, public"})
    await migrate(connection, now=datetime.now(UTC))
    yield connection
    await connection.close()


@pytest.fixture
async def orphans_of(tmp_path):
    """Leaves journals of so many packets each behind; returns their directories."""

    async def make(*counts):
        directories = []
        for number, count in enumerate(counts):
            async with live_gateway(tmp_path / str(number)) as live:
                line = await live.connect()
                await line.send(*(frame(packet, mn=f"ORPHAN{number:08d}") for packet in range(count)))
                await line.answers(count)
            directories.append(tmp_path / str(number) / "journal")
        return directories

    return make


@asynccontextmanager
async def draining(tmp_path, directories, dsn, clock=None):
    """Orphans being drained in the background; the address of the database may be changed while they are."""
    clock = clock or Clock()
    address = [dsn]
    admission = Admission(accepts_unknown=True, snapshot=tmp_path / "registry.json", clock=clock)

    def make_drain(journal):
        writer = Writer(address[0], journal.uuid, statement_timeout_secs=secs(5))
        return Drain(journal, writer, BatchMaker(admission), admission, clock)

    settings = JournalSettings(directory=tmp_path / "own", **JOURNAL)
    orphans = Orphans(lambda: directories, settings, make_drain, DRAIN_LIMITS, clock)
    orphans.start()
    try:
        yield orphans, address
    finally:
        await orphans.stop()


async def count_of(database):
    """How many packets are stored."""
    return await database.fetchval("SELECT count(*) FROM packets")


async def test_orphans_are_drained_one_after_the_other(tmp_path, database, postgres_dsn, orphans_of):
    """To their end, and are closed then; what they hold is shown while they are open."""
    directories = await orphans_of(30, 0, 20)
    async with draining(tmp_path, directories, postgres_dsn) as (orphans, _):
        assert orphans.stats() == []
        await eventually(orphans.stats)
        async with asyncio.timeout(secs(30)):
            while await count_of(database) < 50 or orphans.stats():  # noqa: ASYNC110 - the database has no event
                await asyncio.sleep(0.01)
    assert all(inspect(directory).owner_pid is None for directory in directories)
    drained = await database.fetch("SELECT position FROM journals WHERE position > 0")
    assert len(drained) == 2


async def test_database_that_is_away_is_waited_for(tmp_path, database, postgres_dsn, orphans_of):
    """However often it has to be tried."""
    directories = await orphans_of(10)
    counts = Counts()
    async with draining(tmp_path, directories, NOWHERE) as (orphans, address):
        await eventually(lambda: counts("store_retries_total") >= 2)
        assert [stats.pending_records for stats in orphans.stats()] == [10]
        address[0] = postgres_dsn
        await eventually(lambda: not orphans.stats())
    assert await count_of(database) == 10


async def test_orphan_that_is_in_use_is_left_and_tried_again(tmp_path, database, postgres_dsn, orphans_of):
    """The others are drained meanwhile; it is told and its turn comes."""
    directories = await orphans_of(5, 7)
    holder = Journal.open(JournalSettings(directory=directories[0], **JOURNAL))
    counts = Counts()
    fast = Clock(datetime.now(UTC), speed=3600.0)
    async with draining(tmp_path, directories, postgres_dsn, fast):
        await eventually(lambda: counts("packets_stored_total") == 7)
        assert counts("journals_left_total") >= 1
        await holder.close()
        await eventually(lambda: counts("packets_stored_total") == 12)


async def test_orphan_is_drained_again_after_the_database_was_restored(tmp_path, database, postgres_dsn, orphans_of):
    """Its files stay for a while for just that, and it is looked at again and again."""
    directories = await orphans_of(6)
    counts = Counts()
    fast = Clock(datetime.now(UTC), speed=3600.0)
    async with draining(tmp_path, directories, postgres_dsn, fast):
        await eventually(lambda: counts("packets_stored_total") == 6)
        await database.execute("TRUNCATE packets; UPDATE journals SET position = 0")
        await eventually(lambda: counts("packets_stored_total") == 12)


async def test_stop_in_the_midst_keeps_what_is_not_stored(tmp_path, orphans_of):
    """It is in the journal for the next start."""
    directories = await orphans_of(10)
    async with draining(tmp_path, directories, NOWHERE) as (orphans, _):
        await eventually(orphans.stats)
    assert inspect(directories[0]).records == 10
    assert inspect(directories[0]).owner_pid is None


async def test_directory_that_cannot_be_read_is_told(tmp_path):
    """And does not end the gateway."""

    def find():
        raise PermissionError(13, "Permission denied")

    counts = Counts()
    settings = JournalSettings(directory=tmp_path, **JOURNAL)
    orphans = Orphans(find, settings, partial(pytest.fail, "there is nothing to drain"), DRAIN_LIMITS, Clock())
    await orphans.drain_all()
    assert counts("journals_left_total") == 1
    await orphans.stop()


async def test_orphan_whose_disk_fails_is_left(tmp_path, orphans_of, monkeypatch):
    """Nothing more is asked of it now."""
    directories = await orphans_of(3)
    counts = Counts()
    monkeypatch.setattr(Journal, "failure", property(lambda _: JournalUnwritable("the disk failed")))
    async with draining(tmp_path, directories, NOWHERE):
        await eventually(lambda: counts("journals_left_total") == 1)


async def test_fault_nobody_thought_of_is_told_and_ends_nothing_else(tmp_path):
    """The gateway goes on, and stops in order."""
    told = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: told.append(context["exception"]))
    settings = JournalSettings(directory=tmp_path, **JOURNAL)

    def find():
        raise ZeroDivisionError

    orphans = Orphans(find, settings, pytest.fail, DRAIN_LIMITS, Clock())
    orphans.start()
    await eventually(lambda: told)
    await orphans.stop()
    assert isinstance(told[0], ZeroDivisionError)
