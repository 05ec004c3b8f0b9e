"""From socket to committed rows: sender, gateway and embedded PostgreSQL on this machine.

    python bench/end_to_end.py [--packets 200000] [--connections 20] [--window 400] [--dsn DSN] [--json]

Prints packets/s acknowledged and stored, ack p50 and p99, and the ratio to a bare asyncpg COPY of the same packet
and reading rows into the same tables in the same run. The readings are 8 factors of a 2011 packet of 375 bytes.
"""

import argparse
import asyncio
import os
import statistics
import time
from collections import deque
from datetime import UTC, datetime, timedelta
from pathlib import Path

import asyncpg
from figures import print_figures
from up import running_gateway

from hj212gw.gateway.rows import make_rows, read_arrival
from hj212gw.protocol import encode_frame
from hj212gw.protocol.times import format_data_time
from hj212gw.store.rows import READING_COLUMNS, PacketRow

LOGGERS = 600
FACTORS = ("w01018", "w21003", "w21011", "w21001", "w01001", "w01010", "w00000", "w01012")
COPY_BATCH = 1000


def make_frames(count, began):
    """Make distinct packets of 600 data loggers, a second apart for each."""
    values = ";".join(
        f"{code}-Rtd={(2.5 if place < 3 else 12.5) + place:.3f},{code}-Flag=N" for place, code in enumerate(FACTORS)
    )
    frames = []
    for number in range(count):
        moment = format_data_time(began + timedelta(seconds=number // LOGGERS))
        segment = (
            f"QN={moment}{number % 1000:03d};ST=32;CN=2011;PW=123456;MN=010000A8900016F0{number % LOGGERS:08d};"
            f"Flag=5;CP=&&DataTime={moment};{values}&&"
        )
        frames.append(encode_frame(segment.encode()))
    return frames


class Sender(asyncio.Protocol):
    """Sends its share with at most `window` packets unacknowledged."""

    def __init__(self, frames, window, latencies):
        self.frames, self.window, self.latencies = frames, window, latencies
        self.sent = self.acked = 0
        self.times = deque()
        self.done = asyncio.get_running_loop().create_future()

    def connection_made(self, transport):
        """Begin to send."""
        self.transport = transport
        self.more()

    def more(self):
        """Send what the window allows."""
        upto = min(len(self.frames), self.acked + self.window)
        if upto - self.sent >= self.window // 4 or (upto == len(self.frames) > self.sent):
            self.transport.write(b"".join(self.frames[self.sent : upto]))
            self.times.append((upto, time.perf_counter()))
            self.sent = upto

    def data_received(self, data):
        """Count answers."""
        self.acked += data.count(b"\n")
        now = time.perf_counter()
        while self.times and self.times[0][0] <= self.acked:
            self.latencies.append(now - self.times.popleft()[1])
        self.more()
        if self.acked == len(self.frames) and not self.done.done():
            self.done.set_result(None)

    def connection_lost(self, exc):
        """Fail where answers are missing."""
        if not self.done.done():
            self.done.set_exception(exc or ConnectionError("closed by the gateway"))


async def send(address, frames, connections, window):
    """Send all frames; return seconds and latencies (of whole writes, so an upper bound for a packet)."""
    host, port = address.rsplit(":", 1)
    latencies = []
    began = time.perf_counter()
    senders = []
    for index in range(connections):
        _, sender = await asyncio.get_running_loop().create_connection(
            lambda index=index: Sender(frames[index::connections], window, latencies), host, int(port)
        )
        senders.append(sender)
    async with asyncio.timeout(300):
        await asyncio.gather(*(sender.done for sender in senders))
    secs = time.perf_counter() - began
    for sender in senders:
        sender.transport.close()  # a data logger speaks on one line: what the next ones send is no conflict
    return secs, latencies


def cpu_secs(pid):
    """CPU time of a process and of what it started."""
    total, ticks = 0, os.sysconf("SC_CLK_TCK")
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(stat.parent.name) == pid or int(fields[1]) == pid:
            total += (int(fields[11]) + int(fields[12])) / ticks
    return total


async def wait_stored(connection, count):
    """Wait until that many packets are committed, and see that the rows are there; return when they were."""
    # Each batch notes its packets: to count rows again and again would take the database's time.
    while (await connection.fetchval("SELECT sum(packets) FROM hj212.archive_days") or 0) < count:  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    stored = time.perf_counter()
    assert await connection.fetchval("SELECT count(*) FROM hj212.packets") == count
    return stored


async def copy_bare(connection, frames):
    """Copy the same rows, made before the clock starts, with nothing but asyncpg."""
    await connection.execute("TRUNCATE hj212.packets, hj212.readings_rtd, hj212.reading_history, hj212.dirty")
    numbers = dict(await connection.fetch("SELECT mn, logger_id FROM hj212.loggers"))
    now = datetime.now(UTC)
    arrivals = [read_arrival(frame, now, "127.0.0.1:1") for frame in frames]
    rows = [make_rows(arrival, logger_id=numbers[arrival.packet.mn]) for arrival in arrivals]
    batches = [rows[start : start + COPY_BATCH] for start in range(0, len(rows), COPY_BATCH)]
    tables = [
        ([row.packet for row in batch], [line for row in batch for line in row.reading_rows()]) for batch in batches
    ]
    began = time.perf_counter()
    for packets, readings in tables:
        async with connection.transaction():
            await connection.copy_records_to_table(
                "packets", schema_name="hj212", records=packets, columns=PacketRow._fields
            )
            await connection.copy_records_to_table(
                "readings_rtd", schema_name="hj212", records=readings, columns=READING_COLUMNS
            )
    return time.perf_counter() - began


async def measure(options, ready):
    """Run one measurement against a started gateway."""
    began = datetime.now(UTC).replace(microsecond=0) - timedelta(seconds=options.packets // LOGGERS)
    frames = make_frames(options.packets, began)
    connection = await asyncpg.connect(ready["dsn"], command_timeout=600)
    warm = make_frames(LOGGERS, began - timedelta(hours=1))
    await send(ready["gateway"], warm, 1, LOGGERS)
    await wait_stored(connection, len(warm))
    backend = await connection.fetchval("SELECT pid FROM pg_stat_activity WHERE application_name = 'hj212gw drain'")
    cpu = cpu_secs(ready["pid"]), cpu_secs(backend)
    start = time.perf_counter()
    ack_secs, latencies = await send(ready["gateway"], frames, options.connections, options.window)
    stored_secs = await wait_stored(connection, len(warm) + len(frames)) - start
    cpu = cpu_secs(ready["pid"]) - cpu[0], cpu_secs(backend) - cpu[1]
    readings = await connection.fetchval("SELECT count(*) FROM hj212.v_readings WHERE cn = '2011'")
    copy_secs = await copy_bare(connection, frames)
    await connection.close()
    latencies.sort()
    count = len(frames)
    return {
        "packets": count,
        "frame_bytes": len(frames[0]),
        "readings": readings - len(warm) * len(FACTORS),
        "acked_per_sec": round(count / ack_secs),
        "stored_per_sec": round(count / stored_secs),
        "bare_copy_per_sec": round(count / copy_secs),
        "ratio_to_bare_copy": round(copy_secs / stored_secs, 3),
        "gateway_cpu_us_a_packet": round(cpu[0] / count * 1e6, 1),
        "database_cpu_us_a_packet": round(cpu[1] / count * 1e6, 1),
        "ack_p50_ms": round(statistics.median(latencies) * 1000, 1),
        "ack_p99_ms": round(latencies[int(len(latencies) * 0.99)] * 1000, 1),
        "load_average": round(os.getloadavg()[0], 2),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--packets", type=int, default=200_000)
    parser.add_argument("--connections", type=int, default=20)
    parser.add_argument("--window", type=int, default=400, help="unacknowledged packets a connection")
    parser.add_argument("--dsn", help="an empty database to use in place of the embedded one")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    import uvloop  # noqa: PLC0415 - only the benchmark itself needs it

    unlimited = {"HJ212GW_LIMITS__PACKETS_PER_MINUTE_PER_MN": "0"}  # twenty MNs send what thousands do
    with (
        running_gateway(options.dsn, unlimited) as ready,
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        figures = runner.run(measure(options, ready))
    print_figures(figures, as_json=options.json)


if __name__ == "__main__":
    main()
