"""What all tests share: a real PostgreSQL, and one factor for all deadlines."""

import asyncio
import os
import secrets
import shutil
import tempfile
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import pytest
from hypothesis import HealthCheck, settings

from hj212gw.store.embedded import EmbeddedOptions, EmbeddedServer
from hj212gw.store.migrate import migrate

# A login that may create databases and roles, in place of the embedded server.
TIMESCALE_DSN = os.environ.get("HJ212_TEST_TIMESCALE_DSN")
GIVEN_DSN = TIMESCALE_DSN or os.environ.get("HJ212_TEST_POSTGRES_DSN")
GIVEN_BIN_DIR = os.environ.get("HJ212_TEST_BIN_DIR")
TIME_SCALE = float(os.environ.get("HJ212_TEST_TIME_SCALE", "1"))

# A test server loses nothing by a crash of the machine; product defaults never say this.
FAST = {"fsync": "off", "shared_buffers": "64MB", "max_connections": "40", "full_page_writes": "off"}

# Copying files takes a fifth of the time, on a server whose checkpoints wait for no disk.
HOW_TO_COPY = "" if GIVEN_DSN else "STRATEGY FILE_COPY"

settings.register_profile("dev", deadline=None, suppress_health_check=[HealthCheck.too_slow])
# The same examples in every run: more of them find nothing new.
settings.register_profile("ci", settings.get_profile("dev"), derandomize=True, print_blob=True, max_examples=50)
settings.load_profile("ci" if os.environ.get("CI") else "dev")


def with_database(dsn, name):
    """The same server, another database."""
    parts = urlsplit(dsn)
    return f"{parts.scheme}://{parts.netloc}/{name}" + (f"?{parts.query}" if parts.query else "")


def with_user(dsn, user, password=""):
    """The same database, another login."""
    scheme, _, rest = dsn.partition("://")
    address = rest.rpartition("@")[2]
    if "user=" in address:  # of the embedded server, in the query
        before, _, after = address.partition("user=")
        return f"{scheme}://{before}user={user}{'&' + after.partition('&')[2] if '&' in after else ''}"
    return f"{scheme}://{user}{':' + password if password else ''}@{address}"


async def execute(dsn, statement):
    """Run one statement on a connection of its own."""
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


@pytest.fixture(scope="session")
def secs():
    """A deadline times HJ212_TEST_TIME_SCALE, for slow machines."""
    return lambda value: value * TIME_SCALE


@pytest.fixture(scope="session")
def embedded_options(secs):
    """Options of a private server that is quick and forgetful; `_replace` changes one."""
    return EmbeddedOptions(
        bin_dir=Path(GIVEN_BIN_DIR) if GIVEN_BIN_DIR else None,
        settings=FAST,
        start_timeout_secs=secs(30),
        stop_timeout_secs=secs(10),
    )


@pytest.fixture(scope="session")
def postgres_server_dsn(embedded_options):
    """An administrator's DSN of the server all tests of the run share."""
    if GIVEN_DSN:
        yield GIVEN_DSN
        return
    folder = Path(tempfile.mkdtemp(prefix="hj212-test-"))
    folder.chmod(0o755)  # pytest's own folders are closed to the account that root hands over to
    server = EmbeddedServer(folder / "pg", embedded_options)
    try:
        asyncio.run(server.start())
        yield server.dsn
    finally:
        asyncio.run(server.stop())
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def new_database(server_dsn, template=None):
    """Make a database, empty or a copy of another, dropped afterwards."""
    name = f"hj212_test_{secrets.token_hex(6)}"
    dsn = with_database(server_dsn, name)
    asyncio.run(execute(server_dsn, f"CREATE DATABASE {name} TEMPLATE {template or 'template0'} {HOW_TO_COPY}"))
    try:
        if TIMESCALE_DSN:
            asyncio.run(execute(dsn, "CREATE EXTENSION IF NOT EXISTS timescaledb"))
            # By the real clock what tests store is old: the jobs would compress it at once, beside the tests.
            asyncio.run(execute(dsn, "SELECT _timescaledb_functions.stop_background_workers()"))
        yield dsn
    finally:
        asyncio.run(execute(server_dsn, f"DROP DATABASE {name} WITH (FORCE)"))


@pytest.fixture(scope="session")
def schema_template(postgres_server_dsn):
    """Name of a database with the schema and no partitions: a copy takes a third of the time of its migrations.

    None on TimescaleDB, whose background workers stand in the way of copies.
    """
    if TIMESCALE_DSN:
        yield None
        return
    with new_database(postgres_server_dsn) as dsn:
        asyncio.run(_lay_schema(dsn))
        yield urlsplit(dsn).path.removeprefix("/")


async def _lay_schema(dsn):
    connection = await asyncpg.connect(dsn)
    try:
        await migrate(connection, now=datetime.now(UTC))
        for row in await connection.fetch("DELETE FROM hj212.partitions RETURNING partition_name"):
            await connection.execute(f"DROP TABLE hj212.{row['partition_name']}")
    finally:
        await connection.close()


@pytest.fixture
def postgres_dsn(postgres_server_dsn, schema_template):
    """A database of the test's own with the schema, to which `migrate` adds partitions; dropped afterwards."""
    with new_database(postgres_server_dsn, schema_template) as dsn:
        yield dsn


@pytest.fixture
def empty_dsn(postgres_server_dsn):
    """A database of the test's own with nothing in it, dropped afterwards."""
    with new_database(postgres_server_dsn) as dsn:
        yield dsn


@contextmanager
def prepared_database(server_dsn, template, prepare):
    """A database that a coroutine function of its DSN has prepared, for tests that share it."""
    with new_database(server_dsn, template) as dsn:
        asyncio.run(prepare(dsn))
        yield dsn


@asynccontextmanager
async def undone(dsn, **settings):
    """A connection in a transaction that is undone at the end, so that tests can share a database."""
    connection = await asyncpg.connect(dsn, server_settings=settings)
    transaction = connection.transaction()
    await transaction.start()
    try:
        yield connection
    finally:
        await transaction.rollback()
        await connection.close()
