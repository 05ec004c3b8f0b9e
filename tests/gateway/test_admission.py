"""Who is known, and how that outlives a start without the database."""

import hmac
import json
from datetime import UTC, datetime, timedelta

import pytest
from tests.gateway.support import Counts

from hj212gw.clock import Clock
from hj212gw.errors import ConfigError
from hj212gw.gateway.admission import Admission, Verdict
from hj212gw.protocol.dialects import SLUGS, CrcKind, Dialect, Key, make_dialect
from hj212gw.registry.keysfile import KeysFile
from hj212gw.store.loggers import DatedKey, KnownLogger

NOW = datetime(2026, 5, 1, tzinfo=UTC)
FIRST = DatedKey(Key("k1", b"first-sixteen-1."), None, NOW - timedelta(days=30))
SECOND = DatedKey(Key("k2", b"second-sixteen-2"), NOW - timedelta(days=31), None)
THIRD = DatedKey(Key("k3", b"third-sixteen-3."), NOW + timedelta(days=30), None)
AGAIN = DatedKey(Key("k1", b"again-sixteen-4."), NOW - timedelta(days=30), None)
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


def test_pw_is_compared_in_constant_time(admission, monkeypatch):
    """By the function made for it, whole, wherever the first difference is."""
    compared = []
    compare = hmac.compare_digest
    monkeypatch.setattr(hmac, "compare_digest", lambda *both: compared.append(both) or compare(*both))
    assert admission.judge("MN1", "x23456") is admission.judge("MN1", "12345x") is Verdict.WRONG_PASSWORD
    assert compared == [(b"123456", b"x23456"), (b"123456", b"12345x")]


def test_peer_is_foreign_where_the_registry_names_networks(tmp_path):
    """Of the data loggers that have some, also after a start without the database."""
    admission = Admission(accepts_unknown=False, snapshot=tmp_path / "registry.json")
    admission.replace([KNOWN._replace(networks=("10.53.0.0/16", "2001:db8::/32")), OPEN])
    again = Admission(accepts_unknown=False, snapshot=tmp_path / "registry.json")
    again.load_snapshot()
    for held in (admission, again):
        peers = ("10.53.7.7:5000", "2001:db8::9:5000", "10.54.0.1:5000", "?:0")
        assert [held.is_foreign("MN1", peer) for peer in peers] == [False, False, True, True]
        assert not held.is_foreign("MN2", "10.54.0.1:5000")
        assert not held.is_foreign("UNKNOWN", "10.54.0.1:5000")


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


def clock_at(moment):
    """A clock that as good as stands at a moment."""
    return Clock(epoch=moment, speed=1e-9)


def make_admission(folder, *loggers, keys_file=None, at=NOW):
    """Admission at a moment, with these data loggers."""
    path = folder / "registry.json"
    admission = Admission(accepts_unknown=False, snapshot=path, keys_file=keys_file, clock=clock_at(at))
    admission.replace(loggers)
    return admission


@pytest.mark.parametrize(
    ("slugs", "expected"),
    [
        ((), None),
        (("crc_modbus",), Dialect(crc=CrcKind.MODBUS)),
        (("crc_modbus_swapped",), Dialect(crc=CrcKind.SWAPPED)),
        (("crc_short", "length_characters"), Dialect(short_crc=True, counts_characters=True)),
        (("closing_missing", "single_ampersand"), Dialect(lacks_closing=True, single_ampersand=True)),
        (("unheard_of",), None),
        (("unheard_of", "crc_short"), Dialect(short_crc=True)),
    ],
)
def test_dialect_is_what_the_registry_switches_on(tmp_path, slugs, expected):
    """A data logger without dialects and keys has none, which is the standard."""
    admission = make_admission(tmp_path, KNOWN._replace(dialects=slugs), OPEN)
    assert admission.dialect_of("MN1") == expected
    assert admission.dialect_of("MN2") is None
    assert admission.dialect_of("nobody") is None


def test_dialect_is_made_once(tmp_path):
    """Asking for a dialect is a look-up: the same object every time until the registry changes."""
    admission = make_admission(tmp_path, KNOWN._replace(dialects=SLUGS[:1], keys=(SECOND,)))
    assert admission.dialect_of("MN1") is admission.dialect_of("MN1")
    admission.replace([KNOWN])
    assert admission.dialect_of("MN1") is None


def test_dialect_has_the_keys_in_force_newest_first(tmp_path):
    """Keys that ended or have not begun are not tried on what comes now."""
    both = DatedKey(Key("k0", b"zeroth-sixteen-0"), None, None)
    admission = make_admission(tmp_path, KNOWN._replace(keys=(both, FIRST, SECOND, THIRD)))
    assert admission.dialect_of("MN1") == make_dialect((), [SECOND.key, both.key])


def test_key_of_finds_keys_of_every_time(tmp_path):
    """A packet kept earlier is read by the key of its arrival, also of an MN that is registered no more."""
    retired = KnownLogger("GONE", None, None, None, keys=(FIRST,), is_registered=False)
    admission = make_admission(tmp_path, KNOWN._replace(keys=(FIRST, AGAIN, THIRD)), retired)
    assert admission.key_of("MN1", "k1") == AGAIN.key
    assert admission.key_of("MN1", "k1", NOW - timedelta(days=40)) == FIRST.key
    assert admission.key_of("MN1", "k3") == THIRD.key
    assert admission.key_of("GONE", "k1") == FIRST.key
    assert admission.key_of("MN1", "k9") is admission.key_of("MN9", "k1") is None
    assert admission.judge("GONE", "") is Verdict.UNKNOWN_MN
    assert admission.dialect_of("GONE") is None


def test_snapshot_keeps_dialects_and_keys(tmp_path):
    """A start without the database speaks with the data loggers as the last one did."""
    logger = KNOWN._replace(dialects=("crc_modbus",), keys=(FIRST, SECOND), min_interval_mins=5)
    retired = KnownLogger("GONE", None, None, None, keys=(THIRD,), is_registered=False)
    before = make_admission(tmp_path, logger, OPEN, retired)
    again = Admission(accepts_unknown=False, snapshot=tmp_path / "registry.json", clock=clock_at(NOW))
    assert again.load_snapshot() == 2
    assert again.dialect_of("MN1") == before.dialect_of("MN1") == make_dialect(("crc_modbus",), [SECOND.key])
    assert again.key_of("GONE", "k3") == THIRD.key
    assert again.key_of("MN1", "k1", NOW - timedelta(days=90)) == FIRST.key
    assert again.min_interval_mins("MN1") == 5
    assert again.min_interval_mins("MN2") == 0
    assert (tmp_path / "registry.json").stat().st_mode & 0o077 == 0
    written_at = (tmp_path / "registry.json").stat().st_mtime_ns
    again.replace([retired, OPEN, logger])
    assert (tmp_path / "registry.json").stat().st_mtime_ns == written_at


def test_snapshot_of_the_first_version_is_read(tmp_path):
    """After an upgrade the file of the version before still tells who is known."""
    path = tmp_path / "registry.json"
    path.write_text(json.dumps([["MN1", "123456", "32", 60], ["MN2", None, "31", None]]))
    admission = Admission(accepts_unknown=False, snapshot=path)
    assert admission.load_snapshot() == 2
    assert admission.judge("MN1", "123456") is Verdict.KNOWN
    assert admission.dialect_of("MN1") is None


@pytest.mark.parametrize(
    "later", ["[]", '{"keys": [["k1"]]}', '{"keys": [["k1", "zz", null, null]]}', '{"dialects": 5}', "7"]
)
def test_snapshot_with_a_fault_knows_nobody(tmp_path, later):
    """Nothing is taken of a file that is not as it was written."""
    path = tmp_path / "registry.json"
    path.write_text(f'[["MN1", "123456", "32", 60, {later}]]')
    admission = Admission(accepts_unknown=False, snapshot=path)
    assert admission.load_snapshot() == 0


def test_nothing_prints_secrets(tmp_path):
    """A data logger's text shows neither its password nor its keys."""
    logger = KNOWN._replace(keys=(FIRST,), dialects=("crc_short",))
    shown = f"{logger} {logger!r} {[logger]} {make_dialect((), [FIRST.key])!r}"
    assert "sixteen" not in shown
    assert "123456" not in shown
    assert "MN1" in shown


HEADER = "mn,key_id,secret,valid_from,valid_to\n"


def test_keys_file_is_merged_with_the_registry(tmp_path):
    """Keys of the file count beside those of the database, for MNs the registry knows or not."""
    path = tmp_path / "keys.csv"
    path.write_text(f"{HEADER}MN1,f1,{'f' * 16},2026-04-30,\nMN7,f7,{'7' * 16},,\n")
    admission = make_admission(tmp_path, KNOWN._replace(keys=(SECOND,)), keys_file=KeysFile(path))
    admission.load_keys()
    from_file = Key("f1", b"f" * 16)
    assert admission.dialect_of("MN1") == make_dialect((), [from_file, SECOND.key])
    assert admission.dialect_of("MN7") == make_dialect((), [Key("f7", b"7" * 16)])
    assert admission.key_of("MN1", "f1") == from_file
    admission.replace([OPEN])
    assert admission.dialect_of("MN1") == make_dialect((), [from_file])
    assert "f" * 16 not in (tmp_path / "registry.json").read_text()


def test_keys_file_is_followed(tmp_path):
    """A change counts at the next look; a file that became wrong leaves the keys of before."""
    path = tmp_path / "keys.csv"
    path.write_text(HEADER)
    counts = Counts()
    admission = make_admission(tmp_path, keys_file=KeysFile(path))
    admission.load_keys()
    path.write_text(f"{HEADER}MN1,f1,{'f' * 16},,\n")
    admission.refresh()
    assert admission.key_of("MN1", "f1") == Key("f1", b"f" * 16)
    for _ in range(3):
        path.write_text(f"{HEADER}MN1,f1,short,,\n") if not counts("keys_refused_total") else None
        admission.refresh()
        assert admission.key_of("MN1", "f1") == Key("f1", b"f" * 16)
    assert counts("keys_refused_total") == 1


def test_keys_file_that_is_wrong_stops_the_start(tmp_path):
    """Who names a file means it to be read."""
    admission = make_admission(tmp_path, keys_file=KeysFile(tmp_path / "none.csv"))
    with pytest.raises(ConfigError, match="keys_file"):
        admission.load_keys()


def test_keys_follow_the_clock(tmp_path):
    """A key begins and ends at its time, without a look at the registry."""
    clock = Clock(epoch=NOW, speed=1e-9)
    admission = Admission(accepts_unknown=False, snapshot=tmp_path / "registry.json", clock=clock)
    admission.replace([KNOWN._replace(keys=(SECOND, THIRD))])
    assert admission.dialect_of("MN1").keys == (SECOND.key,)
    admission.refresh()
    assert admission.dialect_of("MN1").keys == (SECOND.key,)
    admission._clock = clock_at(THIRD.valid_from)
    admission.refresh()
    assert admission.dialect_of("MN1").keys == (THIRD.key, SECOND.key)
