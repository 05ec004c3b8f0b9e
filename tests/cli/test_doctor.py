"""`hj212gw doctor`: what it finds on this machine, and how it exits."""

import asyncio
import json
import os
import socket
import stat
import threading
from contextlib import contextmanager
from datetime import UTC, datetime

import pytest
from tests.gateway.certificates import Authority
from tests.journal.support import BASE_US, keep, make_record, opened, quiet

from hj212gw import cli
from hj212gw.cli import doctor_machine
from hj212gw.config import options
from hj212gw.config_loading import load_settings
from hj212gw.http import HttpServer, Readiness

OF_THE_MACHINE = {"time service", "open files"}


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
    wanting = {name: state for name, state in states(checks).items() if state != "ok" and name not in OF_THE_MACHINE}
    assert wanting == {"database": "warning"}
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
    assert doctor_machine._check_disk(small).state == "warning"
    huge = small.model_copy(update={"journal": small.journal.model_copy(update={"segment_bytes": 1 << 60})})
    assert doctor_machine._check_disk(huge).state == "failed"


def test_port_somebody_else_holds_fails(run, monkeypatch):
    """Who holds it is named, and the option to change."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        monkeypatch.setenv("HJ212GW_GATEWAY__PORT", str(server.getsockname()[1]))
        code, checks = run()
    assert (code, states(checks)["gateway port"]) == (1, "failed")
    assert f"(process {os.getpid()})" in checks["gateway port"]["detail"]
    assert checks["gateway port"]["next_step"] == "stop that, or set another gateway.port"


def test_address_of_another_machine_fails(run, monkeypatch):
    """A host this machine does not have cannot be listened on."""
    monkeypatch.setenv("HJ212GW_GATEWAY__HOST", "192.0.2.1")
    assert states(run()[1])["gateway port"] == "failed"


@contextmanager
def http_beside(readiness):
    """An HTTP endpoint that runs, as beside a gateway; gives its port."""
    started, stop = threading.Event(), threading.Event()
    found = []

    async def serve():
        server = HttpServer("127.0.0.1", 0, lambda: readiness)
        found.append((await server.start())[1])
        started.set()
        await asyncio.to_thread(stop.wait)
        await server.stop()

    thread = threading.Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    assert started.wait(20)
    try:
        yield found[0]
    finally:
        stop.set()
        thread.join(20)


def test_ports_of_a_gateway_that_runs_are_no_fault(run, monkeypatch):
    """The doctor may visit a gateway at work."""
    with socket.create_server(("127.0.0.1", 0)) as gateway, http_beside(Readiness(True)) as http_port:
        monkeypatch.setenv("HJ212GW_GATEWAY__PORT", str(gateway.getsockname()[1]))
        monkeypatch.setenv("HJ212GW_HTTP__PORT", str(http_port))
        code, checks = run()
    assert code == 0
    assert "a gateway answers" in checks["gateway port"]["detail"]
    assert "a gateway answers" in checks["http port"]["detail"]
    assert (states(checks)["gateway"], checks["gateway"]["detail"]) == ("ok", "it runs and takes packets")


def test_gateway_that_takes_no_packets_fails(run, monkeypatch):
    """It answers and its ports are its own; why it takes nothing is told in its own words."""
    with http_beside(Readiness(False, "the journal has no room")) as http_port:
        monkeypatch.setenv("HJ212GW_HTTP__PORT", str(http_port))
        code, checks = run()
    assert (code, states(checks)["gateway"], states(checks)["http port"]) == (1, "failed", "ok")
    assert checks["gateway"]["detail"] == "it runs and takes no packets: the journal has no room"
    assert checks["gateway"]["next_step"]


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
    assert doctor_machine._check_clock(now).state == state


@pytest.mark.parametrize(("limit", "state"), [(None, "ok"), (300, "ok"), (299, "warning")])
def test_open_files_are_as_many_as_the_settings_want_connections(limit, state):
    """A limit below `gateway.max_sessions` and what else a gateway opens is a warning that says what to set."""
    check = doctor_machine.check_open_files(200, limit)
    assert check.state == state
    assert ("LimitNOFILE=300" in check.next_step) == (state == "warning")


@pytest.mark.parametrize(("is_synchronised", "state"), [(True, "ok"), (None, "ok"), (False, "warning")])
def test_clock_that_nothing_keeps_right_is_told(is_synchronised, state):
    """Arrival times are evidence."""
    check = doctor_machine._check_sync(is_synchronised)
    assert check.state == state
    assert bool(check.next_step) == (state == "warning")


def test_kernel_is_asked_about_its_clock():
    """It answers, or says that it cannot."""
    assert doctor_machine.read_sync() in {True, False, None}


FILES = [
    ("database.dsn_file", 0o600, "ok"),
    ("database.dsn_file", 0o640, "ok"),
    ("registry.keys_file", 0o644, "warning"),
    ("http.certificate_file", 0o644, "ok"),
    ("http.certificate_file", 0o646, "warning"),
    ("registry.keys_file", None, "failed"),
]


@pytest.mark.parametrize(("option", "mode", "state"), FILES)
def test_files_of_secrets_are_looked_at(tmp_path, option, mode, state):
    """A missing file fails; a secret that every user can read is a warning with the command that mends it."""
    path = tmp_path / "file"
    if mode is not None:
        path.write_text("x", encoding="utf-8")
        path.chmod(mode)
    (check,) = doctor_machine.check_files({option: path, "other_file": None})
    assert (check.name, check.state) == (option, state)
    assert bool(check.next_step) == (state != "ok")
    assert "chmod" in check.next_step or state != "warning"


CLOSING = [
    (10212, {10212}, "run: chmod o= "),
    (10300, {10212, 10300}, "run: chmod o= "),
    (0, set(), "run: chmod o= "),
    (10300, {10300}, "chgrp"),
]


@pytest.mark.parametrize(("uid", "groups", "step"), CLOSING, ids=["owner", "group", "root", "other"])
def test_step_for_an_open_secret_shuts_nobody_out(tmp_path, uid, groups, step):
    """Who reads it as its owner, by its group or as root still does; all others have to get a group first."""
    assert doctor_machine.close_to_others(tmp_path, (10212, 10212), uid, groups).startswith(step)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_file_of_somebody_else_fails(tmp_path):
    """It exists and cannot be read."""
    path = tmp_path / "key"
    path.touch(mode=0)
    (check,) = doctor_machine.check_files({"registry.keys_file": path})
    assert check.state == "failed"


def test_dsn_file_that_is_missing_or_open_to_all_is_told(run, monkeypatch, tmp_path):
    """Missing: wrong settings, exit 3. Readable by all: a warning beside whatever the database says."""
    path = tmp_path / "dsn"
    monkeypatch.setenv("HJ212GW_DATABASE__DSN_FILE", str(path))
    code, checks = run()
    assert code == 3
    assert f"database.dsn_file = {path}" in checks["settings"]["detail"]
    path.write_text(f"postgresql://127.0.0.1:{free_port()}/x", encoding="utf-8")
    path.chmod(0o644)
    assert run()[1]["database.dsn_file"]["next_step"] == f"run: chmod o= {path}"


def test_unknown_setting_exits_3_and_names_the_nearest(run, monkeypatch):
    """A slip of the pen is found at once."""
    monkeypatch.setenv("HJ212GW_GATEWAY__PROT", "9212")
    code, checks = run()
    assert (code, states(checks)) == (3, {"settings": "failed"})
    assert "did you mean HJ212GW_GATEWAY__PORT?" in checks["settings"]["detail"]


async def fill_journal(directory, minutes, size):
    """A journal of records, one a minute."""
    async with opened(directory) as journal:
        records = [make_record(number, size) for number in range(minutes)]
        await keep(
            journal, *(record._replace(received_at_us=BASE_US + at * 60_000_000) for at, record in enumerate(records))
        )


@pytest.mark.parametrize(("minutes", "size", "state"), [(90, 1000, "ok"), (90, 100_000, "warning"), (3, 100_000, None)])
def test_journal_that_fills_fast_is_told(run, monkeypatch, tmp_path, minutes, size, state):
    """At the rate of the last day 64 MiB last for years, or for half a day; of some minutes nothing is said."""
    asyncio.run(fill_journal(tmp_path / "data" / "journal", minutes, size))
    checks = run()[1]
    assert checks.get("journal days left", {}).get("state") == state


async def fill_for_a_day(directory, *, drained):
    """A journal of several segments, 19.2 MB in 24 hours; drained: the database has all of it."""
    async with opened(directory) as journal:
        for number in range(48):
            batch = [make_record(number * 10 + at, 40_000) for at in range(10)]
            late_us = number * 1_800_000_000
            await keep(journal, *(record._replace(received_at_us=BASE_US + late_us) for record in batch))
        await quiet(journal)
        if drained:
            journal.confirm(journal.stats().head_seq, BASE_US)
            await quiet(journal)


@pytest.mark.parametrize(("drained", "state"), [(False, "warning"), (True, "ok")])
def test_what_waits_already_takes_room_from_the_journal(run, tmp_path, drained, state):
    """64 MiB last for three days of 20 MB, but for two when a day's packets wait in them."""
    asyncio.run(fill_for_a_day(tmp_path / "data" / "journal", drained=drained))
    assert run()[1]["journal days left"]["state"] == state


def test_table_is_for_people(run, monkeypatch, capsys, tmp_path):
    """Without --json there is a table of the same checks."""
    monkeypatch.setattr("sys.argv", ["hj212gw", "doctor", "--data-dir", str(tmp_path)])
    with pytest.raises(SystemExit) as caught:
        cli.main()
    out = capsys.readouterr().out
    assert caught.value.code == 0
    assert out.splitlines()[0].split() == ["check", "state", "found", "next", "step"]
    assert "gateway port" in out


def test_tls_port_and_certificate_are_looked_at(run, monkeypatch, tmp_path):
    """The certificate is read with its key, as the gateway would."""
    monkeypatch.setenv("HJ212GW_TLS__HOST", "127.0.0.1")
    monkeypatch.setenv("HJ212GW_TLS__PORT", str(free_port()))
    monkeypatch.setenv("HJ212GW_TLS__CERTIFICATE_FILE", str(tmp_path / "ca" / "gateway.pem"))
    monkeypatch.setenv("HJ212GW_TLS__KEY_FILE", str(tmp_path / "ca" / "gateway.key"))
    code, checks = run()
    assert (code, states(checks)["tls port"], states(checks)["tls certificate"]) == (1, "ok", "failed")
    assert "tls.certificate_file" in checks["tls certificate"]["detail"]
    Authority(tmp_path / "ca", days=100).sign_gateway()
    code, checks = run()
    assert (code, states(checks)["tls certificate"]) == (0, "ok")


ENDS = [(-0.5, 1, "failed", "ran out on"), (20, 0, "warning", "runs out on"), (22, 0, "ok", "can be used")]


@pytest.mark.parametrize(("days", "expected", "state", "words"), ENDS)
@pytest.mark.parametrize("of", ["gateway", "clients"])
def test_certificate_that_runs_out_is_told(run, monkeypatch, tmp_path, of, days, expected, state, words):
    """The gateway's own, and the authority that data loggers' certificates are checked by."""
    authority = Authority(tmp_path / "ca", days=days if of == "gateway" else 400)
    certificate, key = authority.sign_gateway()
    clients = Authority(tmp_path / "clients", days=days if of == "clients" else 400)
    settings = {"PORT": free_port(), "CERTIFICATE_FILE": certificate, "KEY_FILE": key, "CLIENT_CA_FILE": clients.file}
    for name, value in {"HOST": "127.0.0.1", **settings}.items():
        monkeypatch.setenv(f"HJ212GW_TLS__{name}", str(value))
    code, checks = run()
    assert (code, states(checks)["tls certificate"]) == (expected, state)
    assert words in checks["tls certificate"]["detail"]
    assert bool(checks["tls certificate"]["next_step"]) == (state != "ok")
