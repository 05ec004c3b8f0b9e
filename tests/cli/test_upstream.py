"""Tests of the `upstream` commands: a higher platform's files in, its figures beside ours, and the settings that fit."""

import asyncio
import csv
import json
from datetime import UTC, date, datetime, timedelta

import pytest
from tests.support import run_cli

from hj212gw.store.migrate import migrate
from hj212gw.store.pool import connect

NINE = ("a34013", "a21026", "a21002", "a19001", "a01011", "a01012", "a01013", "a01014", "a00000")
SULPHUR, NITROGEN = "a21026", "a21002"
COD, AMMONIA = "w01018", "w21003"
OUTLETS = {"STACK": ("gas", NINE), "DRAIN": ("water", (COD, AMMONIA)), "BURNER": ("gas", NINE)}
HOURS = ("outlet", "factor", "hour", "arrived_at", "fields_received", "mean_present", "data_flag", "provenance")
MARKS = ("outlet", "factor", "kind", "from", "to", "recorded_at", "value")
RATES = ("outlet", "day", "stage", "transmission_pct", "validity_pct", "effective_pct")
SPAN = ("--from", "2026-03-01", "--to", "2026-04-01")


async def prepare(dsn):
    """Migrate a database and put three outlets on its base list."""
    connection = await connect(dsn, name="test")
    await migrate(connection, now=datetime(2026, 5, 1, tzinfo=UTC))
    await connection.execute("INSERT INTO enterprises (enterprise, name, level) VALUES ('E1', 'mill', 'other')")
    for outlet, (medium, factors) in OUTLETS.items():
        await connection.execute(
            "INSERT INTO outlets (outlet, enterprise, name, medium) VALUES ($1, 'E1', $1, $2)", outlet, medium
        )
        for factor in factors:
            await connection.execute("INSERT INTO base_list (outlet, factor) VALUES ($1, $2)", outlet, factor)
    await connection.close()


@pytest.fixture
def dsn(postgres_dsn):
    """A database with a base list."""
    asyncio.run(prepare(postgres_dsn))
    return postgres_dsn


def ask(dsn, statement, *arguments):
    """The rows of one statement."""

    async def _ask():
        connection = await connect(dsn, name="test")
        try:
            return [tuple(row) for row in await connection.fetch(statement, *arguments)]
        finally:
            await connection.close()

    return asyncio.run(_ask())


class Files:
    """The files of a higher platform, a day of an outlet at a time."""

    def __init__(self, folder):
        self.folder = folder
        self.hours, self.marks, self.rates = [], [], []

    def add_day(self, outlet, day, *, bad=(), missing=(), filled=()):
        """All hours of a day, an hour after each; (factor, hour) of those that are flagged, missing or filled in."""
        for factor in OUTLETS[outlet][1]:
            for hour in range(24):
                if (factor, hour) in missing:
                    continue
                start = datetime.fromisoformat(f"{day}T{hour:02d}:00")
                arrived = (start + timedelta(hours=1, minutes=5)).isoformat()
                flag = "D" if (factor, hour) in bad else "N"
                label = "6" if (factor, hour) in filled else "0"
                self.hours.append((outlet, factor, start.isoformat(), arrived, 1, "true", flag, label))

    def add_mark(self, outlet, factor, kind, start, end):
        """A mark, recorded the same evening."""
        self.marks.append((outlet, factor, kind, start, end, f"{start[:10]}T22:00", ""))

    def add_rate(self, outlet, day, percent, stage="immediate", transmission="100.00"):
        """A rate: transmission in full unless told, validity what makes the product."""
        validity = percent if transmission == "100.00" else transmission
        self.rates.append((outlet, day, stage, transmission, validity, percent))

    def write(self):
        """Write them; return their paths."""
        paths = []
        for name, header in (("hours", HOURS), ("marks", MARKS), ("rates", RATES)):
            rows = getattr(self, name)
            if rows:
                paths.append(write_csv(self.folder / f"{name}.csv", header, rows))
        return paths

    def load(self, dsn):
        """Import them, and hold that they were."""
        code, out, err = run_cli("upstream", "import", "province", *self.write(), "--dsn", dsn, "--json")
        assert code == 0, out + err
        return json.loads(out)


def write_csv(path, header, rows):
    """Write a CSV file."""
    with path.open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows([header, *rows])
    return path


@pytest.fixture
def files(tmp_path):
    """No files yet."""
    return Files(tmp_path)


def compare(dsn, *options):
    """What is found for March, and by outlet and day."""
    code, out, err = run_cli("upstream", "compare", "province", *SPAN, "--dsn", dsn, "--json", *options)
    assert code == 0, out + err
    found = json.loads(out)
    return found, {(row["outlet"], row["day"]): row for row in found["days"]}


def verdict_of(found, setting, value):
    """What the days say of a value."""
    return next(item for item in found["settings"] if (item["setting"], item["value"]) == (setting, value))


def add_published(files):
    """The four published figures of assessment.md section 8, with days that give them."""
    for factor in (SULPHUR, NITROGEN):
        for start, end in (("14:05", "14:34"), ("14:41", "17:29"), ("19:08", "20:51"), ("21:00", "21:24")):
            files.add_mark("STACK", factor, "maintenance", f"2026-03-01T{start}", f"2026-03-01T{end}")
        files.add_mark("STACK", factor, "maintenance", "2026-03-02T14:43", "2026-03-02T16:31")
    files.add_day("STACK", "2026-03-01")
    files.add_day("STACK", "2026-03-02")
    files.add_day("STACK", "2026-03-03", bad=[(SULPHUR, hour) for hour in range(5)])
    files.add_mark("DRAIN", COD, "standard_check", "2026-03-01T03:00", "2026-03-01T04:00")
    files.add_day("DRAIN", "2026-03-01", bad=[(AMMONIA, 7)])
    files.add_rate("STACK", "2026-03-01", "93.51")
    files.add_rate("STACK", "2026-03-02", "97.22")
    files.add_rate("STACK", "2026-03-03", "97.68")
    files.add_rate("DRAIN", "2026-03-01", "97.87")


def test_published_figures_are_reproduced(dsn, files):
    """The settings in use give all four, exactly; rounding, an exempt hour that is due and gross groups do not."""
    add_published(files)
    assert files.load(dsn)["new"] == {"hours": 4 * 216 - 216 + 48, "marks": 11, "rates": 4}
    found, days = compare(dsn)
    assert {key: row["theirs"]["effective_pct"] for key, row in days.items()} == {
        ("DRAIN", "2026-03-01"): "97.87",
        ("STACK", "2026-03-01"): "93.51",
        ("STACK", "2026-03-02"): "97.22",
        ("STACK", "2026-03-03"): "97.68",
    }
    for row in days.values():
        assert row["recomputed"] == row["theirs"]
        assert row["recomputed_difference"] == "0.00"
        assert row["reproduced_by"], row
    used = {item["setting"]: item["value"] for item in found["settings"] if item["configured"]}
    assert {name: used[name] for name in found["combinations"][0]} == found["combinations"][0]
    assert verdict_of(found, "rounding", "half_up")["ruled_out_by"] == {
        "outlet": "STACK", "day": "2026-03-01", "stage": "immediate",
    }  # fmt: skip
    assert verdict_of(found, "rounding", "half_up")["fails_days"] == 2
    for setting, value in (("qc_exempt_hours", 0), ("invalid_received", "missing")):
        assert verdict_of(found, setting, value)["ruled_out"], setting
    # Groups due with the exempt one in give 46/47 only where validity is divided by the groups received.
    gross = [choice for choice in found["combinations"] if choice["expected_groups"] == "gross"]
    assert {choice["v_denominator"] for choice in gross} == {"received"}
    assert not any(item["ruled_out"] for item in found["settings"] if item["configured"])


def test_local_figures_stand_beside(dsn, files):
    """What did not arrive here makes ours from local arrivals nought, whatever the platform has."""
    add_published(files)
    files.load(dsn)
    row = compare(dsn, "--outlet", "DRAIN")[1]["DRAIN", "2026-03-01"]
    assert row["local"] == {"transmission_pct": "0.00", "validity_pct": "0.00", "effective_pct": "0.00"}
    assert row["difference"] == "-97.87"


def test_wrong_stop_setting_is_ruled_out(dsn, files):
    """Example E3: a figure that only leaving the part-stopped hour out gives."""
    unusable = [(factor, hour) for factor in NINE for hour in range(9)]
    files.add_day("BURNER", "2026-03-05", bad=unusable, missing=[(factor, 20) for factor in NINE])
    files.add_mark("BURNER", "*", "stop", "2026-03-05T00:00", "2026-03-05T08:20")
    files.add_rate("BURNER", "2026-03-05", "87.11", "completed", "93.33")
    files.load(dsn)
    found, days = compare(dsn)
    assert days["BURNER", "2026-03-05"]["recomputed_difference"] == "0.00"
    ruled_out = {item["value"]: item["ruled_out"] for item in found["settings"] if item["setting"] == "stop_partial"}
    assert ruled_out == {"under_45_running": False, "whole_hour": True, "any_minute": False, "never": True}
    assert verdict_of(found, "v_denominator", "received")["ruled_out"]
    # Nothing tells here that the voucher of a stop was late, and it was not.
    assert verdict_of(found, "vouchers", "required")["ruled_out"]


def test_label_of_filled_in_hours_decides(dsn, files):
    """A platform that counts hours it filled in itself as not immediate: the deadline is ruled out as the rule."""
    files.add_day("DRAIN", "2026-03-05", filled=[(COD, hour) for hour in range(4)])
    files.rates.append(("DRAIN", "2026-03-05", "immediate", "91.66", "", ""))
    files.load(dsn)
    found, days = compare(dsn)
    assert verdict_of(found, "immediate_by", "deadline")["ruled_out"]
    assert not verdict_of(found, "immediate_by", "provenance")["ruled_out"]
    assert days["DRAIN", "2026-03-05"]["reproduced_by"] == [{"immediate_by": "provenance", "rounding": "truncate"}]
    assert days["DRAIN", "2026-03-05"]["recomputed_difference"] is None


def test_what_nothing_reproduces_rules_nothing_out(dsn, files):
    """A figure of other hours than those given says nothing about rules; neither does one without hours."""
    files.add_day("DRAIN", "2026-03-05")
    files.add_rate("DRAIN", "2026-03-05", "12.34")
    files.add_rate("DRAIN", "2026-03-06", "99.00")
    files.load(dsn)
    found, days = compare(dsn)
    assert days["DRAIN", "2026-03-05"]["reproduced_by"] == []
    assert (days["DRAIN", "2026-03-06"]["recomputed"], days["DRAIN", "2026-03-06"]["reproduced_by"]) == (None, None)
    assert not any(item["ruled_out"] or item["reproduces_days"] for item in found["settings"])


def test_comparison_in_words(dsn, files):
    """The table goes to stdout, what it says of settings to stderr."""
    add_published(files)
    files.load(dsn)
    code, out, err = run_cli("upstream", "compare", "province", *SPAN, "--dsn", dsn)
    assert code == 0
    assert "STACK   2026-03-01  immediate  93.51" in out
    assert "rounding=half_up: 1 of 3 days, ruled out by STACK 2026-03-01 immediate" in err
    assert "rounding=truncate, in use:" in err


def test_importing_again_replaces_nothing(dsn, files):
    """The same lines change nothing; another figure of a day is a newer version beside the old one."""
    add_published(files)
    files.load(dsn)
    assert files.load(dsn)["new"] == {"hours": 0, "marks": 0, "rates": 0}
    files.rates[0] = (*files.rates[0][:5], "93.52")
    assert files.load(dsn)["new"] == {"hours": 0, "marks": 0, "rates": 1}
    versions = ask(
        dsn,
        "SELECT effective_pct::text FROM upstream_rates WHERE outlet = 'STACK' AND day = $1 ORDER BY recorded_at",
        date(2026, 3, 1),
    )
    assert versions == [("93.51",), ("93.52",)]
    assert compare(dsn)[1]["STACK", "2026-03-01"]["theirs"]["effective_pct"] == "93.52"


def test_dry_run_writes_nothing(dsn, files):
    """It tells what would be new."""
    add_published(files)
    code, out, err = run_cli("upstream", "import", "province", *files.write(), "--dsn", dsn, "--json", "--dry-run")
    report = json.loads(out)
    assert (code, report["written"], report["new"]["rates"]) == (0, False, 4), err
    assert ask(dsn, "SELECT count(*) FROM upstream_rates") == [(0,)]


def test_every_wrong_line_is_named_and_nothing_imported(dsn, files):
    """With its file, line, column and reason, over all files."""
    files.add_day("STACK", "2026-03-01")
    files.hours[0] = ("NOWHERE", *files.hours[0][1:])
    files.hours[1] = (*files.hours[1][:7], "5")
    files.add_mark("STACK", "*", "stop", "2026-03-01T08:00", "2026-03-01T07:00")
    files.add_mark("STACK", SULPHUR, "manual", "2026-03-01T08:00", "2026-03-01T12:00")
    files.rates = [
        ("STACK", "2026-03-01", "immediate", "100.00", "", "100.001"),
        ("STACK", "2026-02-30", "immediate", "100.00", "", ""),
        ("STACK", "2026-03-01", "final", "100.00", "", ""),
        ("STACK", "2026-03-02", "immediate", "", "", ""),
        ("NOWHERE", "2026-03-02", "immediate", "1", "", ""),
        ("STACK", "2026-03-03", "immediate", "1", "", ""),
        ("STACK", "2026-03-03", "immediate", "2", "", ""),
    ]
    paths = files.write()
    odd = write_csv(files.folder / "odd.csv", ("a", "b"), [])
    code, out, err = run_cli("upstream", "import", "province", *paths, odd, "--dsn", dsn)
    assert code == 1
    assert out == ""
    expected = [
        "hours.csv:2: outlet: expected an outlet of the base list, came 'NOWHERE'",
        "hours.csv:3: provenance: expected 0 reported, 6 filled in",
        "marks.csv:2: to: expected a moment after from",
        "marks.csv:3: value: expected the manual value, came nothing",
        "rates.csv:2: effective_pct: expected a percentage, 0 to 100 with at most two decimals",
        "rates.csv:3: day: expected a day such as 2026-01-31, came '2026-02-30'",
        "rates.csv:4: stage: expected one of immediate, completed, came 'final'",
        "rates.csv:5: row: expected one of transmission_pct, validity_pct, effective_pct at least, came none",
        "rates.csv:6: outlet: expected an outlet of the base list, came 'NOWHERE'",
        "rates.csv:8: row: expected an outlet, day and stage once,",
        "odd.csv:1: header: expected a header with the columns of hours (hour) or marks (kind) or rates (stage)",
    ]
    assert [text for text in expected if text not in err] == []
    assert f"nothing was imported: {len(expected)} errors" in err
    for table in ("upstream_hours", "upstream_rates", "marks"):
        assert ask(dsn, f"SELECT count(*) FROM {table}") == [(0,)]


def test_hour_with_one_arrival_has_one_content(dsn, files):
    """Twice in the files, or otherwise in the database: a line is named, and nothing is overwritten."""
    files.add_day("DRAIN", "2026-03-01")
    files.load(dsn)
    files.hours[5] = (*files.hours[5][:6], "D", "0")
    files.hours.append(files.hours[0])
    code, _, err = run_cli("upstream", "import", "province", *files.write(), "--dsn", dsn)
    assert code == 1
    assert "hours.csv:7: arrived_at: expected what was imported before of this hour and arrival, or a later" in err
    assert "hours.csv:50: row: expected an outlet, factor, hour and arrival once," in err
    assert ask(dsn, "SELECT count(*) FROM upstream_hours WHERE data_flag = 'D'") == [(0,)]


def test_later_arrival_replaces_an_hour(dsn, files):
    """Both are kept."""
    files.add_day("DRAIN", "2026-03-01", bad=[(COD, 0)])
    files.add_rate("DRAIN", "2026-03-01", "100.00", "completed")
    files.hours.append((*files.hours[0][:3], "2026-03-03T10:00", 1, "true", "N", "0"))
    assert files.load(dsn)["new"]["hours"] == 49
    assert compare(dsn)[1]["DRAIN", "2026-03-01"]["recomputed"]["effective_pct"] == "100.00"


def test_difference_view(dsn, files):
    """Analysts read our stored figure beside theirs, truncated: 202/216 is 93.51 there as here."""
    add_published(files)
    files.load(dsn)
    statement = (
        "INSERT INTO rate_counts VALUES ('day', $1, 'outlet', 'STACK', 'immediate', 'all', 216, 216, 216, 0, 216, $2,"
        " false, now(), NULL, 'test')"
    )
    ask(dsn, statement, date(2026, 3, 1), 202)
    ask(dsn, statement, date(2026, 3, 2), 216)
    rows = ask(
        dsn,
        "SELECT outlet, day::text, stage, source, ours::text, theirs::text, difference::text"
        " FROM v_upstream_differences ORDER BY outlet DESC, day LIMIT 3",
    )
    assert rows == [
        ("STACK", "2026-03-01", "immediate", "province", "93.51", "93.51", "0.00"),
        ("STACK", "2026-03-02", "immediate", "province", "100.00", "97.22", "2.78"),
        ("STACK", "2026-03-03", "immediate", "province", None, "97.68", None),
    ]
    assert ask(dsn, "SELECT has_table_privilege('hj212_analyst', 'hj212.v_upstream_differences', 'SELECT')") == [
        (True,)
    ]
    assert ask(dsn, "SELECT has_table_privilege('hj212_analyst', 'hj212.upstream_rates', 'SELECT')") == [(False,)]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("import", "a b", "x.csv"), "expected 1 to 64 printable characters"),
        (("import", "province", "nothing.csv"), "nothing.csv is no file"),
        (("compare", "province", "--from", "2026-03-02", "--to", "2026-03-02"), "a day after that of --from"),
        (("compare", "province", "--from", "March", "--to", "2026-03-02"), "expected a day such as 2026-01-31"),
    ],
)
def test_usage(tmp_path, arguments, message):
    """What cannot be meant is told before a database is asked."""
    (tmp_path / "x.csv").touch()
    code, _, err = run_cli("upstream", *[str(tmp_path / "x.csv") if item == "x.csv" else item for item in arguments])
    assert code in (2, 3)
    assert message in " ".join(err.replace("│", " ").split()) or "no database is named" in err


def test_nothing_to_compare(dsn):
    """Without rates the next step is named."""
    code, _, err = run_cli("upstream", "compare", "city", *SPAN, "--dsn", dsn)
    assert code == 1
    assert "hj212gw upstream import" in err


def test_policy_of_other_periods(dsn):
    """A policy of quarters has no figure of a day."""
    code, _, err = run_cli("upstream", "compare", "x", *SPAN, "--dsn", dsn, "--policy", "hj75_capture_quarter")
    assert code == 3
    assert "has no figures of days" in err


def assess_upstream(dsn, *options, source="upstream:province"):
    """Exit code, the rows by stage where there are any, and the words of an assessment of a platform's arrivals."""
    code, out, err = run_cli("assess", "--arrivals", source, *SPAN, "--dsn", dsn, "--json", *options)
    rows = json.loads(out)["rows"] if out else []
    return code, {row["stage"]: row for row in rows if row["level"] == "city"}, " ".join(err.replace("│", " ").split())


def test_no_mark_of_a_platform_lapses(dsn, files):
    """Its marks come without vouchers, so `assess` lets them stand, unless it is told not to."""
    files.add_day("DRAIN", "2026-03-01")
    files.add_mark("DRAIN", "*", "stop", "2026-03-02T00:00", "2026-04-01T00:00")
    files.load(dsn)
    asked = ("--from", "2026-03-02", "--to", "2026-03-03", "--now", "2026-05-01")
    code, rows, err = assess_upstream(dsn, *asked)
    assert code == 0, err
    assert [rows[stage]["groups_not_taking_part"] for stage in ("immediate", "completed")] == [48, 48]
    told = assess_upstream(dsn, *asked, "--set", "vouchers=required")[1]
    assert [told[stage]["groups_not_taking_part"] for stage in ("immediate", "completed")] == [48, 0]


@pytest.mark.parametrize("source", ["province", "upstream", "upstream:", "upstream:two words", "files:march", ""])
def test_arrivals_are_local_or_a_platform_s(dsn, source):
    """Anything else is told with what is accepted."""
    code, rows, err = assess_upstream(dsn, source=source)
    assert (code, rows) == (2, {})
    assert "local or upstream:NAME" in err


def test_platform_that_gave_no_hours(dsn, files):
    """Is an error that names those that did, for zeros would be no answer."""
    assert "no hours of a higher platform were ever imported" in assess_upstream(dsn)[2]
    files.add_day("DRAIN", "2026-03-01")
    files.load(dsn)
    files.hours.clear()
    files.add_rate("DRAIN", "2026-03-01", "100.00")
    (rates,) = files.write()
    assert run_cli("upstream", "import", "nation", rates, "--dsn", dsn)[0] == 0
    code, rows, err = assess_upstream(dsn, source="upstream:nation")
    assert (code, rows) == (3, {})
    assert "no hours of 'nation' were ever imported: expected one of province" in err
