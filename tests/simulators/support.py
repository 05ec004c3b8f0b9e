"""A host whose answers a test decides, a clock that a test moves, and the runs made of them."""

import asyncio
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import NamedTuple

from tests.support import secs

from hj212gw.clock import Clock, to_us
from hj212gw.protocol import Edition, Frame, FrameBuffer, Packet, encode_answer, find_answer, parse_packet
from hj212sim.fleet import Fleet, Span
from hj212sim.logger import Habits
from hj212sim.readings import MODELS
from hj212sim.schedule import Rhythm
from hj212sim.uploads import Profile

EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
EPOCH_US = to_us(EPOCH)
ACK, DROP, CLOSE = "ack", "drop", "close"


def always(_came, _nth):
    """Answer everything."""
    return ACK


def never(_came, _nth):
    """Answer nothing."""
    return DROP


def only_time(number):
    """Answer nothing but what comes for the n-th time."""
    return lambda _came, nth: ACK if nth == number else DROP


async def eventually(holds):
    """Wait until something is true that has no event of its own."""
    async with asyncio.timeout(secs(10)):
        while not holds():  # noqa: ASYNC110 - counters have no events
            await asyncio.sleep(0.005)


class Came(NamedTuple):
    """One frame as the host received it; `connection` counts from 1."""

    connection: int
    raw: bytes
    packet: Packet


class Host:
    """Speaks HJ 212 on 127.0.0.1 and does to each frame what `decide` says: ack, drop or close.

    `decide(came, nth)` is told how many times the same bytes came, this time included. A test may also answer later.
    """

    def __init__(self, decide=always):
        self.decide = decide
        self.dialect_of = None
        self.came = []
        self.acked = []
        self.discards = []
        self.connections = {}
        self.port = 0
        self._server = None
        self._changed = asyncio.Event()
        self._count = 0
        self._seen = {}

    async def start(self):
        """Listen, on the port of before if there was one."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _HostLink(self), "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def stop(self):
        """Stop listening and cut every connection."""
        self._server.close()
        for link in list(self.connections.values()):
            link.transport.abort()
        await self.wait_for(lambda: not self.connections)
        await self._server.wait_closed()

    async def wait_for(self, holds):
        """Wait until something is true of the host; it is looked at after every event."""
        async with asyncio.timeout(secs(10)):
            while not holds():
                self._changed.clear()
                await self._changed.wait()

    async def wait_for_frames(self, count):
        """Wait until so many frames came in all."""
        await self.wait_for(lambda: len(self.came) >= count)

    def answer(self, came):
        """Answer one frame, on the connection it came by."""
        link = self.connections.get(came.connection)
        if link is not None:
            self.acked.append(came.raw)
            link.transport.write(encode_answer(came.packet, find_answer(came.packet)))

    def take(self, link, event):
        """Take a frame and do what was decided."""
        if not isinstance(event, Frame):
            self.discards.append(event)
            return
        came = Came(link.number, event.raw, parse_packet(event.segment))
        self.came.append(came)
        nth = self._seen[came.raw] = self._seen.get(came.raw, 0) + 1
        decision = self.decide(came, nth) if find_answer(came.packet) else DROP
        if decision == ACK:
            self.answer(came)
        elif decision == CLOSE:
            link.transport.abort()

    def opened(self, link):
        """Number a connection."""
        self._count += 1
        self.connections[self._count] = link
        self.notify()
        return self._count

    def closed(self, link):
        """Forget a connection."""
        self.connections.pop(link.number, None)
        self.notify()

    def notify(self):
        """Wake whoever waits."""
        self._changed.set()

    @property
    def packets(self):
        """Every packet that came, repeats included."""
        return [came.packet for came in self.came]


class _HostLink(asyncio.Protocol):
    def __init__(self, host):
        self.host = host
        self.buffer = FrameBuffer(host.dialect_of)

    def connection_made(self, transport):
        self.transport = transport
        self.number = self.host.opened(self)

    def data_received(self, data):
        for event in (*self.buffer.feed(data), *self.buffer.release()):
            self.host.take(self, event)
        self.host.notify()

    def connection_lost(self, _exc):
        self.host.closed(self)


@asynccontextmanager
async def running_host(decide=always):
    """A host for as long as the context lasts."""
    host = await Host(decide).start()
    try:
        yield host
    finally:
        await host.stop()


class ManualClock(Clock):
    """Stands still until a test moves it; waits look again every few milliseconds."""

    def __init__(self, us=EPOCH_US):
        super().__init__(EPOCH)
        self.us = us

    def now_us(self):
        """Tell the time the test set."""
        return self.us

    def real_secs(self, secs):
        """Look again soon, whatever the clock says."""
        return min(secs, 0.005)

    def pass_secs(self, secs):
        """Move on."""
        self.us += int(secs * 1_000_000)


def make_profile(edition=Edition.V2017, *, cns=("2011",), interval_secs=30, factors=("w01018", "w21003", "w00000")):
    """One data logger's profile; its first 2011 is due at EPOCH."""
    if edition is Edition.V2005:
        factors = tuple(MODELS[code].legacy for code in factors)
    mn = "YX530402000101" if edition is Edition.V2005 else "530402A00000001F00000001"
    return Profile(mn, "123456", "32", edition, factors, cns, Rhythm(interval_secs, 10))


def make_habits(host, **changes):
    """Habits of a data logger in a hurry."""
    usual = {"timeout_secs": secs(5.0), "reconnect_first_secs": 0.01, "reconnect_max_secs": 0.05}
    return Habits("127.0.0.1", host.port, **{**usual, **changes})


def make_span(**changes):
    """A run that starts at EPOCH and waits for answers."""
    return Span(**{"seed": 1, "start_us": EPOCH_US, "linger_secs": None, **changes})


@asynccontextmanager
async def running_fleet(profiles, span, habits, clock=None, witnesses=None):
    """A fleet that runs in the background; the context gives it and the task that returns its report."""
    fleet = Fleet(profiles, span, habits, clock or ManualClock(EPOCH_US + 10**15), witnesses)
    task = asyncio.create_task(_bounded(fleet))
    try:
        yield fleet, task
    finally:
        fleet.stop()
        fleet.stop()
        await task


async def _bounded(fleet):
    async with asyncio.timeout(secs(20)):
        return await fleet.run()


async def run_fleet(profiles, span, habits, clock=None, witnesses=None):
    """Run a fleet to its end and return the report."""
    async with running_fleet(profiles, span, habits, clock, witnesses) as (_, task):
        return await task
