"""When certificates run out."""

from datetime import UTC, datetime, timedelta

import pytest
from tests.gateway.certificates import Authority

from hj212gw import telemetry
from hj212gw.gateway.certificates import find_expiry


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


def test_gauge_is_there_from_the_start():
    """Not a number without TLS."""
    assert telemetry.REGISTRY.get_sample_value("hj212gw_tls_certificate_expires_timestamp_seconds") is not None
