"""Tests of the `mark` commands: exit codes, what goes to stdout, and where proofs are kept."""

import asyncio
import hashlib
import json
import os
import stat
import subprocess
import sys

import pytest
import typer
from tests.cli.test_registry import EXAMPLES, NO_DATABASE, Result, dsn, run  # noqa: F401 - a fixture
from tests.store.hour_support import aggregate

from hj212gw.cli import build_app, options
from hj212gw.registry.cells import parse_moment

BOILER = "yx-paper-boiler"
FROM, TO = "2025-04-01T14:05", "2025-04-01T14:34"
NEEDED = [str(EXAMPLES / f"{name}.csv") for name in ("enterprises", "outlets", "base_list")]


def run_mark(*arguments, **environment):
    """Run `hj212gw mark` with these arguments, in a process of its own."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("HJ212GW_")}
    result = subprocess.run(
        [sys.executable, "-m", "hj212gw", "mark", *map(str, arguments)],
        capture_output=True,
        env={**kept, "COLUMNS": "200", **environment},
        timeout=60,
        check=False,
    )
    return Result(result.returncode, result.stdout.decode(), result.stderr.decode())


@pytest.fixture
def database(dsn):  # noqa: F811
    """A database with the examples' outlets on the base list, and no marks."""
    assert run("import", "--dsn", dsn, *NEEDED).exit_code == 0
    return dsn


def add(database, *more, outlet=BOILER, kind="maintenance"):
    """Declare a mark of half an hour."""
    return run_mark("add", outlet, kind, "--from", FROM, "--dsn", database, "--author", "王工", *more)


def read(database, *more):
    """The marks as `list --json` prints them."""
    result = run_mark("list", "--dsn", database, "--json", *more)
    assert result.exit_code == 0, result.stderr
    return json.loads(result.stdout)


def test_mark_from_the_first_to_the_last(database):
    """Declared, listed, accepted by another, void; each command says what stands now."""
    added = add(database, "--to", TO, "--factor", "a21026", "--note", "=更换采样管")
    assert (added.exit_code, added.stdout) == (0, "")
    assert added.stderr.splitlines() == [
        f"mark 1 declared: {BOILER} a21026 maintenance {FROM} {TO}",
        "warning: mark 1 does not count: it was recorded after the cut-off",
    ]
    (mark,) = read(database)
    assert (mark["from"], mark["to"]) == ("2025-04-01T14:05:00+08:00", "2025-04-01T14:34:00+08:00")
    assert mark.items() >= {
        "mark_id": 1, "outlet": BOILER, "factor": "a21026", "kind": "maintenance", "effect": "device", "value": None,
        "note": "=更换采样管", "source": "enterprise", "author": "王工", "state": "declared", "voucher": "",
    }.items()  # fmt: skip
    refused = run_mark("accept", 1, "--by", "王工", "--dsn", database)
    assert refused.exit_code == 1
    assert "error: mark 1 stays as it is: '王工' is its author: somebody else has to decide" in refused.stderr
    accepted = run_mark("accept", 1, "--by", "李伟", "--dsn", database, "--json")
    assert json.loads(accepted.stdout).items() >= {"state": "accepted", "decided_by": "李伟"}.items()
    assert run_mark("reject", 1, "--by", "李伟", "--dsn", database).exit_code == 1
    assert run_mark("void", 1, "--by", "李伟", "--note", "误标", "--dsn", database).exit_code == 0
    assert [mark["state"] for mark in read(database, "--state", "void")] == ["void"]
    assert read(database, "--state", "declared") == []


def test_marks_are_listed(database):
    """As a table, with filters."""
    assert add(database, "--to", "2025-04-02", kind="stop").exit_code == 0
    assert add(database, "--to", TO, outlet="yx-cement-kiln-tail", kind="device").exit_code == 0
    header, *lines = run_mark("list", "--dsn", database).stdout.splitlines()
    assert header.split() == [
        "id", "outlet", "factor", "kind", "from", "to", "value", "state", "by", "source", "author", "voucher",
    ]  # fmt: skip
    assert lines[0].split() == [
        "1",
        BOILER,
        "*",
        "stop",
        FROM,
        "2025-04-02",
        "declared",
        "enterprise",
        "王工",
        "missed",
    ]
    assert len(lines) == 2
    for filters, found in (
        (("--outlet", BOILER), [1]),
        (("--from", TO), [1]),
        (("--from", "2025-04-02"), []),
        (("--to", FROM), []),
        (("--from", "2025-04-01", "--to", "2025-04-02"), [1, 2]),
        (("--origin", "upstream:yn"), []),
    ):
        assert [mark["mark_id"] for mark in read(database, *filters)] == found


def test_voucher_is_asked_for(database):
    """A stop that begins now is told until when its proof has to be there."""
    result = run_mark("add", BOILER, "stop", "--from", "2190-01-31T10:00", "--dsn", database)
    assert result.exit_code == 0, result.stderr
    assert "its voucher is due before 2190-02-11: hj212gw mark prove 1 FILE" in result.stderr
    assert read(database)[0]["voucher"] == "due before 2190-02-11"


def import_marks(database, tmp_path, *lines, columns="outlet,factor,kind,from,to,value,recorded_at"):
    """Import marks of a file."""
    file = tmp_path / "marks.csv"
    file.write_text("\n".join([columns, *lines]), encoding="utf-8")
    return run("import", "--dsn", database, file)


def warnings(result):
    """The warnings of a command that did what was asked."""
    assert result.exit_code == 0, result.stderr
    return [line.removeprefix("warning: ") for line in result.stderr.splitlines() if line.startswith("warning: ")]


def test_mark_that_cannot_count_is_told(database, tmp_path):
    """When it is imported, proved or accepted; the exit code stays."""
    stop = f"{BOILER},*,stop,2025-04-28,2025-06-03,,2025-04-28T10:00"
    late = "does not count on days from 2025-04-28 to 2025-05-31: its voucher did not come in time"
    lapsed = "mark 1 does not count: its voucher did not come in time"
    assert warnings(import_marks(database, tmp_path, stop)) == [lapsed]
    (tmp_path / "proof").write_text("stood", encoding="utf-8")
    proved = run_mark("prove", 1, tmp_path / "proof", "--data-dir", tmp_path, "--dsn", database)
    assert warnings(proved) == [lapsed]
    digest = "0a" * 32
    columns = "outlet,factor,kind,from,to,value,recorded_at,proof_sha256,proof_at"
    line = f"{stop.replace(BOILER, 'yx-cement-kiln-tail')},{digest},2025-06-15"
    assert warnings(import_marks(database, tmp_path, line, columns=columns)) == [f"mark 2 {late}"]
    assert warnings(import_marks(database, tmp_path, line, columns=columns)) == []
    assert warnings(run_mark("accept", 2, "--by", "李伟", "--dsn", database)) == [f"mark 2 {late}"]
    assert warnings(run_mark("void", 2, "--by", "李伟", "--dsn", database)) == []


def test_manual_value_that_cannot_count_is_told(database, tmp_path):
    """Too long, too few, by the settings in use: the configuration's, else those the aggregator works by."""
    samples = [
        f"{BOILER},a21026,manual,2025-04-01T{hour:02}:00,2025-04-01T{hour + 3:02}:00,5,2025-04-02T10:00"
        for hour in (0, 6, 12)
    ]
    few = "does not count so far: only 3 of 4 manual values that day"
    assert warnings(import_marks(database, tmp_path, *samples)) == [f"mark {number} {few}" for number in (1, 2, 3)]
    too_long = "mark 1 does not count: one manual value covers at most 2 hours"
    accept = ("accept", 1, "--by", "李伟", "--dsn", database)
    asyncio.run(aggregate(database, parse_moment("2025-04-03"), manual_max_hours=2))
    assert warnings(run_mark(*accept)) == [too_long]
    asyncio.run(aggregate(database, parse_moment("2025-04-03"), manual_min_per_day=3))
    second = (accept[0], 2, *accept[2:])
    assert warnings(run_mark(*second)) == ["mark 2 does not count so far: only 2 of 3 manual values that day"]
    third = (accept[0], 3, *accept[2:])
    assert warnings(run_mark(*third, HJ212GW_ASSESSMENT__MANUAL_MAX_HOURS="2")) == [too_long.replace("1", "3", 1)]


def test_many_marks_that_cannot_count_are_counted(database, tmp_path):
    """The first ones are named."""
    lines = [f"{BOILER},*,stop,2025-04-{day:02},2025-04-{day:02}T12:00,,2025-04-{day:02}" for day in range(1, 26)]
    told = warnings(import_marks(database, tmp_path, *lines))
    assert (len(told), told[-1]) == (21, "and 5 more of marks that do not count")


def test_mark_is_ended_once(database):
    """One that runs on; the second end is refused."""
    add(database, kind="stop")
    ended = run_mark("end", 1, "--to", "2025-04-02", "--dsn", database, "--json")
    assert json.loads(ended.stdout)["to"] == "2025-04-02T00:00:00+08:00"
    again = run_mark("end", 1, "--to", "2025-04-03", "--dsn", database)
    assert again.exit_code == 1
    assert "it ended at 2025-04-02" in again.stderr


def test_proof_is_kept(database, tmp_path):
    """By hash and name, with a copy that only its owner reads; the same file twice is one copy."""
    content = b"%PDF-1.7\n" + os.urandom(3 << 20)
    digest = hashlib.sha256(content).hexdigest()
    file, data_dir = tmp_path / "停产报告.pdf", tmp_path / "data"
    file.write_bytes(content)
    added = add(database, "--proof", file, "--data-dir", data_dir, "--to", TO, kind="stop")
    assert added.exit_code == 0, added.stderr
    add(database, kind="device")
    proved = run_mark("prove", 2, file, "--by", "赵敏", "--data-dir", data_dir, "--dsn", database)
    kept, done = proved.stderr.splitlines()[:2]
    assert (proved.exit_code, done.split(":")[0]) == (0, f"mark 2 proved by {digest}")
    assert kept == f"{file} is kept as {data_dir / 'proofs' / digest}"
    elsewhere = run_mark("prove", 2, file, "--data-dir", tmp_path / "new", "--dsn", database)
    assert f"warning: {tmp_path / 'new'} was made for it" in elsewhere.stderr
    assert [(mark["proof_sha256"], mark["proof_name"]) for mark in read(database)] == [(digest, "停产报告.pdf")] * 2
    (copy,) = (data_dir / "proofs").iterdir()
    assert (copy.name, copy.read_bytes()) == (digest, content)
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    assert stat.S_IMODE(copy.parent.stat().st_mode) == 0o700


@pytest.mark.parametrize("name", ["none.pdf", "folder", "pipe"])
def test_proof_that_cannot_be_read(tmp_path, name):
    """It is named, before any database is asked, and nothing is kept."""
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    for command in (
        ("prove", 1, tmp_path / name),
        ("add", BOILER, "stop", "--from", FROM, "--proof", tmp_path / name),
    ):
        result = run_mark(*command, "--data-dir", tmp_path / "data", "--dsn", NO_DATABASE)
        assert result.exit_code == 2
        assert f"{name} cannot be read: " in " ".join(result.stderr.split())
    assert list((tmp_path / "data").glob("**/*")) == []


def test_proofs_that_cannot_be_kept(tmp_path):
    """A data directory that cannot be made fails with a sentence."""
    (tmp_path / "file").touch()
    result = run_mark("prove", 1, tmp_path / "file", "--data-dir", tmp_path / "file", "--dsn", NO_DATABASE)
    assert (result.exit_code, result.stderr[:7]) == (1, "error: ")


ADD = ("add", BOILER)
# arguments, what is said
WRONG = [
    ((*ADD, "holiday", "--from", FROM), "expected one of stop, device"),
    ((*ADD, "stop", "--from", "yesterday"), "expected 2026-01-01 or 2026-01-01T08:00"),
    ((*ADD, "stop", "--from", FROM, "--to", "2025-02-30"), "came '2025-02-30'"),
    ((*ADD, "stop", "--from", FROM, "--source", "national"), "national marks come as a file"),
    ((*ADD, "stop", "--from", FROM, "--source", "ministry"), "expected one of enterprise, city, province"),
    ((*ADD, "stop", "--from", FROM, "--author", "a\x07b"), "without control characters"),
    ((*ADD, "stop"), "--from"),
    (("accept", "x"), "ID"),
    (("accept", 0), "ID"),
    (("void", 1, "--note", "\x1b"), "without control characters"),
    (("end", 1), "--to"),
    (("list", "--state", "open"), "expected one of declared, accepted, rejected, void"),
    (("list", "--from", "x"), "--from"),
]


@pytest.mark.parametrize(("arguments", "message"), WRONG)
def test_wrong_usage(arguments, message):
    """What cannot be read is a fault of usage, before any database is asked."""
    result = run_mark(*arguments, "--dsn", NO_DATABASE)
    assert (result.exit_code, result.stdout) == (2, "")
    assert message in " ".join(result.stderr.split())


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (("--to", FROM), "to: expected a moment after from, 2025-04-01T14:05"),
        (("--factor", "w01018"), "w01018 of 'yx-paper-boiler' is not on it"),
        (("--factor", "w 1"), "factor: expected 1 to 64 printable ASCII characters"),
    ],
)
def test_wrong_mark(database, more, message):
    """It is explained, and nothing is declared."""
    result = add(database, *more)
    assert result.exit_code == 1
    assert result.stderr.startswith("error: nothing was declared: ")
    assert message in result.stderr
    assert read(database) == []


@pytest.mark.parametrize("command", ["accept", "reject", "void"])
def test_mark_that_there_is_not(database, command):
    """The next step is named."""
    result = run_mark(command, 99, "--dsn", database)
    assert result.exit_code == 1
    assert "there is no mark 99: hj212gw mark list shows those there are" in result.stderr


EACH = [
    (*ADD, "stop", "--from", FROM),
    ("list",),
    ("accept", 1),
    ("reject", 1),
    ("void", 1),
    ("end", 1, "--to", TO),
    ("prove", 1, __file__),
]


@pytest.mark.parametrize("command", EACH, ids=lambda command: command[0])
def test_database_is_away(command, tmp_path):
    """A database that does not answer has an exit code of its own."""
    assert run_mark(*command, "--dsn", NO_DATABASE, HJ212GW_DATA_DIR=str(tmp_path)).exit_code == 4


def test_database_is_needed():
    """Without one the settings are at fault, and the option to give is named."""
    result = run_mark("list")
    assert result.exit_code == 3
    assert "--dsn" in result.stderr


def test_help_has_an_example():
    """Of each command, by its own name."""
    commands = typer.main.get_command(build_app(["mark"])).commands["mark"].commands
    assert set(commands) == {command[0] for command in EACH}
    assert all(f"Example: hj212gw mark {name} " in command.help for name, command in commands.items())


def test_account_without_a_name(monkeypatch):
    """Is named by its number: an import in a container must not fail for it."""
    monkeypatch.setattr("getpass.getuser", lambda: {}["uid not found"])
    assert options.name_user() == f"uid {os.getuid()}"


def test_marks_go_through_files(database, tmp_path):
    """What was declared by command is exported, and comes into another registry with its state and proof."""
    proof = tmp_path / "p.pdf"
    proof.write_bytes(b"x")
    add(database, "--to", TO, "--proof", proof, "--data-dir", tmp_path, kind="stop")
    run_mark("accept", 1, "--by", "李伟", "--dsn", database)
    add(database, "--to", TO, "--factor", "a21026", "--value", "3.5", kind="manual")
    run_mark("reject", 2, "--by", "李伟", "--dsn", database)
    assert run("export", tmp_path / "out", "--dsn", database).exit_code == 0
    text = (tmp_path / "out" / "marks.csv").read_text(encoding="utf-8")
    assert f"{BOILER},*,stop,{FROM},{TO}," in text
    assert ",3.5,enterprise,王工,,rejected,李伟," in text
    again = run("import", tmp_path / "out" / "marks.csv", "--dsn", database)
    assert "marks: 0 new, 0 continued, 2 unchanged" in again.stderr


def test_wrong_marks_file_imports_nothing(database, tmp_path):
    """Every wrong line is named with column and reason."""
    file = tmp_path / "marks.csv"
    lines = [
        "outlet,factor,kind,from,to,recorded_at,value",
        f"{BOILER},*,stop,{FROM},{TO},,",
        f"{BOILER},*,stop,{TO},{FROM},,",
        f"nowhere,*,stop,{FROM},{TO},,",
        f"{BOILER},*,holiday,{FROM},{TO},,",
        f"{BOILER},w01018,device,{FROM},{TO},,",
        f"{BOILER},*,stop,2024-12-31T23:00,{TO},,",
    ]
    file.write_text("\n".join(lines), encoding="utf-8")
    result = run("import", file, "--dsn", database)
    assert result.exit_code == 1
    found = [line.removeprefix(f"{file}:").split(": ")[:2] for line in result.stderr.splitlines() if ".csv:" in line]
    assert found == [["3", "to"], ["4", "outlet"], ["5", "kind"], ["6", "factor"], ["7", "from"]]
    assert read(database) == []
