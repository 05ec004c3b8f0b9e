"""Tests of `why`: an hour's frames, rows, replacements, marks and verdicts on one page, and as JSON."""

import asyncio
import json
import os
import secrets
import subprocess
import sys
from datetime import timedelta

import asyncpg
import pytest
from tests.conftest import execute, with_user
from tests.store.hour_support import HOUR, aggregate, hour_frame, local, store

from hj212gw.store.migrate import migrate

MN, SECOND = "010000A8900016F000169DC0", "010000A8900016F000169DC1"
HOUR_TEXT = "2026-03-02T08"
AT = local("2026-03-02T08:00")
NOON = local("2026-03-03T12:00")
LATER = local("2026-03-20T00:00")
REGISTRY = f"""
INSERT INTO hj212.enterprises (enterprise, name, county) VALUES ('e1', '纸厂', '红塔区');
INSERT INTO hj212.outlets (outlet, enterprise, name, medium) VALUES ('w1', 'e1', '总排口', 'water');
INSERT INTO hj212.data_loggers (mn, outlet) VALUES ('{MN}', 'w1');
INSERT INTO hj212.base_list (outlet, factor, fields, valid_from) VALUES ('w1', 'w01018', 2, '2026-03-01 00:00+08');
"""


async def ask(dsn, statement, *arguments):
    """Run a statement, return its rows."""
    connection = await asyncpg.connect(dsn)
    try:
        return await connection.fetch(statement, *arguments)
    finally:
        await connection.close()


async def prepare(dsn):
    """Migrate and register."""
    connection = await asyncpg.connect(dsn)
    await migrate(connection, now=LATER)
    await connection.execute(REGISTRY)
    await connection.close()


@pytest.fixture
def dsn(postgres_dsn):
    """A database with a registry."""
    asyncio.run(prepare(postgres_dsn))
    return postgres_dsn


@pytest.fixture
def run(dsn, tmp_path):
    """Runs `why` for an hour at a moment; gives exit code, stdout, stderr."""

    def call(*arguments, at=LATER, hour=HOUR_TEXT, outlet="w1", factor="w01018", by=dsn):
        kept = {name: value for name, value in os.environ.items() if not name.startswith("HJ212GW_")}
        (tmp_path / "c.toml").write_text(f'[clock]\nepoch = "{at.isoformat()}"\nspeed = 0.001\n')
        asked = [outlet, factor, hour, "--dsn", by, "--config", str(tmp_path / "c.toml"), *arguments]
        command = [sys.executable, "-m", "hj212gw", "why", *asked]
        done = subprocess.run(command, capture_output=True, text=True, env=kept, cwd=tmp_path, timeout=60, check=False)
        return done.returncode, done.stdout, done.stderr

    return call


@pytest.fixture
def tell(run):
    """The story as JSON; stages by name."""

    def call(**asked):
        code, out, err = run("--json", **asked)
        assert code == 0, err
        story = json.loads(out)
        return {**story, "stages": {stage["stage"]: stage for stage in story["stages"]}}

    return call


def cod(*values, hour=AT, mn=MN, arrived=None):
    """An hour's upload."""
    return hour_frame(mn, hour, values, arrived=arrived)


GOOD = "w01018-Avg=50,w01018-Cou=1.5,w01018-Flag=N"


def test_corrected_hour(dsn, run, tell):
    """Flagged in time, corrected after noon: invalid at the first stage, valid at the second, and nothing is hidden."""
    corrected = NOON + timedelta(hours=3)
    frames = [cod("w01018-Avg=70,w01018-Cou=1.5,w01018-Flag=D"), cod(GOOD, arrived=corrected)]
    asyncio.run(store(dsn, frames))
    asyncio.run(store(dsn, [cod(GOOD, hour=AT + HOUR)]))
    asyncio.run(aggregate(dsn, LATER))
    story = tell()
    assert [(frame["received_at"], frame["answer"], frame["carries"], frame["state"]) for frame in story["frames"]] == [
        ("2026-03-02T09:05:00+08:00", "9014", True, "stored"),
        ("2026-03-03T15:00:00+08:00", "9014", True, "stored"),
    ]
    (row,) = story["readings"]
    assert (row["avg"], row["data_flag"], row["updated_at"]) == (50, "N", "2026-03-03T15:00:00+08:00")
    (old,) = story["replaced"]
    assert (old["avg"], old["data_flag"], old["received_at"]) == (70, "D", "2026-03-02T09:05:00+08:00")
    first, second = story["stages"]["immediate"], story["stages"]["completed"]
    assert (first["state"], first["valid_groups"], first["reported_values"]) == ("flag", 0, 2)
    assert (second["state"], second["valid_groups"], second["expected_values"]) == ("valid", 1, 2)
    assert first["closes_at"] == "2026-03-03T12:00:00+08:00"
    assert (first["state_in_rates"], second["state_in_rates"]) == ("flag", "valid")
    code, page, err = run()
    assert code == 0, err
    for words in (
        "w1  总排口  (water)",
        "e1  纸厂  红塔区",
        "化学需氧量",
        "2 value(s) due an hour",
        "answered 9014 once it was on disk",
        "mean 70, amount 1.5  flag D (instrument fault)  arrived 2026-03-02 09:05:00, replaced 2026-03-03 15:00:00",
        "first arrival 2026-03-02 09:05:00; stands since 2026-03-03 15:00:00",
        "immediate stage: FLAG",
        "section 3, rule 5: its flag is not good: not valid",
        "nothing more can be done at this stage",
        "completed stage: VALID",
    ):
        assert words in page
    assert "the rates still have" not in page


def test_missing_hour_while_something_can_be_done(dsn, run, tell):
    """What came of the hour without the factor, what was refused, and until when each stage is open."""
    asyncio.run(store(dsn, [cod("w21003-Avg=2")]))
    refused = f"##0100QN=1;ST=32;CN=2061;PW=1;MN={MN};CP=&&"
    asyncio.run(
        ask(
            dsn,
            "INSERT INTO hj212.rejects VALUES ($1, '10.0.0.7:2', 'crc', 'CRC 1C80 expected', $2)",
            AT + HOUR,
            refused.encode(),
        )
    )
    story = tell(at=AT + 2 * HOUR)
    assert [frame["carries"] for frame in story["frames"]] == [False]
    assert [(reject["reason"], reject["peer"]) for reject in story["rejects"]] == [("crc", "10.0.0.7:2")]
    assert story["readings"] == story["replaced"] == story["marks"] == []
    first, second = story["stages"]["immediate"], story["stages"]["completed"]
    assert (first["state"], first["remedy_until"]) == ("missing", "2026-03-03T12:00:00+08:00")
    assert (second["state"], second["remedy_until"]) == ("missing", "2026-03-12T23:59:59.999999+08:00")
    assert second["remedy"].endswith("; or enter manual values")
    assert first["state_in_rates"] is None
    page = run(at=AT + 2 * HOUR)[1]
    assert "WITHOUT the factor" in page
    assert "crc: CRC 1C80 expected" in page
    assert "to be done until 2026-03-03 12:00:00: send the hour again" in page


def test_partial_hour(dsn, tell):
    """A valid group that lacks a value in transmission."""
    asyncio.run(store(dsn, [cod("w01018-Avg=50,w01018-Flag=N")]))
    stage = tell()["stages"]["completed"]
    assert (stage["state"], stage["valid_groups"], stage["reported_values"], stage["expected_values"]) == (
        "partial",
        1,
        1,
        2,
    )
    assert "amount" in stage["rule"]


def test_marks_and_what_each_does(dsn, run, tell):
    """With author, times and what became of them; why one does nothing."""
    marks = """
    INSERT INTO hj212.marks (outlet, factor, kind, from_at, to_at, author, recorded_at, note) VALUES
        ('w1', '*', 'stop', '2026-03-02 07:30+08', '2026-03-02 09:30+08', 'li', '2026-03-02 10:00+08', 'no power'),
        ('w1', 'w01018', 'maintenance', '2026-03-02 08:10+08', '2026-03-02 08:50+08', 'li', '2026-03-04 10:00+08', NULL),
        ('w1', 'w21003', 'maintenance', '2026-03-02 08:10+08', '2026-03-02 08:50+08', 'li', '2026-03-02 10:00+08', NULL),
        ('w1', '*', 'stop', '2026-03-02 09:00+08', NULL, 'li', '2026-03-02 10:00+08', NULL);
    INSERT INTO hj212.mark_events (mark_id, event, by_whom, at, note) VALUES
        (1, 'void', 'wang', '2026-03-05 08:00+08', 'the plant ran');
    """
    asyncio.run(execute(dsn, marks))
    asyncio.run(store(dsn, [cod(GOOD)]))
    story = tell()
    assert [mark["mark_id"] for mark in story["marks"]] == [1, 2]
    (event,) = story["marks"][0]["events"]
    assert (event["event"], event["by_whom"], event["at"]) == ("void", "wang", "2026-03-05T08:00:00+08:00")
    first, second = story["stages"]["immediate"], story["stages"]["completed"]
    assert first["marks"] == {"1": "it is void", "2": "it was recorded after the cut-off"}
    assert second["marks"] == {"1": "it is void", "2": "is taken into account"}
    assert (first["state"], second["state"]) == ("valid", "mark")
    page = run()[1]
    assert "stop 停运 (stop)  2026-03-02 07:30:00 to 2026-03-02 09:30:00" in page
    assert "by li (enterprise), recorded 2026-03-02 10:00:00: no power" in page
    assert "void by wang at 2026-03-05 08:00:00: the plant ran" in page
    assert "voucher due before 2026-04-11 00:00:00 for this hour, is not there" in page


def test_voucher_is_due_by_the_month_of_the_hour(dsn, run, tell):
    """A stop over a month's end whose proof came too late for February and in time for March."""
    marks = """
    UPDATE hj212.base_list SET valid_from = '2026-02-01 00:00+08';
    INSERT INTO hj212.marks (outlet, kind, from_at, to_at, author, recorded_at) VALUES
        ('w1', 'stop', '2026-02-27 00:00+08', '2026-03-04 00:00+08', 'li', '2026-02-27 10:00+08');
    INSERT INTO hj212.mark_events (mark_id, event, by_whom, at, proof_sha256) VALUES
        (1, 'proof', 'li', '2026-03-15 00:00+08', decode(repeat('00', 32), 'hex'));
    """
    asyncio.run(execute(dsn, marks))
    for hour, due, state, effect in (
        ("2026-02-28T23", "2026-03-11", "missing", "its voucher did not come in time"),
        ("2026-03-01T00", "2026-04-11", "stopped", "is taken into account"),
    ):
        story = tell(hour=hour)
        assert [mark["voucher_due"] for mark in story["marks"]] == [f"{due}T00:00:00+08:00"]
        assert story["stages"]["completed"]["marks"] == {"1": effect}
        assert story["stages"]["completed"]["state"] == state
        assert f"voucher due before {due} 00:00:00 for this hour, came 2026-03-15 00:00:00" in run(hour=hour)[1]


def test_manual_values_of_the_day_are_counted(dsn, tell):
    """Three accepted ones do nothing, though one covers the hour; a fourth makes all of them count."""
    manual = """
    WITH made AS (
        INSERT INTO hj212.marks (outlet, factor, kind, from_at, to_at, author, recorded_at, value)
        SELECT 'w1', 'w01018', 'manual', t, t + interval '6 hours', 'li', '2026-03-04 10:00+08', 5
        FROM generate_series({first}, {last}, interval '6 hours') AS t RETURNING mark_id)
    INSERT INTO hj212.mark_events (mark_id, event, by_whom, at) SELECT mark_id, 'accepted', 'wang', '2026-03-05 08:00+08' FROM made;
    """
    day = "timestamptz '2026-03-02 {:02}:00+08'"
    asyncio.run(execute(dsn, manual.format(first=day.format(0), last=day.format(12))))
    stage = tell()["stages"]["completed"]
    assert (stage["state"], set(stage["marks"].values())) == ("missing", {"only 3 of 4 manual values that day"})
    asyncio.run(execute(dsn, manual.format(first=day.format(18), last=day.format(18))))
    stage = tell()["stages"]["completed"]
    assert (stage["state"], set(stage["marks"].values())) == ("manual", {"is taken into account"})


def test_hour_that_does_not_take_part(dsn, run):
    """A stop that was known in time: the rule is named, nothing is due."""
    stop = """
    INSERT INTO hj212.marks (outlet, kind, from_at, to_at, author, recorded_at) VALUES
        ('w1', 'stop', '2026-03-02 07:30+08', '2026-03-02 09:30+08', 'li', '2026-03-02 10:00+08');
    """
    asyncio.run(execute(dsn, stop))
    page = run()[1]
    assert page.count("STOPPED") == 2
    assert "section 3, rule 2" in page
    assert "values: 0 due, 0 received; group: 0 due, 1 not taking part" in page
    assert "none of this hour came" in page


def test_label_and_code_of_a_data_logger(dsn, tell):
    """A data logger that names the end of the hour and sends codes of 2005; the next hour's frame is not shown."""
    asyncio.run(execute(dsn, f"INSERT INTO hj212.time_labels (mn, cn, label) VALUES ('{MN}', '2061', 'end')"))
    asyncio.run(
        execute(
            dsn, f"INSERT INTO hj212.units (mn, code, factor, unit, scale) VALUES ('{MN}', '011', 'w01018', 'mg/L', 1)"
        )
    )
    values = "011-Avg=50,011-Cou=1,011-Flag=N"
    asyncio.run(store(dsn, [cod(values, hour=AT + HOUR * more, arrived=AT + HOUR * more) for more in (1, 2)]))
    story = tell()
    assert [frame["carries"] for frame in story["frames"]] == [True]
    assert [(row["code"], row["time_label"]) for row in story["readings"]] == [("011", "end")]
    assert story["stages"]["completed"]["state"] == "valid"


def test_frame_that_was_kept_apart(dsn, run):
    """Its MN was not registered when it came: acknowledged, kept, and no reading."""
    asyncio.run(store(dsn, [cod(GOOD, mn=SECOND, arrived=AT + 50 * HOUR)], is_known=False))
    asyncio.run(execute(dsn, f"INSERT INTO hj212.data_loggers (mn, outlet) VALUES ('{SECOND}', 'w1')"))
    page = run()[1]
    assert "kept apart: its MN was not registered; answered 9014 once it was on disk" in page
    assert "immediate stage: MISSING" in page


def test_rates_that_lag_behind(dsn, run):
    """Data that came after the aggregator's last look: the page says so."""
    asyncio.run(aggregate(dsn, LATER))
    asyncio.run(store(dsn, [cod(GOOD)]))
    page = run()[1]
    assert "completed stage: VALID" in page
    assert "the rates still have missing" in page


@pytest.mark.parametrize(
    ("asked", "state"),
    [
        ({"factor": "w21003"}, "not_listed"),
        ({"factor": "w00000"}, "not_counted"),
        ({"at": AT + timedelta(minutes=59)}, "not_over"),
        ({"at": AT + HOUR}, "missing"),
    ],
)
def test_hours_that_are_not_due(dsn, tell, asked, state):
    """Not on the base list, not over, or of a factor that is shown alone, by the setting that is named."""
    listed = "INSERT INTO hj212.base_list (outlet, factor, valid_from) VALUES ('w1', 'w00000', '2026-03-01 00:00+08')"
    asyncio.run(ask(dsn, listed))
    stages = tell(**asked)["stages"].values()
    assert {stage["state"] for stage in stages} == {state}
    assert all(("uncounted_factors" in stage["rule"]) == (state == "not_counted") for stage in stages)


@pytest.mark.parametrize(
    ("asked", "code", "words"),
    [
        ({"outlet": "nobody"}, 1, "no outlet 'nobody'"),
        ({"factor": "zz9"}, 1, "no factor 'zz9'"),
        ({"hour": "2026-03-02"}, 2, "such as 2026-03-01T08"),
        ({"hour": "2026-03-02T08:30"}, 2, "such as 2026-03-01T08"),
        ({"hour": "2026-13-02T08"}, 2, "expected"),
        ({"by": "postgresql://nobody@127.0.0.1:1/none"}, 4, "no connection to the database"),
    ],
)
def test_wrong_questions(run, asked, code, words):
    """Are told in a sentence."""
    found, out, err = run(**asked)
    assert (found, out) == (code, "")
    assert words in " ".join(err.replace("│", " ").split())


def test_hour_may_be_written_in_full(dsn, tell):
    """With minutes and seconds of nought."""
    assert (
        tell(hour="2026-03-02T08:00")["hour"] == tell(hour="2026-03-02T08:00:00")["hour"] == "2026-03-02T08:00:00+08:00"
    )


@pytest.mark.parametrize(("role", "code"), [("hj212_gateway", 0), ("hj212_aggregator", 0), ("hj212_analyst", 4)])
def test_who_may_ask(dsn, run, role, code):
    """Gateway and aggregator; an analyst may not see frames, and is told which login to use."""
    asyncio.run(store(dsn, [cod(GOOD)]))
    name = f"hj212_test_{secrets.token_hex(6)}"
    asyncio.run(execute(dsn, f"CREATE ROLE {name} LOGIN IN ROLE {role}"))
    try:
        found, out, err = run(by=with_user(dsn, name))
    finally:
        asyncio.run(execute(dsn, f"DROP ROLE {name}"))
    assert (found, "VALID" in out) == (code, code == 0), err
    assert code == 0 or "use one that is a member of hj212_gateway" in " ".join(err.split())


def test_nothing_is_written(dsn, run):
    """The calculation's tables are gone with its transaction."""
    before = asyncio.run(ask(dsn, "SELECT count(*) FROM hj212.assessed_days"))
    assert run()[0] == 0
    assert asyncio.run(ask(dsn, "SELECT count(*) FROM hj212.assessed_days")) == before
