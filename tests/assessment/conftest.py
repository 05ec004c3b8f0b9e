"""A database for a whole module, for properties that need many examples."""

import asyncio
import secrets

import asyncpg
import pytest
from tests.assessment import city
from tests.conftest import execute, with_database


@pytest.fixture(scope="module")
def module_dsn(postgres_server_dsn):
    """A database of the module's own with the city registered, dropped afterwards."""
    name = f"hj212_test_{secrets.token_hex(6)}"
    dsn = with_database(postgres_server_dsn, name)
    asyncio.run(execute(postgres_server_dsn, f"CREATE DATABASE {name}"))
    try:
        asyncio.run(_found(dsn))
        yield dsn
    finally:
        asyncio.run(execute(postgres_server_dsn, f"DROP DATABASE {name} WITH (FORCE)"))


async def _found(dsn):
    connection = await asyncpg.connect(dsn)
    try:
        await city.found(connection)
    finally:
        await connection.close()
