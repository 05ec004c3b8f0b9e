"""What tests of the assessment share."""

import pytest
from tests.assessment.database import Calculator
from tests.conftest import new_database


@pytest.fixture(scope="module")
def calculator(postgres_server_dsn):
    """A database for the module and the calculation on it; examples clean up behind themselves."""
    with new_database(postgres_server_dsn) as dsn:
        found = Calculator(dsn)
        with found.runner:
            found.run(found.open())
            yield found
            found.run(found.close())
