"""Settings as limits of the gateway: everything is taken over, and minutes are those of its clock."""

import pytest

from hj212gw.cli.reloading import CHANGEABLE, make_limits, make_retention
from hj212gw.config import options
from hj212gw.config_loading import load_settings


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch):
    """No variable of the caller's environment reaches a test."""
    for option in options().values():
        monkeypatch.delenv(option.env, raising=False)


def test_every_changeable_option_exists():
    """A section has a dot behind."""
    names = set(options())
    for option in CHANGEABLE:
        assert option in names or (option.endswith(".") and any(name.startswith(option) for name in names))


def test_limits_are_those_of_the_settings():
    """Networks, files and shares, by name."""
    settings = load_settings(
        overrides={
            "gateway.deny_networks": ["192.0.2.0/24"],
            "gateway.proxy_networks": ["10.1.0.10/32"],
            "limits.connections_per_mn": 7,
            "tls.port": 0,
            "tls.certificate_file": "a.pem",
            "tls.key_file": "a.key",
            "tls.bind_mn": "off",
            "retention.minute_days": 700,
        }
    )
    limits = make_limits(settings)
    assert not limits.access.admits("192.0.2.9")
    assert limits.access.proxies.holds("10.1.0.10")
    assert limits.shares.connections_per_mn == 7
    assert limits.shares.packets_per_minute_per_mn == 600
    assert (limits.tls_port, str(limits.tls.certificate), limits.tls.binds_mn) == (0, "a.pem", False)
    assert make_retention(settings).minute_days == 700


def test_minutes_are_those_of_the_clock():
    """A simulated month that passes in minutes is no flood; no limit stays none."""
    overrides = {"clock.speed": 1000, "limits.rejects_per_minute": 0}
    shares = make_limits(load_settings(overrides=overrides, simulated_clock=True)).shares
    assert (shares.packets_per_minute_per_mn, shares.rejects_per_minute) == (600_000, 0)
