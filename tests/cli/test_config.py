"""`hj212gw config`: what it prints, where to, and how it exits."""

import json

import pytest
from tests.gateway.certificates import Authority

from hj212gw import cli
from hj212gw.cli.aggregating import make_aggregator
from hj212gw.clock import Clock
from hj212gw.config import options
from hj212gw.config_loading import load_settings

DSN = "postgresql://gateway:hunter2@db.example/hj212"


@pytest.fixture
def run(monkeypatch, capsys):
    """Run the command line in this process: exit code, stdout, stderr."""
    for option in options().values():
        monkeypatch.delenv(option.env, raising=False)

    def _run(*arguments):
        monkeypatch.setattr("sys.argv", ["hj212gw", *arguments])
        with pytest.raises(SystemExit) as caught:
            cli.main()
        return (caught.value.code, *capsys.readouterr())

    return _run


@pytest.fixture
def settings_file(tmp_path):
    """A settings file with one option of its own."""
    path = tmp_path / "settings.toml"
    path.write_text(f'[gateway]\nport = 9300\n[database]\ndsn = "{DSN}"\n', encoding="utf-8")
    return path


def test_check_says_that_all_is_good(run, settings_file):
    """The words go to stderr, stdout stays empty."""
    code, out, err = run("config", "check", "--config", str(settings_file))
    assert (code, out) == (0, "")
    assert err == f"the settings are good: 2 given, {len(options()) - 2} by default\n"


def test_check_and_aggregator_tell_of_what_has_no_effect(run, monkeypatch, capsys):
    """What came here does not tell what was filled in: figures would be by the deadline, and nobody would know."""
    monkeypatch.setenv("HJ212GW_ASSESSMENT__IMMEDIATE_BY", "provenance")
    words = "warning: assessment.immediate_by=provenance has no effect on local arrivals"
    code, out, err = run("config", "check")
    assert (code, out) == (0, "")
    assert words in err
    code, out, _ = run("doctor", "--json")
    (found,) = [check for check in json.loads(out) if check["name"] == "assessment"]
    assert found["state"] == "warning"
    make_aggregator(load_settings(None), DSN, Clock())
    assert words in capsys.readouterr().err


def test_check_exits_3_with_the_fault_and_the_next_step(run, settings_file):
    """A script can tell wrong settings from a failed command."""
    settings_file.write_text("[gateway]\nport = 99999\n", encoding="utf-8")
    code, out, err = run("config", "check", "--config", str(settings_file))
    assert (code, out) == (3, "")
    assert err.startswith("error: gateway.port = 99999 (file ")
    assert err.endswith("Look at the settings with: hj212gw config show\n")


def with_tls(settings_file, certificate, key):
    """Settings with a TLS port."""
    files = f'certificate_file = "{certificate}"\nkey_file = "{key}"\n'
    settings_file.write_text(f"[tls]\nport = 9214\n{files}", encoding="utf-8")


def test_check_refuses_a_key_that_does_not_match(run, settings_file, tmp_path):
    """As `serve` does, so that a reload or a restart is no surprise."""
    authority = Authority(tmp_path)
    certificate, _ = authority.sign_gateway()
    _, other = authority.sign_gateway("other")
    with_tls(settings_file, certificate, other)
    code, _, err = run("config", "check", "--config", str(settings_file))
    assert (code, "KEY_VALUES_MISMATCH" in err) == (3, True)
    assert "settings are good" not in err


@pytest.mark.parametrize(("days", "words"), [(-0.5, "ran out on"), (20, "runs out on"), (100, None)])
def test_check_warns_of_a_certificate_that_runs_out(run, settings_file, tmp_path, days, words):
    """The gateway would start with it, so the settings are good."""
    certificate, key = Authority(tmp_path, days=days).sign_gateway()
    with_tls(settings_file, certificate, key)
    code, _, err = run("config", "check", "--config", str(settings_file))
    lines = err.splitlines()
    assert (code, lines[-1].startswith("the settings are good")) == (0, True)
    assert [line.startswith(f"warning: {certificate} {words}") for line in lines[:-1]] == ([True] if words else [])


def test_check_refuses_a_clock_without_its_flag(run, monkeypatch):
    """The same rule holds as for the commands that use the clock."""
    monkeypatch.setenv("HJ212GW_CLOCK__SPEED", "60")
    assert run("config", "check")[0] == 3
    assert run("config", "check", "--simulated-clock")[0] == 0


def test_show_prints_every_option_with_its_source(run, settings_file, monkeypatch):
    """One line an option, the password covered."""
    monkeypatch.setenv("HJ212GW_LOG__LEVEL", "debug")
    code, out, err = run("config", "show", "--config", str(settings_file))
    rows = {line.split()[0]: line.split(maxsplit=2)[1:] for line in out.splitlines()[1:]}
    assert (code, err) == (0, "")
    assert set(rows) == set(options())
    assert rows["gateway.port"] == ["9300", f"file {settings_file}"]
    assert rows["log.level"] == ["debug", "env HJ212GW_LOG__LEVEL"]
    assert rows["http.port"] == ["9213", "default"]
    assert "hunter2" not in out


def test_show_prints_json(run, settings_file):
    """The same as one document for machines."""
    code, out, _ = run("config", "show", "--json", "--config", str(settings_file))
    document = json.loads(out)
    assert code == 0
    assert list(document) == list(options())
    assert document["gateway.port"] == {"value": 9300, "source": f"file {settings_file}"}
    assert document["database.dsn"]["value"] == "**********"
    assert document["database.dsn_file"] == {"value": None, "source": "default"}
