"""`hj212gw doctor`: what it finds on this machine, and how it exits."""

import asyncio
import json
import os
import socket
import stat
import threading
from datetime import UTC, datetime

import pytest

from hj212gw import cli
from hj212gw.cli import doctor
from hj212gw.config import load_settings, options
from hj212gw.http import HttpServer, Readiness
from hj212gw.store.migrate import migrate
from hj212gw.store.pool import connect


def free_port():
    """A port nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


@pytest.fixture
def run(monkeypatch, capsys, tmp_path):
    """Run `doctor --json` in this process on free ports: exit code, and the checks by name."""
    for option in options().values():
        monkeypatch.delenv(option.env, raising=False)
    monkeypatch.setenv("HJ212GW_GATEWAY__HOST", "127.0.0.1")
    monkeypatch.setenv("HJ212GW_GATEWAY__PORT", str(free_port()))
    monkeypatch.setenv("HJ212GW_HTTP__PORT", str(free_port()))
    monkeypatch.setenv("HJ212GW_JOURNAL__MAX_BYTES", str(64 << 20))
    monkeypatch.setenv("HJ212GW_JOURNAL__SEGMENT_BYTES", str(1 << 20))
    monkeypatch.setenv("HJ212GW_JOURNAL__RESERVE_BYTES", str(1 << 20))

    def _run(*arguments):
        data_dir = str(tmp_path / "data")
        monkeypatch.setattr("sys.argv", ["hj212gw", "doctor", "--json", "--data-dir", data_dir, *arguments])
        with pytest.raises(SystemExit) as caught:
            cli.main()
        checks = json.loads(capsys.readouterr().out)
        return caught.value.code, {check["name"]: check for check in checks}

    return _run


def states(checks):
    """How each check stands."""
    return {name: check["state"] for name, check in checks.items()}


def test_a_well_machine_passes_and_nothing_is_made(run, tmp_path):
    """Without a database there is a warning, because `up` brings its own; no directory is created."""
    code, checks = run()
    assert code == 0
    assert {name: state for name, state in states(checks).items() if state != "ok"} == {"database": "warning"}
    assert list(tmp_path.iterdir()) == []
    assert str(tmp_path) in checks["data directory"]["detail"]


def test_an_existing_directory_is_tried_itself(run, tmp_path):
    """The probe leaves nothing behind."""
    (tmp_path / "data" / "journal").mkdir(parents=True)
    assert "can be written" in run()[1]["journal directory"]["detail"]
    assert list((tmp_path / "data" / "journal").iterdir()) == []


def test_wrong_settings_are_a_failed_check_and_exit_3(run, monkeypatch):
    """The other checks need good settings."""
    monkeypatch.setenv("HJ212GW_GATEWAY__PORT", "99999")
    code, checks = run()
    assert code == 3
    assert states(checks) == {"settings": "failed"}
    assert "gateway.port = '99999'" in checks["settings"]["detail"]


def test_directory_that_cannot_be_written_fails(run, tmp_path):
    """A path through a file can never be made, whoever runs."""
    (tmp_path / "data").write_text("a file", encoding="utf-8")
    code, checks = run()
    assert code == 1
    assert states(checks)["data directory"] == "failed"
    assert checks["data directory"]["next_step"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_directory_of_somebody_else_fails(run, tmp_path):
    """Permissions are tried, not read."""
    tmp_path.chmod(stat.S_IRUSR | stat.S_IXUSR)
    code, checks = run()
    tmp_path.chmod(stat.S_IRWXU)
    assert (code, states(checks)["data directory"]) == (1, "failed")


def test_disk_smaller_than_the_journal_is_told(tmp_path):
    """A journal that can never be full of itself is a warning, one without any room a failure."""
    small = load_settings(None, {"data_dir": tmp_path, "journal.max_bytes": 1 << 50})
    assert doctor._check_disk(small).state == "warning"
    huge = small.model_copy(update={"journal": small.journal.model_copy(update={"segment_bytes": 1 << 60})})
    assert doctor._check_disk(huge).state == "failed"


def test_port_somebody_else_holds_fails(run, monkeypatch):
    """The option to change is named."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        monkeypatch.setenv("HJ212GW_GATEWAY__PORT", str(server.getsockname()[1]))
        code, checks = run()
    assert (code, states(checks)["gateway port"]) == (1, "failed")
    assert checks["gateway port"]["next_step"] == "free it, or set another gateway.port"


def test_address_of_another_machine_fails(run, monkeypatch):
    """A host this machine does not have cannot be listened on."""
    monkeypatch.setenv("HJ212GW_GATEWAY__HOST", "192.0.2.1")
    assert states(run()[1])["gateway port"] == "failed"


@pytest.fixture
def running_http():
    """The port of an HTTP endpoint that runs, as beside a gateway."""
    started, stop = threading.Event(), threading.Event()
    found = []

    async def serve():
        server = HttpServer("127.0.0.1", 0, lambda: Readiness(True))
        found.append((await server.start())[1])
        started.set()
        await asyncio.to_thread(stop.wait)
        await server.stop()

    thread = threading.Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    assert started.wait(20)
    yield found[0]
    stop.set()
    thread.join(20)


def test_ports_of_a_gateway_that_runs_are_no_fault(run, monkeypatch, running_http):
    """The doctor may visit a gateway at work."""
    with socket.create_server(("127.0.0.1", 0)) as gateway:
        monkeypatch.setenv("HJ212GW_GATEWAY__PORT", str(gateway.getsockname()[1]))
        monkeypatch.setenv("HJ212GW_HTTP__PORT", str(running_http))
        code, checks = run()
    assert code == 0
    assert "a gateway answers" in checks["gateway port"]["detail"]
    assert "a gateway answers" in checks["http port"]["detail"]


@pytest.mark.parametrize(
    ("now", "state"),
    [
        (datetime(1970, 1, 1, tzinfo=UTC), "failed"),
        (datetime(2026, 6, 1, tzinfo=UTC), "ok"),
        (datetime(2120, 1, 1, tzinfo=UTC), "failed"),
    ],
)
def test_clock_that_was_never_set_fails(now, state):
    """A machine whose battery is empty wakes in 1970."""
    assert doctor._check_clock(now).state == state


def test_database_that_is_away_fails(run):
    """The password is not in what is said."""
    code, checks = run("--dsn", f"postgresql://gateway:hunter2@127.0.0.1:{free_port()}/hj212")
    assert (code, states(checks)["database"]) == (1, "failed")
    assert "hunter2" not in str(checks)


def test_database_that_was_not_migrated_fails_with_the_command(run, postgres_dsn):
    """The next step is the command to type."""
    code, checks = run("--dsn", postgres_dsn)
    assert (code, states(checks)["database"]) == (1, "failed")
    assert checks["database"]["next_step"] == "run: hj212gw db migrate"


def test_migrated_database_passes(run, postgres_dsn):
    """The server's version is told."""

    async def prepare():
        connection = await connect(postgres_dsn, name="test")
        try:
            await migrate(connection, now=datetime.now(UTC))
        finally:
            await connection.close()

    asyncio.run(prepare())
    code, checks = run("--dsn", postgres_dsn)
    assert (code, states(checks)["database"]) == (0, "ok")
    assert checks["database"]["detail"].startswith("PostgreSQL ")


def test_table_is_for_people(run, monkeypatch, capsys, tmp_path):
    """Without --json there is a table of the same checks."""
    monkeypatch.setattr("sys.argv", ["hj212gw", "doctor", "--data-dir", str(tmp_path)])
    with pytest.raises(SystemExit) as caught:
        cli.main()
    out = capsys.readouterr().out
    assert caught.value.code == 0
    assert out.splitlines()[0].split() == ["check", "state", "found", "next", "step"]
    assert "gateway port" in out
