"""What end-to-end tests are made of: gateways that never outlive their test, and databases to ill-treat."""

from datetime import UTC, datetime

import asyncpg
import pytest
from tests.support import Database, GatewayProcess

from hj212gw.store.migrate import migrate


@pytest.fixture
async def dsn(postgres_dsn):
    """A migrated database of the test's own."""
    connection = await asyncpg.connect(postgres_dsn)
    await migrate(connection, now=datetime.now(UTC))
    await connection.close()
    return postgres_dsn


@pytest.fixture
async def connection(dsn):
    """A connection to look into the database with."""
    connection = await asyncpg.connect(dsn)
    yield connection
    await connection.close()


@pytest.fixture
async def database():
    """A server of the test's own, not started yet."""
    database = Database()
    yield database
    await database.remove()


@pytest.fixture
def serve(tmp_path):
    """Makes gateways beside a database; what a test leaves running is ended, and nothing may have complained."""
    made = []

    def make(dsn, *options, folder="gateway", command="serve", **settings):
        (tmp_path / folder).mkdir(exist_ok=True)
        named = {name.replace("__", "."): value for name, value in settings.items()}
        made.append(GatewayProcess(tmp_path / folder, command, "--dsn", dsn, *options, settings=named))
        return made[-1]

    yield make
    for gateway in made:
        if gateway.process and gateway.process.poll() is None:
            gateway.kill()
    for gateway in made:
        gateway.assert_quiet()
