"""`hj212-sim load` as a program: against a real gateway, and against hosts that lie."""

import asyncio
import json
import os
import signal
from datetime import UTC, datetime
from pathlib import Path

import asyncpg
import pytest
from tests.simulators.load_support import all_acked, read_plan
from tests.simulators.support import ACK, CLOSE, DROP, eventually, never, running_host
from tests.simulators.test_cli import running
from tests.support import GatewayProcess, secs, wait_until

from hj212gw.protocol import Edition, encode_frame
from hj212sim.load.check import Verifier

RUN_SECS = 60


@pytest.fixture(scope="module")
def gateway(tmp_path_factory):
    """A gateway with its own database, for all runs that harm neither."""
    with GatewayProcess(tmp_path_factory.mktemp("gateway")) as process:
        yield process


async def run(port, *arguments):
    """Run a load to its end; return the exit code, the report (None without one) and stderr."""
    async with running("load", "--port", port, "--json", *arguments) as process, asyncio.timeout(secs(RUN_SECS)):
        out, err = await process.communicate()
    return process.returncode, json.loads(out) if out else None, err.decode()


@pytest.mark.parametrize("edition", list(Edition))
async def test_all_is_acked_and_stored_once(gateway, edition):
    """Packets of two commands over several connections and processes are acknowledged and found in the database."""
    size = ("--packets", 1000, "--connections", 5, "--loggers", 12, "--processes", 2)
    options = ("--cn", "2011,2061", "--edition", edition, "--factors", 3, "--dsn", gateway.ready["dsn"])
    code, report, err = await run(gateway.port, *size, *options)
    assert code == 0, (report, err)
    assert [report[name] for name in ("sent", "acked", "unacked", "resent", "errors")] == [1000, 1000, 0, 0, 0]
    assert report["connects"] == 5
    check = report["check"]
    assert [check[name] for name in ("packets_acked", "packets_stored", "packets_doubled")] == [1000, 1000, 0]
    assert [check[name] for name in ("readings_acked", "readings_stored")] == [3000, 3000]
    assert check["faults"] == []


async def test_report_fields(gateway):
    """Speed, latencies, errors and the generator's own memory and lateness are in the JSON."""
    code, report, _ = await run(gateway.port, "--packets", 200, "--rate", 1000, "--seed", 5, "--quiet")
    assert code == 0
    quantiles = [report[f"ack_{name}_ms"] for name in ("p50", "p90", "p99", "max")]
    assert quantiles == sorted(quantiles)
    assert quantiles[0] > 0
    assert report["acked_per_sec"] > 0
    assert report["sent_per_sec"] > 0
    assert report["generator"]["memory_bytes"] > 10_000_000
    assert report["generator"]["lag_max_ms"] >= report["generator"]["lag_p99_ms"] >= 0
    assert report["generator"]["cpu_us_a_packet"] > 0
    assert report["plan"]["seed"] == 5
    assert "check" not in report


async def test_rate_sets_the_count(gateway):
    """With a rate and a duration what falls due is what is sent: no more, and nothing is left out."""
    code, report, _ = await run(gateway.port, "--rate", 200, "--duration", 2, "--connections", 4, "--loggers", 9)
    assert code == 0
    assert report["unacked"] == 0
    assert report["sent"] + report["unsent"] == pytest.approx(400, abs=8)  # floats, two for each connection


async def test_storms_lose_nothing(gateway):
    """Connections that are all cut again and again come back, send what was open with the same QN, and lose nothing."""
    size = ("--rate", 500, "--duration", 3, "--connections", 6, "--loggers", 6, "--ramp", 0.5)
    code, report, err = await run(gateway.port, *size, "--reconnect-storm", 0.5, "--dsn", gateway.ready["dsn"])
    assert code == 0, (report, err)
    assert report["storms"] >= 4
    assert report["connects"] == 6 * (report["storms"] + 1)
    assert report["check"]["packets_stored"] == report["acked"] == report["sent"]
    assert report["repeated_acks"] <= report["resent"]


async def test_sigint_gives_the_report(gateway):
    """Ctrl-C ends a run in order: what was sent is answered, checked and reported."""
    options = ("--rate", 300, "--duration", 600, "--json", "--dsn", gateway.ready["dsn"])
    before = gateway.metrics()["hj212gw_frames_accepted_total"]

    async def came():
        metrics = await asyncio.to_thread(gateway.metrics)
        return metrics["hj212gw_frames_accepted_total"] > before + 100

    async with running("load", "--port", gateway.port, *options) as process, asyncio.timeout(secs(RUN_SECS)):
        await wait_until(came)
        process.send_signal(signal.SIGINT)
        out, err = await process.communicate()
    report = json.loads(out)
    assert process.returncode == 0, err
    assert report["sent"] == report["acked"] == report["check"]["packets_stored"] > 100


async def test_what_the_database_lacks_is_found(gateway):
    """A packet taken out of the database, a reading changed, one doubled: each shows in the check."""
    dsn = gateway.ready["dsn"]
    options = ("--packets", 60, "--connections", 2, "--loggers", 4, "--factors", 2, "--dsn", dsn)
    _, report, _ = await run(gateway.port, *options)
    plan = read_plan(report)
    verifier = Verifier(plan, all_acked(plan))
    assert (await verifier.check(dsn, wait_secs=0.0)).report()["faults"] == []
    mn = verifier.mns[0]
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute(
            "UPDATE hj212.readings_rtd r SET rtd = rtd + 1 FROM hj212.loggers l"
            " WHERE l.logger_id = r.logger_id AND l.mn = $1 AND r.factor = 'w01018' AND r.data_time = $2",
            mn,
            datetime.fromtimestamp(plan.begin_secs, UTC),
        )
        changed = (await verifier.check(dsn, wait_secs=0.0)).report()
        await connection.execute(f"CREATE TEMP TABLE copied AS SELECT * FROM hj212.packets WHERE mn = '{mn}' LIMIT 1")
        await connection.execute("UPDATE copied SET qn_at = qn_at + interval '1 millisecond'")
        await connection.execute("INSERT INTO hj212.packets SELECT * FROM copied")
        doubled = (await verifier.check(dsn, wait_secs=0.0)).report()
        await connection.execute("DELETE FROM hj212.packets WHERE digest = (SELECT digest FROM copied)")
        missing = (await verifier.check(dsn, wait_secs=0.0)).report()
    finally:
        await connection.close()
    assert changed["faults"] == ["the readings of 1 data loggers are not what was sent"]
    assert doubled["packets_doubled"] == 1
    assert "1 packets are stored twice" in doubled["faults"]
    assert (missing["packets_missing"], missing["packets_stored"]) == (1, 59)
    assert f"1 acknowledged packets are not stored, such as MN {mn} QN 20" in missing["faults"][0]


async def test_silence_fails_the_run():
    """A host that never answers: exit 1, and every packet of the windows counts as unacked."""
    async with running_host(never) as host:
        code, report, _ = await run(
            host.port, "--packets", 100, "--window", 5, "--linger-secs", 0.5, "--connections", 3
        )
    assert code == 1
    assert (report["sent"], report["acked"], report["unacked"]) == (15, 0, 15)
    assert report["is_given_up"]


async def test_answers_that_come_twice_fail_the_run():
    """A host that answers each packet twice is found out, though all is acknowledged."""
    async with running_host() as host:
        host.decide = lambda came, _nth: (host.answer(came), ACK)[1]
        code, report, _ = await run(host.port, "--packets", 50, "--connections", 2, "--window", 5)
    assert code == 1
    assert (report["acked"], report["resent"], report["unacked"]) == (50, 0, 0)
    assert report["repeated_acks"] >= 40  # the last ones may come after the end


async def test_answers_to_nothing_fail_the_run():
    """A host that answers with the QN of another day is found out."""
    async with running_host() as host:

        def decide(came, _nth):
            host.answer(came._replace(packet=came.packet._replace(qn="20200101000000000")))
            return ACK

        host.decide = decide
        code, report, _ = await run(host.port, "--packets", 50, "--connections", 2, "--window", 5)
    assert code == 1
    assert report["strange_answers"] > 0


async def test_a_host_that_hangs_up_fails_the_run():
    """Each cut is an error, what was open is sent again, and without an answer it stays unacked."""
    async with running_host(lambda _came, _nth: CLOSE) as host:
        code, report, _ = await run(host.port, "--packets", 6, "--connections", 2, "--linger-secs", 1.0)
    assert code == 1
    assert report["unacked"] == 6
    assert report["resent"] > 0
    assert report["errors"] == sum(report["errors_by_reason"].values()) >= 2


async def test_a_repeat_has_the_same_qn():
    """What was open when the host hung up comes once more as the same bytes, and its answer ends the run."""
    seen = []

    def decide(came, nth):
        seen.append(came.raw)
        return ACK if nth > 1 else CLOSE if len(seen) == 4 else DROP

    async with running_host(decide) as host:
        code, report, _ = await run(host.port, "--packets", 4, "--connections", 1)
    assert code == 0, report
    assert (report["acked"], report["resent"], report["connects"]) == (4, 4, 2)
    assert seen[4:] == seen[:4]


async def test_answers_of_another_shape_are_taken():
    """An answer with its fields in another order is found by QN and MN; noise and requests are told apart from it."""
    async with running_host() as host:

        def decide(came, _nth):
            packet = came.packet
            answer = f"ST=91;QN={packet.qn};CN=9014;MN={packet.mn};PW={packet.pw};Flag=4;CP=&&&&"
            request = f"QN=20200101000000000;ST=32;CN=1011;PW=123456;MN={packet.mn};Flag=5;CP=&&&&"
            transport = host.connections[came.connection].transport
            transport.write(encode_frame(request.encode()) + b"noise\r\n" + encode_frame(answer.encode()))
            return DROP

        host.decide = decide
        code, report, _ = await run(host.port, "--packets", 10, "--connections", 1)
    assert code == 0, report
    assert (report["acked"], report["requests"], report["errors_by_reason"]) == (10, 10, {"not a packet": 10})


async def test_nobody_there_fails_the_run():
    """Without a gateway nothing is sent, the reason is named, and the run ends by itself."""
    async with running_host() as host:
        port = host.port
    code, report, _ = await run(port, "--packets", 10, "--linger-secs", 0.5)
    assert code == 1
    assert report["sent"] == 0
    assert any("cannot connect" in reason for reason in report["errors_by_reason"])


def find_workers(pid):
    """The processes that a run started to send for it."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [int(child) for child in children if b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes()]


async def test_a_process_that_dies_fails_the_run():
    """When one of the generator's processes is killed there is no report that could be taken for a good one."""
    async with running_host() as host:
        options = ("--rate", 100, "--duration", 600, "--json", "--processes", 2)
        async with running("load", "--port", host.port, *options) as process, asyncio.timeout(secs(RUN_SECS)):
            await host.wait_for_frames(10)
            os.kill(find_workers(process.pid)[0], signal.SIGKILL)
            out, err = await process.communicate()
    assert (process.returncode, out) == (1, b"")
    assert b"ended before its time" in err


async def test_a_killed_run_leaves_nothing_behind():
    """When the program itself is killed, its processes hang up."""
    async with running_host() as host:
        options = ("--rate", 100, "--duration", 600, "--processes", 2)
        async with running("load", "--port", host.port, *options) as process, asyncio.timeout(secs(RUN_SECS)):
            await host.wait_for_frames(10)
            workers = find_workers(process.pid)
            process.kill()
            await host.wait_for(lambda: not host.connections)
            await eventually(lambda: not any(Path(f"/proc/{worker}/exe").exists() for worker in workers))
            _, err = await process.communicate()
    assert len(workers) == 2
    assert b"Traceback" not in err


async def test_a_slow_host_shows_in_the_latency():
    """With a rate, time counts from when a packet was due: one that had to wait for the window is not quick."""
    waiting = []

    def decide(came, _nth):
        waiting.append(came)
        return DROP

    async with running_host(decide) as host:
        options = ("--packets", 4, "--rate", 1000, "--window", 1, "--connections", 1, "--json", "--seed", 1)
        async with running("load", "--port", host.port, *options) as process, asyncio.timeout(secs(RUN_SECS)):
            for count in range(1, 5):
                await eventually(lambda count=count: len(waiting) == count)
                if count == 1:
                    await asyncio.sleep(0.5)  # the stall that is to be seen
                host.answer(waiting[-1])
            out, _ = await process.communicate()
    report = json.loads(out)
    assert report["ack_p50_ms"] >= 450
    assert process.returncode == 0


@pytest.mark.parametrize(
    ("arguments", "words", "expected"),
    [
        pytest.param(("--loggers", 2), "--loggers 2", 2, id="loggers"),
        pytest.param(("--rate", "fast"), "--rate 'fast'", 2, id="rate"),
        pytest.param(("--rate", "0"), "--rate '0'", 2, id="rate of nothing"),
        pytest.param(("--cn", "9014"), "--cn", 2, id="command"),
        pytest.param(("--factors", 67), "--factors 67", 2, id="factors"),
        pytest.param(("--packets", 5, "--duration", 5), "one of them", 2, id="two ends"),
        pytest.param(("--processes", 3, "--connections", 2), "--processes 3", 2, id="processes"),
        pytest.param(("--dsn", "nonsense"), "DSN", 2, id="dsn"),
        pytest.param(("--dsn", "postgresql://x@127.0.0.1:1/x"), "no connection to the database", 4, id="no database"),
    ],
)
async def test_what_cannot_be_run_is_refused(arguments, words, expected):
    """Exit 2, or 4 without the database, and a sentence; nothing is sent."""
    async with running_host() as host:
        code, report, err = await run(host.port, *arguments)
        assert host.came == []
    assert (code, report) == (expected, None)
    assert words in err
