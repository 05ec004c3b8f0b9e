"""What end-to-end tests share: gateway processes, senders that remember what was acknowledged, conservation."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections import Counter
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from pathlib import Path

import asyncpg

from hj212gw.protocol import FrameBuffer, encode_frame, parse_packet
from hj212gw.protocol.times import format_data_time, format_qn

TIME_SCALE = float(os.environ.get("HJ212_TEST_TIME_SCALE", "1"))
FACTORS = ("w01018", "w21003", "w01001", "w00000")


def secs(value):
    """Scale a deadline for slow machines."""
    return value * TIME_SCALE


def digest_of(frame):
    """The identity the gateway gives a frame's packet."""
    return blake2b(frame[6 : 6 + int(frame[2:6])], digest_size=16).digest()


def make_frame(mn, number, *, moment=None, cn="2011", flag=5, pw="123456", factors=FACTORS):
    """One upload that asks for an answer; `number` makes it distinct."""
    moment = moment or datetime.now(UTC).replace(microsecond=0) - timedelta(hours=3) + timedelta(seconds=number)
    values = ";".join(f"{code}-Rtd={number % 90 + 0.25},{code}-Flag=N" for code in factors)
    qn = f"{format_qn(moment)[:14]}{number % 1000:03d}"
    segment = f"QN={qn};ST=32;CN={cn};PW={pw};MN={mn};Flag={flag};CP=&&DataTime={format_data_time(moment)};{values}&&"
    return encode_frame(segment.encode())


class GatewayProcess:
    """A gateway in a process of its own."""

    def __init__(self, folder: Path, command="up", *options, env=None):
        self.folder, self.command, self.options = folder, command, options
        self.env = {**os.environ, **(env or {})}
        self.ready_file = folder / "ready.json"
        self.log_file = folder / "gateway.log"
        self.process = None
        self.ready = {}
        self.port = 0

    def start(self, timeout=60):
        """Start and wait until everything listens; a restart takes the same port."""
        self.ready_file.unlink(missing_ok=True)
        command = [sys.executable, "-m", "hj212gw", self.command, "--data-dir", str(self.folder / "data")]
        command += ["--host", "127.0.0.1", "--port", str(self.port), "--http", "127.0.0.1:0"]
        command += ["--ready-file", str(self.ready_file), *self.options]
        with self.log_file.open("ab") as log:
            self.process = subprocess.Popen(command, stderr=log, stdout=log, env=self.env)
        wait_for(lambda: self.ready_file.exists() or self.process.poll() is not None, timeout)
        assert self.process.poll() is None, self.log()
        self.ready = json.loads(self.ready_file.read_text())
        self.port = int(self.ready["gateway"].rpartition(":")[2])
        return self

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        if self.process and self.process.poll() is None:
            self.stop()

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


def assert_conserved(metrics):
    """Promise 3 for one process that was not killed: nothing is lost between two counters."""
    accepted = metrics["hj212gw_frames_accepted_total"]
    assert metrics["hj212gw_frames_received_total"] == accepted + metrics["hj212gw_frames_rejected_total"]
    stored = metrics["hj212gw_packets_stored_total"] + metrics["hj212gw_packets_repeated_total"]
    pending = metrics["hj212gw_journal_pending_packets"]
    assert accepted == stored + pending - metrics["hj212gw_rejects_pending"]
