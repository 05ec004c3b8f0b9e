"""What all tests of the gateway share."""

import pytest

from hj212gw import logs


@pytest.fixture(autouse=True)
def silent_log(monkeypatch):
    """Whatever a test before set up, these write no log: they look at counters."""
    monkeypatch.setattr(logs, "_event_log", None)
