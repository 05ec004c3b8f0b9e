"""What comes beside readings, on a real server: repeats, replaced values, late arrivals, parts, both ways of writing."""

import json
import random
import string
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest
from tests.refusal import refuse_rows
from tests.store import test_writer
from tests.store.test_writer import MN, NOW, frame, hour

from hj212gw.gateway.rows import make_rows, read_arrival
from hj212gw.protocol.codes import find_meanings
from hj212gw.store.held import release_held
from hj212gw.store.infos import store_infos
from hj212gw.store.loggers import add_found_loggers
from hj212gw.store.migrate import migrate
from hj212gw.store.pool import GATEWAY_ROLE
from hj212gw.store.retention import Retention, maintain

store = test_writer.store  # the fixture
AT = "20260301110000"
MOMENT = datetime(2026, 3, 1, 3, tzinfo=UTC)


def states(value, *, number=1, at=AT, cn="2021", more=""):
    """A frame with the state of one piece of equipment; `number` makes it distinct."""
    return frame(f"DataTime={at};SB1-RS={value}{more}", qn=f"2026030112{number:07d}", cn=cn)


def part(pno, *, pnum=3, number=1, at=AT):
    """One part of a split upload of hour data."""
    qn = f"2026030112{number:07d}"
    return frame(f"DataTime={at};w0{pno:04d}-Avg=1", qn=qn, flag=f";Flag=7;PNUM={pnum};PNO={pno}")


async def only(store, view="v_states"):
    """Return the only row of a view."""
    rows = await store.admin.fetch(f"SELECT * FROM hj212.{view}")
    assert len(rows) == 1
    return rows[0]


def history_of(row):
    """Return a row's history as (value, arrival)."""
    found = json.loads(row["history"]) if row["history"] else []
    return [(entry["value"], datetime.fromisoformat(entry["received_at"])) for entry in found]


async def test_states_are_stored_with_their_packet(store):
    """One transaction by plain COPY: rows, their meaning, and the day for the aggregator."""
    outcome = await store.write(states("1", more=";SB2-RS=9;SB3-RS=x"))
    assert (outcome.path, outcome.stored, outcome.readings, outcome.odd) == ("copy", 1, 0, 0)
    rows = await store.admin.fetch("SELECT * FROM hj212.v_states ORDER BY subject")
    assert [(row["subject"], row["name"], row["value"], row["number"], row["meaning"]) for row in rows] == [
        ("SB1", "RS", "1", 1.0, "Running"),
        ("SB2", "RS", "9", 9.0, None),
        ("SB3", "RS", "x", None, None),
    ]
    for row in rows:
        assert (row["mn"], row["st"], row["cn"], row["data_time"], row["qn"]) == (
            MN,
            "32",
            "2021",
            MOMENT,
            "20260301120000001",
        )
        assert row["received_at"] == row["updated_at"] == NOW
        assert (row["history"], row["outlet"], row["nth"], row["data_time_text"]) == (None, None, 0, AT)
    assert tuple(await store.admin.fetchrow("SELECT cn, day::text FROM hj212.dirty")) == ("2021", "2026-03-01")
    assert await store.count("v_infos") == 0


async def test_outlet_is_that_of_the_data_time(store):
    """A data logger that moved leaves what it sent before to its old outlet."""
    await store.admin.execute(
        "INSERT INTO hj212.data_loggers (mn, outlet, valid_from, valid_to) VALUES"
        " ($1, 'old', '-infinity', '2026-03-01 04:00Z'), ($1, 'new', '2026-03-01 04:00Z', NULL)", MN
    )  # fmt: skip
    await store.admin.execute(
        "INSERT INTO hj212.outlets (outlet, enterprise, name, medium) VALUES ('new', 'E1', 'n', 'water')"
    )
    await store.write(states("1"), states("0", number=2, at="20260301120000"))
    rows = await store.admin.fetch("SELECT outlet, enterprise FROM hj212.v_states ORDER BY data_time")
    assert [tuple(row) for row in rows] == [("old", None), ("new", "E1")]


async def test_repeat_changes_nothing(store):
    """The same packet again, by either path, and another packet that says the same."""
    await store.write(states("1"), states("1"))
    await store.write(states("1"), at=NOW + timedelta(days=1))
    await store.write(states("1", number=2), at=NOW + timedelta(days=2))
    row = await only(store)
    assert (row["value"], row["received_at"], row["updated_at"], row["history"]) == ("1", NOW, NOW, None)
    assert row["qn"] == "20260301120000001"
    assert await store.count("packets") == 2


@pytest.mark.parametrize("is_careful", [False, True])
async def test_later_value_replaces_and_the_old_one_is_history(store, is_careful):
    """The first arrival stays; on the careful path as on the plain one."""
    repeat = frame(hour("1"), qn="20260301110000000")
    await store.write(states("1"), repeat)
    late = NOW + timedelta(hours=1)
    outcome = await store.write(states("2", number=2), *([repeat] if is_careful else []), at=late)
    assert outcome.path == ("upsert" if is_careful else "copy")
    row = await only(store)
    assert (row["value"], row["number"], row["meaning"]) == ("2", 2.0, "Calibrating")
    assert (row["received_at"], row["updated_at"], row["qn"]) == (NOW, late, "20260301120000002")
    assert history_of(row) == [("1", NOW)]
    await store.write(states("3", number=3), at=late + timedelta(hours=1))
    assert history_of(await only(store)) == [("1", NOW), ("2", late)]


async def test_earlier_arrival_that_comes_later_does_not_replace(store):
    """Its value goes to history, its arrival becomes the first."""
    await store.write(states("1"))
    early = NOW - timedelta(hours=1)
    await store.write(states("0", number=2), at=early)
    row = await only(store)
    assert (row["value"], row["received_at"], row["updated_at"], row["qn"]) == ("1", early, NOW, "20260301120000001")
    assert history_of(row) == [("0", early)]


async def test_earlier_arrival_of_the_same_value_is_the_first(store):
    """Value and history stay."""
    await store.write(states("1"))
    early = NOW - timedelta(hours=1)
    await store.write(states("1", number=2), at=early)
    row = await only(store)
    assert (row["value"], row["received_at"], row["updated_at"], row["history"]) == ("1", early, NOW, None)
    between = NOW - timedelta(minutes=1)
    await store.write(states("2", number=3), at=between)
    row = await only(store)
    assert (row["value"], row["received_at"], row["updated_at"]) == ("1", early, NOW)
    assert history_of(row) == [("2", between)]


async def test_values_of_one_batch_follow_each_other(store):
    """Several packets of a key in one batch end as they would in batches of their own."""
    frames = [states(value, number=number) for number, value in enumerate("1121", 1)]
    other = states("5", number=9, at="20260301100000")
    await store.write(frames[0], other, *frames[1:])
    row = await store.admin.fetchrow("SELECT * FROM hj212.v_states WHERE data_time = $1", MOMENT)
    assert (row["value"], row["received_at"], row["updated_at"]) == ("1", NOW, NOW + timedelta(seconds=4))
    assert history_of(row) == [("1", NOW), ("2", NOW + timedelta(seconds=3))]
    assert await store.count("v_states") == 2


async def test_packets_written_again_change_nothing(store):
    """As replay does after a correction of the registry: the same rows, history included, in one batch or several."""
    frames = [states(value, number=number) for number, value in enumerate("1213", 1)]
    await store.write(*frames, part(1))
    await store.write(states("0", number=9), at=NOW - timedelta(hours=1))
    same = [
        store.rows(states(value, number=20 + number, at="20260301100000"), NOW) for number, value in enumerate("67")
    ]
    assert await store_infos(store.admin, same) == 2
    before = (
        await store.admin.fetch("SELECT * FROM hj212.states"),
        await store.admin.fetch("SELECT * FROM hj212.sub_packets"),
    )
    assert [value for value, _ in history_of(before[0][0])] == ["0", "1", "2", "1"]
    assert (before[0][1]["value"], history_of(before[0][1])) == ("7", [("6", NOW)])
    packets = [
        *same,
        *(store.rows(raw, NOW + timedelta(seconds=index)) for index, raw in enumerate([*frames, part(1)])),
    ]
    packets.append(store.rows(states("0", number=9), NOW - timedelta(hours=1)))
    assert await store_infos(store.admin, packets) == 0
    assert [await store_infos(store.admin, [rows]) for rows in packets] == [0] * 8
    after = (
        await store.admin.fetch("SELECT * FROM hj212.states"),
        await store.admin.fetch("SELECT * FROM hj212.sub_packets"),
    )
    assert after == before


async def test_history_is_bounded(store):
    """A data logger whose clock stands still cannot grow a row for ever: the last hundred values stay."""
    await store.write(*(states(str(number), number=number) for number in range(150)))
    entries = history_of(await only(store))
    assert [value for value, _ in entries] == [str(number) for number in range(49, 149)]


@pytest.mark.parametrize(
    ("cp", "text"),
    [
        ("SystemTime=20260301120000", ""),
        ("DataTime=20400101000000;SystemTime=20260301120000", "20400101000000"),
        ("DataTime=20100101000000;SystemTime=20260301120000", "20100101000000"),
        ("DataTime=nonsense;SystemTime=20260301120000", "nonsense"),
    ],
)
async def test_arrival_stands_for_a_missing_or_odd_data_time(store, cp, text):
    """The text is kept; what is plainly wrong has a warning."""
    await store.write(frame(cp, cn="1011"))
    row = await only(store, "v_infos")
    assert (row["name"], row["value"], row["data_time"], row["data_time_text"]) == (
        "SystemTime",
        "20260301120000",
        NOW,
        text,
    )
    warnings = await store.admin.fetchval("SELECT warnings FROM hj212.v_packets")
    assert warnings == ([] if not text else ["data_time_unreadable" if text == "nonsense" else "data_time_odd"])
    assert await store.count("dirty") == 0


async def test_checks_run_times_and_channels_have_meanings_and_days(store):
    """What assessment counts marks its day; codes of channels share one list."""
    await store.write(
        frame(f"DataTime={AT};w01018-SampleRd=48.7;w01018-ResultType=0", cn="2062", qn="20260301120000001"),
        frame("DataTime=20260228000000;SB1-RT=23.5", cn="2041", qn="20260301120000002"),
        frame(f"DataTime={AT};i22104-Info=2;i11001-Info=//清洗;管路//", cn="3020", qn="20260301120000003"),
    )
    rows = await store.admin.fetch("SELECT subject, name, value, meaning FROM hj212.v_infos ORDER BY cn, name")
    assert [tuple(row) for row in rows] == [
        ("w01018", "ResultType", "0", "Failed"),
        ("w01018", "SampleRd", "48.7", None),
        ("", "i11001", "清洗;管路", None),
        ("", "i22104", "2", "No device on the channel"),
    ]
    days = await store.admin.fetch("SELECT cn, day::text FROM hj212.dirty ORDER BY cn")
    assert [tuple(row) for row in days] == [("2041", "2026-02-28"), ("2062", "2026-03-01")]


async def test_parts_that_are_missing_are_named(store):
    """Each part is stored with its readings; the view tells what has not come."""
    await store.write(part(1), part(3, number=3))
    row = await only(store, "v_sub_packets")
    assert (row["mn"], row["st"], row["cn"], row["data_time"], row["data_time_text"]) == (MN, "32", "2061", MOMENT, AT)
    assert (row["pnum"], row["parts"], row["missing"], row["is_complete"]) == (3, [1, 3], [2], False)
    assert (row["first_received_at"], row["last_received_at"]) == (NOW, NOW + timedelta(seconds=1))
    late = NOW + timedelta(hours=2)
    await store.write(part(2, number=2), part(1, number=9), at=late)
    row = await only(store, "v_sub_packets")
    assert (row["parts"], row["missing"], row["is_complete"]) == ([1, 2, 3], [], True)
    assert (row["first_received_at"], row["last_received_at"]) == (NOW, late)
    assert await store.count("v_readings") == 3


async def test_parts_without_a_moment_belong_to_an_hour(store):
    """Parts of an upload a day later are not taken for those of today."""
    odd = part(1, at="20400101000000")
    await store.write(odd, part(2, number=2, at="20400101000000"))
    await store.write(part(3, number=3, at="20400101000000"), at=NOW + timedelta(days=1))
    rows = await store.admin.fetch("SELECT data_time, parts FROM hj212.v_sub_packets ORDER BY data_time")
    assert [tuple(row) for row in rows] == [
        (NOW.replace(minute=0, second=0), [1, 2]),
        (NOW.replace(minute=0, second=0) + timedelta(days=1), [3]),
    ]


async def test_held_packets_bring_theirs_when_they_are_released(store):
    """With the arrival of then."""
    await store.write(states("1"), part(1), frame("RtdInterval=30", cn="1061"), held=True)
    for view in ("v_states", "v_infos", "v_sub_packets", "dirty"):
        assert await store.count(view) == 0
    await add_found_loggers(store.writer.numbering, [(MN, "32")])

    async def remake(held):
        arrivals = [read_arrival(row.raw, row.received_at, row.peer) for row in held]
        return [make_rows(arrival, logger_id=store.numbers[MN]) for arrival in arrivals]

    assert await release_held(store.writer.connection, remake, now=NOW, limit=10) == (3, 1)
    assert (await only(store))["received_at"] == NOW
    assert (await only(store, "v_sub_packets"))["parts"] == [1]
    assert (await only(store, "v_infos"))["data_time"] == NOW + timedelta(seconds=2)
    assert await store.count("dirty") == 2


@pytest.mark.parametrize(
    ("table", "condition", "cn", "cp"),
    [
        ("states", "NEW.subject = 'S7'", "2021", "S7-RS=1"),
        ("infos", "NEW.name = 'i11001'", "3020", "i11001-Info=abc"),
        ("readings_minute", "NEW.factor = 'S7'", "2051", "S7-Avg=1"),
    ],
)
async def test_packet_whose_rows_are_refused_is_kept_apart(store, table, condition, cn, cp):
    """The packet stays, in quarantine, and the others are stored."""
    await refuse_rows(store.admin, table, condition)
    bad = frame(f"DataTime={AT};{cp}", cn=cn, qn="20260301120000077")
    outcome = await store.write(states("1"), bad, part(1))
    assert (outcome.path, outcome.stored, outcome.quarantined) == ("upsert", 2, 1)
    assert await store.admin.fetchval("SELECT raw FROM hj212.v_packets WHERE state = 'quarantined'") == bad
    assert (await only(store))["value"] == "1"
    assert await store.count("v_sub_packets") == 1


LONG = "".join(random.Random(1).choices(string.ascii_letters + string.digits, k=3500))


@pytest.mark.parametrize(("cn", "cp"), [("2021", f"{LONG}-RS=1"), ("2061", f"{LONG}-Avg=1"), ("2061", f"{LONG}-Zz=1")])
async def test_packet_with_a_name_too_long_for_an_index_is_kept_apart(store, cn, cp):
    """It never reaches the index, is counted as quarantined, and costs its batch nothing."""
    bad = frame(f"DataTime={AT};{cp}", cn=cn, qn="20260301120000077")
    for path, repeats in (("copy", 0), ("upsert", 1)):
        other = [states("1")] if repeats == 0 else []
        outcome = await store.write(*other, bad)
        assert (outcome.path, outcome.stored, outcome.quarantined, outcome.repeated) == (
            path,
            len(other),
            1 - repeats,
            repeats,
        )
    assert await store.admin.fetchval("SELECT raw FROM hj212.v_packets WHERE state = 'quarantined'") == bad


async def test_batches_without_them_send_nothing_more(store):
    """Ordinary readings pay nothing."""

    class Untouchable:
        def __getattr__(self, name):
            raise AssertionError(name)

    packets = [
        store.rows(frame(hour("1")), NOW),
        store.rows(frame("", cn="9015"), NOW),
        store.rows(frame("", cn="2021"), NOW),
    ]
    assert await store_infos(Untouchable(), packets) == 0


async def test_new_key_never_leaves_the_database(store):
    """A host's packet with a key gives no row, and analysts see it masked."""
    await store.write(
        frame("SKCreateTime=20260301000000,NewSK=0123456789,BCDEF", cn="1014", flag=";Flag=9"),
        frame("NewPW=654321", cn="1072"),
    )
    assert await store.count("v_infos") == 0
    await store.admin.execute("SET ROLE hj212_analyst")
    try:
        raws = [bytes(row["raw"]) for row in await store.admin.fetch("SELECT raw FROM hj212.v_packets")]
    finally:
        await store.admin.execute("RESET ROLE")
    assert b"SKCreateTime=20260301000000,NewSK=******&&" in b"".join(raws)
    assert not any(secret in raw for raw in raws for secret in (b"0123456789", b"BCDEF", b"654321", b"123456"))


@pytest.mark.parametrize(("role", "allowed"), [("hj212_analyst", ""), (GATEWAY_ROLE, "SIU"), ("hj212_aggregator", "S")])
async def test_rights(store, role, allowed):
    """Analysts read the views alone; the gateway writes and never deletes."""
    for view in ("v_states", "v_infos", "v_sub_packets"):
        assert await store.admin.fetchval("SELECT has_table_privilege($1, $2, 'SELECT')", role, f"hj212.{view}")
    for table in ("states", "infos", "sub_packets"):
        for right, letter in (("SELECT", "S"), ("INSERT", "I"), ("UPDATE", "U"), ("DELETE", "D")):
            expected = letter in allowed and not (table == "sub_packets" and letter == "U")
            has = await store.admin.fetchval("SELECT has_table_privilege($1, $2, $3)", role, f"hj212.{table}", right)
            assert has == expected, (table, right)


async def test_meanings_are_those_of_the_code_tables(store):
    """What the migration writes down is what `protocol/tables` says of 2017, else 2025, else 2005."""
    rows = await store.admin.fetch("SELECT name, value, coalesce(meaning_zh, '') AS zh, meaning FROM hj212.meanings")
    for name in {row["name"] for row in rows}:
        expected = {}
        for edition in ("2005", "2025", "2017"):
            expected |= {
                row.code: (row.name_zh, row.meaning) for row in find_meanings(name, edition) if edition in row.editions
            }
        assert {row["value"]: (row["zh"], row["meaning"]) for row in rows if row["name"] == name} == expected


async def test_series_appear_on_a_database_that_was_there_before(postgres_dsn):
    """`migrate` of a database at 0004 makes the new tables with their partitions."""
    admin = await asyncpg.connect(postgres_dsn)
    try:
        await migrate(admin, now=NOW)
        have = await admin.fetch(
            "SELECT table_name, from_at, to_at FROM hj212.partitions WHERE table_name = ANY ($1)",
            ["states", "infos", "sub_packets"],
        )
        if have:
            for table in ("states", "infos", "sub_packets"):
                mine = [row for row in have if row["table_name"] == table]
                assert min(row["from_at"] for row in mine) <= NOW - timedelta(days=400)
                assert max(row["to_at"] for row in mine) >= NOW + timedelta(days=30)
        else:
            assert await admin.fetchval("SELECT hj212.timescale_schema() IS NOT NULL")
    finally:
        await admin.close()


async def test_nothing_of_them_is_dropped_by_default(store):
    """States, infos and parts stay for ever unless somebody decides otherwise."""
    await store.write(states("1"), part(1), frame("RtdInterval=30", cn="1061"))
    await maintain(store.admin, Retention(), NOW + timedelta(days=3000))
    assert [await store.count(view) for view in ("v_states", "v_infos", "v_sub_packets")] == [1, 1, 1]
