"""Tests of the `registry` commands: exit codes, what goes to stdout and what to stderr."""

import asyncio
import json
import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import pytest

from hj212gw.store.migrate import migrate
from hj212gw.store.pool import connect

EXAMPLES = Path(__file__).parents[2] / "config" / "registry"
FILES = [str(path) for path in sorted(EXAMPLES.glob("*.csv"))]
NO_DATABASE = "postgresql://nobody@127.0.0.1:1/none"
SECRET = "hush-hush"


class Result(NamedTuple):
    """How a command ended and what it printed."""

    exit_code: int
    stdout: str
    stderr: str


@pytest.fixture
def dsn(postgres_dsn):
    """A database with the current schema."""

    async def prepare():
        connection = await connect(postgres_dsn, name="test")
        await migrate(connection, now=datetime(2026, 5, 1, tzinfo=UTC))
        await connection.close()

    asyncio.run(prepare())
    return postgres_dsn


@pytest.fixture
def bad_file(tmp_path):
    """A file with a bad password and a bad interval in its third line."""
    lines = (EXAMPLES / "data_loggers.csv").read_text(encoding="utf-8").splitlines()[:2]
    lines.append(f"530401A8900016F000169D09,{SECRET} 2,32,,2011,0,10,,,,")
    path = tmp_path / "bad.csv"
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def run(*arguments, stdin=b"", **environment):
    """Run `hj212gw registry` with these arguments, in a process of its own."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("HJ212GW_")}
    result = subprocess.run(
        [sys.executable, "-m", "hj212gw", "registry", *map(str, arguments)],
        input=stdin,
        capture_output=True,
        env={**kept, **environment},
        timeout=60,
        check=False,
    )
    return Result(result.returncode, result.stdout.decode(), result.stderr.decode())


def test_check_needs_no_database():
    """The example files are fit for an import, and a check of them needs nothing but them."""
    result = run("check", *FILES)
    assert result.exit_code == 0
    assert result.stdout == ""
    assert "checked without a database: 0 errors, 0 warnings" in result.stderr
    assert "data_loggers: 7 new, 0 replaced, 0 unchanged" in result.stderr


def test_check_names_bad_lines_and_hides_passwords(bad_file):
    """Bad lines go to stderr with line and column, the exit code is 1 and no password is shown."""
    result = run("check", bad_file)
    assert result.exit_code == 1
    assert f"{bad_file}:3: pw: expected 1 to 64 printable" in result.stderr
    assert f"{bad_file}:3: rtd_interval_secs: expected a whole number, 1 to 3600, came '0'" in result.stderr
    assert SECRET not in result.stdout + result.stderr


def test_check_prints_json(bad_file):
    """With --json the findings are one document on stdout."""
    result = run("check", "--json", bad_file)
    document = json.loads(result.stdout)
    assert result.exit_code == 1
    assert (document["ok"], document["written"], document["errors"]) == (False, False, 2)
    assert document["findings"][-1].keys() == {"file", "line", "column", "level", "message"}
    assert SECRET not in result.stdout + result.stderr


def test_check_reads_stdin():
    """A dash is stdin."""
    result = run("check", "-", stdin=(EXAMPLES / "enterprises.csv").read_bytes())
    assert result.exit_code == 0
    assert "enterprises: 4 new" in result.stderr


def test_check_bounds_what_it_prints(tmp_path):
    """Of many bad lines a hundred are printed and the rest is counted."""
    path = tmp_path / "many.csv"
    path.write_text("outlet,enterprise,name,medium,valid_from,valid_to\n" + "o,e,x,air,,\n" * 150, encoding="utf-8")
    result = run("check", path)
    assert result.exit_code == 1
    assert result.stderr.count("expected one of water") == 100
    assert "and 50 errors more" in result.stderr


def test_import_and_export_round_trip(dsn, tmp_path):
    """What is imported is exported the same; a second import says that nothing changed."""
    first = run("import", "--dsn", dsn, *FILES)
    assert (first.exit_code, first.stdout) == (0, "")
    assert "imported: 0 errors, 0 warnings" in first.stderr
    second = run("import", "--dsn", dsn, "--json", *FILES)
    assert json.loads(second.stdout)["changes"]["outlets"] == {"new": 0, "replaced": 0, "unchanged": 6, "registered": 0}
    exported = run("export", tmp_path, "--dsn", dsn, "--json")
    assert exported.exit_code == 0
    assert [file["rows"] for file in json.loads(exported.stdout)["files"]] == [4, 6, 7, 1, 1, 1, 3, 1, 6, 1, 34, 5]
    assert json.loads(second.stdout)["marks"] == {"new": 0, "continued": 0, "unchanged": 5}
    assert "keys are never exported" in exported.stderr
    for file in FILES:
        assert (tmp_path / Path(file).name).read_bytes() == Path(file).read_bytes()


def test_import_dry_run_writes_nothing(dsn, tmp_path):
    """A dry run tells what would be done, and the registry stays empty."""
    result = run("import", "--dry-run", "--dsn", dsn, *FILES)
    assert result.exit_code == 0
    assert "nothing was imported: 0 errors, 0 warnings" in result.stderr
    assert "enterprises: 4 new" in result.stderr
    exported = run("export", tmp_path, "--dsn", dsn)
    assert "data_loggers.csv: 0 rows" in exported.stderr


def test_import_of_bad_lines_imports_nothing(dsn, bad_file, tmp_path):
    """Bad lines end an import with 1, and the good files beside them are not imported either."""
    assert run("import", "--dsn", dsn, *FILES, bad_file).exit_code == 1
    assert "enterprises.csv: 0 rows" in run("export", tmp_path, "--dsn", dsn).stderr


def test_check_asks_the_database_that_settings_name(dsn, tmp_path):
    """A database named in the settings is asked by a check, also beside a simulated clock's section."""
    config = tmp_path / "hj212gw.toml"
    config.write_text(f'[database]\ndsn = "{dsn}"\n[clock]\nspeed = 60.0\n', encoding="utf-8")
    result = run("check", "--config", config, *FILES)
    assert result.exit_code == 0
    assert "checked: 0 errors" in result.stderr


@pytest.mark.parametrize("command", [("import", *FILES), ("export", "unused")])
def test_database_must_be_named(command):
    """Import and export without a database are a fault of the settings, with the option to give."""
    result = run(*command)
    assert result.exit_code == 3
    assert "--dsn" in result.stderr


@pytest.mark.parametrize("command", [("import", *FILES), ("export", "unused"), ("check", *FILES)])
def test_database_is_away(command):
    """A database that does not answer has an exit code of its own."""
    assert run(*command, "--dsn", NO_DATABASE).exit_code == 4


def test_database_without_schema(empty_dsn):
    """A database without the schema is one too, and the next step is named."""
    result = run("import", "--dsn", empty_dsn, *FILES)
    assert result.exit_code == 4
    assert "hj212gw db migrate" in result.stderr


def test_settings_that_cannot_be_read(tmp_path):
    """A wrong DSN is a fault of the settings and is not repeated."""
    result = run("import", "--dsn", f"mysql://x:{SECRET}@host", *FILES)
    assert result.exit_code == 3
    assert SECRET not in result.stdout + result.stderr
    assert run("check", "--config", tmp_path / "none.toml", *FILES).exit_code == 3


def test_file_that_is_missing():
    """A file that is not there is a fault of usage."""
    assert run("check", "no-such.csv").exit_code == 2


def test_export_into_a_place_that_cannot_be_written(dsn, tmp_path):
    """A directory that cannot be made fails with a sentence, not with a traceback."""
    (tmp_path / "file").touch()
    result = run("export", tmp_path / "file" / "below", "--dsn", dsn)
    assert result.exit_code == 1
    assert result.stderr.startswith("error: ")


PAPER, NEW = "530401A8900016F000169D01", "530401A8900016F000169D99"


def replace(dsn, *more, old=PAPER, new=NEW, at="2026-03-01T08:30"):
    """Replace a data logger."""
    return run("replace-logger", old, new, "--at", at, "--dsn", dsn, *more)


def test_replace_logger_end_to_end(dsn, tmp_path):
    """A replacement is dry at first, then done, and refused the second time; the export shows both rows."""
    assert run("import", "--dsn", dsn, *FILES).exit_code == 0
    pw = tmp_path / "pw"
    pw.write_text(f"{SECRET}\n")
    dry = replace(dsn, "--dry-run", "--json")
    assert (dry.exit_code, json.loads(dry.stdout)["written"]) == (0, False)
    assert "a dry run" in dry.stderr
    done = replace(dsn, "--pw-file", pw, "--json")
    document = json.loads(done.stdout)
    assert (document["ok"], document["written"], document["refusal"]) == (True, True, "")
    assert document["changes"]["data_loggers"] == {"ended": 1, "moved": 1}
    assert "data_loggers: 1 ended, 1 moved" in done.stderr
    again = replace(dsn)
    assert again.exit_code == 1
    assert f"nothing was replaced: expected a data logger that is registered at 2026-03-01T08:30, came '{PAPER}'" in (
        again.stderr
    )
    refused = replace(dsn, "--json", old="530402A8900016F000169D05", new=NEW, at="2026-04-01")
    assert refused.exit_code == 1
    assert json.loads(refused.stdout)["ok"] is False
    assert SECRET not in done.stdout + done.stderr + again.stderr + refused.stderr
    run("export", tmp_path / "out", "--dsn", dsn)
    rows = (tmp_path / "out" / "data_loggers.csv").read_text(encoding="utf-8").splitlines()
    assert [row[-31:] for row in rows if row.startswith(PAPER)] == ["main,2025-01-01,2026-03-01T08:30"[-31:]]
    assert [row for row in rows if row.startswith(f"{NEW},{SECRET},") and row.endswith(",main,2026-03-01T08:30,")]


# arguments, what is said
WRONG_REPLACEMENTS = [
    ((PAPER, NEW, "--at", "yesterday"), "expected 2026-01-01 or 2026-01-01T08:00"),
    ((PAPER, NEW, "--at", "2026-02-30"), "came '2026-02-30'"),
    ((PAPER, "a b", "--at", "2026-03-01"), "NEW"),
    ((PAPER, NEW), "--at"),
    ((PAPER, NEW, "--at", "2026-03-01", "--pw-file", "no-such-file"), "no-such-file cannot be read"),
]


@pytest.mark.parametrize(("arguments", "message"), WRONG_REPLACEMENTS)
def test_replace_logger_refuses_wrong_arguments(arguments, message):
    """What cannot be read is a fault of usage, before any database is asked."""
    result = run("replace-logger", *arguments, "--dsn", NO_DATABASE, COLUMNS="200")
    assert result.exit_code == 2
    assert message in result.stderr


@pytest.mark.parametrize("content", [b"two words", b"", b"\xff\xfe"])
def test_replace_logger_hides_a_wrong_password(content, tmp_path):
    """A password file that holds no password is named, its content is not."""
    pw = tmp_path / "pw"
    pw.write_bytes(content)
    result = run("replace-logger", PAPER, NEW, "--at", "2026-03-01", "--pw-file", pw, "--dsn", NO_DATABASE)
    assert result.exit_code == 2
    assert "words" not in result.stderr


def test_replace_logger_says_what_does_not_move():
    """Help tells what stays with the device."""
    text = " ".join(run("replace-logger", "--help", COLUMNS="200").stdout.split())
    assert "Dialects, time labels and keys do not move: they belong to the device" in text


def test_replace_logger_needs_a_database():
    """A database that does not answer, or is not named, has its exit code here too."""
    assert replace(NO_DATABASE).exit_code == 4
    assert run("replace-logger", PAPER, NEW, "--at", "2026-03-01").exit_code == 3


def test_commands_run_in_a_plain_locale(bad_file):
    """A process without a UTF-8 locale prints its findings all the same."""
    result = run("check", *FILES, bad_file, LC_ALL="C", PYTHONUTF8="0", PYTHONCOERCECLOCALE="0")
    assert result.exit_code == 1
    assert ":3: pw: expected" in result.stderr
