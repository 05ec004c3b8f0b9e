"""Migrations: forward only, checksummed, safe to run twice and at once."""

import asyncio
import secrets
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest
from tests.conftest import execute

from hj212gw.errors import SchemaMismatch
from hj212gw.store.engine import read_engine
from hj212gw.store.migrate import check_schema, load_migrations, migrate, read_state

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture
async def connection(empty_dsn):
    """A plain connection to an empty database."""
    connection = await asyncpg.connect(empty_dsn)
    yield connection
    await connection.close()


async def test_migrate_applies_all_once(connection):
    """An empty database gets every migration; a second run finds nothing to do."""
    names = [migration.name for migration in load_migrations()]
    assert (await read_state(connection)).pending == names
    assert await migrate(connection, now=NOW) == names
    assert await migrate(connection, now=NOW) == []
    state = await read_state(connection)
    assert [name for _, name, _ in state.applied] == names
    assert (state.pending, state.is_newer) == ([], False)
    await check_schema(connection)


async def test_migrate_runs_safely_at_once(empty_dsn):
    """Two processes that migrate at the same time both succeed."""
    first, second = [await asyncpg.connect(empty_dsn) for _ in range(2)]
    done = await asyncio.gather(migrate(first, now=NOW), migrate(second, now=NOW))
    assert sorted(map(len, done)) == [0, len(load_migrations())]
    await first.close()
    await second.close()


async def test_migrate_needs_no_superuser(connection):
    """A login that may create schemas and roles is enough; the gateway's functions run with its rights."""
    keeper = f"hj212_test_{secrets.token_hex(6)}"
    database = await connection.fetchval("SELECT current_database()")
    await connection.execute(f"CREATE ROLE {keeper} CREATEROLE")
    await connection.execute(f"GRANT CREATE ON DATABASE {database} TO {keeper}")
    await connection.execute(f"SET ROLE {keeper}")
    await migrate(connection, now=NOW)
    await connection.execute("RESET ROLE")
    await connection.execute("SET ROLE hj212_gateway")
    await connection.fetchval("SELECT hj212.ensure_partitions($1)", NOW + timedelta(days=60))
    await connection.fetchval("SELECT hj212.drop_partitions('packets', $1)", NOW)
    await connection.execute("RESET ROLE")
    await connection.execute(f"DROP OWNED BY {keeper} CASCADE; DROP ROLE {keeper}")


async def test_check_schema_refuses_an_empty_database(connection):
    """Without migrations the message names the next step."""
    with pytest.raises(SchemaMismatch, match="hj212gw db migrate"):
        await check_schema(connection)


async def test_check_schema_refuses_a_changed_migration(connection):
    """A migration that was applied in another form is told from ours."""
    await migrate(connection, now=NOW)
    await connection.execute("UPDATE hj212.migrations SET checksum = 'other' WHERE version = 1")
    with pytest.raises(SchemaMismatch, match="0001_create_schema"):
        await check_schema(connection)
    with pytest.raises(SchemaMismatch, match="checksum"):
        await migrate(connection, now=NOW)


async def test_check_schema_refuses_a_newer_database(connection):
    """A database that a newer program migrated is left alone."""
    await migrate(connection, now=NOW)
    await connection.execute("INSERT INTO hj212.migrations VALUES (9999, '9999_later', 'x')")
    with pytest.raises(SchemaMismatch, match="9999"):
        await check_schema(connection)
    assert (await read_state(connection)).is_newer


async def is_hypertable(connection):
    """Whether TimescaleDB makes the partitions."""
    return await connection.fetchval("SELECT count(*) FROM pg_extension WHERE extname = 'timescaledb'") > 0


async def test_partitions_cover_what_may_come(connection):
    """On plain PostgreSQL partitions reach from 401 days back to 29 whole days ahead; packets take 2000 to 2099."""
    await migrate(connection, now=NOW)
    if await is_hypertable(connection):
        pytest.skip("TimescaleDB makes chunks by itself")
    rows = await connection.fetch(
        "SELECT table_name, min(from_at) AS low, max(to_at) AS high, count(*) FROM hj212.partitions GROUP BY 1"
    )
    spans = {row["table_name"]: row for row in rows}
    for table, span in spans.items():
        assert span["low"] <= NOW - timedelta(days=400), table
        assert span["high"] >= NOW + timedelta(days=29), table
    assert spans["packets"]["low"].year == 1999
    assert spans["packets"]["high"].year == 2100


@pytest.mark.parametrize("shift", [timedelta(days=1), timedelta(days=200), timedelta(days=-900), timedelta(days=4000)])
async def test_partitions_follow_the_clock(connection, shift):
    """Wherever the clock goes, partitions follow without a gap or an overlap."""
    await migrate(connection, now=NOW)
    if await is_hypertable(connection):
        pytest.skip("TimescaleDB makes chunks by itself")
    assert await connection.fetchval("SELECT hj212.ensure_partitions($1)", NOW + shift) > 0
    assert await connection.fetchval("SELECT hj212.ensure_partitions($1)", NOW + shift) == 0
    gaps = await connection.fetchval(
        "SELECT count(*) FROM (SELECT to_at, lead(from_at) OVER (PARTITION BY table_name ORDER BY from_at) AS next_at"
        " FROM hj212.partitions) AS p WHERE next_at <> to_at"
    )
    assert gaps == 0


async def test_future_packets_move_into_their_partition(connection):
    """A packet whose QN lies ahead of all partitions is kept, and found again when its day's partition is made."""
    await migrate(connection, now=NOW)
    if await is_hypertable(connection):
        pytest.skip("TimescaleDB makes chunks by itself")
    later = NOW + timedelta(days=60)
    await connection.execute(
        "INSERT INTO hj212.packets (qn_at, received_at, digest, mn, st, cn, edition, peer, state, raw)"
        " VALUES ($1, $2, 'd', 'm', '32', '2011', '2017', 'p', 'stored', 'r')",
        later,
        NOW,
    )
    assert (
        await connection.fetchval("SELECT relname FROM hj212.packets p JOIN pg_class c ON c.oid = p.tableoid")
        == "packets_future"
    )
    await connection.fetchval("SELECT hj212.ensure_partitions($1)", later)
    where = await connection.fetchval("SELECT relname FROM hj212.packets p JOIN pg_class c ON c.oid = p.tableoid")
    assert where == f"packets_{later:%Y%m%d}"


async def add_reading(connection, data_time):
    """Store one real-time reading of a moment."""
    await connection.execute(
        "INSERT INTO hj212.readings_rtd (logger_id, nth, data_time, received_at, st, cn, factor)"
        " VALUES (1, 0, $1, $1, '32', '2011', 'w01018')",
        data_time,
    )


async def test_retention_leaves_the_empty_past_alone(connection):
    """Past its retention, the partition for late data goes with what it holds; empty, it is not made anew each time."""
    await migrate(connection, now=NOW)
    if await is_hypertable(connection):
        pytest.skip("chunks are dropped by drop_chunks")
    now = NOW + timedelta(days=100)

    async def maintain():
        dropped = await connection.fetchval(
            "SELECT hj212.drop_partitions('readings_rtd', $1)", now - timedelta(days=90)
        )
        return dropped, await connection.fetchval("SELECT hj212.ensure_partitions($1)", now)

    await maintain()
    assert await maintain() == (0, 0)
    await add_reading(connection, now - timedelta(days=95))
    assert await maintain() == (1, 1)
    assert await connection.fetchval("SELECT count(*) FROM hj212.readings_rtd") == 0


async def test_retention_drops_whole_chunks(empty_dsn):
    """On TimescaleDB too only what lies wholly before the moment goes, wherever the extension stands."""
    connection = await asyncpg.connect(empty_dsn)
    has_library = await connection.fetchval("SELECT count(*) FROM pg_settings WHERE name LIKE 'timescaledb.%'")
    await connection.close()
    if not has_library:
        pytest.skip("plain PostgreSQL")
    await execute(empty_dsn, "DROP EXTENSION IF EXISTS timescaledb; CREATE SCHEMA elsewhere")
    await execute(empty_dsn, "CREATE EXTENSION timescaledb SCHEMA elsewhere")
    connection = await asyncpg.connect(empty_dsn)
    await migrate(connection, now=NOW)
    for days in (0, 2, 100):
        await add_reading(connection, NOW - timedelta(days=days))
    assert (await read_engine(connection)).table_bytes["readings_rtd"] > 0
    await connection.execute("SET ROLE hj212_gateway")
    assert await connection.fetchval("SELECT hj212.drop_partitions('readings_rtd', $1)", NOW - timedelta(days=1)) == 2
    assert await connection.fetchval("SELECT min(data_time) FROM hj212.readings_rtd") == NOW
    await connection.execute("RESET ROLE")
    assert await connection.fetchval("SELECT hj212.apply_columnstore(45)") in {None, "apache_licence"}
    await connection.close()


async def test_retention_drops_whole_partitions(connection):
    """Only what lies wholly before the moment goes."""
    await migrate(connection, now=NOW)
    if await is_hypertable(connection):
        pytest.skip("chunks are dropped by drop_chunks")
    assert await connection.fetchval("SELECT hj212.drop_partitions('readings_rtd', $1)", NOW + timedelta(days=3)) == 5
    low = await connection.fetchval("SELECT min(from_at) FROM hj212.partitions WHERE table_name = 'readings_rtd'")
    assert low == datetime(2026, 3, 4, tzinfo=UTC)
    with pytest.raises(asyncpg.RaiseError):
        await connection.fetchval("SELECT hj212.drop_partitions('loggers', $1)", NOW)


ROLE_CASES = [
    ("hj212_analyst", "SELECT * FROM hj212.v_readings", True),
    ("hj212_analyst", "SELECT * FROM hj212.v_packets", True),
    ("hj212_analyst", "SELECT * FROM hj212.v_loggers", True),
    ("hj212_analyst", "SELECT * FROM hj212.packets", False),
    ("hj212_analyst", "SELECT * FROM hj212.data_loggers", False),
    ("hj212_analyst", "DELETE FROM hj212.v_readings", False),
    ("hj212_gateway", "DELETE FROM hj212.packets", False),
    ("hj212_gateway", "DROP TABLE hj212.packets", False),
    ("hj212_gateway", "UPDATE hj212.rejects SET reason = ''", False),
    ("hj212_gateway", "SELECT hj212.ensure_partitions(now())", True),
    ("hj212_aggregator", "INSERT INTO hj212.packets SELECT * FROM hj212.packets", False),
    ("hj212_aggregator", "DELETE FROM hj212.dirty", True),
]


@pytest.mark.parametrize(("role", "statement", "may"), ROLE_CASES)
async def test_roles_do_what_they_may(connection, role, statement, may):
    """Each role can do its work and nothing else."""
    await migrate(connection, now=NOW)
    await connection.execute(f"SET ROLE {role}")
    if may:
        await connection.execute(statement)
    else:
        with pytest.raises((asyncpg.InsufficientPrivilegeError, asyncpg.ObjectNotInPrerequisiteStateError)):
            await connection.execute(statement)
