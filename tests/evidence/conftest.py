"""An archive with an outlet of which evidence can be made."""

from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import asyncpg
import pytest

from hj212gw.clock import Clock
from hj212gw.evidence import Request, export_evidence
from hj212gw.gateway.notes import Note
from hj212gw.gateway.rows import make_rows, read_arrival
from hj212gw.protocol import Dialect, Key, encode_frame_as
from hj212gw.protocol.times import format_data_time, format_qn, start_of
from hj212gw.store.archive import seal_days
from hj212gw.store.evidence import EvidenceReader
from hj212gw.store.loggers import add_loggers
from hj212gw.store.migrate import migrate
from hj212gw.store.rows import Batch
from hj212gw.store.writer import Writer

NOON = datetime(2026, 3, 1, 4, 0, 0, tzinfo=UTC)
START, END = start_of(NOON.date()), start_of(NOON.date() + timedelta(days=1))
MN, OTHER = "010000A8900016F000169DC0", "010000A8900016F000169DC1"
PEER = "10.0.0.7:40001"
OUTLET = "WS-01"
SECRET = "hush-hush"
KEY = Key("k1", b"0123456789abcdef")

REGISTRY = [
    "INSERT INTO hj212.enterprises (enterprise, name) VALUES ('E1', '=cmd|''/c calc''!A1'), ('E2', 'Other')",
    (
        "INSERT INTO hj212.outlets (outlet, enterprise, name, medium) VALUES ('WS-01', 'E1', '总排口', 'water'),"
        " ('WS-02', 'E2', 'Other', 'water'), ('WS-03', 'E2', 'Nobody', 'water')"
    ),
    (
        f"INSERT INTO hj212.data_loggers (mn, pw, st, outlet) VALUES ('{MN}', '{SECRET}', '32', 'WS-01'),"
        f" ('{OTHER}', '{SECRET}', '32', 'WS-02')"
    ),
    (
        "INSERT INTO hj212.data_loggers (mn, outlet, recorded_at, superseded_at)"
        f" VALUES ('{MN}', 'WS-09', '2026-01-01', '2026-01-02')"
    ),
]


def frame(value, *, at=NOON, cn="2011", mn=MN, qn_at=None, suffix="Rtd", dialect=Dialect(), **options):
    """One upload about a moment."""
    qn = format_qn(qn_at or at)
    cp = f"DataTime={format_data_time(at)};w01018-{suffix}={value},w01018-Flag=N;w21003-{suffix}=-0.5,w21003-Flag=N"
    return encode_frame_as(f"QN={qn};ST=32;CN={cn};PW=123456;MN={mn};Flag=5;CP=&&{cp}&&".encode(), dialect, **options)


class Archive:
    """What a gateway has stored."""

    def __init__(self, dsn, admin, writer, numbers):
        self.dsn, self.admin, self.writer, self.numbers = dsn, admin, writer, numbers
        self.position = 0

    async def write(self, *frames, at=NOON, rejects=(), note=Note()):
        """Write one batch; `note` says with which key or in which dialect its frames were opened."""
        packets = []
        for raw in frames:
            arrival = read_arrival(raw, at, PEER, note, lambda *_: KEY)
            packets.append(make_rows(arrival, logger_id=self.numbers[arrival.packet.mn]))
        batch = Batch(packets, list(rejects), [], self.position, self.position + 1, at)
        await self.writer.write(batch)
        self.position += 1

    async def seal(self):
        """Seal what there is."""
        now = END + timedelta(days=3)
        await self.writer.note_idle(self.position, now, [])
        await seal_days(self.admin, now)

    async def export(self, path, outlet=OUTLET, start=START, end=END):
        """Make evidence."""
        async with EvidenceReader.open(self.dsn) as reader:
            return await export_evidence(reader, Request(outlet, start, end), path, Clock())


async def fill(archive):
    """A day: real-time data, an hour that was corrected later, a resent one, rejects, and another outlet's data."""
    await archive.write(*(frame(number, at=NOON + timedelta(seconds=30 * number)) for number in range(5)))
    await archive.write(frame(35.5, cn="2061", suffix="Avg"), frame(1, mn=OTHER))
    later = NOON + timedelta(days=2)
    await archive.write(frame(36.25, cn="2061", suffix="Avg", qn_at=later), at=later)
    await archive.write(frame(7, at=NOON - timedelta(days=4)))  # came today, speaks of last week
    rejects = [
        (NOON, PEER, "crc", "=1+1", frame(1)[:-6] + b"0002\r\n"),
        (NOON, "10.9.9.9:1", "length", "", f"##0009MN={MN};".encode()),
        (NOON, "10.9.9.9:2", "noise", "", b"GET / HTTP/1.0"),
    ]
    await archive.write(rejects=rejects)
    await archive.seal()


@asynccontextmanager
async def filled(dsn):
    """A migrated and filled database."""
    admin = await asyncpg.connect(dsn)
    await migrate(admin, now=NOON)
    for statement in REGISTRY:
        await admin.execute(statement)
    writer = Writer(dsn, uuid4())
    await writer.open(NOON - timedelta(days=1))
    archive = Archive(dsn, admin, writer, await add_loggers(writer.numbering, [MN, OTHER]))
    await fill(archive)
    yield archive
    await writer.close()
    await admin.close()


@pytest.fixture
async def archive(postgres_dsn):
    """An archive of the test's own."""
    async with filled(postgres_dsn) as archive:
        yield archive


@pytest.fixture
def evidence(tmp_path):
    """A file of evidence."""
    return tmp_path / "evidence.zip"


@pytest.fixture
async def exported(archive, evidence):
    """What was exported of the day."""
    return await archive.export(evidence)
