"""Readings derived again from the archive: nothing changes where nothing changed, and what changed has its history."""

import os
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import asyncpg
import pytest

from hj212gw.clock import from_us, to_us
from hj212gw.errors import PositionMoved
from hj212gw.gateway.admission import Admission
from hj212gw.gateway.batches import BatchMaker
from hj212gw.gateway.replay import Lines, replay
from hj212gw.journal import ACCEPTED, Group, Record
from hj212gw.protocol import encode_frame
from hj212gw.store.loggers import read_known_loggers
from hj212gw.store.migrate import migrate
from hj212gw.store.replays import Range, Remade, finish_replay, open_replay, read_packets, store_replayed
from hj212gw.store.writer import Writer
from hj212sim.presets import make_yuxi
from hj212sim.schedule import Schedule
from hj212sim.uploads import UploadWriter

DAY = datetime(2026, 3, 1, tzinfo=UTC)
WHOLE_DAY = Range(DAY, DAY + timedelta(days=1))
MN = "010000A8900016F000169DC0"
MONITORS = 600 if os.environ.get("HJ212_TEST_LONG") == "1" else 6
TABLES = ("readings_rtd", "readings_minute", "readings_hour", "readings_day", "odd_readings", "reading_history")


def frame(value, *, number=1, data_time="20260301080000", mn=MN):
    """An hour of one factor."""
    header = f"QN=20260301090000{number:03d};ST=32;CN=2061;PW=123456;MN={mn};Flag=5"
    return encode_frame(f"{header};CP=&&DataTime={data_time};w01018-Avg={value},w01018-Flag=N&&".encode())


def fleet_day():
    """Arrivals of a day of some of the fleet's data loggers, some packets twice and some late, in order of arrival."""
    arrivals = []
    for monitor in make_yuxi(monitors=MONITORS).monitors:
        writer = UploadWriter(monitor.profile, seed=1)
        schedule = Schedule(
            monitor.profile.cns, monitor.profile.rhythm._replace(rtd_interval_secs=600), start_us=to_us(DAY)
        )
        schedule.end_at(to_us(DAY + timedelta(days=1)))
        while schedule.next_due_us is not None:
            upload = schedule.take()
            late_us = 7_200_000_000 if upload.qn_ms % 50 == 0 else 500_000
            arrivals.append((upload.due_us + late_us, writer.write(upload).frame))
    return sorted(arrivals)


class Archive:
    """A database that packets were drained into."""

    def __init__(self, dsn, admin):
        self.dsn, self.admin = dsn, admin
        self.position = 0

    async def drain(self, arrivals, *, accepts_unknown=True):
        """Store packets as a gateway's drain does."""
        maker = await self.maker(accepts_unknown=accepts_unknown)
        writer = Writer(self.dsn, uuid4())
        position = await writer.open(DAY)
        for start in range(0, len(arrivals), 500):
            records = [Record(at_us, ACCEPTED, "10.0.0.1:1", "", raw) for at_us, raw in arrivals[start : start + 500]]
            batch = await maker.make(writer.numbering, [Group(position + 1, records, 0)], position)
            await writer.write(batch)
            position += 1
        await writer.close()

    async def maker(self, *, accepts_unknown=False):
        """A maker that knows the registry as it is now."""
        admission = Admission(accepts_unknown=accepts_unknown, snapshot=None)
        admission.replace(await read_known_loggers(self.admin, datetime.now(UTC)))
        return BatchMaker(admission)

    async def replay(self, wanted=WHOLE_DAY, **options):
        """Replay over connections of its own."""
        lines = Lines(await self.connect(), await self.connect())
        try:
            return await replay(lines, await self.maker(), wanted, **options)
        finally:
            await lines.reading.close()
            await lines.writing.close()

    async def connect(self):
        """Open a connection as the product does."""
        return await asyncpg.connect(self.dsn, server_settings={"search_path": "hj212, public"})

    async def dump(self):
        """Return every reading, byte for byte as text."""
        return {
            table: sorted(row[0] for row in await self.admin.fetch(f"SELECT t::text FROM hj212.{table} t"))
            for table in TABLES
        }


@pytest.fixture
async def archive(postgres_dsn):
    """A migrated database."""
    admin = await asyncpg.connect(postgres_dsn, server_settings={"search_path": "hj212, public"})
    await migrate(admin, now=DAY)
    yield Archive(postgres_dsn, admin)
    await admin.close()


async def test_a_day_of_the_fleet_gives_the_same_bytes(archive):
    """Corrections, late and odd packets included, twice."""
    odd = [(to_us(DAY) + 5, frame("7", number=7, data_time="20400101000000"))]
    corrected = [(to_us(DAY) + 10, frame("35.5")), (to_us(DAY) + 20, frame("36", number=2))]
    arrivals = sorted([*fleet_day(), *odd, *corrected])
    await archive.drain(arrivals)
    before = await archive.dump()
    assert all(before[table] for table in TABLES)
    told = []
    through = Range(DAY, DAY + timedelta(days=2))
    for _ in range(2):
        done = await archive.replay(through, batch_packets=300, on_progress=told.append)
        assert done == (len(arrivals), 0, 0, 0, 0)
        assert await archive.dump() == before
    assert told[-1].done.packets == len(arrivals)
    assert [run.position_at for run in told[: len(told) // 2]] == sorted({run.position_at for run in told})


async def test_what_the_archive_gives_and_the_tables_lack_comes_back(archive):
    """As after an upgrade that understands more than the version that stored the packets."""
    await archive.drain([(to_us(DAY) + 10, frame("35.5"))])
    before = await archive.dump()
    await archive.admin.execute("DELETE FROM readings_hour")
    assert await archive.replay() == (1, 1, 0, 0, 0)
    assert await archive.dump() == before


async def test_what_is_derived_otherwise_now_replaces_with_history(archive):
    """The value that stood is kept, the arrival stays, and the day is marked for the aggregator."""
    await archive.drain([(to_us(DAY) + 10, frame("35.5"))])
    await archive.admin.execute("UPDATE readings_hour SET avg = 3.55; DELETE FROM dirty")
    assert await archive.replay() == (1, 0, 1, 0, 0)
    row = await archive.admin.fetchrow("SELECT avg, received_at FROM v_readings")
    assert tuple(row) == (35.5, from_us(to_us(DAY) + 10))
    assert await archive.admin.fetchval("SELECT avg FROM v_history") == 3.55
    assert await archive.admin.fetchval("SELECT count(*) FROM dirty") == 1


async def test_states_and_parts_come_back_as_they_were(archive):
    """What is not there is derived again, the day is marked, and a second run changes nothing."""
    cps = ["DataTime=20260301080000;SB1-RS=1", "DataTime=20260301080000;SB1-RS=2", "DataTime=20260301090000;SB1-RS=1"]
    header = f"ST=32;CN=2021;PW=123456;MN={MN};Flag=7;PNUM=2;PNO=1"
    frames = [encode_frame(f"QN=2026030109000000{i};{header};CP=&&{cp}&&".encode()) for i, cp in enumerate(cps)]
    await archive.drain([(to_us(DAY) + 10 + number, raw) for number, raw in enumerate(frames)])

    async def dump():
        tables = ("states", "sub_packets", "dirty")
        return [await archive.admin.fetch(f"SELECT t::text FROM {table} t ORDER BY 1") for table in tables]

    before = await dump()
    assert [len(rows) for rows in before] == [2, 2, 1]
    await archive.replay()
    assert await dump() == before
    await archive.admin.execute("DELETE FROM states; DELETE FROM sub_packets; DELETE FROM dirty")
    await archive.replay()
    assert await dump() == before


async def test_only_the_data_logger_asked_for(archive):
    """And only arrivals of the range: its start is in it, its end is not."""
    moment = to_us(DAY)
    await archive.drain(
        [(moment, frame("1")), (moment, frame("2", number=2, mn="OTHER")), (moment + 60, frame("3", number=3))]
    )
    assert (await archive.replay(Range(DAY, from_us(moment + 60), MN))).packets == 1


async def test_packets_kept_apart_stay_so_and_quarantined_ones_come_out(archive):
    """Unregistered and conflicting packets are left as they are."""
    moment = to_us(DAY)
    await archive.drain([(moment, frame("1", mn="KNOWN"))])
    await archive.drain(
        [(moment + place, frame("2", number=place, mn=f"MN{place}")) for place in range(1, 4)], accepts_unknown=False
    )
    await archive.admin.execute("UPDATE packets SET state = 'conflict' WHERE mn = 'MN2'")
    await archive.admin.execute("UPDATE packets SET state = 'quarantined' WHERE mn IN ('MN3', 'KNOWN')")
    await archive.admin.execute("INSERT INTO data_loggers (mn) VALUES ('MN2'), ('MN3')")
    await archive.admin.execute("DELETE FROM readings_hour")
    assert await archive.replay() == (4, 2, 0, 2, 2)
    states = dict(await archive.admin.fetch("SELECT mn, state FROM packets"))
    assert states == {"KNOWN": "stored", "MN1": "unregistered", "MN2": "conflict", "MN3": "stored"}
    assert sorted(row["mn"] for row in await archive.admin.fetch("SELECT mn FROM v_readings")) == ["KNOWN", "MN3"]


async def test_run_that_was_cut_off_goes_on(archive):
    """Asked for again, the same range begins behind what was committed, and its counts go on."""
    moment = to_us(DAY)
    await archive.drain([(moment + place, frame(str(place), number=place)) for place in range(10)])

    def cut_off(run):
        raise ConnectionError(run.done.packets)

    with pytest.raises(ConnectionError, match="4"):
        await archive.replay(batch_packets=4, on_progress=cut_off)
    seen = []
    done = await archive.replay(batch_packets=4, on_progress=lambda run: seen.append(run.done.packets))
    assert seen == [8, 10]
    assert done.packets == 10
    assert (await archive.replay()).packets == 10


async def test_two_processes_do_not_replay_the_same_range(archive):
    """The one that lost stops."""
    await archive.drain([(to_us(DAY), frame("1"))])
    connection = await archive.connect()
    run = await open_replay(connection, WHOLE_DAY)
    assert await open_replay(connection, WHOLE_DAY) == run
    await finish_replay(connection, run, WHOLE_DAY.to_at)
    with pytest.raises(PositionMoved, match="another one replays"):
        await finish_replay(connection, run, WHOLE_DAY.to_at)
    maker = await archive.maker()
    (packets,) = [batch async for batch in read_packets(connection, WHOLE_DAY, run, 100)]
    rows = [Remade("stored", made) for made in await maker.remake(archive.admin, packets)]
    with pytest.raises(PositionMoved):
        await store_replayed(connection, run, rows)
    assert await archive.admin.fetchval("SELECT count(*) FROM replays") == 1
    await connection.close()
