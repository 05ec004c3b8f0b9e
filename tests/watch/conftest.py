"""Gateways and databases as the end-to-end tests have them, and what needs Prometheus' programs."""

import shutil

import pytest
from tests.e2e.conftest import database, dsn, serve  # noqa: F401 - fixtures


@pytest.fixture(scope="session")
def promtool():
    """Prometheus' tool that checks rules; without it the tests are skipped, which pytest's summary tells."""
    return _find("promtool")


@pytest.fixture(scope="session")
def prometheus_program():
    """Prometheus itself."""
    return _find("prometheus")


def _find(name):
    path = shutil.which(name)
    if path is None:
        pytest.skip(
            f"NOT TESTED: {name} is not installed, so rules and alerts are unproven: apt-get install prometheus"
        )
    return path
