"""What tests of the assessment share."""

import asyncpg
import pytest
from tests.assessment import city
from tests.assessment.database import Calculator
from tests.conftest import new_database, prepared_database


@pytest.fixture(scope="module")
def calculator(postgres_server_dsn, schema_template):
    """A database for the module and the calculation on it; examples clean up behind themselves."""
    with new_database(postgres_server_dsn, schema_template) as dsn:
        found = Calculator(dsn)
        with found.runner:
            found.run(found.open())
            yield found
            found.run(found.close())


@pytest.fixture
async def admin(postgres_dsn):
    """A connection to the city's database."""
    connection = await asyncpg.connect(postgres_dsn)
    await city.found(connection)
    yield connection
    await connection.close()


@pytest.fixture(scope="module")
def module_dsn(postgres_server_dsn, schema_template):
    """A database of the module's own with the city registered, dropped afterwards."""
    with prepared_database(postgres_server_dsn, schema_template, _found) as dsn:
        yield dsn


async def _found(dsn):
    connection = await asyncpg.connect(dsn)
    try:
        await city.found(connection)
    finally:
        await connection.close()
