"""Lost hours and hour, day and month means: from stored packets to what analysts see."""

import re
from datetime import date, timedelta
from pathlib import Path

import asyncpg
import pytest
from tests.assessment.test_verdicts import CASES, DEFAULTS
from tests.store.hour_support import HOUR, aggregate, hour_frame, local, store

from hj212gw.assessment.verdicts import LOST, judge_hour
from hj212gw.store.migrate import migrate

WATER, GAS, SECOND = "MN1", "MN2", "MN3"
DAY = date(2026, 3, 2)
START = local("2026-03-02T00:00")
NOW = local("2026-03-20T00:00")
REGISTRY = f"""
INSERT INTO hj212.enterprises (enterprise, name, county) VALUES ('e1', '纸厂', '红塔区');
INSERT INTO hj212.outlets (outlet, enterprise, name, medium) VALUES
    ('w1', 'e1', '总排口', 'water'), ('g1', 'e1', '锅炉', 'gas'), ('n1', 'e1', '厂界', 'noise');
INSERT INTO hj212.data_loggers (mn, outlet, role) VALUES
    ('{WATER}', 'w1', 'main'), ('{GAS}', 'g1', 'main'), ('{SECOND}', 'w1', 'standby');
"""


@pytest.fixture
async def connection(postgres_dsn):
    """A connection to a migrated database with a registry."""
    connection = await asyncpg.connect(
        postgres_dsn, server_settings={"search_path": "hj212, public", "timezone": "UTC"}
    )
    await migrate(connection, now=NOW)
    await connection.execute(REGISTRY)
    yield connection
    await connection.close()


def cod(hour, mean=50, *more, mn=WATER, flag="N", arrived=None, start=START):
    """An hour of COD, and more."""
    values = ([f"w01018-Avg={mean},w01018-Flag={flag}"] if mean is not None else []) + list(more)
    return hour_frame(mn, start + hour * HOUR, values, arrived=arrived)


def flow(amount=None, mean=None):
    """The outlet's flow in an hour."""
    pairs = [f"w00000-{name}={value}" for name, value in (("Cou", amount), ("Avg", mean)) if value is not None]
    return ",".join(pairs)


async def add_mark(connection, kind, start, end, *, outlet="w1", factor="*", value=None, state=None):
    """Declare a mark at once and decide it."""
    number = await connection.fetchval(
        "INSERT INTO marks (outlet, factor, kind, from_at, to_at, value, author, recorded_at)"
        " VALUES ($1, $2, $3, $4, $5, $6, 'li', $4) RETURNING mark_id",
        outlet, factor, kind, local(start), local(end), value,
    )  # fmt: skip
    if state:
        await connection.execute(
            "INSERT INTO mark_events (mark_id, event, by_whom, at) VALUES ($1, $2, 'wang', $3)",
            number,
            state,
            local(end),
        )
    return number


async def list_base(connection, *rows):
    """Put factors of outlets on the base list, from the day on."""
    for outlet, factor, fields in rows:
        await connection.execute(
            "INSERT INTO base_list (outlet, factor, fields, valid_from) VALUES ($1, $2, $3, $4)",
            outlet, factor, fields, START,
        )  # fmt: skip


async def lost_hours(connection, moment, where="true"):
    """Stage, hour, state, what is lost and what can be done, of the day."""
    rows = await connection.fetch(
        f"SELECT * FROM lost_hours($1, $2, $3) WHERE {where} ORDER BY stage DESC, hour, factor",
        DAY,
        DAY + timedelta(1),
        moment,
    )
    return [{**row, "h": int((row["hour"] - START) / HOUR)} for row in rows]


SO2 = "a21026-Avg=12,a21026-Cou=0.5"


async def prepare_losses(dsn, connection):
    """A day on which something happens in each of the first hours; all else comes in time."""
    await list_base(connection, ("w1", "w01018", 1), ("w1", "w00000", 2), ("g1", "a21026", 3))
    noon = START + timedelta(days=1, hours=12)
    closing = START + timedelta(days=11)
    frames = [
        cod(0, 50, flow(10, 3)),
        cod(2, 50, flow(10, 3), arrived=noon + timedelta(seconds=1)),
        cod(3, 50, flow(10, 3), arrived=closing),
        cod(4, 50, flow(10, 3), flag="D"),
        cod(5, 50, flow(10, 3)),
        cod(6, 50, flow(10)),
        cod(7, None, flow(10, 3)),
        cod(9, 50, flow(0, 0)),
    ]
    frames += [cod(hour, 50, flow(10, 3)) for hour in range(10, 24)]
    frames += [hour_frame(GAS, START + hour * HOUR, [f"{SO2},a21026-ZsAvg=14"], st="31") for hour in range(23)]
    frames += [hour_frame(GAS, START + 23 * HOUR, [SO2], st="31")]
    await store(dsn, frames)
    await add_mark(connection, "maintenance", "2026-03-02T05:10", "2026-03-02T05:40", factor="w01018")
    await add_mark(connection, "stop", "2026-03-02T08:00", "2026-03-02T09:00")


async def test_every_loss_has_its_state(postgres_dsn, connection):
    """Each way an hour is lost is told apart, at both stages, and hours that do not take part are none."""
    await prepare_losses(postgres_dsn, connection)
    await aggregate(postgres_dsn, NOW, uncounted_factors=())
    rows = await lost_hours(connection, NOW)
    seen = {
        (row["stage"], row["factor"], row["h"]): (row["state"], row["group_lost"], row["values_lost"]) for row in rows
    }
    for stage in ("immediate", "completed"):
        own = {key[1:]: value for key, value in seen.items() if key[0] == stage}
        late = {("w01018", 2): ("late", True, 1), ("w00000", 2): ("late", True, 2)} if stage == "immediate" else {}
        assert own == {
            ("w01018", 1): ("missing", True, 1), ("w00000", 1): ("missing", True, 2),
            **late,
            ("w01018", 3): ("late", True, 1), ("w00000", 3): ("late", True, 2),
            ("w01018", 4): ("flag", True, 0),
            ("w01018", 5): ("mark", True, 0),
            ("w00000", 6): ("partial", True, 1),
            ("w01018", 7): ("missing", True, 1),
            ("w01018", 9): ("flag", True, 0), ("w00000", 9): ("flag", True, 0),
            ("a21026", 23): ("partial", False, 1),
        }  # fmt: skip
    of_completed = {(row["factor"], row["h"]): row for row in rows if row["stage"] == "completed"}
    assert of_completed["w01018", 9]["reason"] == "no flow in this hour"
    assert of_completed["w01018", 9]["reason_zh"] == "流量无效（流量为零）"
    assert of_completed["w01018", 4]["reason"] == "came with a flag that is not good"
    assert of_completed["w00000", 6]["reason"] == "came without its mean"
    assert of_completed["a21026", 23]["reason"] == "1 of 3 values did not come"
    named = of_completed["w01018", 1]
    assert (named["outlet_name"], named["enterprise_name"], named["factor_name"]) == ("总排口", "纸厂", "化学需氧量")


async def test_flow_is_shown_and_not_counted(postgres_dsn, connection):
    """Unless it is set to count: it has no group, its zero hours are lost to the others, and its means are there."""
    await prepare_losses(postgres_dsn, connection)
    await aggregate(postgres_dsn, NOW)
    counted = await connection.fetch("SELECT DISTINCT factor FROM assessed_days WHERE outlet = 'w1'")
    assert [row["factor"] for row in counted] == ["w01018"]
    (dry,) = await lost_hours(connection, NOW, "is_dry AND stage = 'immediate'")
    assert (dry["factor"], dry["h"], dry["reason"]) == ("w01018", 9, "no flow in this hour")
    shown = await connection.fetch(
        "SELECT is_valid, validity_basis FROM v_hourly WHERE outlet = 'w1' AND factor = 'w00000' AND mean IS NOT NULL"
    )
    assert {tuple(row) for row in shown} == {(True, "flag")}
    assert await connection.fetchval("SELECT count(*) FROM v_daily WHERE outlet = 'w1' AND factor = 'w00000'") == 1


@pytest.mark.parametrize(
    ("changed", "state"),
    [
        ({}, ("flag", 0)),
        ({"uncounted_factors": ()}, ("flag", 0)),
        ({"invalid_received": "missing"}, ("flag", 1)),
        ({"unconverted": "invalid"}, ("flag", 0)),
        ({"not_responsible": "validity"}, ("flag", 0)),
        ({"zero_flow": "ignored", "stop_partial": "never"}, ("flag", 0)),
    ],
)
async def test_losses_add_up_to_the_counts(postgres_dsn, connection, changed, state):
    """What is listed is what the rates lack, value by value and group by group, whatever the settings."""
    await prepare_losses(postgres_dsn, connection)
    await add_mark(connection, "not_responsible", "2026-03-02T01:00", "2026-03-02T02:00")
    await aggregate(postgres_dsn, NOW, **changed)
    flagged = await connection.fetchrow(
        "SELECT state, values_lost FROM v_lost_hours WHERE factor = 'w01018' AND hour = $1 AND stage = 'completed'",
        START + 4 * HOUR,
    )
    assert tuple(flagged) == state
    rows = await connection.fetch(
        "SELECT a.expected_values - a.reported_values AS values, a.expected_groups - a.valid_groups AS groups,"
        " coalesce(sum(l.values_lost), 0) AS values_lost, count(*) FILTER (WHERE l.group_lost) AS groups_lost"
        " FROM assessed_days a LEFT JOIN v_lost_hours l USING (outlet, day, factor, stage)"
        " GROUP BY a.outlet, a.day, a.factor, a.stage, 1, 2"
    )
    assert len(rows) >= 4
    assert sum(row["values"] for row in rows) > 0
    for row in rows:
        assert (row["values"], row["groups"]) == (row["values_lost"], row["groups_lost"])


async def test_hour_that_is_not_over_is_not_lost_yet(postgres_dsn, connection):
    """What is told of a moment that is past is what could be lost by then."""
    await prepare_losses(postgres_dsn, connection)
    await aggregate(postgres_dsn, START + timedelta(days=1))
    whole = await lost_hours(connection, START + timedelta(days=1))
    moment = sorted({row["hour"] for row in whole})[2] + HOUR
    rows = await lost_hours(connection, moment)
    assert rows
    assert {row["hour"] for row in rows} == {row["hour"] for row in whole if row["hour"] + HOUR <= moment}
    assert {row["hour"] for row in rows} < {row["hour"] for row in whole}


@pytest.mark.parametrize(
    ("state", "is_dry", "english", "chinese"),
    [
        ("missing", False, ("send the hour again", "declare a stop", "standard-sample check", "not the enterprise's"), ("补传", "停运", "标样核查", "非排污单位责任")),
        ("late", False, ("declare a stop", "standard-sample check", "not the enterprise's"), ("停运", "标样核查", "非排污单位责任")),
        ("flag", False, ("corrected values", "declare a stop", "standard-sample check", "not the enterprise's"), ("更正", "停运", "标样核查", "非排污单位责任")),
        ("flag", True, ("declare the stop",), ("停运",)),
        ("mark", False, ("end or void", "declare the stop"), ("作废", "停运")),
        ("partial", False, ("all its values",), ("全部数值",)),
    ],
)  # fmt: skip
async def test_remedy_names_each_mark_that_takes_an_hour_out(connection, state, is_dry, english, chinese):
    """Whatever came or did not come: a stop that nobody declared is the usual reason of a flag F."""
    for stage, manual, by_hand in (("immediate", False, False), ("completed", True, True)):
        told, told_zh = await connection.fetchrow(
            "SELECT hj212.remedy_of($1, $2, $3), hj212.remedy_zh_of($1, $2, $3)", stage, state, is_dry
        )
        assert all(word in told for word in english)
        assert all(word in told_zh for word in chinese)
        assert (("manual values" in told), ("手工" in told_zh)) == (manual, by_hand)


async def test_what_can_be_done_and_until_when(postgres_dsn, connection):
    """Until noon of the next day at the first stage, until the end of the tenth day at the second, then nothing."""
    await prepare_losses(postgres_dsn, connection)
    noon, closing = START + timedelta(days=1, hours=12), START + timedelta(days=11) - timedelta(microseconds=1)
    await aggregate(postgres_dsn, noon)
    rows = {row["stage"]: row for row in await lost_hours(connection, noon, "factor = 'w01018' AND state = 'missing'")}
    assert {stage: row["remedy_until"] for stage, row in rows.items()} == {"immediate": noon, "completed": closing}
    assert rows["immediate"]["remedy"].startswith("send the hour again; declare a stop")
    assert rows["completed"]["remedy"].endswith("; or enter manual values")
    assert rows["completed"]["remedy_zh"].startswith("补传该小时数据")
    (flagged, *_) = await lost_hours(connection, noon, "is_dry AND stage = 'immediate'")
    assert flagged["remedy"] == "declare the stop if the plant stood"
    after = await lost_hours(connection, noon + timedelta(microseconds=1), "factor = 'w01018'")
    assert {(row["stage"], row["remedy"] is None) for row in after} == {("immediate", True), ("completed", False)}
    last = await lost_hours(connection, closing, "stage = 'completed'")
    assert all(row["remedy_until"] == closing for row in last)
    assert all(row["remedy"] is None for row in await lost_hours(connection, closing + timedelta(microseconds=1)))
    # by the real clock, which is later
    assert await connection.fetchval("SELECT count(*) FROM v_lost_hours WHERE remedy IS NOT NULL") == 0


async def test_cut_offs_are_those_of_the_aggregator(postgres_dsn, connection):
    """Other settings move what the views say, too."""
    await prepare_losses(postgres_dsn, connection)
    await aggregate(postgres_dsn, NOW, immediate_cutoff_hours=20, completed_days=3, vouchers="ignored")
    rows = await lost_hours(connection, START + timedelta(days=1))
    assert {(row["stage"], row["closes_at"]) for row in rows} == {
        ("immediate", START + timedelta(days=1, hours=20)),
        ("completed", START + timedelta(days=4) - timedelta(microseconds=1)),
    }
    statement = "SELECT DISTINCT what, due_at FROM due_at($1) WHERE day = $2"
    waiting = await connection.fetch(statement, START + timedelta(days=1, hours=20), DAY)
    assert {tuple(row) for row in waiting} == {
        ("mark", START + timedelta(days=1, hours=20)),
        ("review", START + timedelta(days=4) - timedelta(microseconds=1)),
    }


@pytest.mark.parametrize("name", CASES)
async def test_view_and_verdicts_agree(connection, name):
    """The same masks are the same state in SQL and in `hj212gw why`, with the same losses."""
    masks, changed, *_ = CASES[name]
    verdict = judge_hour(masks, 5, {**DEFAULTS, **changed})
    await connection.execute(
        "INSERT INTO assessed_days (day, outlet, factor, stage, fields, listed, stopped, excused, checked, due, got, good,"
        " marked, manual, valid, ever, planes, dry, refused, expected_values, reported_values, expected_groups,"
        " groups_not_taking_part, groups_received, valid_groups)"
        " VALUES ($1, 'w1', 'w01018', 'completed', $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15,"
        " $16, $17, $18, $19, $20, $21, $22)",
        DAY, *masks, *verdict.counts,
    )  # fmt: skip
    rows = await connection.fetch("SELECT hour, state, values_lost, group_lost, is_dry FROM v_lost_hours")
    counts = verdict.counts
    lost = (counts.expected_values - counts.reported_values, bool(masks.due & ~masks.valid), verdict.is_dry)
    assert [tuple(row) for row in rows] == ([(START + 5 * HOUR, verdict.state, *lost)] if verdict.state in LOST else [])


async def hours(connection, what="*", where="true"):
    """Rows of v_hourly by factor and hour."""
    return await connection.fetch(f"SELECT {what} FROM v_hourly WHERE {where} ORDER BY factor, hour")


async def test_hour_has_its_values_in_the_unit_shown(postgres_dsn, connection):
    """A row of units scales concentrations; amounts stay as sent; the label names the hour."""
    await connection.execute(
        "INSERT INTO units (mn, code, factor, unit, scale) VALUES ('MN1', '011', 'w01018', 'mg/L', 1000);"
        "INSERT INTO time_labels (mn, cn, label) VALUES ('MN1', '2061', 'end')"
    )
    area = "011-Avg=0.05,011-Min=0.04,011-Max=0.06,011-Cou=1.5,011-Flag=N"
    await store(postgres_dsn, [hour_frame(WATER, START + HOUR, [area])])
    (row,) = await hours(connection)
    assert (row["outlet"], row["factor"], row["factor_name"], row["unit"]) == ("w1", "w01018", "化学需氧量", "mg/L")
    assert (row["mean"], row["min"], row["max"]) == (50.0, 40.0, 60.0)
    assert (row["amount"], row["amount_unit"], row["converted_mean"]) == (1.5, "kg", None)
    assert (row["hour"], row["data_time"]) == (START, START + HOUR)
    assert (row["is_valid"], row["validity_basis"], row["source"], row["medium"]) == (True, "flag", "measured", "water")
    assert row["received_at"] == row["updated_at"] == START + 2 * HOUR + timedelta(minutes=5)


async def test_valid_by_the_flag_where_nothing_is_assessed(postgres_dsn, connection):
    """N and no flag are valid, another flag is not, and an hour without a mean never is."""
    await store(
        postgres_dsn,
        [cod(0), cod(1, flag="D"), hour_frame(WATER, START + 2 * HOUR, ["w01018-Avg=5"]),
         hour_frame(WATER, START + 3 * HOUR, ["w01018-Cou=5"])],
    )  # fmt: skip
    assert [row["is_valid"] for row in await hours(connection)] == [True, False, True, False]


async def test_valid_by_the_completed_stage_where_it_is_assessed(postgres_dsn, connection):
    """Late after noon is valid, late after the closing, under a device mark, and while stopped is not."""
    await prepare_losses(postgres_dsn, connection)
    await store(postgres_dsn, [cod(8)])
    await aggregate(postgres_dsn, NOW)
    rows = await hours(connection, "hour, is_valid, validity_basis", "factor = 'w01018'")
    found = {int((row["hour"] - START) / HOUR): row["is_valid"] for row in rows}
    assert {hour for hour, is_valid in found.items() if not is_valid} == {3, 4, 5, 8, 9}
    assert len(found) == 22
    assert {row["validity_basis"] for row in rows} == {"assessment"}


async def test_of_several_readings_one_is_shown(postgres_dsn, connection):
    """The main data logger's; the standby's where the main one has no mean."""
    await store(
        postgres_dsn,
        [cod(0, 50), cod(0, 99, mn=SECOND), cod(1, 98, mn=SECOND), hour_frame(WATER, START + 2 * HOUR, ["w01018-Cou=1"]),
         cod(2, 97, mn=SECOND)],
    )  # fmt: skip
    assert [(row["mn"], row["mean"]) for row in await hours(connection)] == [(WATER, 50), (SECOND, 98), (SECOND, 97)]


async def test_manual_value_stands_for_its_hour(postgres_dsn, connection):
    """Accepted, four a day: it is shown in place of what the analyser sent, and alone where nothing came."""
    await list_base(connection, ("w1", "w01018", 1))
    for start, value in (("00", 40), ("01", 42), ("02", 44), ("03", 46)):
        end = f"2026-03-02T{int(start) + 1:02}:00"
        await add_mark(
            connection, "manual", f"2026-03-02T{start}:00", end, factor="w01018", value=value, state="accepted"
        )
    await store(postgres_dsn, [cod(0, 999, flag="D"), cod(4, 50)])
    await aggregate(postgres_dsn, NOW)
    rows = await hours(connection, "mean, source, is_valid, data_flag")
    assert [tuple(row) for row in rows] == [
        *((value, "manual", True, None) for value in (40, 42, 44, 46)),
        (50, "measured", True, "N"),
    ]


async def day_of(
    connection, factor, columns="mean, plain_mean, method, is_valid, reason", *, outlet="w1", rule="hj76_20h"
):
    """A day's row, which the view and the function give alike."""
    (row,) = await connection.fetch(
        f"SELECT {columns} FROM daily_means($1, $2, $3) WHERE outlet = $4 AND factor = $5",
        DAY, DAY + timedelta(1), rule, outlet, factor,
    )  # fmt: skip
    if rule == "hj76_20h":
        (seen,) = await connection.fetch(
            f"SELECT {columns} FROM v_daily WHERE outlet = $1 AND factor = $2 AND day = $3", outlet, factor, DAY
        )
        assert seen == row
    return tuple(row)


# Worked example of data-validity.md section 1
WORKED = ((40, 100), (60, 300), (50, 200))


async def prepare_worked(dsn, connection, flows):
    """Three hours of COD, and a stop for the rest of the day, so that three are due."""
    await list_base(connection, ("w1", "w01018", 1))
    await add_mark(connection, "stop", "2026-03-02T03:00", "2026-03-03T00:00")
    await store(dsn, [cod(hour, mean, *flows(amount)) for hour, (mean, amount) in enumerate(WORKED)])
    await aggregate(dsn, local("2026-03-04T00:00"))


@pytest.mark.parametrize(
    ("flows", "mean", "method"),
    [
        (lambda amount: [flow(amount=amount)], 32000 / 600, "weighted by flow amounts"),
        (lambda amount: [flow(amount=amount, mean=1)], 32000 / 600, "weighted by flow amounts"),
        (lambda amount: [flow(mean=amount / 3.6)], 32000 / 600, "weighted by flow means"),
        (lambda _: [], 50.0, "mean of valid values: no flow"),
    ],
)
async def test_day_mean_of_water_is_weighted_by_flow(postgres_dsn, connection, flows, mean, method):
    """40, 60, 50 mg/L with 100, 300, 200 m3: 53.33, the plain mean 50.00 (data-validity.md section 1)."""
    await prepare_worked(postgres_dsn, connection, flows)
    row = await day_of(connection, "w01018")
    assert row == (pytest.approx(mean), pytest.approx(50.0), method, True, None)
    counts = await day_of(connection, "w01018", "valid_hours, needed_hours, hours_due, hours, rule")
    assert counts == (3, pytest.approx(2.25), 3, 3, "hj356_75")


async def test_hours_without_flow_weigh_nothing(postgres_dsn, connection):
    """No flow is no valid value; of the hours due 75 % have to have one."""
    await store(
        postgres_dsn,
        [cod(hour, 10, flow(amount=1)) for hour in range(17)] + [cod(17, 900, flow(amount=0)), cod(18, 900)],
    )
    row = await day_of(connection, "w01018", "mean, is_valid, reason, valid_hours")
    assert row == (None, False, "17 valid hours with flow, 18 needed", 17)
    await store(postgres_dsn, [cod(20, 10, flow(amount=1))])
    assert await day_of(connection, "w01018", "mean, is_valid, reason, valid_hours") == (10, True, None, 18)


async def test_ph_has_a_median_and_temperature_a_plain_mean(postgres_dsn, connection):
    """PH is logarithmic; what has no amount is not weighted."""
    frames = [
        hour_frame(WATER, START + hour * HOUR, [f"w01001-Avg={6 + hour / 10},w01010-Avg={hour}", flow(amount=hour + 1)])
        for hour in range(19)
    ]
    await store(postgres_dsn, frames)
    columns = "mean, median, method, is_valid, reason"
    assert await day_of(connection, "w01001", columns) == (None, pytest.approx(6.9), "none", True, None)
    assert await day_of(connection, "w01010", columns) == (pytest.approx(9), None, "mean of valid values", True, None)


def so2(hour, mean=12, *, flag="N", start=START):
    """An hour of SO2."""
    values = f"a21026-Avg={mean},a21026-ZsAvg={mean + 2},a21026-Flag={flag}"
    return hour_frame(GAS, start + hour * HOUR, [values], st="31")


@pytest.mark.parametrize(
    ("valid", "expected"),
    [(20, (12.0, 14.0, True, None)), (19, (None, None, False, "19 valid hours, 20 needed"))],
)
async def test_day_of_gas_needs_twenty_hours(postgres_dsn, connection, valid, expected):
    """The mean is that of valid hours; the plain one has them all."""
    await store(postgres_dsn, [so2(hour) for hour in range(valid)] + [so2(valid, 100, flag="D")])
    assert await day_of(connection, "a21026", "mean, converted_mean, is_valid, reason", outlet="g1") == expected
    plain, method, rule = await day_of(connection, "a21026", "plain_mean, method, rule", outlet="g1")
    assert (plain, method, rule) == (pytest.approx((valid * 12 + 100) / (valid + 1)), "mean of valid hours", "hj76_20h")


async def test_day_of_gas_with_a_stop_needs_three_quarters_of_its_running_hours(postgres_dsn, connection):
    """A plant that stood for 12 hours: 9 of the other 12; gas_day_rule = running_75 says so on full days, too."""
    await store(postgres_dsn, [so2(hour) for hour in range(9)])
    assert await day_of(connection, "a21026", "is_valid, needed_hours", outlet="g1", rule="running_75") == (False, 18)
    await list_base(connection, ("g1", "a21026", 1))
    await add_mark(connection, "stop", "2026-03-02T12:00", "2026-03-03T00:00", outlet="g1")
    await aggregate(postgres_dsn, NOW)
    row = await day_of(connection, "a21026", "mean, is_valid, rule, needed_hours", outlet="g1")
    assert row == (12, True, "running_75", 9)


async def test_unconfirmed_units_are_no_base_of_a_mean(postgres_dsn, connection):
    """A 2005 code without a row of units is shown, plain, with the reason."""
    await store(postgres_dsn, [hour_frame(WATER, START + hour * HOUR, ["011-Avg=5"]) for hour in range(20)])
    assert await day_of(connection, "w01018") == (None, 5, "mean of valid values: no flow", False, "unit not confirmed")


async def test_other_media_have_no_rule(postgres_dsn, connection):
    """Noise is shown, never judged."""
    await connection.execute("UPDATE data_loggers SET outlet = 'n1' WHERE mn = 'MN2'")
    await store(postgres_dsn, [hour_frame(GAS, START, ["LA-Avg=50"], st="23")])
    expected = (None, 50, "none", False, "no rule for this medium")
    assert await day_of(connection, "LA", outlet="n1") == expected
    columns = "mean, plain_mean, method, is_valid, reason"
    (row,) = await connection.fetch(f"SELECT {columns} FROM v_monthly")
    assert tuple(row) == expected


async def test_day_on_which_nothing_is_due(postgres_dsn, connection):
    """A plant that stood all day has no day mean."""
    await list_base(connection, ("w1", "w01018", 1))
    await add_mark(connection, "stop", "2026-03-02T00:00", "2026-03-03T00:00")
    await store(postgres_dsn, [cod(0)])
    await aggregate(postgres_dsn, NOW)
    assert await day_of(connection, "w01018", "mean, is_valid, reason") == (None, False, "nothing is due")


@pytest.mark.parametrize(
    ("month", "days", "expected"),
    [
        (date(2026, 2, 1), 23, (12.0, True, None, 23)),
        (date(2026, 2, 1), 22, (None, False, "22 valid days, 23 needed", 23)),
        (date(2026, 1, 1), 25, (12.0, True, None, 25)),
        (date(2026, 1, 1), 24, (None, False, "24 valid days, 25 needed", 25)),
    ],
)
async def test_month_of_gas(postgres_dsn, connection, month, days, expected):
    """25 valid days, in February 23; a day that is not valid takes no part in the mean."""
    first = local(f"{month}T00:00")
    frames = [so2(hour, start=first + timedelta(days=day)) for day in range(days) for hour in range(20)]
    frames += [so2(hour, 100, start=first + timedelta(days=days)) for hour in range(10)]
    await store(postgres_dsn, frames)
    columns = "mean, is_valid, reason, needed_days"
    following = (month + timedelta(days=31)).replace(day=1)
    (row,) = await connection.fetch(f"SELECT {columns} FROM monthly_means($1, $2)", month, following)
    assert tuple(row) == expected
    (seen,) = await connection.fetch("SELECT month, days, plain_mean, method FROM v_monthly")
    plain = (days * 20 * 12 + 1000) / (days * 20 + 10)
    assert tuple(seen) == (month, days + 1, pytest.approx(plain), "mean of valid days")


async def test_month_of_water_needs_three_quarters_of_its_days(postgres_dsn, connection):
    """The arithmetic mean of weighted day means: 21 of 28 days."""
    first = local("2026-02-01T00:00")
    frames = [
        cod(hour, 10 * (1 + day % 2), flow(amount=1 + hour), start=first + timedelta(days=day))
        for day in range(20)
        for hour in range(18)
    ]
    await store(postgres_dsn, frames)
    query = "SELECT mean, is_valid, reason FROM v_monthly WHERE factor = 'w01018'"
    assert tuple(await connection.fetchrow(query)) == (None, False, "20 valid days, 21 needed")
    await store(postgres_dsn, [cod(hour, 15, flow(amount=1), start=first + timedelta(days=20)) for hour in range(18)])
    assert tuple(await connection.fetchrow(query)) == (pytest.approx(15.0), True, None)


@pytest.mark.parametrize("role", ["hj212_analyst", "hj212_gateway", "hj212_aggregator", "hj212_owner"])
async def test_roles_read_the_views_and_call_the_functions(postgres_dsn, connection, role):
    """An analyst, too, who may read no table."""
    await prepare_losses(postgres_dsn, connection)
    await aggregate(postgres_dsn, NOW)
    await connection.execute(f"SET ROLE {role}")
    for source in (
        "v_lost_hours", "v_hourly", "v_daily", "v_monthly", "daily_means('2026-03-02', '2026-03-03')",
        "monthly_means('2026-03-01', '2026-04-01')", "lost_hours('2026-03-02', '2026-03-03', now())",
    ):  # fmt: skip
        assert await connection.fetchval(f"SELECT count(*) FROM hj212.{source}") > 0


async def test_a_condition_on_data_time_finds_the_partitions(postgres_dsn, connection):
    """What v_hourly says of itself: it passes through the view to the readings."""
    await store(postgres_dsn, [cod(0)])
    moments = "'2026-03-02 00:00+08' AND data_time < '2026-03-03 00:00+08'"
    rows = await connection.fetch(f"EXPLAIN SELECT * FROM v_hourly WHERE data_time >= {moments}")
    plan = "\n".join(row[0] for row in rows)
    assert "data_time >= '2026-03-01 16:00:00+00'" in plan
    assert plan.count("readings_hour_") <= 4


async def test_examples_of_the_page(connection):
    """Every statement of docs/hours.md runs."""
    page = (Path(__file__).parents[2] / "docs" / "hours.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```sql\n(.*?)^```", page, re.DOTALL | re.MULTILINE)
    statements = [text for block in blocks for text in block.split(";") if text.strip()]
    assert len(statements) >= 4
    for statement in statements:
        await connection.fetch(statement)
