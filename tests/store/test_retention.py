"""Retention: what is past goes whole, what is under a legal hold stays until the hold ends. On both engines."""

from datetime import UTC, datetime, timedelta

import asyncpg
import pytest

from hj212gw import telemetry_store
from hj212gw.store.migrate import migrate
from hj212gw.store.retention import Retention, maintain

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
DAY = timedelta(days=1)
OLD = NOW + 10 * DAY  # the first day that is past its retention later on; its partition is there already
LATER = NOW + 200 * DAY
SERIES = {"readings_rtd": "data_time", "packets": "qn_at"}


class Database:
    """A migrated database with two data loggers, one of them at the outlet that gets held."""

    def __init__(self, connection, dsn):
        self.connection, self.dsn = connection, dsn

    async def fill(self, days, mns=("HELD", "OTHER")):
        """Store a reading and a packet of each data logger on each day."""
        await self.connection.fetchval("SELECT hj212.ensure_partitions($1)", OLD + max(days) * DAY)
        for mn in mns:
            await self.connection.execute(
                "INSERT INTO hj212.readings_rtd (logger_id, nth, data_time, received_at, st, cn, factor)"
                " SELECT l.logger_id, 0, t, t, '32', '2011', 'w01018' FROM hj212.loggers l, unnest($2::timestamptz[]) t"
                " WHERE l.mn = $1",
                mn,
                [OLD + day * DAY for day in days],
            )
            for day in days:
                await self.add_packet(mn, OLD + day * DAY, OLD + day * DAY)

    async def add_packet(self, mn, qn_at, received_at):
        """Store a packet."""
        await self.connection.execute(
            "INSERT INTO hj212.packets (qn_at, received_at, digest, mn, st, cn, edition, peer, state, raw)"
            " VALUES ($2, $3, convert_to($1, 'UTF8'), $1, '32', '2011', '2017', 'p', 'stored', 'r')"
            " ON CONFLICT DO NOTHING",
            mn,
            qn_at,
            received_at,
        )

    async def hold(self, from_at=None, to_at=None, outlet="outlet 1"):
        """Put an outlet under a hold; None is an open end."""
        return await self.connection.fetchval(
            "INSERT INTO hj212.legal_holds (outlet, reason, valid_from, valid_to)"
            " VALUES ($1, 'case 7', coalesce($2, '-infinity'::timestamptz), $3) RETURNING row_id",
            outlet,
            from_at,
            to_at,
        )

    async def release(self, row_id):
        """End a hold."""
        await self.connection.execute("UPDATE hj212.legal_holds SET superseded_at = now() WHERE row_id = $1", row_id)

    async def maintain(self, table="readings_rtd", before=LATER):
        """Run retention as the gateway does; return how many partitions or chunks went."""
        await self.connection.execute("SET ROLE hj212_gateway")
        dropped = await self.connection.fetchval("SELECT hj212.drop_partitions($1, $2)", table, before)
        await self.connection.fetchval("SELECT hj212.ensure_partitions($1)", before)
        await self.connection.execute("RESET ROLE")
        return dropped

    async def left(self, table="readings_rtd"):
        """Return what is left as (MN, day after OLD), in order."""
        mn = "mn" if table == "packets" else "(SELECT mn FROM hj212.loggers l WHERE l.logger_id = t.logger_id)"
        rows = await self.connection.fetch(f"SELECT {mn}, {SERIES[table]} FROM hj212.{table} t ORDER BY 1, 2")
        return [(row[0], (row[1] - OLD).days) for row in rows]


@pytest.fixture
async def database(postgres_dsn):
    """A database on whichever engine the tests run on."""
    connection = await asyncpg.connect(postgres_dsn)
    await migrate(connection, now=NOW)
    await connection.execute("INSERT INTO hj212.loggers (mn) VALUES ('HELD'), ('OTHER')")
    await connection.execute(
        "INSERT INTO hj212.data_loggers (mn, outlet) VALUES ('HELD', 'outlet 1'), ('OTHER', 'outlet 2')"
    )
    if await connection.fetchval("SELECT hj212.columnstore_obstacle() IS NULL"):
        # By the real clock all of this is old: the jobs would set to work on it at once, beside the tests.
        await connection.execute(
            "SELECT public.alter_job(job_id, scheduled => false) FROM timescaledb_information.jobs"
        )
    yield Database(connection, postgres_dsn)
    await connection.close()


for_each_series = pytest.mark.parametrize("table", SERIES)


@for_each_series
async def test_without_a_hold_all_goes(database, table):
    """Nothing is left, and nothing is swept."""
    await database.fill([0, 1, 2])
    assert await database.maintain(table) >= 3
    assert await database.left(table) == []
    assert await database.connection.fetchval("SELECT count(*) FROM hj212.swept") == 0


@for_each_series
async def test_held_outlet_stays_and_the_others_go(database, table):
    """Of the days that the hold covers only the held data logger's rows stay; its other days go too."""
    await database.fill([0, 1, 2, 3, 9])
    await database.hold(OLD + DAY, OLD + 2 * DAY + timedelta(hours=1))
    await database.maintain(table)
    assert await database.left(table) == [("HELD", 1), ("HELD", 2)]


@for_each_series
async def test_swept_once_and_dropped_when_the_hold_ends(database, table):
    """What was swept is noted; a later pass drops what the hold kept."""
    await database.fill([0, 1])
    row_id = await database.hold()
    await database.maintain(table)
    noted = await database.connection.fetch("SELECT * FROM hj212.swept ORDER BY from_at")
    assert len(noted) == 2
    assert await database.maintain(table) == 0
    assert await database.connection.fetch("SELECT * FROM hj212.swept ORDER BY from_at") == noted
    await database.release(row_id)
    assert await database.maintain(table) >= 2
    assert await database.left(table) == []
    assert await database.connection.fetchval("SELECT count(*) FROM hj212.swept") == 0


async def test_many_old_days_are_swept_a_few_at_a_time(database):
    """A pass stays short: four are swept, the rest waits whole for the next."""
    await database.fill(range(6))
    await database.hold()
    await database.maintain()
    assert len([mn for mn, _ in await database.left() if mn == "OTHER"]) == 2
    await database.maintain()
    assert await database.left() == [("HELD", day) for day in range(6)]


async def test_late_data_finds_its_partition_between_held_ones(database):
    """What lies between held days can still be stored, and goes with the next pass."""
    await database.fill([0, 1, 2])
    await database.connection.execute("DELETE FROM hj212.readings_rtd WHERE data_time = $1", OLD + DAY)
    await database.hold()
    await database.maintain()
    await database.fill([1], mns=["OTHER"])
    await database.maintain()
    assert await database.left() == [("HELD", 0), ("HELD", 2)]


async def test_second_hold_keeps_what_is_still_there(database):
    """A hold that comes later is judged anew; it brings nothing back."""
    await database.fill([0, 1])
    await database.hold()
    await database.maintain()
    await database.hold(outlet="outlet 2")
    await database.fill([1], mns=["OTHER"])
    await database.maintain()
    assert await database.left() == [("HELD", 0), ("HELD", 1), ("OTHER", 1)]


async def test_packet_with_a_wrong_clock_is_held_by_its_arrival(database):
    """Its QN lies years before the hold, its arrival in it."""
    await database.add_packet("HELD", OLD - 3000 * DAY, OLD)
    await database.add_packet("OTHER", OLD - 3000 * DAY, OLD)
    await database.add_packet("HELD", OLD - 2000 * DAY, OLD - 5 * DAY)
    await database.hold(OLD, OLD + DAY)
    await database.maintain("packets")
    assert await database.left("packets") == [("HELD", -3000)]


HELD_BY = [
    ("UPDATE hj212.data_loggers SET superseded_at = now() WHERE mn = 'HELD'", ["HELD"]),
    ("UPDATE hj212.data_loggers SET valid_to = '2026-01-01' WHERE mn = 'HELD'", []),
    ("UPDATE hj212.data_loggers SET outlet = NULL WHERE mn = 'HELD'", []),
    ("INSERT INTO hj212.channels (mn, st, outlet) VALUES ('OTHER', '31', 'outlet 1')", ["HELD", "OTHER"]),
    ("INSERT INTO hj212.channels (mn, st, outlet) VALUES ('OTHER', '31', 'outlet 3')", ["HELD"]),
]


@pytest.mark.parametrize(("change", "held"), HELD_BY)
async def test_outlet_is_found_in_the_registry(database, change, held):
    """Data loggers, channels and corrected rows count, where they hold at the time; in doubt a row is kept."""
    await database.fill([0])
    await database.connection.execute(change)
    await database.hold(OLD - DAY, OLD + DAY)
    await database.maintain()
    assert await database.left() == [(mn, 0) for mn in held]


async def test_compressed_chunk_is_swept(database):
    """In the columnstore too the held data logger's rows stay and the others go."""
    if await database.connection.fetchval("SELECT hj212.columnstore_obstacle() IS NOT NULL"):
        pytest.skip("no columnstore here")
    await database.fill([0, 1])
    await database.connection.execute("SELECT public.compress_chunk(c) FROM public.show_chunks('hj212.readings_rtd') c")
    await database.connection.execute("SET timescaledb.max_tuples_decompressed_per_dml_transaction = 1")
    row_id = await database.hold(OLD, OLD + timedelta(hours=1))
    assert await database.maintain() == 1
    assert await database.left() == [("HELD", 0)]
    await database.release(row_id)
    assert await database.maintain() == 1


@pytest.fixture
def warnings(monkeypatch):
    """The warnings that were told, by reason."""
    told = {}
    monkeypatch.setattr(telemetry_store, "store_warned", told.__setitem__)
    return told


async def test_real_time_data_stays_longer_where_the_columnstore_is(database, warnings):
    """Where no setting says it: 90 days on plain PostgreSQL, 730 with the columnstore."""
    moments = [0, 100, 400]
    await database.fill(moments, mns=["OTHER"])
    now = OLD + 400 * DAY + 200 * DAY
    await maintain(database.connection, Retention(), now)
    has_columnstore = await database.connection.fetchval("SELECT hj212.columnstore_obstacle() IS NULL")
    assert await database.left() == ([("OTHER", day) for day in moments] if has_columnstore else [])
    assert list(warnings) == await expected_warnings(database)


async def expected_warnings(database):
    """The apache licence is told; nothing else is amiss."""
    obstacle = await database.connection.fetchval("SELECT hj212.columnstore_obstacle()")
    return ["columnstore_missing"] if obstacle == "apache_licence" else []


async def test_setting_decides_how_long_real_time_data_stays(database, warnings):
    """On every engine alike."""
    await database.fill([0, 20], mns=["OTHER"])
    await maintain(database.connection, Retention(real_time_days=10, packets_days=30), OLD + 25 * DAY)
    assert await database.left() == [("OTHER", 20)]
    assert len(await database.left("packets")) == 2
    assert list(warnings) == await expected_warnings(database)


async def test_retention_that_fails_is_told_and_stops_nothing(database, warnings):
    """Another session reads what is to go: the drain that calls goes on, and partitions are made all the same."""
    await database.fill([0])
    await database.connection.fetchval("SELECT hj212.ensure_partitions($1)", LATER)
    piece = await database.connection.fetchval(
        "SELECT piece FROM hj212.list_old_pieces('readings_rtd', $1) WHERE from_at <= $2 AND to_at > $2", LATER, OLD
    )
    blocker = await asyncpg.connect(database.dsn)
    async with blocker.transaction():
        await blocker.fetch(f"SELECT * FROM {piece}")
        await database.connection.execute("SET statement_timeout = 200")
        await maintain(database.connection, Retention(real_time_days=10), LATER)
    await blocker.close()
    assert list(warnings) == [*await expected_warnings(database), "retention_failed"]
    assert "57014" in warnings["retention_failed"]
    assert len(await database.left()) == 2
