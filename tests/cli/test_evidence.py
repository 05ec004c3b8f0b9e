"""Tests of `evidence`, `db seal` and `db verify`: exit codes, what goes to stdout and what to stderr."""

import asyncio
import json
import os
import secrets
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from tests.conftest import execute, with_user

from hj212gw.gateway.rows import make_rows, read_arrival
from hj212gw.protocol import encode_frame
from hj212gw.protocol.times import format_data_time, format_qn
from hj212gw.store.loggers import add_loggers
from hj212gw.store.migrate import migrate
from hj212gw.store.pool import connect
from hj212gw.store.rows import Batch
from hj212gw.store.writer import Writer

NOW = datetime.now(UTC).replace(microsecond=0)
CAME_AT = NOW - timedelta(days=3)
MN = "010000A8900016F000169DC0"
RANGE = ("--from", f"{CAME_AT - timedelta(days=1):%Y-%m-%d}", "--to", f"{NOW:%Y-%m-%dT%H:%M}")


def frame(number):
    """One upload."""
    moment = CAME_AT + timedelta(seconds=number)
    cp = f"DataTime={format_data_time(moment)};w01018-Rtd={number}.5,w01018-Flag=N"
    return encode_frame(f"QN={format_qn(moment)};ST=32;CN=2011;PW=123456;MN={MN};Flag=5;CP=&&{cp}&&".encode())


async def prepare(dsn):
    """Store an outlet's three packets of three days ago."""
    connection = await connect(dsn, name="test")
    await migrate(connection, now=NOW)
    await connection.execute(
        "INSERT INTO hj212.enterprises (enterprise, name) VALUES ('E1', 'Mill');"
        "INSERT INTO hj212.outlets (outlet, enterprise, name, medium) VALUES ('WS/01', 'E1', 'Main', 'water');"
        f"INSERT INTO hj212.data_loggers (mn, outlet) VALUES ('{MN}', 'WS/01')"
    )
    writer = Writer(dsn, uuid4())
    await writer.open(CAME_AT)
    numbers = await add_loggers(writer.numbering, [MN])
    packets = [make_rows(read_arrival(frame(n), CAME_AT, "10.0.0.7:1"), logger_id=numbers[MN]) for n in range(3)]
    await writer.write(Batch(packets, [], [], 0, 1, CAME_AT))
    await writer.note_idle(1, NOW, [])
    await writer.close()
    await connection.close()


@pytest.fixture
def dsn(postgres_dsn):
    """A database with packets."""
    asyncio.run(prepare(postgres_dsn))
    return postgres_dsn


@pytest.fixture
def run(tmp_path):
    """Runs a command in a folder of the test's own; gives exit code, stdout, stderr."""

    def call(*arguments):
        kept = {name: value for name, value in os.environ.items() if not name.startswith("HJ212GW_")}
        command = [sys.executable, "-m", "hj212gw", *map(str, arguments)]
        done = subprocess.run(command, capture_output=True, text=True, env=kept, cwd=tmp_path, timeout=60, check=False)
        return done.returncode, done.stdout, done.stderr

    return call


def test_export_then_verify(run, dsn, tmp_path):
    """The manifest's hash is data, the warning about passwords is words; verify takes the hash back."""
    code, out, err = run("evidence", "export", "--outlet", "WS/01", *RANGE, "--dsn", dsn)
    assert code == 0, err
    digest, name = out.split()
    assert name == f"evidence-WS_01-{RANGE[1]}-{RANGE[3].replace(':', '_')}.zip"
    assert "passwords" in err
    code, out, err = run("evidence", "verify", name, "--expect", digest)
    assert (code, "frames 3  encrypted 0  readings 3" in out, "all holds" in err) == (0, True, True), err
    code, out, err = run("evidence", "verify", name, "--expect", "0" * 64, "--json")
    assert (code, json.loads(out)["ok"]) == (1, False)
    assert run("evidence", "verify", name, "--expect", "0" * 64)[0] == 1
    code, out, _ = run("evidence", "export", "--outlet", "WS/01", *RANGE, "--dsn", dsn, "--out", "a.zip", "--json")
    assert (code, json.loads(out)["rows"]["frames.jsonl"]) == (0, 3)
    assert (tmp_path / "a.zip").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("export", "--outlet", "X", "--from", "2026-03-02", "--to", "2026-03-01"), 2, "before --to"),
        (("export", "--outlet", "X", "--from", "2026-03-01", "--to", "2026-03-01"), 2, "before --to"),
        (("export", "--outlet", "X", "--from", "yesterday", "--to", "2026-03-01"), 2, "2026-03-01T08:00"),
        (("export", "--outlet", "X", "--from", "2026-03-01", "--to", "2026-02-30"), 2, "2026-03-01T08:00"),
        (("verify", "nothing.zip"), 2, "nothing.zip"),
        (("verify", __file__), 1, "no whole ZIP"),
        (("verify", __file__, "--expect", "abc"), 2, "64 hexadecimal"),
    ],
)
def test_wrong_usage(run, arguments, code, words):
    """Is told before anything is connected to."""
    found, _, err = run("evidence", *arguments)
    assert found == code
    assert words in " ".join(err.replace("│", " ").split())


def test_nothing_to_export(run, dsn):
    """An unknown outlet and an empty range are failures with a sentence."""
    code, _, err = run("evidence", "export", "--outlet", "WS-99", *RANGE, "--dsn", dsn)
    assert (code, "no outlet 'WS-99'" in err) == (1, True)
    code, _, err = run(
        "evidence", "export", "--outlet", "WS/01", "--from", "2019-01-01", "--to", "2019-02-01", "--dsn", dsn
    )
    assert (code, "nothing came" in err) == (1, True)
    code, _, err = run("evidence", "export", "--outlet", "X", *RANGE, "--dsn", "postgresql://nobody@127.0.0.1:1/none")
    assert code == 4, err


@pytest.fixture
def analyst_dsn(dsn):
    """The same database, with a login that may read the views and nothing else."""
    name = f"hj212_test_{secrets.token_hex(6)}"
    asyncio.run(execute(dsn, f"CREATE ROLE {name} LOGIN IN ROLE hj212_analyst"))
    yield with_user(dsn, name)
    asyncio.run(execute(dsn, f"DROP ROLE {name}"))


@pytest.mark.parametrize(
    "arguments",
    [
        ("db", "verify"),
        ("db", "seal"),
        ("db", "status"),
        ("registry", "export", "registry"),
        ("replay", "--from", "1999-01-01", "--to", "2026-03-02"),
        ("evidence", "export", "--outlet", "WS/01", *RANGE),
    ],
    ids="-".join,
)
def test_login_without_the_rights_is_told_which_it_needs(run, analyst_dsn, arguments):
    """In a sentence, whatever it asked for."""
    code, _, err = run(*arguments, "--dsn", analyst_dsn)
    assert code in {1, 4}, err
    assert "Traceback" not in err
    assert "use one that is a member of hj212_gateway" in " ".join(err.split())


def test_time_that_no_calendar_of_ours_has(run):
    """A year a moment of UTC+8 cannot be moved from is wrong usage, like one of a far future."""
    for arguments in (("--from", "0001-01-01", "--to", "2026-01-01"), ("--from", "2026-01-01", "--to", "9999-12-31")):
        code, _, err = run("replay", *arguments, "--dsn", "postgresql://nobody@127.0.0.1:1/none")
        assert code == 2
        assert "1900 to 2199" in " ".join(err.replace("│", " ").split())


def test_seal_then_verify(run, dsn):
    """The newest entry is data, to be kept; exit 1 when a day is not as it was sealed."""
    assert run("db", "verify", "--dsn", dsn)[:2] == (0, "")
    day = f"{CAME_AT.astimezone():%Y}"
    code, out, err = run("db", "seal", "--dsn", dsn)
    assert (code, "sealed 1" in err, day in out) == (0, True, True), err
    assert json.loads(run("db", "seal", "--dsn", dsn, "--json")[1]) == {"entries": [], "waits_for": None}
    code, out, err = run("db", "verify", "--dsn", dsn)
    assert (code, "all as sealed" in err) == (0, True), err
    seq, _, digest = out.split()
    assert seq == "1"
    assert run("db", "verify", "--dsn", dsn, "--expect", digest)[0] == 0
    assert run("db", "verify", "--dsn", dsn, "--expect", "0" * 64)[0] == 1
    asyncio.run(execute(dsn, "UPDATE hj212.packets SET peer = 'me'"))
    code, _, err = run("db", "verify", "--dsn", dsn)
    assert (code, "packets: changed" in err) == (1, True), err
    code, out, _ = run("db", "verify", "--dsn", dsn, "--json")
    assert (code, json.loads(out)["findings"][0]["kind"]) == (1, "changed")
    assert run("db", "verify", "--dsn", dsn, "--to", "2020-01-01")[0] == 0


@pytest.mark.parametrize(
    "arguments",
    [
        ("seal", "--through", "soon"),
        ("verify", "--from", "2026-03-02", "--to", "2026-03-01"),
        ("verify", "--expect", "1"),
    ],
)
def test_wrong_days(run, arguments):
    """Are usage errors."""
    assert run("db", *arguments)[0] == 2
