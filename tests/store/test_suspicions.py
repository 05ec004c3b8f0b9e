"""Suspicions in the database: counted in the batch's transaction, shown to analysts."""

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import asyncpg
import pytest

from hj212gw.errors import PositionMoved
from hj212gw.store.migrate import migrate
from hj212gw.store.rows import Batch, SuspicionRow
from hj212gw.store.suspicions import note_suspicions
from hj212gw.store.writer import Writer

NOW = datetime(2026, 3, 1, 4, 0, 5, tzinfo=UTC)
HOUR = timedelta(hours=1)
MN = "010000A8900016F000169DC0"
ROW = SuspicionRow(MN, "wrong_pw", "10.1.1.1", "first", 2, NOW, NOW + HOUR)


@pytest.fixture
async def admin(postgres_dsn):
    """A migrated database."""
    connection = await asyncpg.connect(postgres_dsn, server_settings={"search_path": "hj212, public"})
    await migrate(connection, now=NOW)
    yield connection
    await connection.close()


async def read(admin):
    """What analysts see, by their role."""
    async with admin.transaction():
        await admin.execute("SET LOCAL ROLE hj212_analyst")
        return [tuple(row) for row in await admin.fetch("SELECT * FROM hj212.v_suspicions ORDER BY mn, what, peer")]


async def test_suspicions_are_stored_with_the_batch(admin, postgres_dsn):
    """By the gateway's role, and only when the position moves."""
    await admin.execute("INSERT INTO data_loggers (mn, outlet) VALUES ($1, 'o1')", MN)
    writer = Writer(postgres_dsn, uuid4())
    await writer.open(NOW)
    batch = Batch([], [], [], 0, 1, NOW, suspicions=(ROW,))
    await writer.write(batch)
    with pytest.raises(PositionMoved):
        await writer.write(batch)
    await writer.close()
    assert await read(admin) == [(MN, "o1", "wrong_pw", "10.1.1.1", "first", 2, NOW, NOW + HOUR)]


async def test_times_add_up(admin):
    """First and last time stay the outermost, the evidence is the latest's; each address has its own row."""
    await note_suspicions(admin, [ROW, ROW._replace(peer="10.1.1.2")])
    await note_suspicions(admin, [ROW._replace(evidence="later", times=3, last_seen_at=NOW + 2 * HOUR)])
    early = ROW._replace(evidence="kept back", times=1, first_seen_at=NOW - HOUR, last_seen_at=NOW)
    await note_suspicions(admin, [early])
    assert [row[3:] for row in await read(admin)] == [
        ("10.1.1.1", "later", 6, NOW - HOUR, NOW + 2 * HOUR),
        ("10.1.1.2", "first", 2, NOW, NOW + HOUR),
    ]


async def test_unknown_kinds_are_refused(admin):
    """The kinds are a closed set, as the metric's label is."""
    with pytest.raises(asyncpg.CheckViolationError):
        await note_suspicions(admin, [ROW._replace(what="odd_hat")])
