"""When certificates run out."""

from datetime import UTC, datetime, timedelta

import pytest
from tests.gateway.certificates import Authority
from tests.support import GatewayProcess

from hj212gw import telemetry
from hj212gw.gateway.certificates import find_endings, find_expiry


@pytest.fixture
def authority(tmp_path):
    """What signs certificates that are good for two days."""
    return Authority(tmp_path)


def test_first_end_of_all_files(authority, tmp_path):
    """A chain, or an authority beside it, may end before the certificate itself."""
    certificate, _ = authority.sign_gateway()
    ends = find_expiry([certificate])
    assert timedelta(days=1) < ends - datetime.now(UTC) <= timedelta(days=2)
    chain = tmp_path / "chain.pem"
    chain.write_bytes(certificate.read_bytes() + authority.file.read_bytes())
    assert find_expiry([chain]) == min(find_expiry([authority.file]), ends)
    assert find_expiry([authority.file, certificate]) == find_expiry([chain])


def test_file_that_cannot_be_read_has_no_end(authority, tmp_path):
    """It is refused where it is loaded; here it hides no other one."""
    wrong = tmp_path / "wrong.pem"
    wrong.write_text("no certificate")
    certificate, _ = authority.sign_gateway()
    assert find_expiry([wrong]) is None
    assert find_expiry([tmp_path / "none.pem"]) is None
    assert find_expiry([]) is None
    assert find_expiry([wrong, certificate]) == find_expiry([certificate])


NOW = datetime.now(UTC)
ENDINGS = [(-0.5, "ran out on "), (20, "runs out on "), (22, None)]


@pytest.mark.parametrize(("days", "words"), ENDINGS)
def test_end_is_told_three_weeks_before(tmp_path, days, words):
    """And ever after; before that there is nothing to say."""
    certificate, _ = Authority(tmp_path, days=days).sign_gateway()
    endings = find_endings([certificate, tmp_path / "none.pem"], NOW)
    assert [ending.file for ending in endings] == ([certificate] if words else [])
    assert all(f"{certificate} {words}" in ending.describe() for ending in endings)
    assert all(ending.is_over == (days < 0) for ending in endings)


@pytest.mark.parametrize(("days", "is_told"), [(-0.5, True), (100, False)])
def test_gateway_tells_it_at_its_start(tmp_path, days, is_told):
    """It starts all the same: the plain port goes on, and some data loggers do not look at dates."""
    certificate, key = Authority(tmp_path / "ca", days=days).sign_gateway()
    files = {"tls.host": "127.0.0.1", "tls.port": 0, "tls.certificate_file": certificate, "tls.key_file": key}
    settings = {**files, "gateway.stop_timeout_secs": 1}
    with GatewayProcess(tmp_path, "serve", "--dsn", "postgresql://n@127.0.0.1:1/hj212", settings=settings) as gateway:
        assert gateway.has_logged("certificate.ending") == is_told
        assert f"hj212gw_tls_certificates_ending_total {float(is_told)}" in gateway.get("/metrics")[1]


def test_gauge_is_there_from_the_start():
    """Not a number without TLS."""
    assert telemetry.REGISTRY.get_sample_value("hj212gw_tls_certificate_expires_timestamp_seconds") is not None
