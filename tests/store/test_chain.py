"""The chain over the raw archive: days are sealed once all is there, and every change afterwards is noticed."""

import asyncio
from datetime import UTC, date, datetime, timedelta
from uuid import uuid4

import asyncpg
import pytest
from tests.support import secs

from hj212gw import telemetry
from hj212gw.clock import Clock
from hj212gw.gateway import keeper as keeper_module
from hj212gw.gateway.keeper import Keeper
from hj212gw.gateway.rows import make_rows, read_arrival
from hj212gw.protocol import encode_frame
from hj212gw.protocol.times import format_data_time, format_qn, start_of
from hj212gw.store.archive import seal_days
from hj212gw.store.audit import AuditRange, audit_chain, kept_since
from hj212gw.store.digests import (
    FIRST_PREVIOUS,
    Entry,
    count_days,
    find_break,
    link,
    packet_fingerprint,
)
from hj212gw.store.loggers import add_loggers
from hj212gw.store.migrate import load_migrations, migrate
from hj212gw.store.rows import Batch
from hj212gw.store.writer import Writer

DAY = date(2026, 3, 1)
NEXT = DAY + timedelta(days=1)
NOON = datetime(2026, 3, 1, 4, 0, 5, 123456, tzinfo=UTC)
MIDNIGHT = start_of(NEXT)
LATER = MIDNIGHT + timedelta(hours=1)
MN = "010000A8900016F000169DC0"
PEER = "127.0.0.1:1000"


def frame(number, *, qn_at=NOON, cn="2011"):
    """One frame; `number` makes it distinct."""
    qn = f"{format_qn(qn_at)[:14]}{number:03d}"
    cp = f"DataTime={format_data_time(NOON + timedelta(seconds=number))};w01018-Rtd={number}.5,w01018-Flag=N"
    return encode_frame(f"QN={qn};ST=32;CN={cn};PW=123456;MN={MN};Flag=5;CP=&&{cp}&&".encode())


class Archive:
    """A journal that writes to the archive, and what may be done to it."""

    def __init__(self, dsn, admin):
        self.dsn, self.admin = dsn, admin
        self.journals = []

    async def open(self):
        """Begin one more journal; the newest one is written with."""
        writer = Writer(self.dsn, uuid4())
        await writer.open(NOON - timedelta(days=1))
        self.numbers = await add_loggers(writer.numbering, [MN])
        self.journals.append([writer, 0])
        return writer

    async def write(self, *frames, at=NOON, rejects=(), through=None):
        """Write one batch."""
        writer, position = self.journals[-1]
        packets = [make_rows(read_arrival(raw, at, PEER), logger_id=self.numbers[MN]) for raw in frames]
        batch = Batch(packets, list(rejects), [], position, position + 1, through or at)
        outcome = await writer.write(batch)
        self.journals[-1][1] += 1
        return outcome

    async def drained(self, at):
        """Tell that all journals hold nothing older."""
        for writer, position in self.journals:
            await writer.note_idle(position, at, [])

    async def seal(self, now=LATER, **options):
        """Seal with a connection of the gateway's rights."""
        async with self.login() as connection:
            return await seal_days(connection, now, **options)

    async def audit(self, *wanted, **options):
        """Check, as kinds with their days and parts."""
        async with self.login() as connection:
            self.result = await audit_chain(connection, AuditRange(*wanted, **options))
        return [(finding.kind, finding.day, finding.part) for finding in self.result.findings]

    def login(self):
        """A connection as the gateway's."""
        return _Login(self.dsn)

    async def run(self, statement, *arguments):
        """Do what only an administrator may."""
        return await self.admin.execute(statement, *arguments)


class _Login:
    def __init__(self, dsn):
        self.dsn = dsn

    async def __aenter__(self):
        self.connection = await asyncpg.connect(self.dsn)
        await self.connection.execute("SET ROLE hj212_gateway")
        return self.connection

    async def __aexit__(self, *_):
        await self.connection.close()


@pytest.fixture
async def archive(postgres_dsn):
    """A migrated database with one journal."""
    admin = await asyncpg.connect(postgres_dsn, server_settings={"search_path": "hj212, public"})
    await migrate(admin, now=NOON)
    archive = Archive(postgres_dsn, admin)
    await archive.open()
    yield archive
    for writer, _ in archive.journals:
        await writer.close()
    await admin.close()


async def filled(archive):
    """A sealed day of three packets, a stray and a reject."""
    await archive.write(frame(1), frame(2), frame(3), frame(4, qn_at=NOON - timedelta(days=3000)))
    await archive.write(rejects=[(NOON, PEER, "crc", "wrong", b"##rubbish")])
    await archive.drained(LATER)
    seal = await archive.seal()
    assert [(entry.day, entry.part, entry.rows) for entry in seal.entries] == [
        (DAY, "packets", 3),
        (DAY, "rejects", 1),
        (DAY, "strays", 1),
    ]
    assert await archive.audit() == []
    assert archive.result.checked == 3
    return seal


async def test_rows_are_counted_with_their_batch(archive):
    """By day of arrival and journal, on both ways into the database; a repeat is no row."""
    assert (await archive.write(frame(1), frame(2))).path == "copy"
    assert (await archive.write(frame(2), frame(3), rejects=[(NOON, PEER, "crc", "", b"x")])).path == "upsert"
    await archive.write(frame(4), at=MIDNIGHT)
    rows = await archive.admin.fetch("SELECT day, packets, strays, rejects FROM archive_days ORDER BY day")
    assert [tuple(row) for row in rows] == [(DAY, 3, 0, 1), (NEXT, 1, 0, 0)]


async def test_what_cannot_be_stored_counts_as_a_reject(archive):
    """A packet that becomes a reject is counted where it lies."""
    writer, position = archive.journals[-1]
    rows = make_rows(read_arrival(frame(1), NOON, PEER), logger_id=archive.numbers[MN])
    broken = rows._replace(packet=rows.packet._replace(st="a\0b"))
    assert (await writer.write(Batch([broken], [], [], position, position + 1, NOON))).quarantined == 1
    row = await archive.admin.fetchrow("SELECT packets, rejects FROM archive_days")
    assert tuple(row) == (0, await archive.admin.fetchval("SELECT count(*) FROM rejects"))


def test_days_are_counted_in_local_time():
    """The day begins at 16:00 UTC; a packet whose QN is over a day off is a stray."""
    before = MIDNIGHT - timedelta(microseconds=1)
    packets = [(before, before), (MIDNIGHT, MIDNIGHT), (MIDNIGHT, MIDNIGHT - timedelta(days=2)), (before, before)]
    assert count_days(packets, [before]) == {DAY: (2, 0, 1), NEXT: (1, 1, 0)}


async def test_the_database_and_python_agree_on_fingerprints(archive):
    """Evidence can be checked without the database."""
    await archive.write(frame(1))
    row = await archive.admin.fetchrow(
        "SELECT *, hj212.packet_fingerprint(received_at, peer, key_id, mn, cn, qn, raw) AS fingerprint FROM packets"
    )
    texts = (row["peer"], row["key_id"] or "", row["mn"], row["cn"], row["qn"] or "")
    assert packet_fingerprint(row["received_at"], texts, row["raw"]) == row["fingerprint"]


async def test_sealed_day_holds(archive):
    """Sealing again adds nothing, and the chain begins with zeros and links."""
    first = (await filled(archive)).entries
    assert (await archive.seal()).entries == []
    await archive.write(frame(5), at=MIDNIGHT, through=MIDNIGHT)
    await archive.drained(LATER + timedelta(days=1))
    (second,) = (await archive.seal(LATER + timedelta(days=1))).entries
    assert first[0].previous == FIRST_PREVIOUS
    assert second.previous == first[-1].chained
    assert await archive.audit(expected=first[1].chained) == []
    assert archive.result.head == second


async def test_a_day_waits_for_its_end_and_for_every_live_journal(archive):
    """And for no dead one."""
    await archive.write(frame(1))
    await archive.drained(LATER)
    assert (await archive.seal(MIDNIGHT + timedelta(minutes=9))).entries == []
    slow = await archive.open()
    await slow.note_idle(0, MIDNIGHT - timedelta(seconds=1), [])
    seal = await archive.seal()
    assert not seal.entries
    assert "drained through 2026-03-01T15:59:59" in seal.waits_for
    await archive.run("UPDATE journals SET updated_at = now() - interval '8 days' WHERE position = 0")
    seal = await archive.seal()
    assert len(seal.entries) == 1
    assert seal.waits_for is None


async def test_through_ends_the_run(archive):
    """Days after it stay open."""
    for days in range(3):
        await archive.write(frame(days), at=NOON + timedelta(days=days))
    await archive.drained(LATER + timedelta(days=5))
    seal = await archive.seal(LATER + timedelta(days=5), through=NEXT)
    assert [entry.day for entry in seal.entries] == [DAY, NEXT]


async def test_late_rows_get_an_entry_of_their_own(archive):
    """Until then they are late, not added; the old entry stays."""
    await filled(archive)
    await archive.write(frame(7), at=NOON + timedelta(minutes=7), through=LATER)
    assert await archive.audit() == [("late", DAY, "packets")]
    assert archive.result.is_good
    (entry,) = (await archive.seal()).entries
    assert (entry.seq, entry.day, entry.rows) == (4, DAY, 4)
    assert await archive.audit() == [("resealed", DAY, "packets")]
    assert archive.result.is_good


TAMPERINGS = [
    ("UPDATE packets SET raw = raw || '\\x20'::bytea WHERE qn LIKE '%001'", "changed", "packets"),
    ("UPDATE packets SET received_at = received_at + interval '1 us' WHERE qn LIKE '%001'", "changed", "packets"),
    ("UPDATE packets SET peer = '10.0.0.9:1' WHERE qn LIKE '%001'", "changed", "packets"),
    ("DELETE FROM packets WHERE qn LIKE '%002'", "missing", "packets"),
    ("DELETE FROM packets WHERE qn LIKE '%004'", "missing", "strays"),
    ("INSERT INTO rejects VALUES ('2026-03-01 04:00+00', 'x', 'crc', '', '')", "added", "rejects"),
    ("UPDATE rejects SET detail = 'fine'", "changed", "rejects"),
]


@pytest.mark.parametrize(("statement", "kind", "part"), TAMPERINGS)
async def test_tampering_with_the_tables_is_noticed(archive, statement, kind, part):
    """With the day, the part and the kind."""
    await filled(archive)
    assert await archive.run(statement) in ("UPDATE 1", "DELETE 1", "INSERT 0 1")
    assert await archive.audit() == [(kind, DAY, part)]
    assert not archive.result.is_good
    assert await archive.audit(NEXT, NEXT) == []


async def test_a_release_changes_no_digest(archive):
    """State and warnings may change."""
    await filled(archive)
    await archive.run("UPDATE packets SET state = 'quarantined', warnings = '{odd}'")
    assert await archive.audit() == []


async def test_tampering_with_the_chain_is_noticed(archive):
    """An entry changed, taken out, or the whole of it written anew."""
    entries = (await filled(archive)).entries
    await archive.run("UPDATE day_digests SET rows = 2 WHERE seq = 2")
    assert ("chain_broken", DAY, "rejects") in await archive.audit(NEXT, NEXT)
    await archive.run("DELETE FROM day_digests WHERE seq = 2")
    assert await archive.audit(NEXT, NEXT) == [("chain_broken", DAY, "strays")]
    await archive.run("DELETE FROM day_digests WHERE seq = 1")
    assert await archive.audit(NEXT, NEXT) == [("chain_broken", DAY, "strays")]
    await archive.run("DELETE FROM day_digests")
    await archive.run("UPDATE packets SET raw = '\\x20'::bytea WHERE qn LIKE '%001'")
    await archive.seal()
    assert await archive.audit() == []
    assert await archive.audit(expected=entries[-1].chained) == [("not_as_expected", None, "")]


async def test_a_restored_database_comes_to_the_same_chain(archive):
    """When a day is sealed is not part of its digest."""
    first = (await filled(archive)).entries
    await archive.run("DELETE FROM day_digests")
    again = (await archive.seal(LATER + timedelta(hours=3))).entries
    assert [entry.chained for entry in again] == [entry.chained for entry in first]


async def test_rows_gone_before_their_day_was_sealed_are_told(archive):
    """The entry says how many were written."""
    await archive.write(frame(1), frame(2))
    await archive.run("DELETE FROM packets WHERE qn LIKE '%001'")
    await archive.drained(LATER)
    (entry,) = (await archive.seal()).entries
    assert (entry.rows, entry.written) == (1, 2)
    assert await archive.audit() == [("sealed_short", DAY, "packets")]
    assert (await archive.seal()).entries == []


async def test_what_retention_dropped_is_not_checkable(archive):
    """Strays of old clocks go earlier than their day."""
    await filled(archive)
    await archive.run("DELETE FROM packets WHERE qn LIKE '%004'")
    old = kept_since(LATER, 30)
    assert await archive.audit(kept_since=old) == [("not_checkable", DAY, "strays")]
    await archive.run("DELETE FROM packets")
    old = kept_since(LATER + timedelta(days=40), 30)
    kinds = [("not_checkable", DAY, "packets"), ("not_checkable", DAY, "strays")]
    assert await archive.audit(kept_since=old) == kinds
    assert archive.result.is_good
    assert kept_since(LATER, None) is None


@pytest.mark.parametrize(
    "statement", ["UPDATE day_digests SET rows = 0", "DELETE FROM day_digests", "TRUNCATE day_digests"]
)
async def test_the_gateway_may_only_add_to_the_chain(archive, statement):
    """Neither change nor take away."""
    async with archive.login() as connection:
        await connection.execute("SET search_path = hj212")
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute(statement)


async def test_analysts_see_the_chain(archive):
    """By its view alone."""
    await filled(archive)
    await archive.run("SET ROLE hj212_analyst")
    rows = await archive.admin.fetch("SELECT seq, is_newest, length(chained) AS digits FROM hj212.v_day_digests")
    assert {(row["is_newest"], row["digits"]) for row in rows} == {(True, 64)}
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await archive.admin.fetch("SELECT * FROM hj212.day_digests")


async def test_one_process_seals_at_a_time(archive):
    """A second one leaves it to the first."""
    await archive.write(frame(1))
    await archive.drained(LATER)
    async with archive.login() as first, first.transaction():
        assert await first.fetchval("SELECT pg_try_advisory_xact_lock(hashtext('hj212.chain'))")
        assert (await archive.seal()).is_busy
    seals = await asyncio.gather(archive.seal(), archive.seal())
    assert sum(len(seal.entries) for seal in seals) == 1


async def test_archive_of_before_is_counted_by_the_migration(archive):
    """A database of an earlier version has its days sealed too."""
    await archive.write(frame(1), frame(2, qn_at=NOON - timedelta(days=3000)), rejects=[(NOON, PEER, "crc", "", b"x")])
    before = await archive.admin.fetch("SELECT day, packets, strays, rejects FROM archive_days")
    (sql,) = [migration.sql for migration in load_migrations() if migration.name.endswith("create_chain")]
    await archive.run("DROP VIEW v_day_digests")
    await archive.run("DROP TABLE archive_days, day_digests")
    await archive.run("DROP FUNCTION packet_fingerprint, reject_fingerprint")
    # Later migrations stand on this one.
    await archive.run(sql.replace("CREATE FUNCTION hj212.local_day", "CREATE OR REPLACE FUNCTION hj212.local_day"))
    assert await archive.admin.fetch("SELECT day, packets, strays, rejects FROM archive_days") == before


async def test_the_keeper_seals_by_the_gateways_clock(archive):
    """Ten minutes after the hour, here of a simulated clock."""
    await archive.write(frame(1))
    await archive.drained(LATER)
    keeper = Keeper(archive.dsn, Clock(MIDNIGHT + timedelta(minutes=8), speed=200))
    keeper.start()

    async def sealed():
        while not (rows := await archive.admin.fetch("SELECT day FROM day_digests")):  # noqa: ASYNC110 - no event
            await asyncio.sleep(0.05)
        return rows

    async with asyncio.timeout(secs(30)):
        rows = await sealed()
    await keeper.stop()
    assert [row["day"] for row in rows] == [DAY]


async def test_a_keeper_without_its_database_goes_on(postgres_dsn):
    """Neither a database that is away nor one that is not migrated ends it."""
    await Keeper("postgresql://nobody@127.0.0.1:1/none", Clock()).seal_once()
    await Keeper(postgres_dsn, Clock()).seal_once()


async def test_a_keeper_survives_a_fault_nobody_thought_of(archive, monkeypatch):
    """It is told, and the next hour seals."""
    monkeypatch.setattr(keeper_module, "seal_days", lambda *_args, **_kwargs: {}["nobody thought of this"])
    before = telemetry.FAULTS_CONTAINED["seal"]._value.get()
    await Keeper(archive.dsn, Clock(LATER)).seal_once()
    assert telemetry.FAULTS_CONTAINED["seal"]._value.get() == before + 1


def test_links_are_found_broken():
    """A run that begins in the midst is judged by itself."""
    first = Entry(1, DAY, "packets", 1, 1, NOON, b"d" * 32, FIRST_PREVIOUS, b"", LATER)
    first = first._replace(chained=link(first))
    second = first._replace(seq=2, previous=first.chained)
    second = second._replace(chained=link(second))
    assert find_break([first, second]) is None
    assert find_break([second]) is None
    assert "does not follow" in find_break([second], first._replace(chained=b"x" * 32))
    wrong = first._replace(previous=b"x" * 32)
    assert "not the beginning" in find_break([wrong._replace(chained=link(wrong))])
