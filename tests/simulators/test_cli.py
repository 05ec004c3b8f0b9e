"""`hj212-sim` as a program."""

import asyncio
import json
import os
import signal
import sys
from contextlib import asynccontextmanager

import pytest
from tests.simulators.support import eventually, never, running_host
from tests.support import secs

from hj212gw.protocol import Edition
from hj212gw.protocol.dialects import make_dialect
from hj212sim.presets import make_yuxi
from hj212sim.registry_files import COLUMNS
from hj212sim.variants import add_keys

MAIN = "import sys; from hj212sim.cli import main; sys.argv[0] = 'hj212-sim'; main()"
CLOCK = ("--simulated-clock", "--clock-epoch", "2026-01-01T08:00:00+08:00", "--clock-speed", "100000")
GAPS = ("fleet", "--registry-out", "x", "--duration", "86400", "--gaps", "0.1")


@asynccontextmanager
async def running(*arguments):
    """The program with these arguments."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", MAIN, *map(str, arguments)),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "NO_COLOR": "1"},
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def run(*arguments):
    """Run the program to its end; return the exit code, stdout and stderr."""
    async with running(*arguments) as process, asyncio.timeout(secs(20)):
        out, err = await process.communicate()
        return process.returncode, out.decode(), err.decode()


@pytest.mark.parametrize("edition", list(Edition))
async def test_logger_reports_as_json(edition, tmp_path):
    """Ten packets of any edition: exit 0, the report on stdout, a line per packet in both files."""
    sent, acked = tmp_path / "sent", tmp_path / "acked"
    options = ("--edition", edition, "--count", 10, "--json", "--sent-out", sent, "--acked-out", acked, *CLOCK)
    async with running_host() as host:
        code, out, _ = await run("logger", "--port", host.port, *options)
    report = json.loads(out)
    assert code == 0
    assert [report[name] for name in ("sent", "acked", "unacked", "resent", "connects")] == [10, 10, 0, 0, 1]
    assert set(report) >= {"by_cn", "errors", "ack_p50_ms", "ack_p99_ms", "ack_max_ms", "seconds"}
    assert {packet.edition for packet in host.packets} == {edition}
    assert sent.read_text() == acked.read_text()
    assert len(acked.read_text().splitlines()) == 10


async def test_logger_sends_what_it_is_told():
    """Identity, factors, commands and intervals are those of the options; the first 2011 is due at once."""
    options = ("--mn", "ABCDEF", "--st", "31", "--pw", "654321", "--factors", "a21026,a34013")
    times = ("--cn", "2011", "--interval-secs", "7", "--count", 3)
    async with running_host() as host:
        code, out, _ = await run("logger", "--port", host.port, *options, *times, *CLOCK)
    assert code == 0
    assert {(packet.mn, packet.st, packet.pw, packet.cn) for packet in host.packets} == {
        ("ABCDEF", "31", "654321", "2011")
    }
    assert [packet.qn for packet in host.packets] == ["20260101080000000", "20260101080007000", "20260101080014000"]
    assert host.packets[0].cp.startswith(b"DataTime=20260101080000;a21026-Rtd=")
    assert "ack p50" in out
    assert "2011" in out


async def test_unacked_packets_fail_the_run():
    """Without answers the exit code is 1 and the report says so."""
    options = ("--count", 1, "--timeout-secs", "0.05", "--linger-secs", "0.3", "--json", *CLOCK)
    async with running_host(never) as host:
        code, out, _ = await run("logger", "--port", host.port, *options)
    assert code == 1
    assert json.loads(out)["unacked"] == 1


async def test_fleet_runs_and_writes_its_registry(tmp_path):
    """A small city delivers ten minutes; the registry names every MN that sent and no other."""
    options = ("--enterprises", 5, "--monitors", 12, "--duration", 600, "--cn", "2011,2051", "--until-idle", "--json")
    async with running_host() as host:
        code, out, err = await run("fleet", "--port", host.port, "--registry-out", tmp_path, *options, *CLOCK)
    report = json.loads(out)
    assert (code, report["unacked"], report["connects"]) == (0, 0, 12)
    assert set(report["by_cn"]) == {"2011", "2051"}
    lines = (tmp_path / "data_loggers.csv").read_text().splitlines()[1:]
    assert {line.split(",")[0] for line in lines} == {packet.mn for packet in host.packets}
    assert "5 enterprises, 12 monitors" in err


async def test_faulty_fleet_says_what_it_does(tmp_path):
    """With --faults the faults go round, the truth names them, and packets they leave unanswered fail nothing."""
    truth = tmp_path / "truth"
    options = ("--enterprises", 20, "--monitors", 60, "--duration", 60, "--cn", "2011,2081", "--until-idle", "--json")
    faults = ("--faults", "0.2", "--fault", "no_crlf", "--fault", "crc_modbus", "--truth", truth, "--encrypted", "0.5")
    times = ("--timeout-secs", "0.1", "--registry-out", tmp_path / "registry")
    city = add_keys(make_yuxi(20, 60), 0.5, seed=1)
    keys = {monitor.profile.mn: monitor.profile.key for monitor in city.monitors if monitor.profile.key}
    async with running_host() as host:
        host.dialect_of = lambda mn: make_dialect([], [keys[mn]]) if mn in keys else None
        code, out, err = await run("fleet", "--port", host.port, *options, *faults, *times, *CLOCK)
    report = json.loads(out)
    assert (code, report["unacked"]) == (0, 0), err
    assert set(report["by_fault"]) == {"crc_modbus", "no_crlf"}
    assert report["by_fault"]["crc_modbus"]["acked"] == 0 < report["by_fault"]["crc_modbus"]["unacked"]
    assert report["by_fault"]["no_crlf"]["unacked"] == 0 < report["by_fault"]["no_crlf"]["acked"]
    lines = list(map(json.loads, truth.read_text().splitlines()))
    assert sorted(line["fault"] for line in lines) == ["crc_modbus"] * 6 + ["no_crlf"] * 6
    registered = {line.split(",")[0] for line in (tmp_path / "registry" / "data_loggers.csv").read_text().splitlines()}
    assert {line["mn"] for line in lines} < registered
    assert len((tmp_path / "registry" / "cipher_keys.csv").read_text().splitlines()) == 1 + len(keys) == 1 + 3


async def test_fleet_with_gaps_says_what_is_true(tmp_path):
    """With --gaps hours go missing as planned; base list, marks and truth are written, and the run is complete."""
    truth = tmp_path / "truth"
    options = ("--enterprises", 2, "--monitors", 5, "--duration", 3 * 86_400, "--cn", "2061", "--until-idle", "--json")
    gaps = ("--gaps", "1", "--completed-days", 1, "--truth", truth, "--registry-out", tmp_path / "registry")
    clock = ("--simulated-clock", "--clock-epoch", "2026-01-01T00:00:00+08:00", "--clock-speed", "100000")
    async with running_host() as host:
        code, out, err = await run("fleet", "--port", host.port, *options, *gaps, *clock)
    report = json.loads(out)
    assert (code, report["unacked"], report["late"]) == (0, 0, 0), err
    assert 0 < report["sent"] < 5 * 72
    head, *lines = map(json.loads, truth.read_text().splitlines())
    assert sum(head["gaps"].values()) == len([line for line in lines if "gap" in line]) == 15
    listed = {tuple(line.split(",")[:2]) for line in read_lines(tmp_path / "registry" / "base_list.csv")}
    assert {(line["outlet"], line["factor"]) for line in lines if "hour" in line} <= listed
    marked = {line.split(",")[0] for line in read_lines(tmp_path / "registry" / "marks.csv")}
    assert marked <= {outlet for outlet, _ in listed}


def read_lines(path):
    """The lines of a file after its head."""
    return path.read_text().splitlines()[1:]


async def test_registry_alone_needs_no_gateway(tmp_path):
    """Without --port the files are written and nothing is sent."""
    code, out, err = await run("fleet", "--preset", "yuxi", "--registry-out", tmp_path)
    assert (code, out) == (0, "")
    assert "173 enterprises, 600 monitors" in err
    assert {path.name for path in tmp_path.iterdir()} == {*COLUMNS, "base_list.csv"}


async def test_sigterm_ends_a_run_in_order(tmp_path):
    """A run without an end stops making packets on SIGTERM, waits for its answers and reports."""
    acked = tmp_path / "acked"
    async with running_host() as host:
        options = ("--enterprises", 2, "--monitors", 5, "--acked-out", acked, "--json")
        async with running("fleet", "--port", host.port, *options, *CLOCK) as process:
            await host.wait_for_frames(50)
            process.send_signal(signal.SIGTERM)
            async with asyncio.timeout(secs(20)):
                out, _ = await process.communicate()
    report = json.loads(out)
    assert process.returncode == 0
    assert report["sent"] == report["acked"] == len(host.came) == len(acked.read_text().splitlines())


async def test_killed_run_leaves_every_answer_it_saw(tmp_path):
    """After kill -9 the file of acknowledgements has whole lines, each of a packet the host did answer."""
    acked = tmp_path / "acked"
    async with running_host() as host:
        async with running("logger", "--port", host.port, "--acked-out", acked, *CLOCK) as process:
            await eventually(lambda: acked.exists() and acked.read_bytes().count(b"\n") >= 20)
            process.kill()
            await process.wait()
        text = acked.read_text()
        qns = {packet.qn for packet in host.packets}
    assert text.endswith("\n")
    lines = [line.split("\t") for line in text.splitlines()]
    assert {len(line) for line in lines} == {6}
    assert {line[2] for line in lines} <= qns
    assert len(lines) >= len(qns) - 1


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        pytest.param(("fleet",), "--port", id="neither port nor registry"),
        pytest.param(("fleet", "--registry-out", "x", "--enterprises", "3", "--monitors", "2"), "1 to 8", id="size"),
        pytest.param(("fleet", "--port", "1", "--cn", "2011,9014"), "--cn", id="command"),
        pytest.param(("logger", "--clock-speed", "60"), "--simulated-clock", id="clock without leave"),
        pytest.param(("logger", "--simulated-clock", "--clock-epoch", "2026-01-01"), "offset", id="epoch"),
        pytest.param(("logger", "--simulated-clock", "--clock-epoch", "soon"), "offset", id="epoch text"),
        pytest.param(("logger", "--simulated-clock", "--clock-speed", "0"), "above 0", id="speed"),
        pytest.param(("logger", "--mn", "A;B"), "cannot be written", id="mn"),
        pytest.param(("logger", "--factors", ","), "--factors", id="factors"),
        pytest.param(("logger", "--factors", "w0-1"), "cannot be written", id="factor code"),
        pytest.param(("logger", "--min-interval-mins", "7"), "--min-interval-mins", id="minutes"),
        pytest.param(("fleet", "--registry-out", "x", "--fault", "crc_wrong"), "crc_modbus", id="fault"),
        pytest.param(("fleet", "--registry-out", "x", "--faults", "2"), "--faults", id="share"),
        pytest.param(("fleet", "--registry-out", "x", "--gap", "outage"), "outage_late", id="gap"),
        pytest.param(("fleet", "--registry-out", "x", "--gaps", "0.1"), "--duration", id="gaps without an end"),
        pytest.param((*GAPS, "--cn", "2011"), "2061", id="gaps without hours"),
        pytest.param((*GAPS, "--faults", "0.1"), "separate runs", id="gaps with faults"),
        pytest.param(("logger", "--edition", "2020"), "2020", id="edition"),
    ],
)
async def test_wrong_usage_exits_2(arguments, words, tmp_path, monkeypatch):
    """What cannot be run is refused with exit 2 and a sentence that names the option, before anything is sent."""
    monkeypatch.chdir(tmp_path)
    code, out, err = await run(*arguments)
    assert (code, out) == (2, "")
    assert words in err


async def test_a_file_that_cannot_be_written_ends_the_run(tmp_path):
    """Exit 1 and the path, and no connection was made."""
    async with running_host() as host:
        path = tmp_path / "no" / "acked"
        code, _, err = await run("logger", "--port", host.port, "--count", 1, "--acked-out", path)
        assert host.came == []
    assert code == 1
    assert str(path) in err
