"""The drain between a real journal and a real database: nothing twice, nothing lost, nothing late."""

import asyncio
import gc
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest
from tests.gateway.support import DRAIN_LIMITS, MN, Counts, eventually, frame, live_gateway
from tests.proxy import Proxy
from tests.support import secs

from hj212gw.clock import Clock
from hj212gw.errors import JournalCorrupt
from hj212gw.journal import Record
from hj212gw.protocol.times import format_data_time
from hj212gw.registry import InputFile, import_files
from hj212gw.registry.cells import format_moment
from hj212gw.store.loggers import add_found_loggers
from hj212gw.store.migrate import migrate
from hj212gw.store.registry import RegistryStore
from hj212gw.store.rows import Batch, PacketRows


@pytest.fixture
async def database(postgres_dsn):
    """A connection to a migrated database."""
    connection = await asyncpg.connect(postgres_dsn, server_settings={"search_path": "hj212, public"})
    await migrate(connection, now=datetime.now(UTC))
    yield Database(postgres_dsn, connection)
    await connection.close()


class Database:
    """The database as a test looks at it."""

    def __init__(self, dsn, connection):
        self.dsn, self.connection = dsn, connection

    async def value(self, query, *arguments):
        """Return one value."""
        return await self.connection.fetchval(query, *arguments)

    async def until(self, query, expected, timeout=10):
        """Wait until a query gives a value."""
        async with asyncio.timeout(secs(timeout)):
            while await self.value(query) != expected:  # noqa: ASYNC110 - the database has no event
                await asyncio.sleep(0.01)

    async def stored(self, count):
        """Wait until so many packets are stored."""
        await self.until("SELECT count(*) FROM packets", count)

    async def cut(self):
        """End the drain's connections, as a restart of the server does."""
        await self.value(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
            " WHERE datname = current_database() AND application_name LIKE 'hj212gw drain%'"
        )


def current(number, **fields):
    """A packet of now with one reading; `number` makes it and its reading distinct."""
    moment = format_data_time(datetime.now(UTC).replace(microsecond=0) - timedelta(hours=2) + timedelta(seconds=number))
    return frame(number, cp=f"DataTime={moment};w01018-Rtd={number}.5,w01018-Flag=N", **fields)


async def keep(line, *frames):
    """Send frames and wait until all are acknowledged."""
    await line.send(*frames)
    await line.answers(len(frames))


async def test_journal_is_drained(tmp_path, database):
    """Packets, readings, rejects and who was heard are stored, the position is confirmed, all is counted."""
    counts = Counts()
    async with live_gateway(tmp_path, dsn=database.dsn) as live:
        line = await live.connect()
        frames = [current(number) for number in range(100)]
        await keep(line, *frames)
        await line.send(frames[0][:-6] + b"0000\r\n")
        await database.stored(100)
        await database.until("SELECT count(*) FROM v_readings", 100)
        await database.until("SELECT reason FROM v_rejects", "crc")
        await eventually(lambda: live.journal.stats().pending_records == 0)
        await database.until(
            "SELECT last_packet_at = max(received_at) FROM v_packets, v_loggers GROUP BY last_packet_at", True
        )
        assert await database.value("SELECT position FROM journals") == live.journal.stats().confirmed_seq
        assert {bytes(row["raw"]) for row in await database.connection.fetch("SELECT raw FROM packets")} == set(frames)
    assert counts("packets_stored_total") == counts("readings_stored_total") == 100
    assert counts("rejects_stored_total") == 1


async def test_no_wakeup_is_lost(tmp_path, database):
    """However a record and the drain's falling asleep interleave, the record is not left lying."""
    patient = DRAIN_LIMITS._replace(idle_wait_secs=600, batch_wait_secs=0)
    async with live_gateway(tmp_path, dsn=database.dsn, drain=patient) as live:
        line = await live.connect()
        for number in range(150):
            await keep(line, current(number))
            for _ in range(number % 7):
                await asyncio.sleep(0)
        await database.stored(150)
        await eventually(lambda: live.journal.stats().pending_records == 0)


async def test_connection_that_is_cut_again_and_again(tmp_path, database):
    """Whatever batch is under way when the server ends it: each packet is stored once."""
    counts = Counts()
    async with live_gateway(tmp_path, dsn=database.dsn) as live:
        line = await live.connect()
        for round_number in range(6):
            first = round_number * 100
            await line.send(b"".join(current(number) for number in range(first, first + 100)))
            await database.cut()
            await line.answers(100)
        await database.stored(600)
        await database.until("SELECT count(*) FROM v_readings", 600)
    assert counts("packets_stored_total") == 600
    assert counts("packets_repeated_total") == 0
    assert counts("store_retries_total") >= 1
    assert counts("store_recoveries_total") >= 1


async def test_database_restored_from_a_backup_is_filled_up(tmp_path, database):
    """A database that is behind gets again what it has lost, out of what the journal still keeps."""
    async with live_gateway(tmp_path, dsn=database.dsn) as live:
        line = await live.connect()
        await keep(line, *[current(number) for number in range(50)])
        await database.stored(50)
        await eventually(lambda: live.journal.stats().pending_records == 0)
        await database.connection.execute("TRUNCATE packets, readings_rtd; UPDATE journals SET position = 0")
        await database.cut()
        await keep(line, current(50))
        await database.stored(51)
        await database.until("SELECT count(*) FROM v_readings", 51)


async def test_position_that_was_moved_is_taken_over(tmp_path, database):
    """A drain whose position somebody else set reads it again and stores nothing twice."""
    counts = Counts()
    async with live_gateway(tmp_path, dsn=database.dsn) as live:
        line = await live.connect()
        await keep(line, *[current(number) for number in range(20)])
        await database.stored(20)
        await eventually(lambda: live.journal.stats().pending_records == 0)
        await database.connection.execute("UPDATE journals SET position = 0")
        await keep(line, current(20))
        await database.stored(21)
        await database.until("SELECT count(*) FROM v_readings", 21)
    assert counts("store_failures_total", reason="position_moved") == 1
    assert (counts("packets_stored_total"), counts("packets_repeated_total")) == (21, 20)


async def test_position_behind_the_journals_end_stops_the_gateway(tmp_path, database):
    """A journal older than the database is an old copy: its new packets would be taken for stored ones."""
    async with live_gateway(tmp_path, dsn=database.dsn) as live:
        line = await live.connect()
        await keep(line, current(0))
        await database.stored(1)
        await database.connection.execute("UPDATE journals SET position = 1000")
        await database.cut()
        async with asyncio.timeout(secs(10)):
            error = await asyncio.shield(live.gateway.failed)
        assert isinstance(error, JournalCorrupt)
        assert "old copy" in live.gateway.find_fault()


async def test_registry_change_is_heard(tmp_path, database):
    """A registered data logger is known at once, not only when the registry is looked at again."""
    patient = DRAIN_LIMITS._replace(refresh_secs=600)
    async with live_gateway(tmp_path, dsn=database.dsn, accepts_unknown=False, drain=patient) as live:
        line = await live.connect()
        await keep(line, *[current(number) for number in range(700)])  # more than one run of the release
        await database.stored(700)
        assert await database.value("SELECT count(*) FROM v_packets WHERE state = 'unregistered'") == 700
        await add_found_loggers(database.connection, [(MN, "32")])
        await database.until("SELECT count(*) FROM v_packets WHERE state = 'stored'", 700)
        assert await database.value("SELECT count(*) FROM v_readings") == 700
        await keep(line, current(700))
        await database.until("SELECT count(*) FROM v_readings", 701)


async def test_held_packets_belong_to_the_outlet_of_their_data_time(tmp_path, database):
    """Registered later, with channels of before: readings keep their arrival and take the outlet of their DataTime."""
    cut = datetime.now(UTC).replace(microsecond=0) - timedelta(minutes=90)
    async with live_gateway(tmp_path, dsn=database.dsn, accepts_unknown=False) as live:
        line = await live.connect()
        await keep(line, current(0), current(3600))
        await database.stored(2)
        arrivals = await database.value("SELECT array_agg(received_at ORDER BY received_at) FROM v_packets")
        async with RegistryStore.open(database.dsn) as store:
            report = await import_files(store, registry_of(MN, cut), Clock())
        assert not report.has_errors, [str(finding) for finding in report.findings.kept()]
        await database.until("SELECT count(*) FROM v_readings", 2)
    rows = await database.connection.fetch("SELECT outlet, role, received_at FROM v_readings ORDER BY data_time")
    assert [tuple(row) for row in rows] == [("o1", "standby", arrivals[0]), ("o2", "standby", arrivals[1])]
    assert await database.value("SELECT count(*) FROM v_packets WHERE state = 'stored'") == 2


def registry_of(mn, cut):
    """Files that register a data logger whose readings are another outlet's from a moment on."""
    contents = [
        "enterprise,name,credit_code,county,level,valid_from,valid_to\ne1,x,,,other,,",
        "outlet,enterprise,name,medium,valid_from,valid_to\no1,e1,x,water,,\no2,e1,x,water,,",
        f"mn,pw,st,outlet,cns,rtd_interval_secs,min_interval_mins,factors,role,valid_from,valid_to\n{mn},,32,o1,,,,,standby,,",
        f"mn,st,factor,outlet,valid_from,valid_to\n{mn},32,,o2,{format_moment(cut)},",
    ]
    return [InputFile(f"{place}.csv", content.encode()) for place, content in enumerate(contents)]


async def test_drained_through_tells_what_is_stored(tmp_path, database):
    """An idle journal tells how far it is; one with something pending does not run ahead of it."""
    async with live_gateway(tmp_path, dsn=database.dsn) as live:
        line = await live.connect()
        began = datetime.now(UTC)
        await keep(line, current(0))
        await database.stored(1)
        await database.until(f"SELECT drained_through > '{began - timedelta(seconds=2)}' FROM journals", True)
        through = await database.value("SELECT drained_through FROM journals")
        assert through <= datetime.now(UTC)


async def test_missing_partition_is_waited_for(tmp_path, database):
    """Rows without a partition are a fault of the database: they wait, and nothing is quarantined."""
    if await database.value("SELECT count(*) FROM pg_extension WHERE extname = 'timescaledb'"):
        pytest.skip("TimescaleDB makes chunks by itself")
    counts = Counts()
    async with live_gateway(tmp_path, dsn=database.dsn) as live:
        line = await live.connect()
        await keep(line, current(0))
        await database.stored(1)
        today = await database.value("SELECT tableoid::regclass FROM readings_rtd")
        await database.connection.execute(f"ALTER TABLE readings_rtd DETACH PARTITION hj212.{today}")
        await keep(line, current(1))
        await eventually(lambda: counts("store_retries_total") >= 1)
        bounds = await database.connection.fetchrow(
            "SELECT from_at, to_at FROM partitions WHERE partition_name = $1", str(today).removeprefix("hj212.")
        )
        await database.connection.execute(
            f"ALTER TABLE readings_rtd ATTACH PARTITION hj212.{today} FOR VALUES FROM ('{bounds[0]}') TO ('{bounds[1]}')"
        )
        await database.stored(2)
        await database.until("SELECT count(*) FROM v_readings", 2)
    assert counts("packets_quarantined_total", reason="rows_refused") == 0


async def test_migration_under_a_running_drain_is_seen(tmp_path, database):
    """A newer schema is met within a look at the registry: packets are acknowledged and wait, and no row is written."""
    counts = Counts()
    async with live_gateway(tmp_path, dsn=database.dsn) as live:
        line = await live.connect()
        await keep(line, current(0))
        await database.stored(1)
        newer = "INSERT INTO migrations (version, name, checksum) VALUES (9999, '9999_later', '')"
        await database.connection.execute(newer)
        await eventually(lambda: counts("store_failures_total", reason="schema_mismatch") >= 1)
        await keep(line, current(1))
        tries = counts("store_failures_total", reason="schema_mismatch")
        await eventually(lambda: counts("store_failures_total", reason="schema_mismatch") > tries)
        assert live.journal.stats().pending_records == 1
        assert await database.value("SELECT count(*) FROM packets") == 1
        await database.connection.execute("DELETE FROM migrations WHERE version = 9999")
        await database.stored(2)


async def test_packets_of_any_shape_do_not_stop_it(tmp_path, database):
    """Packets without readings, with one value, with none, with bytes no text holds: all are stored."""
    areas = [
        b"", b";", b"DataTime=20260301080000", b"DataTime=20260301080000;", b"DataTime=20260301080000;;,",
        b"DataTime=;w01018-Rtd=1", b"w01018-Rtd=1", b"DataTime=20260301080000;w01018-Flag=N",
        b"DataTime=20260301080000;\xff\xfe-Rtd=1", b"DataTime=20260301080000;w01018-Rtd=\x80",
        b"DataTime=20260301080000;w01018-Rtd=" + b"9" * 400, b"DataTime=20260301080000;w\x00-Rtd=1",
    ]  # fmt: skip
    frames = [frame(number, cp=area.decode("latin-1")) for number, area in enumerate(areas)]
    async with live_gateway(tmp_path, dsn=database.dsn) as live:
        line = await live.connect()
        await keep(line, *frames)
        await database.stored(len(frames))
        await eventually(lambda: live.journal.stats().pending_records == 0)


async def test_failed_batch_leaves_nothing_for_the_collector(tmp_path, database):
    """What a lost batch held is free at once: the collector of cycles comes rarely, and each batch is megabytes."""
    async with Proxy(database.dsn) as proxy, live_gateway(tmp_path, dsn=proxy.dsn) as live:
        line = await live.connect()
        await keep(line, *[current(number) for number in range(20)])
        await database.stored(20)
        gc.collect()
        gc.disable()
        try:
            for round_ in range(1, 4):
                proxy.cut_after = b"readings_rtd"
                await keep(line, *[current(20 * round_ + number) for number in range(20)])
                await database.stored(20 + 20 * round_)
                assert proxy.cuts == round_
            gc.set_debug(gc.DEBUG_SAVEALL)
            gc.collect()
            held = [found for found in gc.garbage if isinstance(found, Batch | PacketRows | Record)]
        finally:
            gc.set_debug(0)
            gc.garbage.clear()
            gc.enable()
    assert held == []
