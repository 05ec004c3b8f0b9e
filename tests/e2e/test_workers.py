"""Several worker processes on one port: one gateway to those who connect, to the database and to Prometheus."""

import asyncio
import json
import os
import signal
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import pytest
from tests.support import (
    GatewayProcess,
    Logger,
    assert_conserved,
    assert_exactly_once,
    make_frame,
    run_cli,
    running_loggers,
    wait_acked,
    wait_for,
    wait_until,
)

ACCEPT = ("--unknown-mn", "accept")
QUICK = {"database__retry_first_secs": 0.1, "database__retry_max_secs": 0.5, "database__statement_timeout_secs": 5}
NOWHERE = "postgresql://nobody@127.0.0.1:1/nothing"
LOGGERS = 16  # one worker would get none of them once in thirty thousand runs


def workers_of(gateway):
    """Process ids of the workers, by number, as they signed their journals."""
    signed = sorted((gateway.folder / "data" / "journal").glob("worker-*/owner.pid"))
    return {int(path.parent.name.removeprefix("worker-")): int(path.read_text()) for path in signed}


def read_journals(gateway):
    """What `journal status` says of the journal of the directory itself, and of the workers'."""
    code, out, err = run_cli("journal", "status", "--json", "--data-dir", gateway.folder / "data")
    assert code == 0, err
    document = json.loads(out)
    return document, document["workers"]


def is_alive(pid):
    """Whether a process runs; one that ended and was not waited for does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def make_loggers(port, count=LOGGERS, **options):
    """So many data loggers."""
    return [Logger(f"WORK{number:010d}", port, **options) for number in range(count)]


def frames_of(loggers):
    """What was acknowledged, each packet once."""
    return sorted({frame for logger in loggers for frame in logger.acked})


@asynccontextmanager
async def counters_only_grow(gateway):
    """Read the merged counters over and over; none may ever be less than it was."""
    seen, rounds = {}, 0
    stopping = asyncio.Event()

    async def watch():
        nonlocal rounds
        while not stopping.is_set():
            for name, value in (await asyncio.to_thread(gateway.metrics)).items():
                if name.partition("{")[0].endswith(("_total", "_count", "_bucket", "_sum")):
                    assert value >= seen.get(name, 0), name
                    seen[name] = value
            rounds += 1
            with suppress(TimeoutError):
                async with asyncio.timeout(0.1):
                    await stopping.wait()

    watching = asyncio.create_task(watch())
    try:
        yield seen
    finally:
        stopping.set()
        await watching
    assert rounds > 1


async def test_workers_are_one_gateway(serve, dsn):
    """Both take connections; metrics, readiness, ready file and stop are those of one gateway."""
    gateway = serve(dsn, *ACCEPT, "--workers", "2")
    await asyncio.to_thread(gateway.start)
    assert gateway.ready["pid"] == gateway.process.pid
    assert gateway.ready["gateway"] == f"127.0.0.1:{gateway.port}"
    async with running_loggers(make_loggers(gateway.port)) as loggers:
        await wait_acked(loggers, 2000)
    _, journals = await asyncio.to_thread(read_journals, gateway)
    assert [Path(journal["directory"]).name for journal in journals] == ["worker-0", "worker-1"]
    assert {journal["owner_pid"] for journal in journals} == set(workers_of(gateway).values())
    assert all(journal["records"] > 0 for journal in journals)
    frames = frames_of(loggers)
    await assert_exactly_once(dsn, frames)
    await assert_conserved(gateway)
    metrics = await asyncio.to_thread(gateway.metrics)
    assert metrics['hj212gw_acks_sent_total{cn="9014"}'] == sum(logger.sent for logger in loggers) == len(frames)
    assert metrics["hj212gw_ack_duration_seconds_count"] == len(frames)
    assert metrics["hj212gw_journal_committed_records_total"] == sum(journal["records"] for journal in journals)
    assert metrics["hj212gw_workers_started_total"] == 2
    assert metrics["hj212gw_build_info"] == 1
    await wait_until(lambda: asyncio.to_thread(is_ready, gateway))
    assert await asyncio.to_thread(gateway.get, "/healthz") == (200, "alive\n")
    page = (await asyncio.to_thread(gateway.get, "/metrics"))[1]
    assert sum(not line.startswith("#") for line in page.splitlines()) < 300
    assert await asyncio.to_thread(gateway.stop) == 0
    assert workers_of(gateway) == {}


async def test_same_packets_through_two_workers_are_stored_once(serve, dsn):
    """Pairs of connections send the same packets of the same data loggers at the same time; no drain gives up."""
    gateway = serve(dsn, *ACCEPT, "--workers", "2", database__batch_packets=100)
    await asyncio.to_thread(gateway.start)
    moment = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=12)

    def make(mn, number):
        return make_frame(mn, number, moment=moment + timedelta(seconds=number))

    loggers = [logger for _ in range(3) for logger in make_loggers(gateway.port, 6, make=make)]
    async with running_loggers(loggers):
        await wait_acked(loggers, 6000)
    frames = frames_of(loggers)
    await assert_exactly_once(dsn, frames)
    await assert_conserved(gateway)
    metrics = await asyncio.to_thread(gateway.metrics)
    assert metrics["hj212gw_packets_stored_total"] == len(frames)
    assert metrics["hj212gw_packets_repeated_total"] == sum(logger.sent for logger in loggers) - len(frames)
    # two COPYs may deadlock and one is tried again; a storm would be many of them
    assert metrics["hj212gw_store_retries_total"] <= 0.1 * metrics["hj212gw_store_batch_duration_seconds_count"] + 2
    assert metrics["hj212gw_store_failures_total"] == 0
    assert await asyncio.to_thread(gateway.stop) == 0


@pytest.mark.faults
async def test_killed_worker_loses_nothing_and_disturbs_nobody(serve, database):
    """What it acknowledged and had not stored is drained by its successor; the other goes on; no counter goes back."""
    await database.start(migrated=True)
    gateway = serve(database.dsn, *ACCEPT, "--workers", "2", **QUICK)
    await asyncio.to_thread(gateway.start)
    async with running_loggers(make_loggers(gateway.port)) as loggers, counters_only_grow(gateway) as counters:
        await wait_acked(loggers, 1000)
        database.freeze()
        await wait_acked(loggers, 500)
        before = workers_of(gateway)
        os.kill(before[1], signal.SIGKILL)
        await wait_until(partial(logged, gateway, "worker.lost"))
        database.thaw()
        await wait_until(lambda: replaced(gateway, before[1]))
        await wait_acked(loggers, 1000)
        assert workers_of(gateway)[0] == before[0]
    await assert_exactly_once(database.dsn, frames_of(loggers))
    await assert_conserved(gateway, is_first=False)
    assert counters["hj212gw_workers_lost_total"] == 1
    assert counters["hj212gw_workers_started_total"] == 3
    assert "was ended by SIGKILL" in gateway.log()
    await wait_until(lambda: asyncio.to_thread(is_ready, gateway))
    assert await asyncio.to_thread(gateway.stop) == 0


async def logged(gateway, event):
    """Whether an event was logged."""
    return gateway.has_logged(event)


async def replaced(gateway, pid):
    """Whether another process has taken the place of worker 1 and listens."""
    status, _ = await asyncio.to_thread(gateway.get, "/readyz")
    return status == 200 and workers_of(gateway).get(1, pid) != pid


@pytest.mark.faults
async def test_readiness_names_the_worker_that_is_not(serve):
    """One that does not answer is named, and so is one that ended."""
    gateway = serve(NOWHERE, *ACCEPT, "--workers", "2")
    await asyncio.to_thread(gateway.start)
    pids = workers_of(gateway)
    os.kill(pids[1], signal.SIGSTOP)
    assert await asyncio.to_thread(gateway.get, "/readyz") == (503, "worker 1: it does not answer\n")
    assert (await asyncio.to_thread(gateway.get, "/healthz"))[0] == 200
    os.kill(pids[1], signal.SIGKILL)
    told = await wait_until(lambda: unready(gateway))
    assert told.startswith(("worker 1: it was ended by SIGKILL", "worker 1: it does not answer"))
    assert await asyncio.to_thread(gateway.stop) == 0


def is_ready(gateway):
    """Tell whether the readiness page says so; on a busy machine a worker may be late with its own."""
    return gateway.get("/readyz") == (200, "ready\n")


async def unready(gateway):
    """What readiness says once it says that a worker ended."""
    status, text = await asyncio.to_thread(gateway.get, "/readyz")
    return text if status == 503 else None


@pytest.mark.faults
async def test_journals_of_another_number_of_workers_are_drained(serve, database):
    """From three to one to two while the database is away each time: all that was acknowledged is stored once."""
    await database.start(migrated=True)
    all_loggers = []
    for count in (3, 1, 2):
        await database.stop()
        gateway = serve(database.dsn, *ACCEPT, "--workers", str(count), gateway__stop_timeout_secs=0.5, **QUICK)
        await asyncio.to_thread(gateway.start)
        loggers = [Logger(f"LAY{count}{number:010d}", gateway.port) for number in range(LOGGERS)]
        async with running_loggers(loggers):
            await wait_acked(loggers, 500)
        all_loggers += loggers
        assert await asyncio.to_thread(gateway.stop) == 0
    base, journals = await asyncio.to_thread(read_journals, gateway)
    assert [base["records"] > 0, *(journal["records"] > 0 for journal in journals)] == [True] * 4
    await database.start()
    gateway = serve(database.dsn, *ACCEPT, "--workers", "2", **QUICK)
    await asyncio.to_thread(gateway.start)
    await assert_exactly_once(database.dsn, frames_of(all_loggers))
    await wait_until(lambda: has_emptied(gateway, 2))
    metrics = await asyncio.to_thread(gateway.metrics)
    assert metrics["hj212gw_journal_pending_packets"] == 0
    assert metrics["hj212gw_journals_left_total"] == 0
    _, journals = await asyncio.to_thread(read_journals, gateway)
    assert [bool(journal["owner_pid"]) for journal in journals] == [True, True, False]
    assert await asyncio.to_thread(gateway.stop) == 0


async def has_emptied(gateway, count):
    """Whether so many journals that nobody fills were drained since the log began."""
    return gateway.log().count('"event": "journal.emptied"') >= count


@pytest.mark.faults
async def test_workers_stop_in_order_when_their_supervisor_is_killed(serve, dsn):
    """None of them outlives it for long; the next start waits for them and finds every journal."""
    gateway = serve(dsn, *ACCEPT, "--workers", "2")
    await asyncio.to_thread(gateway.start)
    pids = workers_of(gateway)
    async with running_loggers(make_loggers(gateway.port)) as loggers:
        await wait_acked(loggers, 500)
        gateway.kill()
        await asyncio.to_thread(gateway.start)
        assert not any(is_alive(pid) for pid in pids.values())
        await wait_acked(loggers, 500)
    assert gateway.log().count("stopping on the supervisor's end") == 2
    await assert_exactly_once(dsn, frames_of(loggers))
    assert await asyncio.to_thread(gateway.stop) == 0


@pytest.mark.faults
async def test_second_signal_ends_the_workers_too(serve, database):
    """An operator who does not want to wait for the database need not."""
    await database.start(migrated=True)
    gateway = serve(database.dsn, *ACCEPT, "--workers", "2", gateway__stop_timeout_secs=600)
    await asyncio.to_thread(gateway.start)
    pids = workers_of(gateway)
    async with running_loggers(make_loggers(gateway.port)) as loggers:
        await wait_acked(loggers, 200)
        database.freeze()
        await wait_acked(loggers, 200)
        gateway.process.send_signal(signal.SIGTERM)
        await wait_until(partial(says, gateway, "stopping on the supervisor's word", 2))
        gateway.process.send_signal(signal.SIGTERM)
        assert await asyncio.to_thread(gateway.wait, 5) == 1
        await asyncio.to_thread(wait_for, lambda: not any(is_alive(pid) for pid in pids.values()), 5)
        database.thaw()
        await asyncio.to_thread(gateway.start)
    await assert_exactly_once(database.dsn, frames_of(loggers))
    assert await asyncio.to_thread(gateway.stop) == 0


async def says(gateway, words, times):
    """Whether the log has some words so many times."""
    return gateway.log().count(words) >= times


async def test_interrupt_from_a_terminal_stops_in_order(serve, dsn):
    """Ctrl-C goes to a whole process group: the workers hear of it from the supervisor, once."""
    gateway = serve(dsn, *ACCEPT, "--workers", "2")
    await asyncio.to_thread(gateway.start)
    pids = workers_of(gateway)
    assert {os.getpgid(pid) for pid in pids.values()}.isdisjoint({os.getpgid(gateway.process.pid)})
    gateway.process.send_signal(signal.SIGINT)
    assert await asyncio.to_thread(gateway.wait) == 0
    assert gateway.log().count("stopping on the supervisor's word") == 2
    assert not any(is_alive(pid) for pid in pids.values())


async def test_hang_up_leaves_workers_alive(serve):
    """SIGHUP asks for settings to be read again; it goes to the workers and ends nobody."""
    gateway = serve(NOWHERE, *ACCEPT, "--workers", "2")
    await asyncio.to_thread(gateway.start)
    pids = workers_of(gateway)
    gateway.process.send_signal(signal.SIGHUP)
    await asyncio.to_thread(wait_for, lambda: gateway.log().count('"event": "config.reloaded"') == 2)
    await wait_until(lambda: asyncio.to_thread(is_ready, gateway))
    assert workers_of(gateway) == pids
    assert await asyncio.to_thread(gateway.stop) == 0


async def test_port_and_directory_in_use_are_named(serve):
    """A second supervisor shares neither, though the system would let it share the port: exit 3 and the reason."""
    first = serve(NOWHERE, *ACCEPT, "--workers", "2")
    await asyncio.to_thread(first.start)
    second = serve(NOWHERE, *ACCEPT, "--workers", "2", folder="second")
    second.port = first.port
    second.launch()
    assert await asyncio.to_thread(second.wait) == 3
    assert f"cannot listen on 127.0.0.1:{first.port}" in second.log()
    third = serve(NOWHERE, *ACCEPT, "--workers", "2", folder="third", journal__directory=first.folder / "data/journal")
    third.launch()
    assert await asyncio.to_thread(third.wait) == 3
    assert f"is served by process {first.process.pid}" in third.log()
    assert await asyncio.to_thread(first.stop) == 0


async def test_worker_that_cannot_start_ends_all(serve, tmp_path):
    """At the start a fault is the operator's to see: exit 1, and the worker's own words."""
    gateway = serve(NOWHERE, *ACCEPT, "--workers", "2")
    journal = gateway.folder / "data" / "journal"
    journal.mkdir(parents=True)
    (journal / "worker-1").write_text("a file where a directory should be")
    gateway.launch()
    assert await asyncio.to_thread(gateway.wait) == 1
    assert "worker 1 ended with exit code 1 before it listened" in gateway.log()
    assert "error: journal" in gateway.log()


async def test_journal_too_small_for_its_workers_is_refused(serve):
    """They share `journal.max_bytes`: exit 3 with the least there must be."""
    gateway = serve(NOWHERE, "--workers", "3", journal__max_bytes=512 << 20)
    gateway.launch()
    assert await asyncio.to_thread(gateway.wait) == 3
    assert f"expected at least {3 * 256 << 20} for 3 workers" in gateway.log()


async def test_worker_without_a_supervisor_says_what_it_is():
    """The hidden option is for nobody else."""
    code, _, err = await asyncio.to_thread(run_cli, "serve", "--worker", "0")
    assert code == 3
    assert "--worker is for the workers" in err


async def test_up_takes_workers_too(tmp_path):
    """With a database of its own; unknown data loggers are accepted as `up` does."""
    with GatewayProcess(tmp_path, "up", "--workers", "2") as gateway:
        async with running_loggers(make_loggers(gateway.port, 4)) as loggers:
            await wait_acked(loggers, 200)
        await assert_exactly_once(gateway.ready["dsn"], frames_of(loggers))
        await assert_conserved(gateway)


async def test_terminated_by_a_service_manager_is_no_second_signal(serve, dsn):
    """SIGTERM to every process of the service at once: all of them stop in order."""
    gateway = serve(dsn, *ACCEPT, "--workers", "2")
    await asyncio.to_thread(gateway.start)
    async with running_loggers(make_loggers(gateway.port)) as loggers:
        await wait_acked(loggers, 300)
        for pid in (gateway.process.pid, *workers_of(gateway).values()):
            os.kill(pid, signal.SIGTERM)
        assert await asyncio.to_thread(gateway.wait) == 0
        assert gateway.log().count('"pending_packets": 0, "event": "gateway.stopped"') == 2
        assert not gateway.has_logged("worker.lost")
        await asyncio.to_thread(gateway.start)
    await assert_exactly_once(dsn, frames_of(loggers))
    assert await asyncio.to_thread(gateway.stop) == 0
