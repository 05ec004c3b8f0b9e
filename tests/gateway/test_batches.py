"""From journal groups to batches: judged, numbered, and who was heard."""

from datetime import UTC, datetime, timedelta

import asyncpg
import pytest
from tests.gateway.support import MN, Counts, frame

from hj212gw.clock import to_us
from hj212gw.gateway import batches
from hj212gw.gateway.admission import Admission
from hj212gw.gateway.batches import BatchMaker
from hj212gw.journal import ACCEPTED, REJECT, Group, Record
from hj212gw.protocol import encode_frame
from hj212gw.store.loggers import KnownLogger, read_known_loggers
from hj212gw.store.migrate import migrate

AT = datetime(2026, 3, 1, 0, 0, 5, tzinfo=UTC)
PEER = "10.0.0.1:5000"


@pytest.fixture
async def connection(postgres_dsn):
    """A connection to a migrated database, as the drain's."""
    connection = await asyncpg.connect(postgres_dsn, server_settings={"search_path": "hj212, public"})
    await migrate(connection, now=AT)
    yield connection
    await connection.close()


def make_maker(folder, *, accepts_unknown=True, known=()):
    """A maker and its admission."""
    admission = Admission(accepts_unknown=accepts_unknown, snapshot=folder / "registry.json")
    admission.replace(known)
    return BatchMaker(admission)


def group(seq, *bodies, kind=ACCEPTED, note=""):
    """A journal group whose records came a second apart."""
    records = [Record(to_us(AT) + place * 1_000_000, kind, PEER, note, body) for place, body in enumerate(bodies)]
    return Group(seq, records, sum(map(len, bodies)))


def raise_memory_error(*_args, **_kwargs):
    """Stand in for a step that finds no memory."""
    raise MemoryError


async def test_batch_has_all_records_in_order(tmp_path, connection):
    """Packets, rejects, the position before and after, and the time up to which all is in it."""
    maker = make_maker(tmp_path)
    groups = [
        group(5, *map(frame, range(100))),
        group(6, b"##bad", kind=REJECT, note="crc\tCRC at byte 5"),
        group(9, frame(100), frame(101)),
    ]
    batch = await maker.make(connection, groups, 4)
    assert [rows.packet.raw for rows in batch.packets] == [frame(number) for number in range(102)]
    assert batch.rejects == [(AT, PEER, "crc", "CRC at byte 5", b"##bad")]
    assert (batch.after, batch.upto, batch.activity) == (4, 9, [])
    assert batch.drained_through == AT + timedelta(seconds=1)


async def test_unknown_logger_is_registered_as_found(tmp_path, connection):
    """Where the policy is `accept`: once, with its ST, and its readings come along."""
    counts = Counts()
    maker = make_maker(tmp_path)
    batch = await maker.make(connection, [group(1, frame(1), frame(2), frame(3, mn="OTHER", st="31"))], 0)
    found = {known.mn: known.st for known in await read_known_loggers(connection, datetime.now(UTC))}
    assert found == {MN: "32", "OTHER": "31"}
    assert all(rows.head and rows.packet.state == "stored" for rows in batch.packets)
    numbers = [rows.head.logger_id for rows in batch.packets]
    assert numbers[0] == numbers[1] != numbers[2]
    await maker.make(connection, [group(2, frame(4))], 1)
    assert len(await read_known_loggers(connection, datetime.now(UTC))) == 2
    assert counts("loggers_questioned_total", verdict="wrong_password") == 0


async def test_unknown_logger_is_held(tmp_path, connection):
    """Where the policy is `hold`: flagged, counted, without readings and without a number."""
    counts = Counts()
    maker = make_maker(tmp_path, accepts_unknown=False)
    batch = await maker.make(connection, [group(1, frame(1), frame(2))], 0)
    assert {(rows.packet.state, *rows.packet.warnings) for rows in batch.packets} == {("unregistered", "unknown_mn")}
    assert all(rows.table is None for rows in batch.packets)
    assert await connection.fetchval("SELECT count(*) FROM loggers") == 0
    assert counts("loggers_questioned_total", verdict="unknown_mn") == 2


async def test_wrong_password_is_flagged_and_stored(tmp_path, connection):
    """A registered data logger's readings are stored whatever its PW."""
    counts = Counts()
    maker = make_maker(tmp_path, known=[KnownLogger(MN, "654321", "32", 60)])
    batch = await maker.make(connection, [group(1, frame(1), frame(2, pw="654321"))], 0)
    assert [rows.packet.warnings for rows in batch.packets] == [["wrong_password"], None]
    assert [rows.reading_count for rows in batch.packets] == [1, 1]
    assert counts("loggers_questioned_total", verdict="wrong_password") == 1


async def test_packet_without_mn_is_stored(tmp_path, connection):
    """2025's first packet has none yet; nobody is registered under an empty name."""
    raw = encode_frame(b"QN=20260301080000001;ST=31;CN=1001;PW=123456;MN=;Flag=9;CP=&&i23005-Info=1&&")
    for accepts in (True, False):
        maker = make_maker(tmp_path, accepts_unknown=accepts)
        batch = await maker.make(connection, [group(1, raw)], 0)
        assert [rows.packet.raw for rows in batch.packets] == [raw]
    assert await connection.fetchval("SELECT count(*) FROM data_loggers") == 0


async def test_frame_that_cannot_be_read_again_becomes_a_reject(tmp_path, connection):
    """It is kept with the reason; the others are not held up by it."""
    unreadable = encode_frame(b"ST=32;CP=&&&&")
    batch = await make_maker(tmp_path).make(connection, [group(1, frame(1), unreadable, frame(2))], 0)
    assert len(batch.packets) == 2
    assert [row[4] for row in batch.rejects] == [unreadable]


@pytest.mark.parametrize("part", ["read_arrival", "make_rows"])
async def test_fault_of_the_program_keeps_one_packet_apart(tmp_path, connection, monkeypatch, part):
    """It was acknowledged: it is stored whole and told, and those that come after it are not held up."""
    counts = Counts()
    plain = getattr(batches, part)

    def fail(subject, *args, **kwargs):
        if (subject if part == "read_arrival" else subject.frame) == frame(2):
            raise KeyError("nobody thought of this")
        return plain(subject, *args, **kwargs)

    monkeypatch.setattr(batches, part, fail)
    batch = await make_maker(tmp_path).make(connection, [group(1, frame(1), frame(2), frame(3))], 0)
    kept = [rows.packet for rows in batch.packets if rows.packet.state == "stored"]
    assert [packet.raw for packet in kept] == [frame(1), frame(3)]
    apart = [rows.packet.raw for rows in batch.packets if rows.packet.state == "quarantined"]
    assert apart + [row[4] for row in batch.rejects] == [frame(2)]
    assert counts.sum("faults_contained_total") == 1
    if part == "make_rows":
        assert batch.packets[1].packet.warnings[-1] == "rows_failed"
        assert batch.packets[1].reading_count == 0
    else:
        assert batch.rejects[0][2:4] == ("other", "this version cannot read it: KeyError")


async def test_want_of_memory_is_no_fault_of_a_packet(tmp_path, connection, monkeypatch):
    """The batch is made again later, and no packet is kept apart for it."""
    monkeypatch.setattr(batches, "make_rows", raise_memory_error)
    with pytest.raises(MemoryError):
        await make_maker(tmp_path).make(connection, [group(1, frame(1))], 0)


async def test_activity_is_the_last_of_each_logger(tmp_path, connection):
    """When it was heard, of what its data is, and by how much its clock is off; told once."""
    maker = make_maker(tmp_path)
    await maker.make(connection, [group(1, frame(1), frame(2), frame(3, "9015", cp=""), frame(4, mn="OTHER"))], 0)
    activity = {heard.mn: heard for heard in maker.take_activity()}
    assert set(activity) == {MN, "OTHER"}
    assert activity[MN].last_packet_at == AT + timedelta(seconds=2)
    assert activity[MN].last_data_time == datetime(2026, 3, 1, tzinfo=UTC)
    assert activity[MN].clock_skew_secs == pytest.approx(0.003 - 7)
    assert maker.take_activity() == []


async def test_numbers_are_learnt_anew_from_another_database(tmp_path, connection):
    """After a reconnect the number of a data logger may be another one."""
    maker = make_maker(tmp_path)
    (first,) = (await maker.make(connection, [group(1, frame(1))], 0)).packets
    await connection.execute("TRUNCATE odd_readings; DELETE FROM loggers; INSERT INTO loggers (mn) VALUES ('EARLIER')")
    maker.forget_numbers()
    (again,) = (await maker.make(connection, [group(2, frame(2))], 1)).packets
    assert again.head.logger_id != first.head.logger_id
    assert await connection.fetchval("SELECT logger_id FROM loggers WHERE mn = $1", MN) == again.head.logger_id


async def test_held_packets_are_made_again(tmp_path, connection):
    """With readings, as they were kept, and flagged no more once their data logger is registered."""
    maker = make_maker(tmp_path, accepts_unknown=False)
    held = [rows.packet for rows in (await maker.make(connection, [group(1, frame(1), frame(2))], 0)).packets]
    maker._admission.replace([KnownLogger(MN, "123456", "32", 60)])
    rows = await maker.remake(connection, held)
    assert [(row.packet.received_at, row.packet.digest) for row in rows] == [
        (row.received_at, row.digest) for row in held
    ]
    assert all(row.reading_count == 1 and row.packet.state == "stored" for row in rows)
