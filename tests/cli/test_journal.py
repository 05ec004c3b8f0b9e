"""`hj212gw journal`: what it prints of a journal, and how it exits."""

import json
import logging
import os
import socket
from itertools import pairwise

import pytest
from tests.cli.test_doctor import free_port
from tests.gateway.support import MIB, big_frame, frame, live_gateway
from tests.journal.support import BASE_US, keep, make_record, opened, quiet
from tests.support import GatewayProcess, make_frame, run_cli, secs

from hj212gw import cli, logs
from hj212gw.config import options
from hj212gw.journal import inspect
from hj212gw.journal.segments import list_segments
from hj212gw.protocol import FrameBuffer


@pytest.fixture
def run(monkeypatch, capsys):
    """Run the command line in this process: exit code, stdout, stderr."""
    root = logging.getLogger()
    monkeypatch.setattr(root, "handlers", list(root.handlers))
    monkeypatch.setattr(logs, "_event_log", None)
    for option in options().values():
        monkeypatch.delenv(option.env, raising=False)

    def _run(*arguments):
        monkeypatch.setattr("sys.argv", ["hj212gw", *map(str, arguments)])
        with pytest.raises(SystemExit) as caught:
            cli.main()
        return (caught.value.code or 0, *capsys.readouterr())

    return _run


@pytest.fixture
async def directory(tmp_path):
    """A closed journal of several segments."""
    async with live_gateway(tmp_path) as live:
        line = await live.connect()
        frames = [big_frame(number) for number in range(700)]
        await line.send(*frames)
        await line.answers(len(frames))
    return tmp_path / "journal"


def test_status_describes_every_segment(run, directory):
    """As a document for machines: totals, who has it open, and a line a segment."""
    code, out, err = run("journal", "status", directory, "--json")
    document = json.loads(out)
    segments = document["segments"]
    assert (code, err) == (0, "")
    assert (document["records"], document["owner_pid"], document["damaged"]) == (700, None, [])
    assert sum(segment["records"] for segment in segments) == 700
    assert [segment["name"] for segment in segments] == [path.name for path in list_segments(directory)]
    assert len(segments) > 1
    assert all(segment["first_seq"] == before["last_seq"] + 1 for before, segment in pairwise(segments))
    assert segments[0]["oldest"].endswith("+08:00")


def test_status_prints_words_for_people(run, directory):
    """The same in lines."""
    code, out, _ = run("journal", "status", directory)
    assert code == 0
    assert "records    700" in out
    assert "opened by  nobody" in out
    assert all(path.name in out for path in list_segments(directory))


async def test_status_names_the_process_that_has_it_open(run, tmp_path):
    """A gateway that runs is not disturbed; what it keeps meanwhile is seen."""
    async with live_gateway(tmp_path) as live:
        line = await live.connect()
        await line.send(frame(1))
        await line.answers(1)
        code, out, _ = run("journal", "status", tmp_path / "journal", "--json")
        assert (code, json.loads(out)["owner_pid"], json.loads(out)["records"]) == (0, os.getpid(), 1)
        assert run("journal", "verify", tmp_path / "journal")[0] == 0
        await line.send(frame(2))
        await line.answers(1)


def test_status_of_a_closed_journal_says_at_most_what_waits(run, directory, monkeypatch):
    """Nothing of it was drained, so all may wait; the limit is told with the share that is used."""
    monkeypatch.setenv("HJ212GW_JOURNAL__MAX_BYTES", str(64 * MIB))
    document = json.loads(run("journal", "status", directory, "--json")[1])
    assert (document["pending"]["records"], document["pending"]["is_exact"]) == (700, False)
    assert document["max_bytes"] == 64 * MIB
    assert document["used_share"] == pytest.approx(document["file_bytes"] / (64 * MIB), abs=1e-4)
    out = run("journal", "status", directory)[1]
    assert f"waiting    at most 700 records, {document['pending']['bytes']} bytes: " in out
    used = f"{document['used_share']:.1%} used"
    assert f"limit      {64 * MIB} bytes, {used} (journal.max_bytes by env HJ212GW_JOURNAL__MAX_BYTES)" in out


async def test_status_leaves_out_what_is_noted_as_drained(run, tmp_path):
    """The notes are of whole segments; with all of them drained nothing waits."""
    directory = tmp_path / "journal"
    async with opened(directory, segment_bytes=MIB) as journal:
        for number in range(60):
            await keep(journal, make_record(number, 50_000))
        await quiet(journal)
        journal.confirm(journal.stats().head_seq, BASE_US)
        await quiet(journal)
        newest = inspect(directory).segments[-1].records
    pending = json.loads(run("journal", "status", directory, "--json")[1])["pending"]
    assert (pending["records"], pending["is_exact"]) == (newest, False)
    assert newest < 60


def test_what_waits_in_a_segment_that_cannot_be_read_is_unknown(run, directory):
    """With the reason."""
    path = list_segments(directory)[1]
    path.write_bytes(b"no database" * MIB)
    pending = json.loads(run("journal", "status", directory, "--json")[1])["pending"]
    assert (pending["records"], pending["bytes"], pending["is_exact"]) == (None, None, False)
    assert f"waiting    unknown: {path.name} cannot be read" in run("journal", "status", directory)[1]


def upload(port, count):
    """Send packets and wait for their answers."""
    with socket.create_connection(("127.0.0.1", port), timeout=secs(20)) as line:
        answers = FrameBuffer()
        for number in range(count):
            line.sendall(make_frame("MN0000000001", number))
            while not list(answers.feed(line.recv(65536))):
                pass


@pytest.mark.parametrize("workers", [1, 2])
def test_what_waits_is_asked_of_the_gateway_that_runs(tmp_path, workers):
    """Its database is away, so all that it acknowledged waits; what segments hold would be no more than a bound."""
    away = f"postgresql://nobody@127.0.0.1:{free_port()}/hj212"
    options = ("--dsn", away, "--workers", str(workers))
    with GatewayProcess(tmp_path, "serve", *options, settings={"gateway.stop_timeout_secs": 1}) as gateway:
        upload(gateway.port, 3)
        settings = {"http.port": gateway.ready["http"].rpartition(":")[2]}
        code, out, _ = run_cli("journal", "status", "--data-dir", tmp_path / "data", "--json", settings=settings)
        pending = json.loads(out)["pending"]
        assert (code, pending["records"], pending["is_exact"]) == (0, 3, True)
        assert pending["source"] == f"by /metrics at {gateway.ready['http']}"
        out = run_cli("journal", "status", "--data-dir", tmp_path / "data", settings=settings)[1]
        assert "waiting    3 records, " in out


def test_directory_comes_from_the_settings(run, directory, tmp_path):
    """Of the settings file, or of the data directory."""
    path = tmp_path / "settings.toml"
    path.write_text(f'[journal]\ndirectory = "{directory}"\n')
    for arguments in (("--config", path), ("--data-dir", tmp_path)):
        code, out, _ = run("journal", "status", "--json", *arguments)
        assert (code, json.loads(out)["directory"]) == (0, str(directory))


def test_verify_says_that_all_is_well(run, directory):
    """Nothing on stdout but with --json, where it is an empty list."""
    assert run("journal", "verify", directory) == (0, "", "all is well\n")
    assert run("journal", "verify", directory, "--json") == (0, "[]\n", "")


def test_verify_finds_damage(run, directory):
    """Exit 1, the file and what is wrong with it, and nothing changed."""
    path = list_segments(directory)[0]
    content = bytearray(path.read_bytes())
    at = content.index(b"x" * 1000)
    content[at + 500 : at + 501] = b"y"
    path.write_bytes(content)
    code, out, err = run("journal", "verify", directory)
    assert code == 1
    assert out.startswith(f"{path.name}: checksum: ")
    assert err == "1 findings; nothing was changed\n"
    assert path.read_bytes() == content
    code, out, _ = run("journal", "verify", directory, "--json")
    (finding,) = json.loads(out)
    assert (code, finding["name"], finding["slug"]) == (1, path.name, "checksum")


@pytest.mark.parametrize("command", ["status", "verify"])
def test_directory_that_is_missing_is_an_error(run, tmp_path, command):
    """Exit 1 with a sentence."""
    code, out, err = run("journal", command, tmp_path / "missing")
    assert (code, out) == (1, "")
    assert err.startswith("error: ")
    assert "missing is no journal" in err


def test_segment_that_cannot_be_read_has_its_problem(run, directory):
    """The others are described as ever."""
    path = list_segments(directory)[1]
    path.write_bytes(b"no database" * MIB)
    code, out, _ = run("journal", "status", directory, "--json")
    problems = {segment["name"]: segment["problem"] for segment in json.loads(out)["segments"]}
    assert code == 0
    assert [name for name, problem in problems.items() if problem] == [path.name]


async def test_journals_of_workers_are_shown_and_checked_too(run, tmp_path):
    """Each below the directory, with that of the directory itself where there is one."""
    base = tmp_path / "journal"
    for name in ("worker-0", "worker-1"):
        async with live_gateway(tmp_path / name) as live:
            line = await live.connect()
            await line.send(frame(1))
            await line.answers(1)
        base.mkdir(exist_ok=True)
        (tmp_path / name / "journal").rename(base / name)
    code, out, _ = run("journal", "status", base, "--json")
    document = json.loads(out)
    assert (code, document["records"]) == (0, 0)
    assert [(worker["directory"], worker["records"]) for worker in document["workers"]] == [
        (str(base / "worker-0"), 1),
        (str(base / "worker-1"), 1),
    ]
    code, out, _ = run("journal", "status", base)
    assert [line.split()[1] for line in out.splitlines() if line.startswith("journal ")] == [
        str(base / "worker-0"),
        str(base / "worker-1"),
    ]
    assert run("journal", "verify", base) == (0, "", "all is well\n")
    (base / "worker-1" / "journal.json").unlink()
    code, out, _ = run("journal", "verify", base)
    assert (code, out.startswith("worker-1/journal.json: identity: is missing")) == (1, True)


def test_renew_says_what_it_wrote_and_what_to_do_with_it(run, directory, tmp_path):
    """Nothing on stdout; a second time the directory is in the way."""
    code, out, err = run("journal", "renew", directory, tmp_path / "new")
    uuid = json.loads((tmp_path / "new" / "journal.json").read_text())["uuid"]
    assert (code, out) == (0, "")
    assert err.splitlines()[0] == f"{tmp_path / 'new'} is journal {uuid} and holds 700 packets; 0 rejects left out"
    assert f"journal.directory = {tmp_path / 'new'}" in err
    code, _, err = run("journal", "renew", directory, tmp_path / "new")
    assert (code, "is not empty" in err) == (1, True)


def test_renew_tells_damage(run, directory, tmp_path):
    """And where to see what it is."""
    list_segments(directory)[1].write_bytes(b"no database" * MIB)
    code, _, err = run("journal", "renew", directory, tmp_path / "new")
    assert code == 0
    assert f"damaged files of {directory} were set aside: hj212gw journal verify {directory}" in err
