"""The supervisor with workers that take no packets: started, replaced, asked, stopped; and a worker's end of the line."""

import asyncio
import json
import os
import signal
import socket
import sys
from pathlib import Path

import pytest
from tests.gateway.support import Counts, eventually, on_both_loops
from tests.support import secs

from hj212gw.errors import ConfigError, JournalError
from hj212gw.gateway import control, supervisor
from hj212gw.gateway.control import Handover, Report, WorkerLine, read_handover
from hj212gw.gateway.ports import HeldPort
from hj212gw.gateway.supervisor import Supervisor, WorkerLimits
from hj212gw.merging import Snapshot

CHILD = Path(__file__).with_name("worker_child.py")


def make_supervisor(notes, *deeds, stop_secs=30.0, command=None):
    """Workers whose lives go as told, `["die", "serve"]`."""
    handovers = [
        Handover(number, len(deeds), str(notes), None, False, {"do": lives}) for number, lives in enumerate(deeds)
    ]
    return Supervisor(handovers, WorkerLimits(command or (lambda _: [sys.executable, str(CHILD)]), (), secs(stop_secs)))


def value_of(running, name):
    """A merged sample."""
    return next(
        sample.value for family in running.metrics.collect() for sample in family.samples if sample.name == name
    )


@on_both_loops
async def test_workers_are_started_asked_and_stopped(tmp_path):
    """All listen before `start` returns; what they tell is merged; each ends in order at the supervisor's word."""
    running = make_supervisor(tmp_path, ["serve"], ["serve"])
    counts = Counts()
    await running.start()
    assert all(running.pids)
    assert await running.find_fault() is None
    own = value_of(make_supervisor(tmp_path, ["serve"]), "hj212gw_frames_received_total")
    assert value_of(running, "hj212gw_frames_received_total") == own + 20
    running.forward(signal.SIGHUP)
    await eventually(lambda: len(list(tmp_path.glob("*.hup"))) == 2)
    await running.stop()
    assert running.pids == [None, None]
    assert [path.read_text() for path in tmp_path.glob("*.end")] == ["the supervisor's word"] * 2
    assert (counts("workers_started_total"), counts("workers_lost_total")) == (2, 0)


@on_both_loops
async def test_worker_that_dies_is_replaced(tmp_path):
    """Readiness says so meanwhile; what it had counted stays in the sum; the other one lives on."""
    running = make_supervisor(tmp_path, ["serve"], ["die", "serve"])
    counts = Counts()
    await running.start()
    await running.find_fault()
    before, first = value_of(running, "hj212gw_frames_received_total"), running.pids
    (tmp_path / "1.die0").touch()
    await eventually(running._workers[1].find_fault)
    fault = await running.find_fault()
    assert fault is not None
    assert fault.startswith(("worker 1: it was ended by SIGKILL; another is started 0.2 s later", "worker 1: it is st"))
    assert value_of(running, "hj212gw_frames_received_total") == before
    assert value_of(running, "hj212gw_journal_pending_packets") >= 10
    await eventually(lambda: running._workers[1].find_fault() is None)
    assert await running.find_fault() is None
    assert value_of(running, "hj212gw_frames_received_total") == before + 10
    assert running.pids[0] == first[0]
    assert running.pids[1] not in (None, first[1])
    assert counts("workers_lost_total") == 1
    await running.stop()


async def test_worker_that_dies_again_and_again_is_started_ever_later(tmp_path, monkeypatch):
    """So that a disk that is broken for good does not keep a processor busy; a calm life begins anew."""
    monkeypatch.setattr(supervisor, "_RETRY_FIRST_SECS", 0.01)
    monkeypatch.setattr(supervisor, "_RETRY_MAX_SECS", 0.02)
    running = make_supervisor(tmp_path, ["die", "exit 1", "exit 1", "exit 1", "serve"])
    counts = Counts()
    await running.start()
    (tmp_path / "0.die0").touch()
    await eventually(lambda: counts("workers_lost_total") == 4, timeout=30)
    await eventually(lambda: running._workers[0].find_fault() is None)
    monkeypatch.setattr(supervisor, "_CALM_SECS", 0.0)
    os.kill(running.pids[0], signal.SIGKILL)
    await eventually(lambda: counts("workers_lost_total") == 5)
    assert running._workers[0].find_fault() == "it was ended by SIGKILL; another is started 0.01 s later"
    await running.stop()


async def test_stop_does_not_wait_for_a_worker_that_is_to_be_started(tmp_path, monkeypatch):
    """It ends the pause before the next start."""
    monkeypatch.setattr(supervisor, "_RETRY_FIRST_SECS", secs(60))
    running = make_supervisor(tmp_path, ["die", "serve"])
    counts = Counts()
    await running.start()
    (tmp_path / "0.die0").touch()
    await eventually(lambda: counts("workers_lost_total") == 1)
    async with asyncio.timeout(secs(10)):
        await running.stop()


@pytest.mark.parametrize(("code", "error"), [(3, ConfigError), (1, JournalError), (4, JournalError)])
async def test_worker_that_ends_before_it_listens_fails_the_start(tmp_path, code, error):
    """With the kind of error its exit code means; the others are stopped."""
    running = make_supervisor(tmp_path, ["serve"], [f"exit {code}"])
    with pytest.raises(error, match=f"worker 1 ended with exit code {code} before it listened"):
        await running.start()
    await running.stop()
    assert running.pids == [None, None]


async def test_program_that_cannot_be_started_fails_the_start(tmp_path):
    """Out of processes, or the program was removed."""
    running = make_supervisor(tmp_path, ["serve"], command=lambda _: [str(tmp_path / "missing")])
    with pytest.raises(JournalError, match="worker 0 could not be started: "):
        await running.start()
    await running.stop()


@on_both_loops
async def test_worker_that_does_not_stop_is_killed(tmp_path):
    """Its journal keeps what it had not stored."""
    running = make_supervisor(tmp_path, ["stay"], ["serve"], stop_secs=0.5)
    await running.start()
    pid = running.pids[0]
    await running.stop()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


async def test_worker_that_does_not_answer_is_named(tmp_path, monkeypatch):
    """It is asked once, not again and again, and its late answer counts."""
    monkeypatch.setattr(supervisor, "_ASK_SECS", 0.05)
    running = make_supervisor(tmp_path, ["serve"])
    await running.start()
    os.kill(running.pids[0], signal.SIGSTOP)
    assert await running.find_fault() == await running.find_fault() == "worker 0: it does not answer"
    os.kill(running.pids[0], signal.SIGCONT)
    await eventually(lambda: running._workers[0].find_fault() is None)
    await running.stop()


async def test_fault_of_a_worker_is_named(tmp_path):
    """In its own words."""
    running = make_supervisor(tmp_path, ["ill"], ["serve"])
    await running.start()
    assert await running.find_fault() == "worker 0: its journal is full"
    await running.stop()


async def test_worker_that_talks_nonsense_is_replaced(tmp_path):
    """The line is closed, which ends it."""
    running = make_supervisor(tmp_path, ["babble", "serve"])
    counts = Counts()
    await running.start()
    await eventually(lambda: counts("workers_lost_total") == 1)
    await eventually(lambda: running._workers[0].find_fault() is None)
    assert (tmp_path / "0.end").read_text() == "the supervisor's end"
    await running.stop()


def test_ends_are_described():
    """An exit code, a signal by its name, or by its number where it has none."""
    assert supervisor._describe(3) == "ended with exit code 3"
    assert supervisor._describe(-9) == "was ended by SIGKILL"
    assert supervisor._describe(-200) == "was ended by signal 200"


@pytest.fixture
def line():
    """Both ends of a line: the supervisor's as a socket, the worker's as a descriptor."""
    ours, theirs = socket.socketpair()
    ours.settimeout(secs(10))
    yield ours, theirs.fileno()
    ours.close()
    theirs.close()


def test_handover_arrives_whole_and_alone(line):
    """What comes behind it is left for the event loop."""
    ours, descriptor = line
    sent = Handover(1, 4, "/data/journal", "/etc/hj212gw.toml", True, {"gateway.port": 9212, "data_dir": Path("/data")})
    ours.sendall(sent.encode() + b"stop\n")
    assert read_handover(descriptor) == sent._replace(overrides={"gateway.port": 9212, "data_dir": "/data"})
    assert os.read(descriptor, 100) == b"stop\n"


@pytest.mark.parametrize("what", [b"", b"nonsense\n", b'{"worker": 1}\n', b"[]\n", b"1\n"])
def test_what_is_no_handover_is_refused(line, what):
    """A person who tries the option learns what it is for."""
    ours, descriptor = line
    ours.sendall(what)
    ours.shutdown(socket.SHUT_WR)
    with pytest.raises(ConfigError, match="--worker"):
        read_handover(descriptor)


def test_handover_that_does_not_end_is_refused(line, monkeypatch):
    """Memory is bounded."""
    monkeypatch.setattr(control, "LINE_LIMIT_BYTES", 100)
    ours, descriptor = line
    ours.sendall(b"x" * 200)
    with pytest.raises(ConfigError):
        read_handover(descriptor)


async def test_worker_answers_and_stops_at_a_word(line):
    """It says where it listens, reports as often as it is asked, and knows why it has to stop."""
    ours, descriptor = line
    worker = await WorkerLine.open(descriptor)
    worker.begin("127.0.0.1:9212", lambda: Report("full", Snapshot({"a_total": 1.0}, {"b": 2.0})))
    ours.sendall(b"ask\nask\nnonsense\nstop\nstop\n")
    assert await worker.stopped == "the supervisor's word"
    await worker.close()
    with ours.makefile() as heard:
        told = [json.loads(next(heard)) for _ in range(3)]
    report = {"fault": "full", "snapshot": {"counters": {"a_total": 1.0}, "gauges": {"b": 2.0}}}
    assert told == [{"ready": "127.0.0.1:9212"}, report, report]


async def test_report_that_nobody_hears_is_no_fault(line):
    """The supervisor may be gone before the worker's last word."""
    ours, descriptor = line
    worker = await WorkerLine.open(descriptor)
    worker.begin("127.0.0.1:1", lambda: Report(None, Snapshot({}, {})))
    ours.close()
    assert await worker.stopped == "the supervisor's end"
    await worker.close()
    worker.tell(Report(None, Snapshot({}, {})))
    await worker.close()


async def test_held_port_is_shared_with_workers_and_nobody_else():
    """A stranger, or another supervisor whose workers listen, finds it taken; and it is free again when released."""
    held = await HeldPort.take("127.0.0.1", 0)
    assert held.sockets[0].getsockname() == ("127.0.0.1", held.port)
    with socket.socket() as stranger, pytest.raises(OSError):
        stranger.bind(("127.0.0.1", held.port))
    servers = [await asyncio.start_server(lambda *_: None, "127.0.0.1", held.port, reuse_port=True) for _ in range(2)]
    with pytest.raises(ConfigError, match=f"cannot listen on 127.0.0.1:{held.port}: Address already in use"):
        await HeldPort.take("127.0.0.1", held.port)
    for server in servers:
        server.close()
        await server.wait_closed()
    held.release()
    with socket.socket() as stranger:
        stranger.bind(("127.0.0.1", held.port))


async def test_every_address_of_a_host_is_held():
    """A name may have several; all get the port that was found for the first."""
    held = await HeldPort.take("localhost", 0)
    assert {bound.getsockname()[1] for bound in held.sockets} == {held.port}
    held.release()


async def test_host_that_is_none_of_ours_is_refused():
    """With the address and what the system says."""
    with pytest.raises(ConfigError, match=r"cannot listen on 203\.0\.113\.7:9212: "):
        await HeldPort.take("203.0.113.7", 9212)
