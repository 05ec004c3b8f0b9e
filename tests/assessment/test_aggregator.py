"""The aggregator: what changed is computed again, and only one figure is the newest, whatever happens meanwhile."""

import asyncio
import json
import os
from contextlib import suppress
from datetime import date, timedelta
from fractions import Fraction

import asyncpg
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.assessment.city import (
    DAY,
    FACTORS,
    OUTLETS,
    StandingClock,
    decide,
    figures,
    forget,
    local,
    make_aggregator,
    mark,
    send,
    send_day,
)

from hj212gw.assessment.aggregator import split_scopes
from hj212gw.assessment.rules import make_rules
from hj212gw.assessment.stages import completed_through, immediate_through, voucher_due
from hj212gw.config_assessment import AssessmentSettings
from hj212gw.errors import StoreUnavailable
from hj212gw.store.assessment import Scope, compute_days
from hj212gw.store.figures import Grouping, read_cells
from hj212gw.store.gauges import read_gauges
from hj212gw.store.rates import StaleDay, note_time

HOUR = timedelta(hours=1)


async def rate_of(connection, level, identity, stage, *, period="day", start=DAY, policy="national_platform_v2"):
    """The newest row of v_rates."""
    return await connection.fetchrow(
        "SELECT * FROM v_rates WHERE (level, id, stage, period, period_start, policy) = ($1, $2, $3, $4, $5, $6)",
        level, identity, stage, period, start, policy,
    )  # fmt: skip


async def test_gauges_tell_who_is_silent_and_whose_clock_is_wrong(admin):
    """Silent after an hour; a clock counts while its data logger was heard within a day."""
    now = local(3)
    heard = {
        "MN-O1": (timedelta(minutes=5), 61.0),
        "MN-O2": (timedelta(hours=2), -28800.0),
        "MN-O3": (timedelta(days=2), 90.0),
    }
    for mn, (ago, skew) in heard.items():
        await admin.execute("INSERT INTO logger_activity VALUES ($1, $2, $2, $3)", mn, now - ago, skew)
    gauges = await read_gauges(admin, now)
    assert (gauges.registered, gauges.silent, gauges.skewed, gauges.target) == (3, 2, 2, 0.95)


async def test_a_city_is_rolled_up(admin, postgres_dsn):
    """Outlet, enterprise, county, city; day, month, quarter, year; what is late is missing at the immediate stage."""
    await send_day(admin, 0)
    await send_day(admin, 1, OUTLETS[:2])
    for hour in range(6):
        await send(admin, "O3", local(1, hour), after=timedelta(days=3))
    aggregator = make_aggregator(postgres_dsn, StandingClock(local(20)))
    assert await aggregator.work() > 0
    assert await aggregator.work() == 0
    row = await rate_of(admin, "outlet", "O3", "immediate", start=DAY + timedelta(days=1))
    assert (row["expected_groups"], row["groups_received"], row["effective"]) == (48, 0, 0.0)
    row = await rate_of(admin, "outlet", "O3", "completed", start=DAY + timedelta(days=1))
    assert (row["expected_groups"], row["groups_received"], row["valid_groups"]) == (48, 12, 12)
    assert row["passed"] is False
    city_row = await rate_of(admin, "city", "city", "completed", period="month")
    assert city_row["expected_groups"] == 20 * 144
    parts = [
        await rate_of(admin, "county", name, "completed", period="year", start=date(2026, 1, 1))
        for name in ("North", "South")
    ]
    whole = await rate_of(admin, "city", "city", "completed", period="year", start=date(2026, 1, 1))
    for column in ("expected_values", "reported_values", "groups_received", "valid_groups"):
        assert whole[column] == sum(part[column] for part in parts)
    assert whole["effective"] == float(
        Fraction(whole["reported_values"], whole["expected_values"])
        * Fraction(whole["valid_groups"], whole["expected_groups"])
    )


async def test_what_was_shown_can_be_shown_again(admin, postgres_dsn):
    """A frozen figure that changes gets a version, with the reason; of those that only hours made, the last of the day is kept."""
    await send_day(admin, 0)
    clock = StandingClock(local(0, 12))
    aggregator = make_aggregator(postgres_dsn, clock)
    await aggregator.work()
    first = await rate_of(admin, "outlet", "O1", "immediate")
    assert (first["expected_groups"], first["provisional"]) == (24, True)
    for hour in range(13, 20):
        clock.moment = local(0, hour)
        await aggregator.work()
    assert [row["computed_at"] for row in await versions_of(admin, "outlet", "O1")] == [local(0, 12), local(0, 19)]
    clock.moment = local(2)
    await aggregator.work()
    frozen = await rate_of(admin, "outlet", "O1", "immediate")
    assert (frozen["expected_groups"], frozen["effective"], frozen["provisional"]) == (48, 1.0, False)
    number = await mark(admin, "O1", "device", local(0, 3), local(0, 5), local(0, 20), "w01018")
    await aggregator.work()
    marked = await rate_of(admin, "outlet", "O1", "immediate")
    assert (marked["valid_groups"], marked["provisional"]) == (46, False)
    await decide(admin, number, "void", local(2, 1))
    clock.moment = local(2, 2)
    await aggregator.work()
    rows = await admin.fetch(
        "SELECT valid_groups, reason, replaced_at FROM v_rate_versions WHERE id = 'O1' AND period = 'day' AND period_start = $1"
        " AND stage = 'immediate' AND policy = 'national_platform_v2' AND computed_at >= $2 ORDER BY computed_at",
        DAY, local(2),
    )  # fmt: skip
    assert [row["valid_groups"] for row in rows] == [48, 46, 48]
    assert f"mark {number} declared" in rows[1]["reason"]
    assert f"mark {number} void" in rows[2]["reason"]
    assert [row["replaced_at"] is None for row in rows] == [False, False, True]


async def versions_of(admin, level, identity, period="day", start=DAY):
    """The versions of a figure at the immediate stage, the oldest first."""
    return await admin.fetch(
        "SELECT computed_at, replaced_at, valid_groups, reason FROM v_rate_versions WHERE level = $1 AND id = $2"
        " AND stage = 'immediate' AND policy = 'national_platform_v2' AND period = $3 AND period_start = $4"
        " ORDER BY computed_at",
        level, identity, period, start,
    )  # fmt: skip


async def test_a_provisional_figure_that_a_mark_changes_is_kept(admin, postgres_dsn):
    """What was shown before the mark can be shown again, on the same day too."""
    await send_day(admin, 0)
    clock = StandingClock(local(0, 12))
    aggregator = make_aggregator(postgres_dsn, clock)
    await aggregator.work()
    await mark(admin, "O1", "device", local(0, 3), local(0, 5), local(0, 12, 20), "w01018")
    clock.moment = local(0, 12, 30)
    await aggregator.work()
    before, after = await versions_of(admin, "outlet", "O1")
    assert (before["valid_groups"], before["computed_at"], before["replaced_at"]) == (
        24,
        local(0, 12),
        local(0, 12, 30),
    )
    assert (after["valid_groups"], after["replaced_at"]) == (22, None)


async def test_each_figure_tells_its_own_reasons(admin, postgres_dsn):
    """An outlet those of its own marks, the city those of all, and the rest of many by their number."""
    await send_day(admin, 0)
    clock = StandingClock(local(3))
    aggregator = make_aggregator(postgres_dsn, clock)
    await aggregator.work()
    first = [await mark(admin, "O1", "device", local(0, hour), local(0, hour + 1), local(0, 20)) for hour in range(3)]
    other = [await mark(admin, "O3", "device", local(0, hour), local(0, hour + 1), local(0, 20)) for hour in range(9)]
    clock.moment = local(3, 0, 30)
    await aggregator.work()
    told = {}
    for level, identity in (("outlet", "O1"), ("enterprise", "E1"), ("county", "South"), ("city", "city")):
        told[identity] = (await versions_of(admin, level, identity, "month"))[-1]["reason"]
    assert told["O1"] == told["E1"] == "; ".join(f"mark {number} declared" for number in sorted(first, key=str))
    assert told["South"].endswith("; and 1 more")
    assert all(f"mark {number} declared" in told["city"] for number in sorted(first + other, key=str)[:8])
    assert told["city"].endswith("; and 4 more")


async def test_older_data_makes_the_days_since_due_for_all(admin, postgres_dsn):
    """A base list without a date is due from the first data: who sent nothing in between lacks those days."""
    await admin.execute("UPDATE base_list SET valid_from = '-infinity'")
    await send_day(admin, 5, ["O1"])
    clock = StandingClock(local(20))
    aggregator = make_aggregator(postgres_dsn, clock)
    await aggregator.work()
    assert await rate_of(admin, "outlet", "O3", "completed", start=DAY + timedelta(days=3)) is None
    await send_day(admin, 2, ["O2"])
    await aggregator.work()
    assert (await rate_of(admin, "outlet", "O3", "completed", start=DAY + timedelta(days=3)))["expected_groups"] == 48
    found = await figures(admin)
    await forget(admin)
    await aggregator.work()
    assert await figures(admin) == found


async def test_days_a_gateway_still_holds_are_not_frozen(admin, postgres_dsn):
    """Their data came in time and is not computed yet."""
    await send_day(admin, 0)
    gateway = await asyncpg.connect(postgres_dsn)
    await gateway.execute("SET search_path = hj212, public")
    async with gateway.transaction():
        await gateway.execute("UPDATE dirty SET version = version + 1")
        aggregator = make_aggregator(postgres_dsn, StandingClock(local(3)))
        await aggregator.work()
        assert (await rate_of(admin, "outlet", "O1", "immediate"))["provisional"]
    await gateway.close()
    await aggregator.work()
    assert not (await rate_of(admin, "outlet", "O1", "immediate"))["provisional"]


async def test_late_mark_takes_groups_from_the_completed_stage_alone(admin, postgres_dsn):
    """Spec E2: recorded after the immediate cut-off."""
    await send_day(admin, 0)
    await mark(admin, "O1", "device", local(0, 8), local(0, 11), local(1, 16), "w01018")
    await make_aggregator(postgres_dsn, StandingClock(local(20))).work()
    assert (await rate_of(admin, "outlet", "O1", "immediate"))["valid_groups"] == 48
    assert (await rate_of(admin, "outlet", "O1", "completed"))["valid_groups"] == 45


async def test_stop_without_its_voucher_lapses(admin, postgres_dsn):
    """On the 11th of the next month the hours are due again."""
    await mark(admin, "O1", "stop", local(0), local(1), local(0, 9))
    clock = StandingClock(local(38))
    aggregator = make_aggregator(postgres_dsn, clock)
    await aggregator.work()
    row = await rate_of(admin, "outlet", "O1", "completed")
    assert (row["expected_groups"], row["groups_not_taking_part"], row["effective"], row["passed"]) == (
        0,
        48,
        None,
        None,
    )
    assert row["no_rate_reason"] == "stopped or excused all the time"
    clock.moment = voucher_due(DAY)
    await aggregator.work()
    row = await rate_of(admin, "outlet", "O1", "completed")
    assert (row["expected_groups"], row["groups_not_taking_part"]) == (48, 0)
    assert not row["provisional"]
    row = await rate_of(admin, "outlet", "O1", "immediate")  # final since noon of the next day
    assert (row["expected_groups"], row["groups_not_taking_part"], row["provisional"]) == (0, 48, False)


async def test_voucher_dates_are_those_of_the_database(admin):
    """A day's own month decides, in Python as in SQL."""
    rows = await admin.fetch("SELECT d::date AS day, voucher_end(d::date) FROM generate_series($1::date, $2, '1 day') AS d",
                             date(2023, 12, 1), date(2026, 3, 1))  # fmt: skip
    assert len(rows) == 822
    assert {row["day"]: row["voucher_end"] for row in rows} == {row["day"]: voucher_due(row["day"]) for row in rows}


async def stale_by_vouchers(admin, passed_at, now, **rules):
    """Days of marks that two looks find their vouchers late on."""
    await admin.execute("DELETE FROM stale_days")
    noted = json.dumps({"vouchers": "required", **rules})
    await note_time(admin, passed_at, noted)
    await admin.execute("DELETE FROM stale_days")
    await note_time(admin, now, noted)
    rows = await admin.fetch(
        "SELECT substring(reason from 'mark (\\d+)')::integer AS mark, first_day, last_day FROM stale_days"
        " WHERE reason ~ 'voucher' ORDER BY 1, 2"
    )
    return [(row["mark"], f"{row['first_day']:%m-%d} {row['last_day']:%m-%d}") for row in rows]


async def test_days_are_computed_again_when_their_voucher_is_late(admin):
    """Of each mark those of the months whose date passes between two looks, and no others."""
    early = local(0)
    closed = await mark(admin, "O1", "stop", local(-3), local(40), early)
    opened = await mark(admin, "O2", "force_majeure", local(20, 7), None, early)
    proved = await mark(admin, "O1", "stop", local(-3, 5), local(5, 3), early)
    await admin.execute(PROVE, proved, voucher_due(date(2026, 2, 26)), bytes(32))
    taken_back = await mark(admin, "O3", "stop", local(-3), local(5), early)
    await decide(admin, taken_back, "void", early)
    await mark(admin, "O3", "device", local(-3), local(5), early)
    await admin.execute(
        "INSERT INTO marks (outlet, kind, from_at, origin, author) VALUES ('O3', 'stop', $1, 'upstream:x', 'x')", early
    )
    short = await mark(admin, "O3", "stop", local(-3), local(0), early)
    february, march, april = (voucher_due(date(2026, month, 1)) for month in (2, 3, 4))
    before = timedelta(seconds=1)
    assert await stale_by_vouchers(admin, february - before, february) == [
        (closed, "02-26 02-28"), (proved, "02-26 02-28"), (short, "02-26 02-28"),
    ]  # fmt: skip
    assert await stale_by_vouchers(admin, february, march - before) == []
    assert await stale_by_vouchers(admin, march - before, march) == [(closed, "03-01 03-31"), (opened, "03-21 03-31")]
    assert await stale_by_vouchers(admin, march, april + before) == [(closed, "04-01 04-09"), (opened, "04-01 04-30")]
    assert len(await stale_by_vouchers(admin, february - before, april)) == 7
    assert await stale_by_vouchers(admin, february - before, april, vouchers="ignored") == []


async def test_late_proof_saves_the_months_it_is_in_time_for(admin, postgres_dsn):
    """A stop over a month's end, proved after the first month's date and before the second one's."""
    await admin.execute("UPDATE base_list SET valid_from = '-infinity'")
    await admin.execute("UPDATE assessment_state SET first_day = '2026-02-01'")
    number = await mark(admin, "O1", "stop", local(-1), local(1), local(0, 9))
    clock = StandingClock(voucher_due(date(2026, 2, 28)) - timedelta(hours=1))
    aggregator = make_aggregator(postgres_dsn, clock)

    async def stopped():
        """Groups left out on the last day of February and on the first of March."""
        await aggregator.work()
        days = (DAY - timedelta(days=1), DAY)
        return [
            (await rate_of(admin, "outlet", "O1", "completed", start=day))["groups_not_taking_part"] for day in days
        ]

    assert await stopped() == [48, 48]
    clock.moment = voucher_due(date(2026, 2, 28))
    assert await stopped() == [0, 48]
    await admin.execute(PROVE, number, clock.moment + timedelta(days=15), bytes(32))
    clock.moment = voucher_due(DAY)
    assert await stopped() == [0, 48]
    row = await rate_of(admin, "outlet", "O1", "completed")
    assert not row["provisional"]


async def test_stage_freezes_when_every_live_journal_is_drained(admin, postgres_dsn):
    """One that is behind keeps figures provisional; what it brings makes them right."""
    await admin.execute(
        "INSERT INTO journals (journal, position, drained_through) VALUES (gen_random_uuid(), 1, $1)", local(1, 11)
    )
    await send_day(admin, 0)
    aggregator = make_aggregator(postgres_dsn, StandingClock(local(3)))
    await aggregator.work()
    assert (await rate_of(admin, "outlet", "O1", "immediate"))["provisional"]
    await admin.execute("UPDATE journals SET drained_through = $1", local(1, 13))
    await aggregator.work()
    assert not (await rate_of(admin, "outlet", "O1", "immediate"))["provisional"]


async def test_outlet_that_changes_hands_is_counted_once(admin, postgres_dsn):
    """By the registry at the end of each day; its former enterprise loses those days."""
    await send_day(admin, 0)
    aggregator = make_aggregator(postgres_dsn, StandingClock(local(20)))
    await aggregator.work()
    assert (await rate_of(admin, "enterprise", "E1", "completed"))["expected_groups"] == 96
    await admin.execute("UPDATE outlets SET superseded_at = now() WHERE outlet = 'O2'")
    await admin.execute(
        "INSERT INTO outlets (outlet, enterprise, name, medium) VALUES ('O2', 'E2', 'Outlet 2', 'water')"
    )
    await aggregator.work()
    for identity, count in (("E1", 48), ("E2", 96)):
        assert (await rate_of(admin, "enterprise", identity, "completed"))["expected_groups"] == count
    assert (await rate_of(admin, "city", "city", "completed"))["expected_groups"] == 144


async def test_what_ends_within_a_day_is_of_its_last_owner_that_day(admin, postgres_dsn):
    """An outlet's or an enterprise's row that ends at noon is the outlet's still: the city is the sum of its counties."""
    await send_day(admin, 0)
    noon = local(0, 12)
    await admin.execute("UPDATE base_list SET valid_to = $1 WHERE outlet = 'O1'", noon)
    await admin.execute("UPDATE outlets SET valid_to = $1 WHERE outlet = 'O1'", noon)
    await admin.execute("UPDATE outlets SET valid_to = $1 WHERE outlet = 'O2'", local(0, 6))
    await admin.execute(
        "INSERT INTO outlets (outlet, enterprise, name, medium, valid_from, valid_to)"
        " VALUES ('O2', 'E2', 'Outlet 2', 'gas', $1, $2)",
        local(0, 6), noon,
    )  # fmt: skip
    await admin.execute("UPDATE enterprises SET valid_to = $1 WHERE enterprise = 'E2'", noon)
    await make_aggregator(postgres_dsn, StandingClock(local(20))).work()

    async def due(level, identity):
        """Groups due that day."""
        return (await rate_of(admin, level, identity, "completed"))["expected_groups"]

    assert [await due("enterprise", identity) for identity in ("E1", "E2")] == [24, 96]
    assert [await due("county", name) for name in ("North", "South")] == [24, 96]
    assert await due("city", "city") == 120
    assert {
        row["id"]: row["basis"]
        for row in await admin.fetch(
            "SELECT id, basis FROM rate_counts WHERE level = 'outlet' AND period = 'day' AND period_start = $1"
            " AND stage = 'completed' AND basis IN ('gas', 'water')", DAY,
        )
    } == {"O1": "water", "O2": "gas", "O3": "water"}  # fmt: skip
    rules = make_rules(AssessmentSettings())
    async with admin.transaction():
        await compute_days(admin, Scope(DAY, DAY + timedelta(days=1), local(20)), rules)
        cells = await read_cells(admin, Grouping("day", DAY, "gas", False, ["completed"]))
    found = {cell.outlet: (cell.enterprise, cell.county, cell.counts[2], cell.listed) for cell in cells}
    assert found == {"O1": ("E1", "North", 0, 0), "O2": ("E2", "South", 48, 48), "O3": ("E2", "South", 0, 0)}


async def test_end_of_the_base_list_takes_figures_away(admin, postgres_dsn):
    """Nothing stands behind them any more; they can still be shown as they were."""
    await send_day(admin, 0, ["O3"])
    aggregator = make_aggregator(postgres_dsn, StandingClock(local(20)))
    await aggregator.work()
    await admin.execute("UPDATE base_list SET superseded_at = now() WHERE outlet = 'O3'")
    await aggregator.work()
    assert await rate_of(admin, "outlet", "O3", "completed") is None
    assert await rate_of(admin, "enterprise", "E2", "immediate", period="year", start=date(2026, 1, 1)) is None
    shown = await admin.fetch(
        "SELECT replaced_at FROM v_rate_versions WHERE id = 'O3' AND period = 'day' AND period_start = $1", DAY
    )
    assert shown
    assert all(row["replaced_at"] for row in shown)


async def test_two_aggregators_do_no_harm(admin, postgres_dsn):
    """One works, the other looks on; what both find is the same."""
    await send_day(admin, 0)
    clock = StandingClock(local(20))
    several = [make_aggregator(postgres_dsn, clock) for _ in range(3)]
    await asyncio.gather(*[aggregator.work() for aggregator in several])
    await several[0].work()
    together = await figures(admin)
    await forget(admin)
    await several[1].work()
    assert await figures(admin) == together


async def test_cut_connection_leaves_nothing_half_done(admin, postgres_dsn):
    """Again and again at another moment, until it gets through: the figures are those of an undisturbed run."""
    for day in range(3):
        await send_day(admin, day)
    clock = StandingClock(local(20))
    aggregator = make_aggregator(postgres_dsn, clock)
    for wait_ms in (0, 5, 20, 60, 120, 250):
        task = asyncio.create_task(aggregator.work())
        async with asyncio.timeout(30):
            while not task.done() and not await admin.fetchval(  # noqa: ASYNC110 - the server has no event
                "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name = 'hj212gw aggregator'"
                " AND datname = current_database() AND now() - backend_start > $1", timedelta(milliseconds=wait_ms)
            ):  # fmt: skip
                await asyncio.sleep(0)
        with suppress(StoreUnavailable):
            await task
    await aggregator.work()
    disturbed = await figures(admin)
    await forget(admin)
    await aggregator.work()
    assert await figures(admin) == disturbed


HOURS = st.integers(0, 3 * 24 - 1)
PROVE = "INSERT INTO mark_events (mark_id, event, by_whom, at, proof_sha256) VALUES ($1, 'proof', 'li', $2, $3)"
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("send"), st.sampled_from(OUTLETS), HOURS, st.sampled_from([0.1, 8, 20, 60, 300]), st.sampled_from("NNDS")),
        st.tuples(
            st.just("mark"), st.sampled_from(OUTLETS), st.integers(-30, 71), st.sampled_from([0.3, 1, 5, 30]),
            st.sampled_from([1, 20, 100]),
            st.sampled_from(["stop", "device", "standard_check", "not_responsible", "interruption"]),
            st.sampled_from(["*", *FACTORS]),
        ),
        st.tuples(st.just("decide"), st.integers(0, 9), st.sampled_from(["void", "rejected", "accepted"])),
        st.tuples(st.just("prove"), st.integers(0, 9)),
        st.tuples(
            st.just("list"), st.sampled_from(OUTLETS), st.sampled_from([0, -30, 20, None]), st.sampled_from([None, 30, 49.5])
        ),
        st.tuples(st.just("move"), st.sampled_from(OUTLETS), st.sampled_from(["E1", "E2"])),
        st.tuples(st.just("look"), st.one_of(st.integers(1, 100), st.sampled_from([240, 700]))),
    ),
    max_size=12,
)  # fmt: skip


@settings(max_examples=300 if os.environ.get("HJ212_TEST_LONG") else 10)
@given(steps=STEPS)
def test_step_by_step_is_the_same_as_from_nothing(module_dsn, steps):
    """Whatever arrives, is corrected, marked, voided, moved, and whenever the aggregator looks."""
    asyncio.run(_compare(module_dsn, steps))


async def _compare(dsn, steps):
    admin = await asyncpg.connect(dsn)
    await admin.execute("SET search_path = hj212, public")
    try:
        await _restore(admin)
        clock = StandingClock(local(1))
        aggregator = make_aggregator(dsn, clock)
        marks = []
        for step in steps:
            await _take(admin, aggregator, clock, step, marks)
        await aggregator.work()
        found = await figures(admin)
        await forget(admin)
        await aggregator.work()
        assert await figures(admin) == found
    finally:
        await admin.close()


async def _restore(admin):
    await forget(admin)
    await admin.execute("UPDATE assessment_state SET first_day = NULL")
    await admin.execute("TRUNCATE readings_hour, reading_history, dirty, mark_events, marks, base_list, outlets")
    await admin.execute(
        "INSERT INTO outlets (outlet, enterprise, name, medium) SELECT o, 'E1', o, 'water' FROM unnest($1::text[]) AS o;",
        list(OUTLETS),
    )
    for outlet in OUTLETS:
        await _list(admin, outlet, 0, None)


async def _list(admin, outlet, start, end):
    await admin.execute(
        "UPDATE base_list SET superseded_at = now() WHERE outlet = $1 AND superseded_at IS NULL", outlet
    )
    await admin.executemany(
        "INSERT INTO base_list (outlet, factor, fields, valid_from, valid_to)"
        " VALUES ($1, $2, 1, coalesce($3::timestamptz, '-infinity'), $4)",
        [(outlet, factor, _moment_of(start), _moment_of(end)) for factor in FACTORS],
    )


def _moment_of(hour):
    return None if hour is None else local(0) + hour * HOUR


async def _take(admin, aggregator, clock, step, marks):
    what, *facts = step
    if what == "send":
        outlet, hour, after, flag = facts
        await send(admin, outlet, local(0, 0) + hour * HOUR, after=after * HOUR, flag=flag)
    elif what == "mark":
        outlet, hour, length, after, kind, factor = facts
        start = local(0) + hour * HOUR + timedelta(minutes=7)
        marks.append(await mark(admin, outlet, kind, start, start + length * HOUR, start + after * HOUR, factor))
    elif what == "decide" and marks:
        await decide(admin, marks[facts[0] % len(marks)], facts[1], clock.moment)
    elif what == "prove" and marks:
        await admin.execute(PROVE, marks[facts[0] % len(marks)], clock.moment, bytes(32))
    elif what == "list":
        await _list(admin, *facts)
    elif what == "move":
        await admin.execute(
            "UPDATE outlets SET superseded_at = now() WHERE outlet = $1 AND superseded_at IS NULL", facts[0]
        )
        await admin.execute(
            "INSERT INTO outlets (outlet, enterprise, name, medium) VALUES ($1, $2, $1, 'water')", *facts
        )
    elif what == "look":
        clock.moment += facts[0] * HOUR
        await aggregator.work()


def test_stages_end_when_the_specification_says():
    """The last moment of grace is included; December waits for its vouchers in January."""
    noon = timedelta(hours=12)
    assert immediate_through(noon, local(1, 12)) == DAY - timedelta(days=1)
    assert immediate_through(noon, local(1, 12) + timedelta(microseconds=1)) == DAY
    ten = timedelta(days=10) - timedelta(microseconds=1)
    assert completed_through(ten, local(11), local(11), needs_vouchers=False) == DAY
    assert completed_through(ten, local(11), local(11), needs_vouchers=True) == date(2026, 2, 28)
    assert completed_through(ten, local(9), local(9), needs_vouchers=True) == date(2026, 1, 31)
    assert voucher_due(date(2026, 12, 31)) == local(316)
    assert voucher_due(date(2026, 3, 31)) == local(41)


def test_stale_days_are_put_together():
    """Runs of days for all outlets, the others by outlet and run."""
    days = [DAY + timedelta(days=number) for number in range(6)]
    stale = [StaleDay(None, days[0], "a"), StaleDay(None, days[1], "a"), StaleDay("O1", days[1], "b")]
    stale += [StaleDay("O1", days[3], "b"), StaleDay("O1", days[4], "b"), StaleDay("O2", days[5], "b")]
    scopes = split_scopes(stale, 10, local(9))
    assert [(scope.from_day, scope.to_day, scope.outlets) for scope in scopes] == [
        (days[0], days[2], None),
        (days[3], days[5], ["O1"]),
        (days[5], days[5] + timedelta(days=1), ["O2"]),
    ]
