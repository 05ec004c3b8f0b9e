"""What a test of a fault is told in: a scene of gateway, database and data loggers, which ends with the conservation check.

Short form by default; HJ212_TEST_LONG=1 has more packets go by in every step and more rounds.
"""

import asyncio
import os
import socket
from collections import Counter
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import asyncpg
from tests.conftest import FAST
from tests.support import (
    Logger,
    assert_conserved,
    assert_exactly_once,
    running_loggers,
    secs,
    wait_acked,
    wait_until,
)

from hj212gw.protocol import FrameBuffer, parse_packet

LONG = os.environ.get("HJ212_TEST_LONG") == "1"
TIMES = 10 if LONG else 1
ACCEPT = ("--unknown-mn", "accept")
QUICK = {"database__retry_first_secs": 0.1, "database__retry_max_secs": 0.5, "database__statement_timeout_secs": 1}
ROOMY = {**FAST, "log_min_messages": "fatal"}
_MEMORY_SHARE = 1.2
_COUNTERS = {"losses": ("store_retries", "store_failures"), "recoveries": ("store_recoveries",)}


class Scene:
    """A running gateway, its database and its data loggers.

    Attributes:
        is_whole: whether one process of the gateway saw everything, so that its counters must agree with the tables.
    """

    def __init__(self, gateway, loggers, dsn):
        self.gateway, self.loggers, self.dsn = gateway, loggers, dsn
        self.frames = []
        self.is_whole = True
        self.seen = Counter()

    async def acks(self, count):
        """See the senders acknowledged so many more times."""
        await wait_acked(self.loggers, count * TIMES)

    async def loses_the_database(self):
        """See that the gateway noticed."""
        await self._rises("losses")

    async def has_the_database_again(self):
        """See that the gateway stores again."""
        await self._rises("recoveries")
        self.seen["losses"] = await self._count("losses")

    async def metrics(self):
        """Read the gateway's metrics."""
        return await asyncio.to_thread(self.gateway.metrics)

    async def is_ready(self):
        """The gateway says that it takes packets."""
        assert await asyncio.to_thread(self.gateway.get, "/readyz") == (200, "ready\n")

    async def holds(self, count):
        """See so many packets pending in the journal."""

        async def enough():
            return (await self.metrics())["hj212gw_journal_pending_packets"] >= count

        await wait_until(enough)

    async def drains(self):
        """See the database reach what the journal now holds; data loggers may go on sending."""
        journalled = "hj212gw_journal_committed_records_total"
        reached = (await self.metrics())[journalled]

        async def is_past():
            metrics = await self.metrics()
            return metrics[journalled] - metrics["hj212gw_journal_pending_packets"] >= reached

        await wait_until(is_past, 60)

    async def says(self, event):
        """See an event in the gateway's log."""

        async def logged():
            return self.gateway.has_logged(event)

        await wait_until(logged)

    async def restarts(self, *, killed=True):
        """End the gateway, at once or in order, and start it again."""
        await asyncio.to_thread(self.gateway.kill if killed else self.gateway.stop)
        self.is_whole = False
        self.seen.clear()
        await asyncio.to_thread(self.gateway.start)

    async def keeps_its_memory(self, count):
        """See many more packets acknowledged by a gateway that grows by less than a fifth."""
        before = self.gateway.memory_bytes()
        await self.acks(count)
        assert self.gateway.memory_bytes() < _MEMORY_SHARE * before

    @property
    def acked(self):
        """Every frame any sender saw acknowledged."""
        return self.frames + [frame for logger in self.loggers for frame in logger.acked]

    async def _count(self, what):
        metrics = await self.metrics()
        return sum(metrics[f"hj212gw_{name}_total"] for name in _COUNTERS[what])

    async def _rises(self, what):
        """See a count rise above what it was when it was last looked at."""

        async def higher():
            count = await self._count(what)
            return count if count > self.seen[what] else None

        self.seen[what] = await wait_until(higher)


@asynccontextmanager
async def scene(gateway, *, mns=("FAULT000000001", "FAULT000000002"), make=None, factors=4, timeout=60):
    """Run a gateway with data loggers; at the end all they saw acknowledged is stored once, and the counters agree."""
    await asyncio.to_thread(gateway.start)
    extra = {} if make is None else {"make": make}
    pause = 0.005 * len(mns)  # as many packets of few as of many
    loggers = [Logger(mn, gateway.port, pause=pause, **extra) for mn in mns]
    async with running_loggers(loggers):
        told = Scene(gateway, loggers, gateway.ready["dsn"])
        yield told
    await assert_exactly_once(told.dsn, told.acked, factors=factors, timeout=timeout)
    await assert_conserved(gateway, is_first=told.is_whole)
    assert await asyncio.to_thread(gateway.stop) == 0


class Line:
    """A connection in the hands of a test that misbehaves."""

    def __init__(self, port, reader, writer):
        self.port, self.reader, self.writer = port, reader, writer
        self._buffer = FrameBuffer()

    @classmethod
    async def open(cls, port):
        """Connect."""
        return cls(port, *await asyncio.open_connection("127.0.0.1", port))

    async def send(self, *frames):
        """Send bytes and wait until the system has taken them."""
        self.writer.write(b"".join(frames))
        await self.writer.drain()

    async def answers(self, count):
        """Take so many answers; return the QNs acknowledged."""
        qns = []
        async with asyncio.timeout(secs(30)):
            while len(qns) < count:
                data = await self.reader.read(65536)
                if not data:
                    raise EOFError(f"{len(qns)} of {count} answers came")
                qns += [parse_packet(event.segment).qn for event in self._buffer.feed(data)]
        return qns

    def half_close(self):
        """Say that nothing more comes."""
        self.writer.write_eof()

    async def end(self):
        """See the other side close."""
        async with asyncio.timeout(secs(30)):
            return await self.reader.read()

    def reset(self):
        """Cut the line so that what is on its way is lost."""
        connection = self.writer.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self.writer.transport.abort()

    def close(self):
        """Close in order."""
        self.writer.close()


async def ask(dsn, statement, *arguments):
    """Run a query as an administrator whom no fault of the test's making keeps out."""
    settings = {"default_transaction_read_only": "off"}
    connection = await asyncpg.connect(dsn, server_settings=settings)
    try:
        return await connection.fetch(statement, *arguments)
    finally:
        await connection.close()


def hours_ago(hours):
    """A whole second some hours ago."""
    return datetime.now(UTC).replace(microsecond=0) - timedelta(hours=hours)
