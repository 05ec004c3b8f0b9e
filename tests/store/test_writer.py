"""The writer on a real server: exactly once, first arrivals, history, quarantine, position."""

import json
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import asyncpg
import pytest
from tests.refusal import refuse_rows

from hj212gw.errors import PositionMoved, StoreUnavailable
from hj212gw.gateway.rows import make_rows, read_arrival
from hj212gw.protocol import encode_frame
from hj212gw.store.held import release_held
from hj212gw.store.loggers import add_found_loggers, add_loggers, read_known_loggers
from hj212gw.store.migrate import migrate
from hj212gw.store.rows import Activity, Batch
from hj212gw.store.writer import Writer

NOW = datetime(2026, 3, 1, 4, 0, 5, tzinfo=UTC)
MN = "010000A8900016F000169DC0"


def frame(cp, *, qn="20260301120000001", cn="2061", mn=MN, flag=";Flag=5"):
    """One frame."""
    header = f"QN={qn};" if qn else ""
    return encode_frame(f"{header}ST=32;CN={cn};PW=123456;MN={mn}{flag};CP=&&{cp}&&".encode())


def hour(value, *, at="20260301110000", flag="N", factor="w01018"):
    """The data area of an hour."""
    return f"DataTime={at};{factor}-Avg={value},{factor}-Flag={flag}"


@pytest.fixture
async def store(postgres_dsn):
    """A migrated database, a writer at the start of its journal, and a plain connection to look with."""
    admin = await asyncpg.connect(postgres_dsn, server_settings={"search_path": "hj212, public"})
    await migrate(admin, now=NOW)
    writer = Writer(postgres_dsn, uuid4())
    assert await writer.open(NOW) == 0
    numbers = await add_loggers(writer.numbering, [MN, "OTHER"])
    yield Store(writer, admin, numbers)
    await writer.close()
    await admin.close()


class Store:
    """Writes frames as the drain does, one batch a call."""

    def __init__(self, writer, admin, numbers):
        self.writer, self.admin, self.numbers = writer, admin, numbers
        self.position = 0

    async def write(self, *frames, at=NOW, held=False, rejects=(), activity=()):
        """Write one batch, the frames a second apart."""
        packets = [self.rows(raw, at + timedelta(seconds=index), held) for index, raw in enumerate(frames)]
        batch = Batch(packets, list(rejects), list(activity), self.position, self.position + 1, at)
        outcome = await self.writer.write(batch)
        self.position += 1
        return outcome

    def rows(self, raw, at, held=False):
        """Make the rows of one frame."""
        arrival = read_arrival(raw, at, "127.0.0.1:1000")
        return make_rows(arrival, logger_id=None if held else self.numbers[arrival.packet.mn])

    async def count(self, table):
        """Count the rows of a table or view."""
        return await self.admin.fetchval(f"SELECT count(*) FROM hj212.{table}")

    async def reading(self):
        """Return the only reading there is."""
        rows = await self.admin.fetch("SELECT * FROM hj212.v_readings")
        assert len(rows) == 1
        return rows[0]


async def test_packet_and_readings_are_stored(store):
    """A packet, its readings, the dirty day and the position are there after one transaction, by plain COPY."""
    outcome = await store.write(frame(hour("35.5")))
    assert (outcome.path, outcome.stored, outcome.readings) == ("copy", 1, 1)
    row = await store.reading()
    assert (row["mn"], row["cn"], row["factor"], row["avg"], row["data_flag"]) == (MN, "2061", "w01018", 35.5, "N")
    assert (row["factor_name"], row["unit"]) == ("化学需氧量", "mg/L")
    assert row["data_time"] == datetime(2026, 3, 1, 3, tzinfo=UTC)
    assert row["received_at"] == row["updated_at"] == NOW
    assert row["qn"] == "20260301120000001"
    packet = await store.admin.fetchrow("SELECT * FROM hj212.v_packets")
    assert packet["raw"] == frame(hour("35.5"))
    assert packet["state"] == "stored"
    assert packet["warnings"] == []
    assert await store.admin.fetchval("SELECT day::text FROM hj212.dirty") == "2026-03-01"
    assert await store.admin.fetchval("SELECT position FROM hj212.journals") == 1


async def test_repeated_packet_changes_nothing(store):
    """The same packet again, in the same batch and in later ones, is counted and changes nothing."""
    raw = frame(hour("35.5"))
    first = await store.write(raw, raw)
    later = await store.write(raw, at=NOW + timedelta(days=3))
    assert (first.stored, first.repeated, later.stored, later.repeated) == (1, 1, 0, 1)
    row = await store.reading()
    assert row["received_at"] == row["updated_at"] == NOW
    assert await store.count("reading_history") == 0


async def test_corrected_value_replaces_and_keeps_history(store):
    """A new packet with the same key: the newest value stands, the first arrival stays, the old value is history."""
    await store.write(frame(hour("35.5", flag="D")))
    late = NOW + timedelta(hours=9)
    outcome = await store.write(frame(hour("36"), qn="20260301210000001"), at=late)
    assert (outcome.path, outcome.replaced) == ("upsert", 1)
    row = await store.reading()
    assert (row["avg"], row["data_flag"], row["received_at"], row["updated_at"]) == (36.0, "N", NOW, late)
    old = await store.admin.fetchrow("SELECT * FROM hj212.v_history")
    assert (old["avg"], old["data_flag"], old["received_at"], old["replaced_at"]) == (35.5, "D", NOW, late)
    assert old["origin"] == "live"
    assert await store.admin.fetchval("SELECT version FROM hj212.dirty") == 2


async def test_equal_value_again_changes_nothing(store):
    """Another packet with the same value leaves the reading as it was, both packets are kept."""
    await store.write(frame(hour("35.5")))
    await store.write(frame(hour("35.5"), qn="20260301210000001"), at=NOW + timedelta(hours=9))
    row = await store.reading()
    assert (row["updated_at"], row["qn"]) == (NOW, "20260301120000001")
    assert await store.count("packets") == 2
    assert await store.count("reading_history") == 0


async def test_earlier_arrival_from_another_journal(store):
    """A value that arrived earlier but is drained later goes to history and moves the first arrival back."""
    await store.write(frame(hour("36"), qn="20260301210000001"), at=NOW + timedelta(hours=9))
    await store.write(frame(hour("35.5")), at=NOW)
    row = await store.reading()
    assert (row["avg"], row["received_at"], row["updated_at"]) == (36.0, NOW, NOW + timedelta(hours=9))
    old = await store.admin.fetchrow("SELECT avg, received_at, replaced_at FROM hj212.v_history")
    assert tuple(old) == (35.5, NOW, NOW + timedelta(hours=9))


async def test_corrections_in_one_batch(store):
    """Several values of one key in one batch: the last arrival stands, the others are history."""
    frames = [frame(hour(value), qn=f"2026030112000000{value}") for value in (1, 2, 3)]
    outcome = await store.write(*frames)
    assert (outcome.stored, outcome.readings, outcome.replaced) == (3, 1, 2)
    row = await store.reading()
    assert (row["avg"], row["received_at"], row["updated_at"]) == (3.0, NOW, NOW + timedelta(seconds=2))
    assert [r["avg"] for r in await store.admin.fetch("SELECT avg FROM hj212.v_history ORDER BY avg")] == [1.0, 2.0]


async def test_repeated_factor_in_a_packet_is_kept(store):
    """Factors that repeat inside a packet are told apart by nth."""
    await store.write(frame("DataTime=20260301120000;e01001-Rtd=1.1;e01001-Rtd=2.2", cn="2011"))
    rows = await store.admin.fetch("SELECT nth, rtd FROM hj212.v_readings ORDER BY nth")
    assert [tuple(row) for row in rows] == [(0, 1.1), (1, 2.2)]


async def test_packet_without_qn_repeats_within_five_minutes(store):
    """A 2005 packet without QN is a repeat for five minutes, across slots, and a new packet afterwards."""
    raw = frame(hour("35.5"), qn="", flag="")
    at = datetime(2026, 3, 1, 4, 4, 50, tzinfo=UTC)
    outcomes = [await store.write(raw, at=at + timedelta(seconds=secs)) for secs in (0, 5, 20, 290)]
    assert [outcome.stored for outcome in outcomes] == [1, 0, 0, 0]
    assert (await store.write(raw, at=at + timedelta(seconds=301))).stored == 1
    assert await store.count("packets") == 2
    assert (await store.write(raw, raw, at=at + timedelta(hours=1))).repeated == 1


@pytest.mark.parametrize("data_time", ["20400101000000", "20200101000000", "nonsense", "20260303130000"])
async def test_odd_data_time_is_kept_apart(store, data_time):
    """Readings with an impossible DataTime are stored beside the others, their packet as any."""
    outcome = await store.write(frame(hour("1", at=data_time)))
    assert (outcome.stored, outcome.readings, outcome.odd) == (1, 0, 1)
    row = await store.admin.fetchrow("SELECT data_time_text, avg FROM hj212.v_odd_readings")
    assert tuple(row) == (data_time, 1.0)
    assert await store.count("v_readings") == 0


@pytest.mark.parametrize(
    "qn", ["20400101191000000", "20000101000000000", "20991231235959000", "1617957600465", "20261301000000000"]
)
async def test_packet_of_any_clock_is_stored_once(store, qn):
    """A QN decades off stores the packet once for good; one that is no moment, once within five minutes."""
    raw = frame(hour("1"), qn=qn)
    await store.write(raw)
    is_moment = len(qn) == 17 and qn[4:6] <= "12"
    await store.write(raw, at=NOW + (timedelta(days=9) if is_moment else timedelta(minutes=2)))
    assert await store.count("packets") == 1


async def test_position_is_compared_and_set(store, postgres_dsn):
    """A writer that lost its journal to another one cannot commit, and stores nothing."""
    zombie = Writer(postgres_dsn, store.writer._journal)
    await zombie.open(NOW)
    await store.write(frame(hour("1")))
    rows = store.rows(frame(hour("2"), qn="20260301120000002"), NOW)
    with pytest.raises(PositionMoved):
        await zombie.write(Batch([rows], [], [], 0, 5, NOW))
    assert await store.count("packets") == 1
    await zombie.close()


async def test_poisonous_row_is_found_and_quarantined(store):
    """One packet the database refuses does not hold up its batch; it stays visible."""
    await refuse_rows(store.admin, "readings_hour", "NEW.factor = 'w21011'")
    bad = frame("DataTime=20260301110000;w21011-Avg=1,w21011-Flag=N", qn="20260301120000009")
    good = [frame(hour(value, at=f"202603010{value}0000"), qn=f"2026030112000000{value}") for value in range(6)]
    outcome = await store.write(*good[:3], bad, *good[3:])
    assert (outcome.stored, outcome.quarantined, outcome.readings) == (6, 1, 6)
    row = await store.admin.fetchrow("SELECT raw, warnings FROM hj212.v_packets WHERE state = 'quarantined'")
    assert row["raw"] == bad
    assert (await store.write(bad)).repeated == 1


async def test_rejects_and_activity_come_along(store):
    """Rejects keep their bytes; who was heard is known with the clock's skew."""
    reject = (NOW, "127.0.0.1:1", "crc", "CRC at byte 5", b"##\x00\xff")
    await store.write(rejects=[reject], activity=[Activity(MN, NOW, None, -3.5)])
    assert tuple(await store.admin.fetchrow("SELECT * FROM hj212.v_rejects")) == reject
    row = await store.admin.fetchrow("SELECT mn, registered, clock_skew_secs FROM hj212.v_loggers")
    assert tuple(row) == (MN, False, -3.5)


async def test_held_packet_is_released_with_its_arrival(store):
    """A packet of an unknown MN is stored without readings; registered, its readings get the old arrival."""
    await store.write(frame(hour("7"), mn="OTHER"), held=True)
    assert await store.count("v_readings") == 0
    assert await store.admin.fetchval("SELECT state FROM hj212.v_packets") == "unregistered"

    async def make(held):
        return [store.rows(row.raw, row.received_at) for row in held]

    connection = store.writer.connection
    later = NOW + timedelta(days=2)
    assert await release_held(connection, make, now=later, limit=10) == (0, 0)
    await add_found_loggers(connection, [("OTHER", "32")])
    assert [known.mn for known in await read_known_loggers(connection, later)] == ["OTHER"]
    assert await release_held(connection, make, now=later, limit=10) == (1, 1)
    assert await release_held(connection, make, now=later, limit=10) == (0, 0)
    row = await store.reading()
    assert (row["avg"], row["received_at"], row["mn"]) == (7.0, NOW, "OTHER")
    assert await store.admin.fetchval("SELECT state FROM hj212.v_packets") == "stored"


async def test_password_is_masked_for_analysts(store):
    """Analysts see the frame with its password covered; the gateway's role sees the bytes as they came."""
    raw = frame("PW=654321;NewPW=abc", cn="1072")
    await store.write(raw)
    await store.admin.execute("SET ROLE hj212_analyst")
    masked = await store.admin.fetchval("SELECT raw FROM hj212.v_packets")
    await store.admin.execute("RESET ROLE")
    assert masked.count(b"PW=******") == 3
    assert b"123456" not in masked
    assert await store.admin.fetchval("SELECT raw FROM hj212.v_packets") == raw


async def test_extra_values_are_json(store):
    """Other suffixes and unreadable values are kept as text in `extra`."""
    await store.write(frame("DataTime=20260301110000;w01018-Avg=-,w01018-SampleTime=20260301104500,w01018-Flag=N"))
    row = await store.reading()
    assert row["avg"] is None
    assert json.loads(row["extra"]) == {"Avg": "-", "SampleTime": "20260301104500"}
    warnings = await store.admin.fetchval("SELECT warnings FROM hj212.v_packets")
    assert warnings == ["value_unreadable"]


async def test_lost_connection_is_to_be_retried(store):
    """A connection the server ended gives StoreUnavailable; opened again, the position tells where to go on."""
    pid = store.writer.connection.get_server_pid()
    await store.admin.fetchval("SELECT pg_terminate_backend($1)", pid)
    with pytest.raises(StoreUnavailable):
        await store.write(frame(hour("1")))
    assert await store.writer.open(NOW) == 0
    await store.write(frame(hour("1")))
    assert await store.writer.open(NOW) == 1


NAMES = [
    ("32", "w01018", "化学需氧量"),
    ("32", "011", "化学需氧量"),
    ("31", "011", None),
    ("52", "e10101", "进水口流量"),
    ("31", "vendor7", None),
]


@pytest.mark.parametrize(("st", "code", "name"), NAMES)
async def test_factor_names_follow_code_and_medium(store, st, code, name):
    """A 2017 code names itself, a 2005 code only under its own medium, a process code without its unit digits."""
    await store.write(frame(hour("1", factor=code)).replace(b"ST=32", b"ST=" + st.encode()))
    row = await store.reading()
    assert row["factor"] == code
    assert (row["factor_name"] is None) == (name is None)
    if name:
        assert row["factor_name"] == name


def rival(rows, peer="127.0.0.1:2000"):
    """The same packet from a second live peer."""
    return rows._replace(is_rival=True, packet=rows.packet._replace(peer=peer))


async def write_rows(store, *packets):
    """Write rows as one batch."""
    outcome = await store.writer.write(Batch(list(packets), [], [], store.position, store.position + 1, NOW))
    store.position += 1
    return outcome


@pytest.mark.parametrize("in_one_batch", [True, False])
async def test_second_live_peer_that_contradicts_is_kept_aside(store, in_one_batch):
    """The first value stays, the second packet is stored as a conflict, and nothing goes to history."""
    first = store.rows(frame(hour("35.5")), NOW)
    second = rival(store.rows(frame(hour("99"), qn="20260301120000002"), NOW + timedelta(seconds=1)))
    outcomes = [await write_rows(store, first, second)] if in_one_batch else []
    outcomes = outcomes or [await write_rows(store, first), await write_rows(store, second)]
    assert [outcome.conflicts for outcome in outcomes][-1] == 1
    assert (await store.reading())["avg"] == 35.5
    assert await store.count("reading_history") == 0
    rows = await store.admin.fetch("SELECT state, warnings FROM hj212.v_packets ORDER BY received_at")
    assert [(row["state"], row["warnings"]) for row in rows] == [("stored", []), ("conflict", ["mn_conflict"])]
    (suspicion,) = await store.admin.fetch("SELECT what, times, peer FROM hj212.v_suspicions")
    assert tuple(suspicion) == ("mn_conflict", 1, second.packet.peer.rpartition(":")[0])


async def test_second_live_peer_that_agrees_or_brings_other_hours_is_stored(store):
    """A line that took over sends the same values and new ones: neither is a conflict."""
    await store.write(frame(hour("35.5")))
    same = rival(store.rows(frame(hour("35.5"), qn="20260301120000002"), NOW + timedelta(seconds=1)))
    new = rival(store.rows(frame(hour("40", at="20260301100000"), qn="20260301120000003"), NOW + timedelta(seconds=2)))
    outcome = await write_rows(store, same, new)
    assert (outcome.stored, outcome.conflicts) == (2, 0)
    assert await store.count("v_readings") == 2


async def test_second_live_peer_may_correct_itself(store):
    """What it brought itself is its own to replace."""
    await write_rows(store, rival(store.rows(frame(hour("35.5")), NOW)))
    again = rival(store.rows(frame(hour("36"), qn="20260301120000002"), NOW + timedelta(seconds=1)))
    outcome = await write_rows(store, again)
    assert (outcome.conflicts, outcome.replaced) == (0, 1)
    assert (await store.reading())["avg"] == 36.0


async def test_second_live_peer_contradicts_a_value_without_qn(store):
    """A value of 2005 has no QN to find its peer by, so the second one stays aside."""
    await store.write(frame(hour("35.5"), qn="", flag=""))
    second = rival(store.rows(frame(hour("99"), qn="", flag=""), NOW + timedelta(minutes=20)))
    assert (await write_rows(store, second)).conflicts == 1
    assert (await store.reading())["avg"] == 35.5
