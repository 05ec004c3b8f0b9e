"""Who is known, and how that outlives a start without the database."""

import pytest

from hj212gw.gateway.admission import Admission, Verdict
from hj212gw.store.loggers import KnownLogger

KNOWN = KnownLogger("MN1", "123456", "32", 60)
OPEN = KnownLogger("MN2", None, "31", None)


@pytest.fixture
def admission(tmp_path):
    """Two data loggers, one of them with any PW."""
    admission = Admission(accepts_unknown=False, snapshot=tmp_path / "registry.json")
    admission.replace([KNOWN, OPEN])
    return admission


@pytest.mark.parametrize(
    ("mn", "pw", "verdict"),
    [
        ("MN1", "123456", Verdict.KNOWN),
        ("MN1", "123457", Verdict.WRONG_PASSWORD),
        ("MN1", "", Verdict.WRONG_PASSWORD),
        ("MN1", "密码", Verdict.WRONG_PASSWORD),
        ("MN2", "anything", Verdict.KNOWN),
        ("mn1", "123456", Verdict.UNKNOWN_MN),
        ("", "", Verdict.UNKNOWN_MN),
    ],
)
def test_judge(admission, mn, pw, verdict):
    """MN and PW are compared as sent; a registry without PW takes any."""
    assert admission.judge(mn, pw) is verdict


def test_interval_is_zero_where_it_is_not_known(admission):
    """The idle timeout then goes by its setting alone."""
    assert [admission.interval_secs(mn) for mn in ("MN1", "MN2", "MN3")] == [60, 0, 0]


def test_found_logger_is_known_with_any_pw(admission):
    """A data logger that was registered as found does not take the place of a registered one."""
    admission.add_found("MN3", "32")
    admission.add_found("MN1", "32")
    assert admission.judge("MN3", "x") is Verdict.KNOWN
    assert admission.judge("MN1", "x") is Verdict.WRONG_PASSWORD


def test_snapshot_outlives_the_process(admission, tmp_path):
    """A start without the database knows what the last one knew; only its owner may read the passwords."""
    again = Admission(accepts_unknown=False, snapshot=tmp_path / "registry.json")
    assert again.load_snapshot() == 2
    assert again.judge("MN1", "123456") is Verdict.KNOWN
    assert again.interval_secs("MN1") == 60
    assert (tmp_path / "registry.json").stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("content", [None, "", "[", "{}", "[1]", '[{"mn": 1}]', '[["MN1"]]', '["MN1"]', "\x80"])
def test_unreadable_snapshot_knows_nobody(tmp_path, content):
    """A first start, or a file cut short by a crash, is no error: the database will tell."""
    path = tmp_path / "registry.json"
    if content is not None:
        path.write_bytes(content.encode("latin-1"))
    admission = Admission(accepts_unknown=False, snapshot=path)
    assert admission.load_snapshot() == 0
    assert admission.judge("MN1", "123456") is Verdict.UNKNOWN_MN


def test_snapshot_is_written_when_the_registry_changed(admission, tmp_path):
    """The same registry again leaves the file alone, another one replaces it."""
    path = tmp_path / "registry.json"
    written_at = path.stat().st_mtime_ns
    admission.replace([KNOWN, OPEN])
    assert path.stat().st_mtime_ns == written_at
    admission.replace([OPEN])
    assert "MN1" not in path.read_text()


def test_snapshot_that_cannot_be_written_is_left_out(tmp_path):
    """The registry counts all the same, and the file comes as soon as it can."""
    folder = tmp_path / "later"
    admission = Admission(accepts_unknown=False, snapshot=folder / "registry.json")
    admission.replace([KNOWN])
    assert admission.judge("MN1", "123456") is Verdict.KNOWN
    folder.mkdir()
    admission.replace([KNOWN])
    assert "MN1" in (folder / "registry.json").read_text()
