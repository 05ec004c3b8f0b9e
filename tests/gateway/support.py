"""A gateway in the test's own process, and lines to it that send bytes and take answers."""

import asyncio
import functools
import inspect
from contextlib import asynccontextmanager, suppress

import pytest
import uvloop
from tests.support import secs

from hj212gw.clock import Clock
from hj212gw.gateway.drain import DrainLimits
from hj212gw.gateway.server import Gateway, GatewayLimits
from hj212gw.journal import ACCEPTED, REJECT, JournalSettings
from hj212gw.protocol import FrameBuffer, encode_frame, parse_packet
from hj212gw.protocol.dialects import make_dialect
from hj212gw.store.retention import Retention
from hj212gw.store.writer import Writer
from hj212gw.telemetry import REGISTRY

KIB, MIB = 1 << 10, 1 << 20
MN = "010000A8900016F000169DC0"
CP = "DataTime=20260301080000;w01018-Rtd=35.5,w01018-Flag=N"

LIMITS = GatewayLimits(
    host="127.0.0.1",
    port=0,
    max_segment_bytes=4096,
    idle_timeout_secs=secs(60),
    session_high_water_bytes=256 * KIB,
    high_water_bytes=16 * MIB,
    max_sessions=200,
    backlog=200,
    stop_timeout_secs=secs(10),
)
DRAIN_LIMITS = DrainLimits(
    batch_packets=1000,
    batch_wait_secs=0.01,
    idle_wait_secs=0.2,
    retry_first_secs=0.05,
    retry_max_secs=0.5,
    refresh_secs=0.3,
    retention=Retention(),
)
JOURNAL = {"max_bytes": 64 * MIB, "segment_bytes": MIB, "reserve_bytes": 0, "group_wait_secs": 0.002}


def frame(number=0, cn="2011", *, mn=MN, flag="5", pw="123456", cp=CP, st="32"):
    """One packet of 2017 as a frame; `number` makes it distinct."""
    header = f"QN=20260301080000{number:03d};ST={st};CN={cn};PW={pw};MN={mn};Flag={flag}"
    return encode_frame(f"{header};CP=&&{cp}&&".encode())


def big_frame(number, cn="2011", *, text_bytes=3500, mn=MN):
    """One packet that fills a journal; `number` may be any."""
    cp = f"DataTime=20260301080000;i11001-Info=//{number}{'x' * text_bytes}//"
    return frame(number % 1000, cn, mn=mn, cp=cp)


def on_both_loops(test):
    """Run a test on asyncio's own event loop and on uvloop, which the product uses."""

    @pytest.mark.parametrize("make_loop", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
    @functools.wraps(test)
    def run(make_loop, **fixtures):
        with asyncio.Runner(loop_factory=make_loop) as runner:
            runner.run(test(**fixtures))

    signature = inspect.signature(test)
    first = inspect.Parameter("make_loop", inspect.Parameter.POSITIONAL_OR_KEYWORD)
    run.__signature__ = signature.replace(parameters=[first, *signature.parameters.values()])
    return run


def counted(name, **labels):
    """Read a metric of this process; 0 where the series does not exist."""
    return REGISTRY.get_sample_value(f"hj212gw_{name}", labels) or 0.0


class Counts:
    """What metrics grew by since this was made."""

    def __init__(self):
        self._before = {}
        for family in REGISTRY.collect():
            for sample in family.samples:
                self._before[sample.name, tuple(sorted(sample.labels.items()))] = sample.value

    def __call__(self, name, **labels):
        """Tell by how much one metric grew."""
        key = f"hj212gw_{name}", tuple(sorted(labels.items()))
        return counted(name, **labels) - self._before.get(key, 0.0)

    def sum(self, name):
        """Tell by how much a family grew over all its labels."""
        samples = [sample for family in REGISTRY.collect() for sample in family.samples]
        return sum(self(name, **sample.labels) for sample in samples if sample.name == f"hj212gw_{name}")

    def reject_total(self):
        """Tell how many frames were rejected, whatever for."""
        return self.sum("frames_rejected_total")


async def eventually(holds, timeout=10.0):
    """Wait until something of this process is true that has no event of its own; return it."""
    async with asyncio.timeout(secs(timeout)):
        while not (result := holds()):  # noqa: ASYNC110 - counters and sockets have no events
            await asyncio.sleep(0.005)
    return result


@asynccontextmanager
async def live_gateway(folder, *, dsn=None, accepts_unknown=True, journal=None, drain=DRAIN_LIMITS, **limits):
    """Run a gateway with a real journal; without a DSN its journal only fills. No callback of the loop may raise."""
    faults = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: faults.append(context))
    settings = JournalSettings(directory=folder / "journal", **{**JOURNAL, **(journal or {})})
    writer_of = (lambda opened: Writer(dsn, opened.uuid, statement_timeout_secs=secs(5))) if dsn else None
    gateway = Gateway(LIMITS._replace(**limits), settings, writer_of, drain, Clock())
    live = LiveGateway(gateway, await gateway.start(accepts_unknown=accepts_unknown))
    try:
        yield live
    finally:
        for line in live.lines:
            await line.close()
        await gateway.stop()
    assert not faults, faults


class LiveGateway:
    """A running gateway as a test sees it."""

    def __init__(self, gateway, address):
        self.gateway, self.address = gateway, address
        self.journal, self.intake = gateway._journal, gateway._intake
        self.lines = []

    async def connect(self, **options):
        """Open a line; a socket of the test's own may be given."""
        address = () if "sock" in options else self.address
        self.lines.append(Line(*await asyncio.open_connection(*address, **options)))
        return self.lines[-1]

    async def connect_tls(self, context):
        """Open a line to the TLS port."""
        host, port = self.gateway.tls_address
        self.lines.append(Line(*await asyncio.open_connection(host, port, ssl=context)))
        return self.lines[-1]

    async def connect_proxied_tls(self, context, header):
        """Open a line to the TLS port as a proxy does: its header, then what it hands on."""
        reader, writer = await asyncio.open_connection(*self.gateway.tls_address)
        writer.write(header)
        await writer.drain()
        await writer.start_tls(context, server_hostname="127.0.0.1")
        self.lines.append(Line(reader, writer))
        return self.lines[-1]

    def records(self, kind=ACCEPTED):
        """Return what the journal holds of a kind, in order."""
        return [record for group in self.journal.read(0, 1 << 30) for record in group.records if record.kind == kind]

    def frames(self):
        """Return the accepted frames in the journal."""
        return [record.body for record in self.records()]

    def rejects(self):
        """Return reason and bytes of the rejects in the journal."""
        return [(record.note.partition("\t")[0], record.body) for record in self.records(REJECT)]

    async def drain_until(self, holds):
        """Confirm what the journal holds, as a drain does that is quick, until something is true."""

        def confirm():
            self.journal.confirm(self.journal.stats().head_seq, 1)
            return holds()

        await eventually(confirm)

    def session(self):
        """Return the only session."""
        (session,) = self.intake.sessions
        return session

    def is_reading(self):
        """Whether the only session reads."""
        return self.session()._transport.is_reading()


class Line:
    """One connection of a data logger."""

    def __init__(self, reader, writer):
        self.reader, self.writer = reader, writer
        self._buffer = FrameBuffer()
        self._answers = []

    def take_any_crc(self):
        """Take answers with a Modbus CRC too."""
        self._buffer = FrameBuffer(lambda _mn: make_dialect(["crc_modbus"]))

    @property
    def port(self):
        """This side's port, by which the gateway names the peer."""
        return self.writer.get_extra_info("sockname")[1]

    async def send(self, *chunks):
        """Send chunks as segments of their own."""
        for chunk in chunks:
            self.writer.write(chunk)
            await self.writer.drain()

    async def answers(self, count):
        """Take so many answers, as frames."""
        async with asyncio.timeout(secs(10)):
            while len(self._answers) < count:
                data = await self.reader.read(1 << 16)
                assert data, f"the gateway closed the line after {len(self._answers)} answers of {count}"
                self._answers += [event.raw for event in self._buffer.feed(data)]
        taken, self._answers = self._answers[:count], self._answers[count:]
        return taken

    async def rest(self):
        """Take what comes until the gateway closes the line, as frames."""
        async with asyncio.timeout(secs(10)):
            with suppress(ConnectionResetError):
                while data := await self.reader.read(1 << 16):
                    self._answers += [event.raw for event in self._buffer.feed(data)]
        taken, self._answers = self._answers, []
        return taken

    async def finish(self):
        """Say that no more comes; answers may still."""
        self.writer.write_eof()

    async def close(self):
        """Close the line, at once where the gateway does not take what was sent."""
        self.writer.transport.abort()
        with suppress(OSError):
            await self.writer.wait_closed()

    def reset(self):
        """Cut the line as a modem does that loses its network."""
        self.writer.transport.abort()


def qns(answers):
    """Return the QNs that answers repeat."""
    return [parse_packet(answer[6:-6]).qn for answer in answers]
