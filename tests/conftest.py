"""What all tests share: a real PostgreSQL, and one factor for all deadlines."""

import asyncio
import os
import secrets
import shutil
import tempfile
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest
from hypothesis import HealthCheck, settings

from hj212gw.store.embedded import EmbeddedOptions, EmbeddedServer

# HJ212_TEST_TIMESCALE_DSN or HJ212_TEST_POSTGRES_DSN: a login that may create databases, in place of the embedded server.
GIVEN_DSN = os.environ.get("HJ212_TEST_TIMESCALE_DSN") or os.environ.get("HJ212_TEST_POSTGRES_DSN")

# A test server loses nothing by a crash of the machine; product defaults never say this.
FAST = {"fsync": "off", "shared_buffers": "64MB", "max_connections": "40", "full_page_writes": "off"}

settings.register_profile("dev", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("ci", settings.get_profile("dev"), derandomize=True, print_blob=True)
settings.load_profile("ci" if os.environ.get("CI") else "dev")


def with_database(dsn, name):
    """The same server, another database."""
    parts = urlsplit(dsn)
    return urlunsplit((parts.scheme, parts.netloc or "", f"/{name}", parts.query, ""))


async def execute(dsn, statement):
    """Run one statement on a connection of its own."""
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


@pytest.fixture(scope="session")
def postgres_server_dsn():
    """An administrator's DSN of the server all tests of the run share."""
    if GIVEN_DSN:
        yield GIVEN_DSN
        return
    folder = Path(tempfile.mkdtemp(prefix="hj212-test-"))
    folder.chmod(0o755)
    server = EmbeddedServer(folder / "pg", EmbeddedOptions(settings=FAST))
    asyncio.run(server.start())
    yield server.dsn
    asyncio.run(server.stop())
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def postgres_dsn(postgres_server_dsn):
    """A database of the test's own, empty, dropped afterwards."""
    name = f"hj212_test_{secrets.token_hex(6)}"
    asyncio.run(execute(postgres_server_dsn, f"CREATE DATABASE {name}"))
    dsn = with_database(postgres_server_dsn, name)
    # urlunsplit drops the empty authority's slashes, which asyncpg wants
    yield dsn if "://" in dsn else dsn.replace(":", "://", 1)
    asyncio.run(execute(postgres_server_dsn, f"DROP DATABASE {name} WITH (FORCE)"))
