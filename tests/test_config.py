"""Settings: where values come from, what is refused, and what is said of it."""

import json
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from hj212gw import config_docs
from hj212gw.config import Settings, options
from hj212gw.config_loading import load_settings, sources
from hj212gw.config_options import read_value
from hj212gw.errors import ConfigError

EXAMPLE = Path(__file__).parent.parent / "config" / "hj212gw.example.toml"
DSN = "postgresql://gateway:hunter2@db.example/hj212"


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch):
    """No variable of the caller's environment reaches a test."""
    for option in options().values():
        monkeypatch.delenv(option.env, raising=False)


@pytest.fixture
def write_file(tmp_path):
    """Write a settings file and return its path."""

    def write(text):
        path = tmp_path / "settings.toml"
        path.write_text(text, encoding="utf-8")
        return path

    return write


def source_of(settings, name):
    """Where one option's value came from."""
    return next(found.source for found in sources(settings) if found.name == name)


def refusal(*arguments, **keywords):
    """What is said when settings are refused."""
    with pytest.raises(ConfigError) as caught:
        load_settings(*arguments, **keywords)
    return str(caught.value)


def test_defaults_need_no_file():
    """Without anything given every option has its default."""
    settings = load_settings()
    assert settings.gateway.port == 9212
    assert settings.http.host == "127.0.0.1"
    assert settings.gateway.unknown_mn is None
    assert {found.source for found in sources(settings)} == {"default"}


def test_stronger_layers_win(write_file, monkeypatch):
    """A flag beats the environment, which beats the file, which beats the default; each source is known."""
    path = write_file("[gateway]\nport = 1\nbacklog = 2\nmax_sessions = 3\n")
    monkeypatch.setenv("HJ212GW_GATEWAY__PORT", "11")
    monkeypatch.setenv("HJ212GW_GATEWAY__BACKLOG", "12")
    settings = load_settings(path, {"gateway.port": 21, "gateway.host": None})
    assert (settings.gateway.port, settings.gateway.backlog, settings.gateway.max_sessions) == (21, 12, 3)
    assert source_of(settings, "gateway.port") == "flag"
    assert source_of(settings, "gateway.backlog") == "env HJ212GW_GATEWAY__BACKLOG"
    assert source_of(settings, "gateway.max_sessions") == f"file {path}"
    assert source_of(settings, "gateway.host") == "default"


def test_top_level_option_comes_from_the_environment_too(monkeypatch):
    """An option outside the sections has no double underscore."""
    monkeypatch.setenv("HJ212GW_DATA_DIR", "/srv/hj212")
    settings = load_settings()
    assert settings.data_dir == Path("/srv/hj212")
    assert settings.journal.directory == Path("/srv/hj212/journal")


def test_journal_stays_in_data_dir_unless_it_is_placed(write_file):
    """A journal may have a disk of its own."""
    assert load_settings(None, {"data_dir": "/a"}).journal.directory == Path("/a/journal")
    path = write_file('[journal]\ndirectory = "/fast/journal"\n')
    assert load_settings(path, {"data_dir": "/a"}).journal.directory == Path("/fast/journal")


def test_settings_cannot_be_changed():
    """A component can rely on what it was given."""
    settings = load_settings()
    with pytest.raises(ValueError, match="frozen"):
        settings.gateway.port = 1
    with pytest.raises(ValueError, match="frozen"):
        settings.data_dir = Path()


def test_constructing_settings_reads_no_environment(monkeypatch):
    """Only `load_settings` reads the environment, so that a section made in a test is what it says."""
    monkeypatch.setenv("HJ212GW_GATEWAY__PORT", "11")
    assert Settings().gateway.port == 9212


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[gateway]\nport = 99999", "gateway.port = 99999 (file {}): expected a whole number from 0 to 65535"),
        ('[gateway]\nunknown_mn = "drop"', "gateway.unknown_mn = 'drop' (file {}): expected accept or hold"),
        ("[gateway]\nmax_segment_bytes = 1.5", "expected a whole number from 1024 to 9999"),
        ("[database]\nretry_first_secs = 0", "expected a number above 0 to 60"),
        ("data_dir = 3", "data_dir = 3 (file {}): expected a path"),
        ("[clock]\nepoch = 2025-01-01T00:00:00", "expected a date and time with its offset"),
        (
            '[assessment]\ngood_flags = "N;S"',
            "assessment.good_flags = 'N;S' (file {}): expected data flags such as N,S",
        ),
        ("[assessment]\ngood_flags = []", "expected data flags such as N,S"),
        ("[gateway.port]\nx = 1", "gateway.port = {{'x': 1}} (file {}): expected a whole number"),
        ("[gateway]\nprot = 1", "unknown option gateway.prot (file {}); did you mean gateway.port?"),
        ("port = 1", "unknown option port (file {})"),
        ("gateway = 1", "unknown option gateway (file {})"),
        ("[zzzzzz]\na = 1", "unknown option zzzzzz.a (file {})"),
    ],
)
def test_wrong_file_is_refused_with_option_value_source_and_range(write_file, text, said):
    """The message says all that is needed to correct it."""
    path = write_file(text)
    assert said.format(path) in refusal(path, simulated_clock=True)


def test_every_fault_is_named_in_one_go(write_file):
    """Two faults are two lines."""
    path = write_file("[gateway]\nport = -1\nbacklog = 0\n")
    assert [line.split()[0] for line in refusal(path).splitlines()] == ["gateway.port", "gateway.backlog"]


def test_wrong_flag_and_wrong_variable_name_their_source(monkeypatch):
    """The source of a value is part of the message."""
    assert "gateway.port = 'abc' (flag): expected a whole number" in refusal(None, {"gateway.port": "abc"})
    monkeypatch.setenv("HJ212GW_GATEWAY__PORT", "ten")
    assert "gateway.port = 'ten' (env HJ212GW_GATEWAY__PORT)" in refusal()


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("HJ212GW_GATEWAY__PROT", "HJ212GW_GATEWAY__PORT"),
        ("HJ212GW_GATEWAY", None),
        ("HJ212GW_GATEWAY_PORT", "HJ212GW_GATEWAY__PORT"),
        ("HJ212GW_DATADIR", "HJ212GW_DATA_DIR"),
        ("HJ212GW_", None),
    ],
)
def test_unknown_variable_with_our_prefix_is_refused(monkeypatch, name, hint):
    """A misspelt variable is an error that names the closest option, never ignored."""
    monkeypatch.setenv(name, "1")
    said = refusal()
    assert said.startswith(f"unknown option {name} (the environment)")
    assert hint is None or said.endswith(f"did you mean {hint}?")


def test_test_variables_are_not_settings(monkeypatch):
    """`HJ212_TEST_` is another prefix."""
    monkeypatch.setenv("HJ212_TEST_TIME_SCALE", "3")
    load_settings()


@pytest.mark.parametrize(
    ("content", "said"),
    [(None, "does not exist"), (b"[gateway", "is not TOML"), (b"\xff\xfe", "is not TOML")],
)
def test_unreadable_file_is_refused(tmp_path, content, said):
    """A file that is not there or no TOML is named."""
    path = tmp_path / "settings.toml"
    if content is not None:
        path.write_bytes(content)
    assert str(path) in refusal(path)
    assert said in refusal(path)


def test_contradicting_options_are_refused():
    """Each value is good, together they are not."""
    said = refusal(None, {"database.retry_first_secs": 20, "database.retry_max_secs": 1})
    assert said == "database.retry_first_secs = 20.0 (flag): expected at most database.retry_max_secs = 1.0"
    said = refusal(None, {"journal.max_bytes": 64 << 20, "journal.reserve_bytes": 65 << 20})
    assert "journal.reserve_bytes = 68157440 (flag): expected at most journal.max_bytes = 67108864" in said


def test_a_lowered_limit_is_blamed_when_the_default_does_not_fit():
    """The source named is the one of the value that was given."""
    said = refusal(None, {"database.retry_max_secs": 0.1})
    assert said == "database.retry_max_secs = 0.1 (flag): expected at least database.retry_first_secs = 0.2"


@pytest.mark.parametrize("name", ["clock.epoch", "clock.origin"])
def test_simulated_clock_needs_its_flag(name):
    """A clock that is not real is never met by accident."""
    value = {name: "2025-01-01T00:00:00+08:00"}
    assert refusal(None, value) == f"{name} (flag) is refused without --simulated-clock"
    settings = load_settings(None, value, simulated_clock=True)
    assert read_value(settings, name).isoformat() == "2025-01-01T00:00:00+08:00"


def test_dsn_is_masked_everywhere(write_file):
    """A password is not in any text made of the settings, nor in what is said of a wrong one."""
    settings = load_settings(None, {"database.dsn": DSN})
    assert settings.database.dsn.get_secret_value() == DSN
    assert "hunter2" not in repr(settings) + str(sources(settings)) + settings.model_dump_json()
    said = refusal(None, {"database.dsn": "mysql://gateway:hunter2@db/hj212"})
    assert said == "database.dsn = (secret) (flag): expected a postgresql:// address"


def test_dsn_comes_from_a_file(tmp_path):
    """The file's name is the source; white space around the address does not matter."""
    path = tmp_path / "dsn"
    path.write_text(f"{DSN}\n", encoding="utf-8")
    settings = load_settings(None, {"database.dsn_file": path})
    assert settings.database.dsn.get_secret_value() == DSN
    assert source_of(settings, "database.dsn") == f"file {path}"


def test_stronger_dsn_wins_over_a_file_and_an_equal_one_is_refused(tmp_path, write_file):
    """`--dsn` overrides the settings file's `dsn_file`; both in one place is a contradiction."""
    path = tmp_path / "dsn"
    path.write_text("postgresql://other/x", encoding="utf-8")
    file = write_file(f'[database]\ndsn_file = "{path}"\n')
    assert load_settings(file, {"database.dsn": DSN}).database.dsn.get_secret_value() == DSN
    assert "both given (flag)" in refusal(None, {"database.dsn": DSN, "database.dsn_file": path})


def test_stronger_dsn_file_wins_over_a_dsn(tmp_path, write_file):
    """A file named by a flag beats an address in the settings file."""
    path = tmp_path / "dsn"
    path.write_text("postgresql://other/x", encoding="utf-8")
    file = write_file(f'[database]\ndsn = "{DSN}"\n')
    settings = load_settings(file, {"database.dsn_file": path})
    assert settings.database.dsn.get_secret_value() == "postgresql://other/x"


@pytest.mark.parametrize("content", [None, b"\xff\xfe"])
def test_unreadable_dsn_file_is_refused(tmp_path, content):
    """The message names the file and why it cannot be read, not what it holds."""
    path = tmp_path / "dsn"
    if content is not None:
        path.write_bytes(content)
    said = refusal(None, {"database.dsn_file": path})
    assert said.startswith(f"database.dsn_file = {path} (flag) cannot be read: ")


def test_wrong_type_of_dsn_file_is_refused(write_file):
    """A number is no path."""
    assert "database.dsn_file = 3" in refusal(write_file("[database]\ndsn_file = 3\n"))


def test_long_and_wild_values_are_shown_short():
    """A value cannot flood or forge the message."""
    said = refusal(None, {"gateway.port": "9\n" * 1000})
    assert len(said) < 300
    assert "\n" not in said


def test_options_are_described_and_their_defaults_are_accepted():
    """Each option has a meaning, an accepted range and a variable; each default passes its own check."""
    for option in options().values():
        assert option.description
        assert option.accepted
        assert option.env.startswith("HJ212GW_")
        if option.default not in (None, ()):
            load_settings(None, {option.name: option.default}, simulated_clock=True)


def test_example_file_is_the_generated_one():
    """The example is made by `python -m hj212gw.config_docs`; make it again when options changed."""
    command = [sys.executable, "-m", "hj212gw.config_docs"]
    made = subprocess.run(command, capture_output=True, text=True, check=True, encoding="utf-8")
    assert made.stdout == config_docs.example_toml()
    assert EXAMPLE.read_text(encoding="utf-8") == made.stdout


def test_example_file_changes_nothing():
    """As delivered the example only says the defaults."""
    assert {found.source for found in sources(load_settings(EXAMPLE))} == {"default"}


def test_every_line_of_the_example_can_be_uncommented(write_file, tmp_path):
    """Each `#name = value` is good TOML with an accepted value, and no option is missing."""
    lines = [
        line[1:] if line.startswith("#") and line[1:2].isalpha() else line
        for line in config_docs.example_toml().split("\n")
    ]
    named = tomllib.loads("\n".join(lines))
    assert sum(len(held) if isinstance(held, dict) else 1 for held in named.values()) == len(options())
    path = write_file("\n".join(line for line in lines if not line.startswith("dsn_file")))
    settings = load_settings(path, simulated_clock=True)
    for option in options().values():
        if option.default not in (None, ()):
            assert read_value(settings, option.name) == option.default


def test_markdown_table_names_every_option():
    """The README's table has one row for each option."""
    rows = config_docs.markdown_table().splitlines()[2:]
    assert [row.split("`")[1] for row in rows] == list(options())


def test_sources_are_plain_values():
    """What `config show` prints is JSON without further thought."""
    shown = sources(load_settings(None, {"database.dsn": DSN}))
    json.dumps([found._asdict() for found in shown])
    assert len(shown) == len(options())


def test_networks_come_as_lists_and_as_text(write_file, monkeypatch):
    """A list in a file, commas in the environment; written the shortest way."""
    path = write_file('[gateway]\nallow_networks = ["10.0.0.0/8", "2001:0db8::/32", "192.0.2.7"]')
    assert load_settings(path).gateway.allow_networks == ("10.0.0.0/8", "2001:db8::/32", "192.0.2.7/32")
    monkeypatch.setenv("HJ212GW_GATEWAY__DENY_NETWORKS", "192.0.2.0/24, ::1")
    settings = load_settings()
    assert settings.gateway.deny_networks == ("192.0.2.0/24", "::1/128")
    shown = next(found.value for found in sources(settings) if found.name == "gateway.deny_networks")
    assert shown == "192.0.2.0/24, ::1/128"


@pytest.mark.parametrize("wrong", ["10.0.0.0/33", "10.0.0.1/8", "everybody", "10.0.0.0/8;::1"])
def test_wrong_networks_are_named(wrong):
    """With the option and what it takes."""
    said = refusal(overrides={"gateway.allow_networks": [wrong]})
    assert "gateway.allow_networks" in said
    assert "a list of networks such as" in said


@pytest.mark.parametrize(
    ("given", "missing"),
    [
        ({"tls.port": 9214}, "tls.certificate_file"),
        ({"tls.port": 9214, "tls.certificate_file": "a.pem"}, "tls.key_file"),
        (
            {
                "tls.port": 9214,
                "tls.certificate_file": "a.pem",
                "tls.key_file": "a.key",
                "tls.require_client_certificate": True,
            },
            "tls.client_ca_file",
        ),
    ],
)
def test_tls_needs_its_files(given, missing):
    """A port for TLS without a certificate opens nothing."""
    assert f"needs {missing}" in refusal(overrides=given)


def test_listens_for_machines_on_loopback_only():
    """HTTP shows figures to whoever asks, so nobody from outside may unless an operator says so."""
    assert load_settings().http.host == "127.0.0.1"
    assert load_settings().tls.port is None
