"""What end-to-end tests share: gateway processes, senders that remember what was acknowledged, conservation."""

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections import Counter
from contextlib import asynccontextmanager, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from pathlib import Path

import asyncpg
import pytest
from tests.conftest import FAST

from hj212gw.protocol import FrameBuffer, encode_frame, parse_packet
from hj212gw.protocol.times import format_data_time, format_qn
from hj212gw.store.embedded import EmbeddedOptions, EmbeddedServer
from hj212gw.store.migrate import migrate

TIME_SCALE = float(os.environ.get("HJ212_TEST_TIME_SCALE", "1"))
# Tests send in seconds what a data logger sends in a day.
UNHURRIED = {"limits.packets_per_minute_per_mn": 0, "limits.rejects_per_minute": 0}
FACTORS = ("w01018", "w21003", "w01001", "w00000")


def secs(value):
    """Scale a deadline for slow machines."""
    return value * TIME_SCALE


def digest_of(frame):
    """The identity the gateway gives a frame's packet."""
    return blake2b(frame[6 : 6 + int(frame[2:6])], digest_size=16).digest()


def make_frame(mn, number, *, moment=None, cn="2011", flag=5, pw="123456", factors=FACTORS, extra=""):
    """One upload that asks for an answer; `number` makes it distinct, `extra` stands behind its readings."""
    moment = moment or datetime.now(UTC).replace(microsecond=0) - timedelta(hours=3) + timedelta(seconds=number)
    values = ";".join(f"{code}-Rtd={number % 90 + 0.25},{code}-Flag=N" for code in factors)
    values += f";{extra}" if extra else ""
    qn = f"{format_qn(moment)[:14]}{number % 1000:03d}"
    segment = f"QN={qn};ST=32;CN={cn};PW={pw};MN={mn};Flag={flag};CP=&&DataTime={format_data_time(moment)};{values}&&"
    return encode_frame(segment.encode())


def as_env(settings):
    """Turn settings, `{"gateway.port": 1}`, into environment variables."""
    return {f"HJ212GW_{name.upper().replace('.', '__')}": str(value) for name, value in settings.items()}


def run_cli(*arguments, settings=None, timeout=60):
    """Run a command to its end; return exit code, stdout and stderr."""
    command = [sys.executable, "-m", "hj212gw", *map(str, arguments)]
    env = {**os.environ, **as_env(settings or {})}
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=secs(timeout), check=False)
    return done.returncode, done.stdout, done.stderr


class GatewayProcess:
    """A gateway in a process of its own; settings by their full names, beside options of the command line."""

    def __init__(self, folder: Path, command="up", *options, env=None, settings=None):
        self.folder, self.command, self.options = folder, command, options
        self.env = {**os.environ, **as_env({**UNHURRIED, **(settings or {})}), **(env or {})}
        self.ready_file = folder / "ready.json"
        self.log_file = folder / "gateway.log"
        self.process = None
        self.ready = {}
        self.port = 0

    def start(self, timeout=60):
        """Start and wait until everything listens; a restart takes the same port."""
        self.launch()
        wait_for(lambda: self.ready_file.exists() or self.process.poll() is not None, timeout)
        assert self.process.poll() is None, self.log()
        self.ready = json.loads(self.ready_file.read_text())
        self.port = int(self.ready["gateway"].rpartition(":")[2])
        return self

    def launch(self):
        """Start and wait for nothing."""
        self.ready_file.unlink(missing_ok=True)
        command = [sys.executable, "-m", "hj212gw", self.command, "--data-dir", str(self.folder / "data")]
        command += ["--host", "127.0.0.1", "--port", str(self.port), "--http", "127.0.0.1:0"]
        command += ["--ready-file", str(self.ready_file), *self.options]
        with self.log_file.open("ab") as log:
            self.process = subprocess.Popen(command, stderr=log, stdout=log, env=self.env)

    def __enter__(self):
        return self.start()

    def __exit__(self, kind, *_):
        if self.process and self.process.poll() is None:
            if kind is None:
                assert self.stop() == 0, self.log()
                self.assert_quiet()
            else:
                self.kill()

    def wait(self, timeout=60):
        """Wait for the process to end and return its exit code."""
        return self.process.wait(secs(timeout))

    def assert_quiet(self):
        """Nothing was logged that a library or Python's runtime had to complain about."""
        log = self.log()
        complaints = ("Traceback", "never retrieved", "never awaited", "was destroyed", "Exception ignored", "unclosed")
        assert not [word for word in complaints if word in log], log

    def has_logged(self, event):
        """Whether the log has a line of an event."""
        return f'"event": "{event}"' in self.log()

    def stop(self, timeout=60):
        """Stop in order and return the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(secs(timeout))

    def kill(self):
        """End the process at once, as a power cut would."""
        self.process.kill()
        self.process.wait(secs(30))

    def log(self):
        """What the gateway wrote."""
        return self.log_file.read_text(errors="replace")

    def get(self, path):
        """Ask one HTTP route; return status and text."""
        try:
            with urllib.request.urlopen(f"http://{self.ready['http']}{path}", timeout=secs(10)) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()

    def metrics(self):
        """Read all samples; families with labels are also summed under their bare name."""
        totals = Counter()
        for line in self.get("/metrics")[1].splitlines():
            if line.startswith("hj212gw_") and not line.startswith("#"):
                name, _, value = line.rpartition(" ")
                totals[name] += float(value)
                if "{" in name:
                    totals[name.partition("{")[0]] += float(value)
        return totals

    def memory_bytes(self):
        """Resident memory of the gateway's process."""
        pages = int(Path(f"/proc/{self.ready['pid']}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")


def wait_for(condition, timeout=30.0):
    """Wait until a condition about another process holds; polls, since it cannot tell us."""
    deadline = time.monotonic() + secs(timeout)
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {secs(timeout)} s: {condition}")
        time.sleep(0.02)  # another process's state has no event to wait for


async def wait_until(condition, timeout=30.0):
    """Wait until an awaitable condition about the database holds; return what it gave."""
    deadline = time.monotonic() + secs(timeout)
    while not (result := await condition()):
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {secs(timeout)} s: {condition}")
        await asyncio.sleep(0.05)  # the database has no event for it
    return result


@contextmanager
def mounted(folder, options):
    """Mount a disk in memory, small or read-only, for as long as the context lasts; only root may."""
    folder.mkdir(parents=True, mode=0o700, exist_ok=True)
    command = ["mount", "-t", "tmpfs", "-o", options, "none", folder]
    if os.geteuid() or subprocess.run(command, check=False, capture_output=True).returncode:
        pytest.skip("such a disk needs the right to mount one")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


class Database:
    """A PostgreSQL server of the test's own, to be stopped, killed and frozen; `settings` are PostgreSQL's."""

    def __init__(self, settings=FAST):
        self.folder = Path(tempfile.mkdtemp(prefix="hj212-test-"))
        self.folder.chmod(0o755)
        self.server = EmbeddedServer(self.folder / "pg", EmbeddedOptions(settings=settings))

    @property
    def dsn(self):
        """Address of the database, running or not."""
        return self.server.dsn

    async def start(self, *, migrated=False):
        """Start the server, with our schema where that is wanted."""
        await self.server.start()
        if migrated:
            connection = await asyncpg.connect(self.dsn)
            await migrate(connection, now=datetime.now(UTC))
            await connection.close()
        return self

    async def stop(self):
        """Stop the server in order."""
        await self.server.stop()

    def kill(self):
        """End every process of the server at once, as a power cut would."""
        self._signal(signal.SIGKILL)
        self.server._process.wait(secs(10))

    def freeze(self):
        """Stop every process of the server where it stands."""
        self._signal(signal.SIGSTOP)

    def thaw(self):
        """Let them go on."""
        self._signal(signal.SIGCONT)

    def _signal(self, number):
        """Signal the server's own processes: the one we started and its children, which come and go."""
        pid = self.server.pid
        for each in [pid, *map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())]:
            with suppress(ProcessLookupError):
                os.kill(each, number)

    async def remove(self):
        """Stop the server and take its files away."""
        if self.server.running:
            self.thaw()
        await self.server.stop()
        shutil.rmtree(self.folder, ignore_errors=True)


@asynccontextmanager
async def running_loggers(loggers):
    """Run data loggers; at the end each stops when all it sent is acknowledged."""
    running = [asyncio.create_task(logger.run()) for logger in loggers]
    try:
        yield loggers
        for logger in loggers:
            logger.stopping = True
        async with asyncio.timeout(secs(60)):
            await asyncio.gather(*running)
    finally:
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)


class Logger:
    """A data logger that keeps what was not acknowledged and sends it again after every cut."""

    def __init__(self, mn, port, *, window=20, pause=0.0, make=make_frame):
        self.mn, self.port, self.window, self.pause, self.make = mn, port, window, pause, make
        self.number = 0
        self.unacked = {}
        self.acked = []
        self.sent = 0
        self.stopping = False

    async def run(self):
        """Send until told to stop and everything is acknowledged."""
        while not (self.stopping and not self.unacked):
            try:
                reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
            except OSError:
                await asyncio.sleep(0.02)  # the gateway is away
                continue
            try:
                await self.talk(reader, writer)
            except (OSError, EOFError, TimeoutError):
                pass
            finally:
                writer.close()

    async def talk(self, reader, writer):
        """Send what is unacknowledged, then new packets, and take answers."""
        buffer = FrameBuffer()
        for frame in self.unacked.values():
            writer.write(frame)
            self.sent += 1
        while not (self.stopping and not self.unacked):
            while len(self.unacked) < self.window and not self.stopping:
                frame = self.make(self.mn, self.number)
                self.number += 1
                self.unacked[parse_packet(frame[6:-6]).qn] = frame
                writer.write(frame)
                self.sent += 1
            async with asyncio.timeout(secs(20)):
                data = await reader.read(65536)
            if not data:
                raise EOFError
            for event in buffer.feed(data):
                packet = parse_packet(event.segment)
                assert packet.cn == "9014"
                frame = self.unacked.pop(packet.qn, None)
                if frame is not None:
                    self.acked.append(frame)
            if self.pause:
                await asyncio.sleep(self.pause)


async def wait_acked(loggers, count, timeout=30.0):
    """Wait until so many more packets were acknowledged than when this was called."""
    before = sum(len(logger.acked) for logger in loggers)

    async def enough():
        return sum(len(logger.acked) for logger in loggers) >= before + count

    await wait_until(enough, timeout)


async def read_some(reader):
    """What came next on a stream; its end is an error, for who waits for answers would read it for ever."""
    data = await reader.read(65536)
    assert data, "the gateway closed the line before it had answered all"
    return data


async def assert_exactly_once(dsn, frames, *, factors=len(FACTORS), timeout=60):
    """Every acknowledged frame is in v_packets exactly once, and its readings in v_readings exactly once."""
    connection = await asyncpg.connect(dsn)
    expected = {digest_of(frame) for frame in frames}
    assert len(expected) == len(frames), "the test sent the same packet twice"

    async def all_there():
        stored = {row["digest"] for row in await connection.fetch("SELECT digest FROM hj212.v_packets")}
        return expected <= stored

    await wait_until(all_there, timeout)
    counts = Counter(row["digest"] for row in await connection.fetch("SELECT digest FROM hj212.v_packets"))
    raws = {bytes(row["raw"]) for row in await connection.fetch("SELECT raw FROM hj212.v_packets")}
    assert all(counts[digest] == 1 for digest in expected)
    assert set(frames) <= raws
    rows = await connection.fetch(
        "SELECT mn, data_time, factor, count(*) AS times FROM hj212.v_readings GROUP BY 1, 2, 3"
    )
    await connection.close()
    assert all(row["times"] == 1 for row in rows)
    by_packet = Counter((row["mn"], format_data_time(row["data_time"])) for row in rows)
    for frame in frames:
        packet = parse_packet(frame[6:-6])
        data_time = packet.cp.split(b";")[0].partition(b"=")[2].decode()
        assert by_packet[packet.mn, data_time] == factors, (packet, by_packet[packet.mn, data_time])
    return len(expected)


async def assert_conserved(gateway, *, is_first=True, timeout=30):
    """Promise 3 for a process that was not killed, once its journal is drained: nothing is lost between two counters.

    `is_first` says that no process before it left records in the journal; what it drained was then accepted by it.
    """

    async def drained():
        metrics = await asyncio.to_thread(gateway.metrics)
        return metrics if metrics["hj212gw_journal_pending_packets"] == 0 else None

    found = await wait_until(drained, timeout)
    total = {name.removeprefix("hj212gw_").removesuffix("_total"): value for name, value in found.items()}
    assert total["frames_received"] == total["frames_accepted"] + total["frames_rejected"]
    stored, repeated = total["packets_stored"], total["packets_repeated"]
    if not is_first:
        assert total["frames_accepted"] <= stored + repeated
        return
    assert total["frames_accepted"] == stored + repeated, (stored, repeated, gateway.log()[-3000:])
    assert total["frames_rejected"] == total["rejects_stored"] + total["rejects_dropped"]
    connection = await asyncpg.connect(gateway.ready["dsn"])
    try:
        assert await connection.fetchval("SELECT count(*) FROM hj212.v_packets") == stored
        assert await connection.fetchval("SELECT count(*) FROM hj212.v_rejects") == total["rejects_stored"]
    finally:
        await connection.close()
