"""Which engine it is, and what is said of its versions and its columnstore."""

from datetime import UTC, datetime

import asyncpg
import pytest

from hj212gw.store.engine import OBSTACLES, describe_columnstore, judge_versions, read_engine
from hj212gw.store.migrate import migrate

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)

VERSIONS = [
    (150020, "2.28.3", True),
    (150020, "2.28.4", False),
    (150020, "2.28.10", False),
    (150019, "2.28.3", False),
    (150018, "2.20.0", False),
    (150021, "2.9.9", True),
    (160016, "2.31.1", True),
    (160016, "2.28.4", True),
    (160016, "2.31.2", False),
    (160015, "2.31.1", False),
    (170012, "2.31.1", True),
    (170012, "2.32.0-dev", False),
    (170011, "2.28.0", False),
    (180006, "2.31.1", True),
    (180006, "2.31.2", False),
    (180005, "2.31.1", False),
    (190000, "2.31.1", False),
    (140021, "2.10.0", False),
    (150020, None, False),
]


@pytest.mark.parametrize(("server", "timescaledb", "is_old"), VERSIONS)
def test_timescaledb_that_its_server_outgrew_is_told(server, timescaledb, is_old):
    """From the minors of November 2026 on an older extension's background jobs fail."""
    warning = judge_versions(server, timescaledb)
    assert bool(warning) == is_old
    if is_old:
        assert timescaledb in warning
        assert f"{server // 10_000}.{server % 10_000}" in warning
        assert "ALTER EXTENSION timescaledb UPDATE" in warning


@pytest.fixture
async def connection(postgres_dsn):
    """A plain connection to an empty database."""
    connection = await asyncpg.connect(postgres_dsn)
    yield connection
    await connection.close()


async def test_engine_of_an_empty_database_is_told(empty_dsn):
    """Before the first migration there are no tables and nothing is known of the columnstore."""
    connection = await asyncpg.connect(empty_dsn)
    engine = await read_engine(connection)
    await connection.close()
    assert (engine.table_bytes, engine.obstacle, engine.columnstore_after) == ({}, "", "")
    assert engine.server.split(".")[0].isdigit()
    assert describe_columnstore(engine) == "not known yet"


async def test_engine_tells_its_tables_and_its_columnstore(connection):
    """Readings go into the columnstore after 45 days, or the reason is named."""
    await migrate(connection, now=NOW)
    engine = await read_engine(connection)
    assert set(engine.table_bytes) >= {"packets", "readings_rtd", "readings_minute", "readings_hour", "readings_day"}
    if engine.obstacle:
        assert engine.obstacle == ("apache_licence" if engine.timescaledb else "plain_postgresql")
        assert describe_columnstore(engine) == OBSTACLES[engine.obstacle]
    else:
        assert (engine.obstacle, engine.columnstore_after) == ("", "45 days")
        assert describe_columnstore(engine) == "readings go into it after 45 days"


async def test_engine_without_the_job_is_told(connection):
    """Somebody removed the jobs: nothing goes into the columnstore."""
    await migrate(connection, now=NOW)
    if (await read_engine(connection)).obstacle:
        pytest.skip("no columnstore here")
    await connection.execute(
        "SELECT public.delete_job(job_id) FROM timescaledb_information.jobs WHERE proc_name = 'policy_compression'"
    )
    assert (await read_engine(connection)).obstacle == "no_job"
