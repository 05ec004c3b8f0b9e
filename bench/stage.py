"""What the long benchmarks share with the tests: gateways and databases in processes of their own, to be ill-treated."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import tempfile
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import asyncpg

sys.path.insert(0, str(Path(__file__).parents[1]))

from figures import cpu_secs, print_figures
from tests.support import Database, GatewayProcess, wait_until

__all__ = [
    "Database",
    "GatewayProcess",
    "Load",
    "Series",
    "count_files",
    "count_packets",
    "cpu_secs",
    "describe_machine",
    "own_database",
    "print_figures",
    "wait_drained",
    "wait_until",
]

PRODUCT = {"max_connections": "60"}  # of the server, in place of the hurry of the tests


def describe_machine():
    """Say where and when, for whoever reads the figures later."""
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    return f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC, {os.cpu_count()} cores, load average {load}"


def count_files(pid):
    """Count the open file descriptors of a process."""
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


@asynccontextmanager
async def own_database():
    """Give a folder and a migrated database on a server with the product's settings, both gone afterwards."""
    database = await Database(PRODUCT).start(migrated=True)
    try:
        with tempfile.TemporaryDirectory(prefix="hj212-bench-") as name:
            yield Path(name), database
    finally:
        await database.remove()


class Series:
    """A figure over time."""

    def __init__(self):
        self.points = []

    def add(self, secs, value):
        """Note a value."""
        self.points.append((secs, value))

    def slope(self, share=0.5):
        """Return the growth an hour of the last part, by least squares; the first part is warming up."""
        points = self.points[int(len(self.points) * (1 - share)) :]
        if len(points) < 2:
            return 0.0
        mean_at = sum(at for at, _ in points) / len(points)
        mean = sum(value for _, value in points) / len(points)
        spread = sum((at - mean_at) ** 2 for at, _ in points)
        return 3600 * sum((at - mean_at) * (value - mean) for at, value in points) / spread if spread else 0.0


async def count_packets(dsn):
    """Count the packets in the database."""
    connection = await asyncpg.connect(dsn, command_timeout=600)
    try:
        return await connection.fetchval("SELECT count(*) FROM hj212.packets")
    finally:
        await connection.close()


async def wait_drained(gateway, timeout_secs=600):
    """Wait until nothing is pending in a gateway's journal; return the seconds it took."""
    loop = asyncio.get_running_loop()
    began = loop.time()

    async def is_empty():
        metrics = await asyncio.to_thread(gateway.metrics)
        return metrics["hj212gw_journal_pending_packets"] == 0

    await wait_until(is_empty, timeout_secs)
    return loop.time() - began


class Load:
    """`hj212-sim load` in a process of its own."""

    def __init__(self, port, *options):
        command = [
            sys.executable,
            "-c",
            "from hj212sim.cli import main; main()",
            "load",
            "--port",
            str(port),
            "--json",
            "--quiet",
        ]
        self.process = subprocess.Popen(
            [*command, *map(str, options)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    async def finish(self, timeout_secs, *, now=False):
        """Wait for its end, asked for now or come by itself; return exit code and report."""
        if now:
            self.process.send_signal(signal.SIGINT)
        out, err = await asyncio.to_thread(self.process.communicate, timeout=timeout_secs)
        return self.process.returncode, json.loads(out) if out else {"error": err[-2000:]}
