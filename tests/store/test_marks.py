"""Marks in the database: nothing is overwritten, what stands and what is due can be read, days become stale."""

import json
from datetime import date, timedelta

import asyncpg
import pytest

from hj212gw.clock import Clock
from hj212gw.errors import MarkError
from hj212gw.registry import InputFile, import_files
from hj212gw.registry.cells import parse_moment
from hj212gw.registry.marking import decide_mark, declare_mark, end_mark, prove_mark
from hj212gw.registry.markkinds import KINDS_OF_MARKS, STATES
from hj212gw.registry.marks import Word
from hj212gw.registry.proofs import Proof
from hj212gw.store.marks import MarkFilter
from hj212gw.store.migrate import migrate
from hj212gw.store.registry import RegistryStore

NOW = parse_moment("2026-03-20T10:00")
INSTANT = timedelta(microseconds=1)
ENTERPRISES = "enterprise,name,credit_code,county,level,valid_from,valid_to\ne1,x,,,other,,"
OUTLETS = "outlet,enterprise,name,medium,valid_from,valid_to\no1,e1,x,gas,,\no2,e1,x,gas,,"
BASE = "outlet,factor,fields,valid_from,valid_to\no1,a21026,3,2026-01-01,2027-01-01\no2,a21026,3,2026-01-01,2027-01-01"
PROOF = Proof("0a" * 32, "停产报告.pdf")
STOP = {"outlet": "o1", "factor": "*", "kind": "stop", "from": "2026-03-01", "to": "2026-03-05"}


@pytest.fixture
async def admin(postgres_dsn):
    """A migrated database."""
    connection = await asyncpg.connect(postgres_dsn, server_settings={"search_path": "hj212, public"})
    await migrate(connection, now=NOW)
    yield connection
    await connection.close()


@pytest.fixture
async def store(postgres_dsn, admin):
    """Its registry, with two outlets on the base list; the days this made stale are done."""
    async with RegistryStore.open(postgres_dsn) as store:
        files = [InputFile(f"{place}.csv", text.encode()) for place, text in enumerate((ENTERPRISES, OUTLETS, BASE))]
        report = await import_files(store, files, Clock(NOW - timedelta(days=30), 1e-9))
        assert report.is_written, report.findings.kept()
        await admin.execute("DELETE FROM stale_days")
        yield store


def said(by, moment=NOW):
    """Somebody's word."""
    return Word(by, moment)


async def declare(store, by="wang", moment=NOW, proof=None, **cells):
    """Declare a mark, a stop unless said otherwise; return its number."""
    mark, oddities = await declare_mark(store, STOP | cells, said(by, moment), proof)
    assert oddities == []
    return mark.mark_id


async def read_one(store, mark_id):
    """A mark as it stands."""
    async with store.snapshot():
        (mark,) = await store.marks.read(MarkFilter(mark_id=mark_id))
    return mark


async def take_stale(admin):
    """What became stale since the last look."""
    rows = await admin.fetch("DELETE FROM stale_days RETURNING outlet, first_day, last_day, reason")
    return [tuple(row) for row in sorted(rows, key=lambda row: tuple(map(str, row)))]


async def test_kinds_are_those_of_the_table(admin):
    """The program and the database know the same kinds with the same effects."""
    rows = await admin.fetch("SELECT kind, name_zh, effect, needs_voucher FROM mark_kinds")
    assert {row["kind"]: tuple(row)[1:] for row in rows} == {kind: tuple(mark) for kind, mark in KINDS_OF_MARKS.items()}


async def test_mark_has_a_life(store, admin):
    """Declared, ended, proved, accepted, void: each is a row more, and the first ones stay as they were."""
    number = await declare(store, to="")
    assert (await read_one(store, number)).to_at is None
    await end_mark(store, number, parse_moment("2026-03-05T08:20"), said("wang"))
    await prove_mark(store, number, PROOF, said("zhao"))
    await prove_mark(store, number, Proof("0b" * 32, "later.pdf"), said("zhao", NOW + timedelta(hours=1)))
    await decide_mark(store, number, "accepted", said("li"))
    mark = await read_one(store, number)
    assert (mark.to_at, mark.declared_to, mark.state) == (parse_moment("2026-03-05T08:20"), None, "accepted")
    assert (mark.proof_sha256, mark.proof_name, mark.proof_at, mark.decided_by) == (*PROOF, NOW, "li")
    assert mark.voucher_due == parse_moment("2026-04-11")
    await decide_mark(store, number, "void", said("zhou"), "it was false")
    assert (await read_one(store, number)).state == "void"
    events = await admin.fetch("SELECT event, by_whom, note, entered_by = session_user AS own FROM mark_events")
    assert [tuple(event) for event in events] == [
        ("ended", "wang", None, True),
        ("proof", "zhao", None, True),
        ("proof", "zhao", None, True),
        ("accepted", "li", None, True),
        ("void", "zhou", "it was false", True),
    ]


async def make_open(store):
    """A mark that runs on."""
    return await declare(store, to="")


async def make_void(store):
    """A mark that its author took back."""
    number = await declare(store)
    await decide_mark(store, number, "void", said("wang"))
    return number


async def make_upstream(store):
    """A mark as a higher platform recorded it."""
    return await store._connection.fetchval(
        "INSERT INTO marks (outlet, kind, from_at, source, origin, author)"
        " VALUES ('o1', 'stop', $1, 'province', 'upstream:yn', 'yn') RETURNING mark_id",
        NOW,
    )


async def make_national(store):
    """A mark that came by the national platform's file."""
    line = "outlet,factor,kind,from,to,source\no1,*,stop,2026-03-01,,national"
    await import_files(store, [InputFile("marks.csv", line.encode())], Clock(NOW, 1e-9))
    async with store.snapshot():
        return (await store.marks.read())[-1].mark_id


LATER = parse_moment("2026-03-06")
# how the mark was made, what is asked, what is said
REFUSED = [
    (declare, lambda store, number: decide_mark(store, number, "accepted", said("Wang")), "'Wang' is its author"),
    (declare, lambda store, number: end_mark(store, number, LATER, said("li")), "it ended at 2026-03-05"),
    (
        make_open,
        lambda store, number: end_mark(store, number, parse_moment("2026-03-01"), said("li")),
        "give a later end",
    ),
    (make_void, lambda store, number: decide_mark(store, number, "accepted", said("li")), "it is void: that is final"),
    (make_void, lambda store, number: decide_mark(store, number, "void", said("li")), "it is void: that is final"),
    (make_void, lambda store, number: prove_mark(store, number, PROOF, said("li")), "it is void: that is final"),
    (make_national, lambda store, number: decide_mark(store, number, "void", said("li")), "read-only here"),
    (make_national, lambda store, number: end_mark(store, number, LATER, said("li")), "read-only here"),
    (make_national, lambda store, number: prove_mark(store, number, PROOF, said("li")), "read-only here"),
    (make_upstream, lambda store, number: end_mark(store, number, LATER, said("li")), "upstream:yn recorded"),
    (declare, lambda store, number: decide_mark(store, number + 9, "void", said("li")), "there is no mark 10"),
]


@pytest.mark.parametrize(("make", "ask", "said_then"), REFUSED)
async def test_mark_stays_as_it_is(store, admin, make, ask, said_then):
    """What is refused is explained, and nothing is written."""
    number = await make(store)
    before = await admin.fetch("SELECT * FROM mark_events")
    with pytest.raises(MarkError, match=said_then):
        await ask(store, number)
    assert await admin.fetch("SELECT * FROM mark_events") == before


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        ({"outlet": "o9"}, "outlet: expected an id that stands among the outlets in these files or the database"),
        ({"factor": "a34013"}, "factor: expected what is on the base list"),
        (
            {"to": "2027-02-01"},
            "to: expected hours that are on the base list, no factor of 'o1' is on it at 2027-01-01",
        ),
        ({"to": "2026-02-01"}, "to: expected a moment after from, 2026-03-01"),
        ({"kind": "holiday"}, "kind: expected a kind of mark"),
        ({"kind": "manual", "factor": "a21026"}, "value: expected the manual value"),
        ({}, "mark 1 says so already: void it first"),
        ({"from": "2026-03-02", "to": "2026-03-09"}, "mark 2 says so already: end it, or void it first"),
    ],
)
async def test_wrong_mark_is_not_declared(store, cells, message):
    """By the rules of an import; what is said already is not said twice."""
    await declare(store)
    await declare(store, **{"from": "2026-03-02", "to": ""})
    with pytest.raises(MarkError, match=f"nothing was declared: .*{message}"):
        await declare(store, **cells)
    async with store.snapshot():
        assert len(await store.marks.read()) == 2


async def test_mark_can_be_declared_again(store):
    """Once the first one is void; marks that overlap stand side by side."""
    number = await make_void(store)
    assert await declare(store) == number + 1
    assert await declare(store, **{"from": "2026-03-03", "to": "2026-03-09"}) == number + 2


FILTERS = [
    ({}, [1, 2, 3]),
    ({"outlet": "o1"}, [1, 2]),
    ({"state": "void"}, [2]),
    ({"from_at": parse_moment("2026-03-05")}, [2, 3]),
    ({"from_at": parse_moment("2026-03-04T23:59"), "to_at": parse_moment("2026-03-09")}, [1, 3]),
    ({"to_at": parse_moment("2026-03-01")}, []),
    ({"origin": "upstream:yn"}, [4]),
    ({"origin": None, "outlet": "o1"}, [1, 2, 4]),
    ({"mark_id": 3}, [3]),
]


@pytest.mark.parametrize(("wanted", "found"), FILTERS)
async def test_marks_are_found(store, wanted, found):
    """By number, origin, outlet, state, and the time they touch, the end not included."""
    await declare(store)
    await declare(store, **{"from": "2026-03-10", "to": "2026-03-11"})
    await decide_mark(store, 2, "void", said("li"))
    await declare(store, outlet="o2", to="")
    await make_upstream(store)
    async with store.snapshot():
        assert [mark.mark_id for mark in await store.marks.read(MarkFilter(**wanted))] == found


async def test_days_become_stale(store, admin):
    """By each row of the base list, marks and their events: those the row is about, a day more at either end."""
    number = await declare(store)
    days = (date(2026, 2, 28), date(2026, 3, 6))
    assert await take_stale(admin) == [("o1", *days, "mark 1 declared")]
    await decide_mark(store, number, "void", said("li"))
    assert await take_stale(admin) == [("o1", *days, "mark 1 void")]
    await make_open(store)
    assert await take_stale(admin) == [("o1", days[0], date(2199, 1, 1), "mark 2 declared")]
    base = BASE.replace("o1,a21026,3,2026-01-01,2027-01-01", "o1,a21026,1,2026-01-01,2027-01-01")
    await import_files(store, [InputFile("base.csv", base.encode())], Clock(NOW, 1e-9))
    stale = await take_stale(admin)
    assert {(row[0], row[3]) for row in stale} == {("o1", "base list changed")}
    assert {row[1:3] for row in stale} == {(date(2025, 12, 31), date(2027, 1, 2))}


async def test_registry_login_declares_and_overwrites_nothing(store, admin):
    """A member of the owner's role adds marks and events; what stands it cannot touch."""
    await admin.execute("SET ROLE hj212_owner")
    number = await admin.fetchval(
        "INSERT INTO marks (outlet, kind, from_at, author) VALUES ('o1', 'stop', $1, 'wang') RETURNING mark_id", NOW
    )
    await admin.execute("INSERT INTO mark_events (mark_id, event, by_whom) VALUES ($1, 'accepted', 'li')", number)
    for statement in (
        "UPDATE marks SET to_at = now()",
        "DELETE FROM marks",
        "UPDATE mark_events SET by_whom = 'zhao'",
        "DELETE FROM mark_events",
        "TRUNCATE mark_events",
    ):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await admin.execute(statement)


async def test_analysts_see_marks(store, admin):
    """With kind, state, people and proof; not the login."""
    number = await declare(store, proof=PROOF)
    await decide_mark(store, number, "accepted", said("li"))
    await admin.execute("SET ROLE hj212_analyst")
    (row,) = await admin.fetch("SELECT * FROM v_marks")
    assert (row["name_zh"], row["state"], row["author"], row["decided_by"]) == ("停运", "accepted", "wang", "li")
    assert (row["proof_sha256"], row["proof_name"]) == PROOF
    assert (row["recorded_at"], row["voucher_due"]) == (NOW, parse_moment("2026-04-11"))
    assert row["entered_at"] > NOW - timedelta(days=400)
    assert "entered_by" not in dict(row)


def mask(*hours):
    """A day's hours as bits."""
    return sum(1 << hour for hour in hours)


async def assess(admin, day, *, due, got, valid, outlet="o1"):
    """A day as the aggregator writes it."""
    values = dict.fromkeys(("fields", "listed", "stopped", "excused", "checked", "good", "marked", "manual", "ever"), 0)
    values |= {"due": due, "got": got, "valid": valid}
    counts = dict.fromkeys(
        ("expected_values", "reported_values", "expected_groups", "groups_not_taking_part", "groups_received"), 0
    )
    named = (
        values | counts | {"valid_groups": 0, "outlet": outlet, "factor": "a21026", "stage": "immediate", "day": day}
    )
    await admin.execute(
        f"INSERT INTO assessed_days ({', '.join(named)}, planes) VALUES ("
        + ", ".join(f"${place}" for place in range(1, len(named) + 1))
        + ", '{}')",
        *named.values(),
    )


async def due(admin, moment, *columns):
    """What is due at a moment on UTC+8."""
    names = ", ".join(columns or ("what", "outlet", "factor", "hours", "mark_id", "is_missed"))
    rows = await admin.fetch(f"SELECT {names} FROM due_at($1)", parse_moment(moment))
    return [tuple(row) for row in rows]


async def test_lost_hours_are_due_until_the_next_noon(admin):
    """Each factor and day with what is lost of it, why, and what could be marked; a day that is whole is not there."""
    hours = mask(*range(24))
    await assess(admin, date(2026, 3, 1), due=hours, got=hours & ~mask(3, 4), valid=hours & ~mask(3, 4, 7))
    await assess(admin, date(2026, 3, 1), due=hours, got=hours, valid=hours, outlet="o2")
    await assess(admin, date(2026, 3, 2), due=mask(0), got=mask(0), valid=0)
    yesterday = ("mark", "o1", "a21026", 3, None, False)
    today = ("mark", "o1", "a21026", 1, None, False)
    assert await due(admin, "2026-03-02T11:59") == [yesterday, today]
    assert await due(admin, "2026-03-02T12:00") == [yesterday, today]  # the last moment counts
    assert await due(admin, "2026-03-02T12:00:01") == [today]
    assert await due(admin, "2026-03-03T12:00:01") == []
    assert await due(admin, "2026-03-01T09:00") == [yesterday]
    (row, _) = await due(admin, "2026-03-02T09:00", "due_at", "day", "text")
    assert row[:2] == (parse_moment("2026-03-02T12:00"), date(2026, 3, 1))
    assert row[2].startswith("nothing came for 03 04: ask for it again, or mark a stop")
    assert "; not valid by flag or mark 07: " in row[2]


async def test_vouchers_and_reviews_are_due(store, admin):
    """Vouchers to the end of the 10th of the next month, reviews to the closing; decided and proved ones are not."""
    recorded = parse_moment("2026-03-01T09:00")
    await declare(store, moment=recorded)
    manual = {"factor": "a21026", "kind": "manual", "from": "2026-03-02", "to": "2026-03-02T06:00", "value": "1"}
    await declare(store, moment=recorded + timedelta(days=2), **manual)
    taken_back = await declare(store, moment=recorded, outlet="o2")
    await decide_mark(store, taken_back, "void", said("wang"))
    assert await due(admin, "2026-03-01T08:00") == []
    review, voucher = ("review", "o1", "*", None, 1), ("voucher", "o1", "*", None, 1)
    other = ("review", "o1", "a21026", None, 2)
    assert await due(admin, "2026-03-04") == [(*review, False), (*other, False), (*voucher, False)]
    assert await due(admin, "2026-03-12") == [(*review, True), (*other, False), (*voucher, False)]
    texts = await due(admin, "2026-03-04", "text", "due_at")
    assert texts == [
        ("stop of wang is not reviewed", parse_moment("2026-03-12") - INSTANT),
        (
            "manual of wang is not reviewed and does not count before it is accepted",
            parse_moment("2026-03-13") - INSTANT,
        ),
        ("stop needs a voucher: hj212gw mark prove 1 FILE", parse_moment("2026-04-11")),
    ]
    for number in (1, 2):
        await decide_mark(store, number, "accepted", said("li", recorded + timedelta(days=3)))
    assert await due(admin, "2026-04-10T23:59") == [(*voucher, False)]
    assert await due(admin, "2026-04-11") == [(*voucher, True)]
    assert (await due(admin, "2026-04-11", "text"))[0][0].startswith("stop lapsed for want of a voucher")
    await prove_mark(store, 1, PROOF, said("wang", parse_moment("2026-04-10")))
    assert await due(admin, "2026-04-09") == [(*voucher, False)]  # as it was then
    assert await due(admin, "2026-04-11") == []


async def test_late_proof_does_not_help(store, admin):
    """The mark has lapsed by then."""
    number = await declare(store)
    await decide_mark(store, number, "accepted", said("li"))
    await prove_mark(store, number, PROOF, said("wang", parse_moment("2026-04-11")))
    assert await due(admin, "2026-05-01") == [("voucher", "o1", "*", None, 1, True)]


async def test_voucher_is_due_by_each_month_of_a_mark(store, admin):
    """The next date that is open, and each that was missed; a proof in between saves what is left."""
    await declare(store, moment=parse_moment("2026-03-01T09:00"), **{"from": "2026-02-27", "to": "2026-04-02"})
    await declare(store, moment=parse_moment("2026-03-01T09:00"), outlet="o2", **{"from": "2026-02-27T06:00", "to": ""})
    for number in (1, 2):
        await decide_mark(store, number, "accepted", said("li"))
    columns = ("mark_id", "day::text", "due_at", "is_missed", "text")
    dates = [parse_moment(f"2026-{month:02}-11") for month in range(3, 9)]
    asked = "stop needs a voucher: hj212gw mark prove {} FILE"
    saves = asked + "; it saves the days from 2026-{:02}-01 on"
    lapsed = "stop lapsed for want of a voucher on its days of 2026-{:02}: what was sent stands again"
    assert await due(admin, "2026-03-10", *columns) == [
        (number, "2026-02-27", dates[0], False, asked.format(number)) for number in (1, 2)
    ]
    assert await due(admin, "2026-03-11", *columns) == [
        *((number, "2026-02-27", dates[0], True, lapsed.format(2)) for number in (1, 2)),
        *((number, "2026-03-01", dates[1], False, saves.format(number, 3)) for number in (1, 2)),
    ]
    await prove_mark(store, 1, PROOF, said("wang", parse_moment("2026-04-20")))
    assert await due(admin, "2026-05-01", *columns) == [
        (number, day, moment, True, lapsed.format(month))
        for day, moment, month in (("2026-02-27", dates[0], 2), ("2026-03-01", dates[1], 3))
        for number in (1, 2)
    ] + [(2, "2026-04-01", dates[2], False, saves.format(2, 4))]
    assert await due(admin, "2026-07-12", "mark_id", "day::text", "is_missed") == [
        (2, "2026-05-01", True), (2, "2026-06-01", True), (2, "2026-07-01", False),
    ]  # fmt: skip
    rows = await admin.fetch("SELECT voucher_due, voucher_last_due FROM v_marks ORDER BY mark_id")
    assert [tuple(row) for row in rows] == [(dates[0], dates[2]), (dates[0], None)]


async def test_national_mark_needs_no_voucher(store, admin):
    """It is read-only here, so nobody could prove it: it stands, and nothing is due of it. A platform's can be tried."""
    number = await make_national(store)
    mark = await read_one(store, number)
    assert (mark.source, mark.origin, mark.voucher_due) == ("national", "local", None)
    assert await due(admin, "2026-05-01") == []
    await admin.execute(
        "INSERT INTO marks (outlet, kind, from_at, source, origin, author)"
        " VALUES ('o1', 'stop', $1, 'national', 'upstream:nation', 'nation')",
        NOW,
    )
    upstream = await admin.fetchval("SELECT voucher_due FROM standing_marks WHERE origin = 'upstream:nation'")
    shown = await admin.fetchrow("SELECT voucher_due, voucher_last_due FROM v_marks WHERE origin = 'upstream:nation'")
    assert tuple(shown) == (None, None)  # whether it was proved is for the platform to say
    assert upstream == parse_moment("2026-04-11")


async def set_rules(admin, **rules):
    """Let the aggregator have noted what it works by."""
    await admin.execute("UPDATE assessment_state SET rules = $1", json.dumps(rules))


async def test_what_is_due_goes_by_the_settings_in_use(store, admin):
    """Cut-offs and vouchers are those the aggregator works by; days whose cut-off is behind are not there."""
    await set_rules(admin, immediate_after_secs=240 * 3600, completed_after_secs=5 * 86400 - 1e-6, vouchers="ignored")
    await assess(admin, date(2026, 3, 1), due=mask(3), got=0, valid=0)
    await declare(store, moment=parse_moment("2026-03-01T09:00"))
    rows = await due(admin, "2026-03-12", "what", "due_at", "is_missed")
    assert rows == [
        ("review", parse_moment("2026-03-07") - INSTANT, True),
        ("mark", parse_moment("2026-03-12"), False),
    ]
    assert [row[0] for row in await due(admin, "2026-03-12T00:00:01")] == ["review"]
    await set_rules(admin, vouchers="required")
    assert ("voucher",) in await due(admin, "2026-03-12", "what")


async def test_what_was_missed_leaves_the_list(store, admin):
    """After 60 days: nothing can be done about it any more."""
    await declare(store)
    review = parse_moment("2026-03-12") + timedelta(days=60)
    voucher = parse_moment("2026-04-11") + timedelta(days=60)
    assert [row[0] for row in await due(admin, "2026-05-10T23:59")] == ["review", "voucher"]
    assert (review, voucher) == (parse_moment("2026-05-11"), parse_moment("2026-06-10"))
    assert [row[0] for row in await due(admin, "2026-05-11")] == ["voucher"]
    assert [row[0] for row in await due(admin, "2026-06-09T23:59")] == ["voucher"]
    assert await due(admin, "2026-06-10") == []


async def test_analysts_see_what_is_due(store, admin):
    """By the real clock in v_due, and at any moment by its function."""
    await declare(store)
    await admin.execute("SET ROLE hj212_analyst")
    assert len(await due(admin, "2026-03-21")) == 2
    assert await admin.fetch("SELECT * FROM v_due") == await admin.fetch("SELECT * FROM due_at(now())")


async def test_hours_are_shown_by_name(admin):
    """In their order, two digits each."""
    shown = await admin.fetchval("SELECT show_hours($1)", mask(0, 7, 23))
    assert (shown, await admin.fetchval("SELECT show_hours(0)")) == ("00 07 23", "")


async def test_states_are_those_of_the_table(admin):
    """An event of a state the program does not know is refused."""
    await admin.execute("INSERT INTO marks (outlet, kind, from_at, author) VALUES ('o1', 'stop', now(), 'x')")
    for state in STATES[1:]:
        await admin.execute("INSERT INTO mark_events (mark_id, event, by_whom) VALUES (1, $1, 'x')", state)
    with pytest.raises(asyncpg.CheckViolationError):
        await admin.execute("INSERT INTO mark_events (mark_id, event, by_whom) VALUES (1, 'forgotten', 'x')")
