"""Tests of `hj212gw assess` on a database: the same as on files, and as the view tells it."""

import asyncio
import csv
import random
from datetime import UTC, datetime, timedelta

import pytest
from tests.cli.assess_support import DAY, NOW, Folder, run

from hj212gw.assessment.losses import to_lost_hour
from hj212gw.assessment.rules import make_rules
from hj212gw.config_assessment import AssessmentSettings
from hj212gw.protocol.times import WIRE_ZONE
from hj212gw.store.assessment import LOCAL, Scope, compute_days
from hj212gw.store.figures import read_losses
from hj212gw.store.migrate import migrate
from hj212gw.store.pool import connected


@pytest.fixture
def folder(tmp_path):
    """An empty folder of files."""
    return Folder(tmp_path / "files")


def make_city(folder, seed):
    """Three outlets over two days with gaps, late data, corrections, flags and marks, the same each time."""
    chance = random.Random(seed)
    outlets = {"W1": ("water", ("w01018", "w21003")), "W2": ("water", ("w01018",)), "G1": ("gas", ("a21026", "a21002"))}
    for number, (outlet, (medium, factors)) in enumerate(outlets.items()):
        count = 3 if medium == "gas" else 1
        owner = {"enterprise": f"E{number % 2}", "county": f"C{number}"}
        folder.list_outlet(outlet, dict.fromkeys(factors, count), medium=medium, days=2, **owner)
        for factor in factors:
            for hour in range(48):
                for late in sorted(chance.sample((2, 30, 70, 400), chance.choice((0, 1, 1, 1, 2)))):
                    came = f"{DAY + timedelta(hours=hour + late):%Y-%m-%dT%H:%M}"
                    fields, flag = chance.randint(1, count), chance.choice("NNNND")
                    folder.send(outlet, factor, [hour], fields=fields, arrived=came, flag=flag)
        for kind in ("stop", "device", "standard_check", "interruption", "force_majeure"):
            start = DAY + timedelta(minutes=chance.randrange(48 * 60))
            span = (f"{at:%Y-%m-%dT%H:%M}" for at in (start, start + timedelta(minutes=chance.randrange(20, 300))))
            said = f"{start + timedelta(hours=chance.choice((1, 40))):%Y-%m-%dT%H:%M}"
            folder.mark(outlet, chance.choice(("*", *factors)), kind, *span, said)


def moment(text):
    """A moment of the files."""
    return datetime.fromisoformat(text).replace(tzinfo=WIRE_ZONE) if text else None


async def fill_database(dsn, folder):
    """Put a folder's files into the tables as a registry, readings and local marks."""
    async with connected(dsn, name="test") as connection:
        await migrate(connection, now=DAY.astimezone(UTC))
        for enterprise in {row[0] for row in folder.base}:
            await connection.execute("INSERT INTO hj212.enterprises (enterprise, name) VALUES ($1, $1)", enterprise)
        loggers = {}
        for outlet, enterprise, county, medium in {(row[2], row[0], row[1], row[3]) for row in folder.base}:
            await connection.execute(
                "INSERT INTO hj212.outlets (outlet, enterprise, name, county, medium) VALUES ($1, $2, $1, $3, $4)",
                *(outlet, enterprise, county, medium),
            )
            await connection.execute("INSERT INTO hj212.data_loggers (mn, outlet) VALUES ($1, $1)", outlet)
            loggers[outlet] = await connection.fetchval(
                "INSERT INTO hj212.loggers (mn) VALUES ($1) RETURNING logger_id", outlet
            )
        for row in folder.base:
            await connection.execute(
                "INSERT INTO hj212.base_list (outlet, factor, fields, valid_from, valid_to) VALUES ($1, $2, $3, $4, $5)",
                *(*row[2:3], *row[4:6], moment(row[6]), moment(row[7])),
            )
        for outlet, factor, kind, start, end, said, _ in folder.marks:
            await connection.execute(
                "INSERT INTO hj212.marks (outlet, factor, kind, from_at, to_at, recorded_at, author)"
                " VALUES ($1, $2, $3, $4, $5, $6, 'test')",
                *(outlet, factor, kind, moment(start), moment(end), moment(said)),
            )
        await fill_readings(connection, folder, loggers)


async def fill_readings(connection, folder, loggers):
    """The newest of each hour stands, the others are history."""
    hours = {}
    for outlet, factor, hour, came, fields, mean, flag in folder.hours:
        first = 0 if mean == "true" else 1
        values = [1.0 if first <= number < first + fields else None for number in range(3)]
        hours.setdefault((outlet, factor, hour), []).append((came, values, flag))
    for (outlet, factor, hour), versions in hours.items():
        for place, (came, values, flag) in enumerate(versions):
            stands = place == len(versions) - 1
            if stands:
                first = versions[0][0]
                await connection.execute(
                    "INSERT INTO hj212.readings_hour (logger_id, st, cn, received_at, updated_at, data_time, factor, nth,"
                    " avg, cou, zs_avg, data_flag) VALUES ($1, '32', '2061', $2, $3, $4, $5, 0, $6, $7, $8, $9)",
                    *(
                        loggers[outlet],
                        moment(first),
                        moment(came) if place else None,
                        moment(hour),
                        factor,
                        *values,
                        flag,
                    ),
                )
            else:
                await connection.execute(
                    "INSERT INTO hj212.reading_history (logger_id, st, cn, received_at, replaced_at, data_time, factor, nth,"
                    " avg, cou, zs_avg, data_flag, origin)"
                    " VALUES ($1, '32', '2061', $2, $3, $4, $5, 0, $6, $7, $8, $9, 'live')",
                    *(
                        loggers[outlet],
                        moment(came),
                        moment(versions[place + 1][0]),
                        moment(hour),
                        factor,
                        *values,
                        flag,
                    ),
                )


def test_database_and_files_give_the_same(folder, postgres_dsn):
    """The same hours and marks give the same figures, lost hours and ranges, from tables or from files."""
    make_city(folder, 7)
    asyncio.run(fill_database(postgres_dsn, folder))
    asked = ("--json", *NOW, "--explain", "--range", "--set", "vouchers=ignored", "--period", "day")
    stored = run("--dsn", postgres_dsn, *asked, "--to", "2026-03-03").document
    filed = run("--from-csv", folder.write(), *asked).document
    assert (stored.pop("arrivals"), filed.pop("arrivals")) == ("local", "files:files")
    assert (stored.pop("estimate"), filed.pop("estimate")) == (True, False)
    assert stored == filed
    assert {row["state"] for row in stored["lost_hours"]} == {"missing", "late", "flag", "mark", "partial"}
    assert len(stored["rows"]) == (3 + 2 + 3 + 1) * 2 * 2
    assert asyncio.run(count_rows(postgres_dsn)) == 0


def test_figures_of_local_arrivals_say_that_they_are_an_estimate(folder, postgres_dsn, tmp_path):
    """Every row of the CSV file too: the province's figures are made of what reached its own platform."""
    folder.list_outlet("W1", {"w01018": 1})
    asyncio.run(fill_database(postgres_dsn, folder))
    target = tmp_path / "rates.csv"
    asked = ("--dsn", postgres_dsn, *NOW, "--from", "2026-03-01", "--to", "2026-03-02", "--csv", target)
    assert run(*asked).exit_code == 0
    rows = list(csv.DictReader(target.read_text(encoding="utf-8").splitlines()))
    assert rows
    assert {(row["arrivals"], row["estimate"]) for row in rows} == {("local", "true")}


def test_provenance_of_local_arrivals_is_refused(folder, postgres_dsn):
    """Readings do not tell whether they were sent again: the figure would be by the deadline, under another name."""
    folder.list_outlet("W1", {"w01018": 1})
    folder.send("W1", "w01018", [0], arrived="2026-03-03T00:00")
    asyncio.run(fill_database(postgres_dsn, folder))
    asked = ("--dsn", postgres_dsn, *NOW, "--from", "2026-03-01", "--to", "2026-03-02", "--explain", "--json")
    refused = run(*asked, "--set", "immediate_by=provenance")
    assert (refused.exit_code, refused.stdout) == (3, "")
    assert "immediate_by=provenance: local arrivals do not tell what was filled in" in refused.stderr
    assert "expected files (--from-csv) or upstream arrivals (--arrivals upstream:NAME)" in refused.stderr
    # Whatever reads local arrivals goes by the deadline, and says so.
    reasons = asyncio.run(explain(postgres_dsn, AssessmentSettings(immediate_by="provenance")))
    assert reasons["immediate", "late"] == "came after the cut-off, 2026-03-02T12:00"


async def explain(dsn, settings):
    """A reason of each stage and state among the lost hours of the first day."""
    rules = make_rules(settings)
    scope = Scope(DAY.date(), (DAY + timedelta(days=1)).date(), datetime(2026, 6, 1, tzinfo=UTC))
    async with connected(dsn, name="test") as connection, connection.transaction():
        await compute_days(connection, scope, rules)
        losses = read_losses(connection, rules, ("immediate", "completed"))
        told = [to_lost_hour(loss, rules, scope.arrivals) async for loss in losses]
    return {(lost.stage, lost.state): lost.reason for lost in told}


async def count_rows(dsn):
    """How many figures an assessment left in the database."""
    async with connected(dsn, name="test") as connection:
        return await connection.fetchval("SELECT (SELECT count(*) FROM hj212.rate_counts)")


async def compare_with_view(dsn, changed):
    """The lost hours as `--explain` tells them, and as the view tells those of the same groups."""
    rules = make_rules(AssessmentSettings(vouchers="ignored", **changed))
    now = datetime(2026, 6, 1, tzinfo=UTC)
    async with connected(dsn, name="test") as connection, connection.transaction():
        await compute_days(connection, Scope(DAY.date(), (DAY + timedelta(days=2)).date(), now), rules)
        losses = read_losses(connection, rules, ("immediate", "completed"))
        told = [to_lost_hour(loss, rules, LOCAL) async for loss in losses]
        columns = ", ".join(row["attname"] for row in await connection.fetch(COLUMNS_OF_DAYS))
        await connection.execute(f"INSERT INTO hj212.assessed_days ({columns}) SELECT {columns} FROM computed_days")
        rows = await connection.fetch("SELECT outlet, factor, hour, stage, state FROM hj212.v_lost_hours")
    return sorted(told, key=lambda lost: lost[:5]), sorted(map(tuple, rows))


COLUMNS_OF_DAYS = """SELECT attname FROM pg_attribute WHERE attrelid = 'hj212.assessed_days'::regclass
    AND attnum > 0 AND NOT attisdropped ORDER BY attnum"""


def make_losses(folder):
    """An outlet with three values an hour whose losses have two reasons each; say where."""
    folder.list_outlet("G9", {"a21026": 3}, medium="gas", enterprise="E0", county="C9")
    folder.mark("G9", "*", "force_majeure", "2026-03-01T00:00", "2026-03-01T04:00", "2026-03-01T05:00")
    folder.send("G9", "a21026", [0], fields=2, flag="D")  # excused, flagged, and a value lacks
    folder.send("G9", "a21026", [1], fields=2)
    folder.send("G9", "a21026", [2], arrived="2026-03-05T00:00", fields=3)
    folder.send("G9", "a21026", [3], fields=3, flag="D")
    for hour in (4, 5):  # values in time, with any flag; the mean came late
        folder.send("G9", "a21026", [hour], fields=2, mean="false", flag="ND"[hour - 4])
        folder.send("G9", "a21026", [hour], arrived="2026-03-05T00:00", fields=3)
    folder.send("G9", "a21026", [6], fields=2, mean="false", flag="D")  # it never came
    folder.send("G9", "a21026", range(7, 24), fields=3)


@pytest.mark.parametrize(
    ("changed", "states"),
    [
        ({}, "- - - - late late partial"),
        ({"not_responsible": "validity"}, "partial partial late - late late partial"),
        ({"invalid_received": "missing"}, "- - - - late late missing"),
        ({"not_responsible": "validity", "invalid_received": "missing"}, "flag partial late flag late late missing"),
    ],
)
def test_lost_hours_are_those_of_the_view(folder, postgres_dsn, changed, states):
    """`--explain` and v_lost_hours say the same of the same groups: the first state that holds."""
    make_city(folder, 8)
    make_losses(folder)
    asyncio.run(fill_database(postgres_dsn, folder))
    told, viewed = asyncio.run(compare_with_view(postgres_dsn, changed))
    assert len(told) > 50
    assert [lost[:5] for lost in told] == viewed
    found = {lost[2].astimezone(WIRE_ZONE).hour: lost[4] for lost in told if lost[0] == "G9" and lost[3] == "immediate"}
    assert [found.get(hour, "-") for hour in range(24)] == states.split() + ["-"] * 17


def test_lost_hours_share_their_texts(folder, postgres_dsn):
    """A year of a city has a million of them: each holds no more than what is its own."""
    make_city(folder, 8)
    asyncio.run(fill_database(postgres_dsn, folder))
    told, _ = asyncio.run(compare_with_view(postgres_dsn, {}))
    for place in (0, 1, 3, 4, 5, 6):
        texts = [lost[place] for lost in told]
        assert len(set(map(id, texts))) == len(set(texts))
