"""Tests of `hj212gw assess` on files: the specification's examples, exact figures, lost hours, ranges."""

import csv
import zipfile
from datetime import timedelta
from fractions import Fraction

import pytest
from openpyxl import load_workbook
from tests.cli.assess_support import DAY, GAS, NOW, Folder, counts_of, rates_of, run, run_folder


@pytest.fixture
def folder(tmp_path):
    """An empty folder of files."""
    return Folder(tmp_path / "files")


def test_example_1_late_data(folder):
    """Immediate 91.66 x 91.66, or x 100 where validity is of what was received; completed 100."""
    folder.list_outlet("W1", {"w01018": 1, "w21003": 1})
    for factor in ("w01018", "w21003"):
        folder.send("W1", factor, [*range(3), *range(9, 24)])
        folder.send("W1", factor, range(3, 7), arrived="2026-03-01T20:00")
        folder.send("W1", factor, (7, 8), arrived="2026-03-04T09:00")
    result = run_folder(folder, "--explain")
    immediate, completed = result.row("immediate"), result.row("completed")
    assert counts_of(immediate) == (48, 44, 48, 0, 44, 44)
    assert rates_of(immediate) == ("91.66", "91.66", "84.02")
    assert (immediate["transmission"], immediate["effective"], immediate["passed"]) == ("11/12", "121/144", False)
    assert rates_of(completed) == ("100.00", "100.00", "100.00")
    assert (completed["effective"], completed["passed"]) == ("1", True)
    lost = result.document["lost_hours"]
    assert {(hour["stage"], hour["state"], hour["hour"][11:]) for hour in lost} == {
        ("immediate", "late", "07:00"),
        ("immediate", "late", "08:00"),
    }
    received = run_folder(folder, "--set", "v_denominator=received", "--stage", "immediate")
    assert rates_of(received.row("immediate")) == ("91.66", "100.00", "91.66")


def test_example_2_late_mark(folder):
    """A mark entered after noon of the next day takes groups from the completed stage alone."""
    folder.list_outlet("G1", dict.fromkeys(GAS, 1), medium="gas")
    for factor in GAS:
        folder.send("G1", factor, range(24))
    folder.mark("G1", "a21026", "device", "2026-03-01T08:00", "2026-03-01T11:00", "2026-03-02T16:00")
    result = run_folder(folder)
    assert rates_of(result.row("immediate")) == ("100.00", "100.00", "100.00")
    completed = result.row("completed")
    assert counts_of(completed) == (216, 216, 216, 0, 216, 213)
    assert completed["validity"] == str(Fraction(213, 216))
    assert completed["validity_pct"] == "98.61"


def test_example_3_part_stopped_hour(folder):
    """Hour 08 ran 40 minutes: left out, due and invalid, or all of the stop is due."""
    folder.list_outlet("G1", dict.fromkeys(GAS, 1), medium="gas")
    for factor in GAS:
        folder.send("G1", factor, range(9), flag="F")
        folder.send("G1", factor, [hour for hour in range(9, 24) if hour != 20])
    folder.mark("G1", "*", "stop", "2026-03-01T00:00", "2026-03-01T08:20", "2026-03-01T09:00")
    expected = {
        "under_45_running": ((135, 126, 135, 81, 126, 126), ("93.33", "93.33", "87.11")),
        "whole_hour": ((144, 135, 144, 72, 135, 126), ("93.75", "87.50", "82.03")),
        "never": ((216, 207, 216, 0, 207, 126), ("95.83", "58.33", "55.90")),
    }
    for value, (counts, rates) in expected.items():
        row = run_folder(folder, "--set", f"stop_partial={value}", "--stage", "completed").row("completed")
        assert (counts_of(row), rates_of(row)) == (counts, rates)


def test_example_4_values_not_groups(folder):
    """A field that is missing all day counts against transmission, and the hour is told as partial."""
    fields = {factor: 3 if number < 3 else 1 for number, factor in enumerate(GAS)}
    folder.list_outlet("G1", fields, medium="gas")
    for factor, count in fields.items():
        folder.send("G1", factor, range(24), fields=2 if factor == "a21026" else count)
    result = run_folder(folder, "--explain")
    row = result.row("immediate")
    assert counts_of(row) == (360, 336, 216, 0, 216, 216)
    assert rates_of(row) == ("93.33", "100.00", "93.33")
    lost = [hour for hour in result.document["lost_hours"] if hour["stage"] == "immediate"]
    assert len(lost) == 24
    assert {(hour["factor"], hour["state"], hour["reason"]) for hour in lost} == {
        ("a21026", "partial", "2 of 3 values came")
    }


@pytest.fixture(scope="module")
def roll_up(tmp_path_factory):
    """Example 5 at a tenth of its size: A good, B bad, C stopped; and its ranges."""
    folder = Folder(tmp_path_factory.mktemp("e5") / "files")
    folder.list_outlet("A", dict.fromkeys(GAS, 1), medium="gas", days=3)
    for number, factor in enumerate(GAS):
        folder.send("A", factor, range(2), flag="D")
        folder.send("A", factor, range(2, 72))
        assert number < 9
    folder.list_outlet("B", {"w01018": 1, "w21003": 1}, days=3, enterprise="E2")
    folder.send("B", "w01018", range(72))
    folder.send("B", "w21003", range(57))
    folder.send("B", "w21003", [57], flag="M")
    folder.list_outlet("C", {"w01018": 1}, days=3, enterprise="E2", county="Jiangchuan")
    folder.mark("C", "*", "stop", "2026-02-27T00:00", "", "2026-02-27T00:00")
    return folder, run_folder(folder, "--range", "--stage", "completed")


def test_example_5_roll_up(roll_up):
    """Pooled counts, means beside them, and a point without a rate with its reason, in no mean."""
    folder, result = roll_up
    a, b, c, city = (
        result.row("completed", *who) for who in (("outlet", "A"), ("outlet", "B"), ("outlet", "C"), ("city",))
    )
    assert a["effective"] == "35/36"
    assert rates_of(b) == ("90.27", "89.58", "80.87")
    assert (c["effective"], c["effective_pct"], c["passed"]) == (None, None, None)
    assert c["no_rate_reason"] == "stopped or excused all the time"
    assert counts_of(c) == (0, 0, 0, 72, 0, 0)
    assert counts_of(city) == (792, 778, 792, 72, 778, 759)
    assert rates_of(city) == ("98.23", "95.83", "94.13")
    assert (city["passed"], city["mean_of_points"]["effective_pct"]) == (False, "89.04")
    assert city["mean_of_enterprises"]["effective_pct"] == "89.04"
    assert result.row("completed", "enterprise", "E2")["effective"] == b["effective"]
    assert result.row("completed", "county", "Hongta")["effective"] == city["effective"]
    received = run_folder(folder, "--set", "v_denominator=received", "--stage", "completed", "--level", "city")
    assert rates_of(received.row("completed", "city")) == ("98.23", "97.55", "95.83")
    assert received.row("completed", "city")["mean_of_points"]["effective_pct"] == "93.40"
    assert [row["level"] for row in received.document["rows"]] == ["city"]


def test_range_names_settings_that_give_its_ends(roll_up):
    """Computed again under the settings of an end, the figure is that end; nothing between lies outside."""
    folder, result = roll_up
    document = result.document
    spreads = {(spread["level"], spread["id"]): spread for spread in document["range"]}
    assert set(document["varied"]) == {
        *("v_denominator", "rollup", "stop_partial", "expected_groups", "invalid_received"),
    }
    city = spreads["city", "city"]
    assert city["effective"] == result.row("completed", "city")["effective"]
    for end in ("lowest", "highest"):
        bound = city[end]
        changes = [word for name, value in bound["settings"].items() for word in ("--set", f"{name}={value}")]
        again = run_folder(folder, *changes, "--stage", "completed", "--level", "city")
        assert again.row("completed", "city")["effective"] == bound["effective"]
    assert Fraction(city["lowest"]["effective"]) < Fraction(city["effective"]) < Fraction(city["highest"]["effective"])
    b = spreads["outlet", "B"]
    assert (b["lowest"]["effective_pct"], b["highest"]["effective_pct"]) == ("80.25", "89.58")
    c = spreads["outlet", "C"]
    assert (c["effective"], c["lowest"]["effective"], c["highest"]["effective"]) == (None, "0", "0")


def test_range_over_provenance(folder):
    """Where the platform tells what it filled in, immediate may mean without that."""
    folder.list_outlet("W1", {"w01018": 1})
    folder.send("W1", "w01018", range(24))
    path = folder.write()
    lines = (path / "hours.csv").read_text(encoding="utf-8").splitlines()
    filled = [f"{line},{'is_filled' if not place else place == 7}" for place, line in enumerate(lines)]
    (path / "hours.csv").write_text("\n".join(filled), encoding="utf-8")
    document = run("--from-csv", path, "--json", "--range", "--level", "outlet", *NOW).document
    immediate, completed = document["range"]
    assert immediate["lowest"]["effective"] == str(Fraction(23, 24) ** 2)
    assert immediate["lowest"]["settings"] == {"v_denominator": "expected", "immediate_by": "provenance"}
    assert (immediate["highest"]["effective"], completed["lowest"]["effective"]) == ("1", "1")
    assert "immediate_by" not in completed["lowest"]["settings"]
    assert document["varied"]["immediate_by"] == ["deadline", "provenance"]


def test_range_over_cut_offs(folder):
    """Each cut-off at its own stage, where something came or was recorded between those that are likely."""
    folder.list_outlet("W1", {"w01018": 1})
    folder.send("W1", "w01018", range(21))
    folder.send("W1", "w01018", [21], arrived="2026-03-02T12:30")
    folder.send("W1", "w01018", [22], arrived="2026-03-08T12:30")
    folder.list_outlet("W2", {"w01018": 1})
    folder.send("W2", "w01018", range(24))
    folder.mark("W2", "*", "device", "2026-03-01T05:00", "2026-03-01T07:00", "2026-03-02T12:45")
    folder.list_outlet("W3", {"w01018": 1})
    folder.send("W3", "w01018", range(20))
    document = run_folder(folder, "--range", "--level", "outlet").document
    found = {(spread["id"], spread["stage"]): spread for spread in document["range"]}
    assert document["varied"]["immediate_cutoff_hours"] == ["12", "13", "24"]
    assert document["varied"]["completed_days"] == ["10", "5", "30"]
    ends = {who: (ends["lowest"]["effective"], ends["highest"]["effective"]) for who, ends in found.items()}
    late = str(Fraction(22, 24) ** 2)
    assert ends["W1", "immediate"] == (str(Fraction(21, 24) ** 2), "11/12")
    assert ends["W1", "completed"] == (late, "23/24")
    assert ends["W2", "immediate"] == ("11/12", "1")
    assert ends["W2", "completed"] == ("11/12", "11/12")
    settings = {who: {**ends["lowest"]["settings"], **ends["highest"]["settings"]} for who, ends in found.items()}
    cut_offs = ("immediate_cutoff_hours", "completed_days")
    named = {who: [names.get(name) for name in cut_offs] for who, names in settings.items()}
    assert named == {
        ("W1", "immediate"): ["13", None],
        ("W1", "completed"): [None, "10"],
        ("W2", "immediate"): ["12", None],
        ("W2", "completed"): [None, None],
        ("W3", "immediate"): [None, None],
        ("W3", "completed"): [None, None],
    }
    assert found["W1", "completed"]["lowest"]["settings"]["completed_days"] == "5"
    again = run_folder(folder, "--set", "completed_days=5", "--level", "outlet")
    assert again.row("completed", "outlet", "W1")["effective"] == late
    alone = run_folder(folder, "--range", "--stage", "completed", "--level", "outlet").document["varied"]
    assert ("immediate_cutoff_hours" in alone, "completed_days" in alone) == (False, True)
    words = run("--from-csv", folder.path, "--range", "--level", "outlet", "--stage", "immediate", *NOW).stdout
    assert "immediate_cutoff_hours=13" in words


def test_range_over_exempt_checks(folder):
    """How many hours of a check are let out is not public either."""
    folder.list_outlet("W1", {"w01018": 1})
    folder.send("W1", "w01018", [hour for hour in range(24) if hour != 3])
    folder.mark("W1", "*", "standard_check", "2026-03-01T03:05", "2026-03-01T03:40", "2026-03-01T04:00")
    document = run_folder(folder, "--range", "--level", "outlet", "--stage", "completed").document
    (spread,) = document["range"]
    assert document["varied"]["qc_exempt_hours"] == ["1", "0"]
    assert spread["lowest"]["settings"]["qc_exempt_hours"] == "0"
    assert (spread["lowest"]["effective"], spread["highest"]["effective"]) == (str(Fraction(23, 24) ** 2), "1")


def test_range_over_what_is_counted(folder):
    """Flow, pH and temperature of wastewater are not counted; a range tells what came of it if they were."""
    folder.list_outlet("W1", {"w01018": 1, "w00000": 1})
    folder.list_outlet("W2", {"w01001": 1})
    folder.send("W1", "w01018", range(24))
    folder.send("W1", "w00000", range(12))
    result = run_folder(folder, "--range", "--stage", "immediate")
    assert counts_of(result.row("immediate", "city")) == (24, 24, 24, 0, 24, 24)
    document = result.document
    assert document["varied"]["uncounted_factors"] == ["w00000,w01001,w01010", ""]
    spreads = {spread["level"]: spread for spread in document["range"]}
    assert spreads["outlet"]["lowest"]["effective"] == "9/16"
    assert (spreads["city"]["lowest"]["effective"], spreads["city"]["highest"]["effective"]) == ("1/4", "1")
    lowest = spreads["city"]["lowest"]["settings"]
    assert (lowest["uncounted_factors"], lowest["rollup"]) == ("", "pooled")
    changes = [word for name, value in lowest.items() for word in ("--set", f"{name}={value}")]
    assert run_folder(folder, *changes).row("immediate", "city")["effective"] == "1/4"
    words = run("--from-csv", folder.path, "--range", "--level", "city", "--stage", "immediate", *NOW).stdout
    assert "uncounted_factors=" in words


def test_example_7_standard_sample_check(folder):
    """The first hour of a check takes no part, a second one stays due."""
    folder.list_outlet("W1", {"w01018": 1})
    folder.list_outlet("W2", {"w01018": 1})
    folder.send("W1", "w01018", range(24))
    folder.send("W2", "w01018", [hour for hour in range(24) if hour != 9])
    for outlet, ends in (("W1", ["2026-03-01T03:40"]), ("W2", ["2026-03-01T03:40", "2026-03-01T09:40"])):
        for end in ends:
            folder.mark(outlet, "w01018", "standard_check", f"{end[:14]}05", end, "2026-03-01T12:00")
    result = run_folder(folder)
    for stage in ("immediate", "completed"):
        assert counts_of(result.row(stage, id_="W1")) == (23, 23, 23, 1, 23, 23)
        assert counts_of(result.row(stage, id_="W2")) == (23, 22, 23, 1, 22, 22)
        assert result.row(stage, id_="W2")["validity_pct"] == "95.65"


def test_lost_hours_have_each_their_state(folder):
    """Missing, late, flag, mark and partial; what was lost on purpose is not told."""
    folder.list_outlet("W1", {"w01018": 2})
    folder.send("W1", "w01018", range(6, 24), fields=2)
    folder.send("W1", "w01018", [1], fields=2, arrived="2026-03-05T00:00")
    folder.send("W1", "w01018", [2], fields=2, flag="D")
    folder.send("W1", "w01018", [3], fields=2)
    folder.send("W1", "w01018", [4], fields=1)
    folder.send("W1", "w01018", [5], fields=1, mean="false")
    folder.mark("W1", "*", "maintenance", "2026-03-01T03:10", "2026-03-01T03:40", "2026-03-01T04:00")
    folder.mark("W1", "*", "stop", "2026-03-01T12:00", "2026-03-01T14:00", "2026-03-01T14:00")
    document = run_folder(folder, "--explain", "--stage", "immediate").document
    assert [(hour["hour"], hour["state"], hour["reason"]) for hour in document["lost_hours"]] == [
        ("2026-03-01T00:00", "missing", "nothing came"),
        ("2026-03-01T01:00", "late", "came after the cut-off, 2026-03-02T12:00"),
        ("2026-03-01T02:00", "flag", "its data flag is not N"),
        ("2026-03-01T03:00", "mark", "device marks leave less than 45 minutes, or a further check lies in it"),
        ("2026-03-01T04:00", "partial", "1 of 2 values came"),
        ("2026-03-01T05:00", "partial", "1 of 2 values came, the mean did not"),
    ]
    missing = run_folder(folder, "--explain", "--stage", "immediate", "--set", "invalid_received=missing").document
    assert missing["lost_hours"] == document["lost_hours"]


def test_second_row_replaces_the_first_from_its_arrival_on(folder):
    """A correction counts at the stage by whose cut-off it came, in whatever order the lines stand."""
    folder.list_outlet("W1", {"w01018": 1})
    folder.send("W1", "w01018", [0], arrived="2026-03-05T00:00")
    folder.send("W1", "w01018", [1], arrived="2026-03-05T00:00", flag="D")
    folder.send("W1", "w01018", [0], flag="D")
    folder.send("W1", "w01018", range(1, 24))
    result = run_folder(folder)
    assert counts_of(result.row("immediate")) == (24, 24, 24, 0, 24, 23)
    assert counts_of(result.row("completed")) == (24, 24, 24, 0, 24, 23)


def test_manual_values(folder):
    """Four accepted values of six hours make a lost day count as received and valid, completed only."""
    folder.list_outlet("W1", {"w01018": 1})
    folder.send("W1", "w01018", [0], flag="D")
    for hour in (0, 6, 12, 18):
        start = DAY + timedelta(hours=hour)
        span = (f"{moment:%Y-%m-%dT%H:%M}" for moment in (start, start + timedelta(hours=6)))
        folder.mark("W1", "w01018", "manual", *span, "2026-03-03T00:00", "12.5")
    result = run_folder(folder)
    assert counts_of(result.row("immediate")) == (24, 1, 24, 0, 1, 0)
    assert counts_of(result.row("completed")) == (24, 24, 24, 0, 24, 24)


def test_hours_that_are_not_over_are_not_due(folder):
    """Figures of a day that goes on are provisional; a stage that is over is not."""
    folder.list_outlet("W1", {"w01018": 1}, days=2)
    folder.send("W1", "w01018", range(24))
    result = run("--from-csv", folder.write(), "--json", "--now", "2026-03-02T12:00", "--period", "day")
    rows = {(row["period_start"], row["stage"]): row for row in result.document["rows"] if row["level"] == "outlet"}
    assert rows["2026-03-02", "immediate"]["expected_groups"] == 12
    after = run("--from-csv", folder.path, "--json", "--now", "2026-03-02T12:01", "--period", "day")
    first = {row["stage"]: row["provisional"] for row in after.document["rows"] if row["period_start"] == "2026-03-01"}
    assert rows["2026-03-01", "immediate"]["provisional"]
    assert first == {"immediate": False, "completed": True}


def test_periods(folder):
    """Periods are pooled of their hours, or the mean of their days where that is set; a range is what is asked."""
    folder.list_outlet("W1", {"w01018": 1}, days=32)
    folder.send("W1", "w01018", range(24 * 31))
    months = run_folder(folder, "--period", "month", "--level", "outlet", "--stage", "completed").document["rows"]
    assert [(row["period_start"], row["expected_groups"], row["effective"]) for row in months] == [
        ("2026-03-01", 744, "1"),
        ("2026-04-01", 24, "0"),
    ]
    mean = run_folder(folder, "--set", "period_figure=mean_of_days", "--stage", "completed").row("completed")
    assert (mean["expected_groups"], mean["effective"], mean["transmission"]) == (768, "31/32", "31/32")
    cut = run_folder(folder, "--from", "2026-03-31", "--to", "2026-04-02", "--stage", "completed").row("completed")
    assert (cut["period"], cut["period_start"], cut["validity"]) == ("total", "2026-03-31", "1/2")


def test_range_that_nobody_gives(folder):
    """It is what the base list dates, and where that is open what the hours span."""
    folder.list_outlet("W1", {"w01018": 1}, days=3)
    folder.send("W1", "w01018", range(24, 48))
    assert [run_folder(folder).document[name] for name in ("from", "to")] == ["2026-03-01", "2026-03-04"]
    folder.base = [(*row[:-2], "", "") for row in folder.base]
    assert [run_folder(folder).document[name] for name in ("from", "to")] == ["2026-03-02", "2026-03-03"]
    folder.hours.clear()
    assert "nothing tells which days to assess" in run_folder(folder).stderr


def test_policies_and_their_basis(folder):
    """A policy of one medium lists other outlets without a rate; a setting takes the policy's place."""
    folder.list_outlet("W1", {"w01018": 1, "w21011": 1})
    folder.list_outlet("G1", {"a21026": 1, "a00000": 1}, medium="gas")
    for outlet, factor in (("W1", "w01018"), ("G1", "a21026"), ("G1", "a00000")):
        folder.send(outlet, factor, range(24))
    monthly = run_folder(folder, "--policy", "hj355_monthly_90", "--stage", "completed")
    assert monthly.row("completed", id_="W1")["period"] == "month"
    assert monthly.row("completed", id_="W1")["effective"] == "1/2"
    assert monthly.row("completed", id_="W1")["transmission"] is None
    assert monthly.row("completed", id_="G1")["no_rate_reason"] == "nothing the policy assesses"
    old = run_folder(folder, "--policy", "gfsw_2014", "--stage", "completed", "--set", "threshold=100")
    assert [counts_of(old.row("completed", id_=outlet))[2] for outlet in ("W1", "G1")] == [24, 24]
    assert old.document["policy"]["threshold"] == "100"
    assert old.row("completed", id_="W1")["passed"]


def test_combine_takes_the_place_of_the_policys(folder):
    """Valid over due, or transmission alone, under any policy; one without transmission has no product of it."""
    folder.list_outlet("W1", {"w01018": 1})
    folder.send("W1", "w01018", range(12, 18), flag="D")
    folder.send("W1", "w01018", range(12))
    rates = {}
    for value in ("policy", "product", "single", "t_only"):
        asked = ("--set", f"combine={value}", "--stage", "completed", "--level", "outlet")
        result = run_folder(folder, *asked, *(["--range"] if value == "single" else []))
        rates[value] = result.row("completed")["effective"]
        assert result.document["policy"]["combine"] == {"policy": "product"}.get(value, value)
        assert "combine" not in result.document.get("varied", ())
    assert rates == {"policy": "3/8", "product": "3/8", "single": "1/2", "t_only": "3/4"}
    refused = run_folder(folder, "--policy", "hj355_monthly_90", "--set", "combine=product")
    assert refused.exit_code == 3
    assert "hj355_monthly_90 counts no transmission: expected t_unit=value or t_unit=group" in refused.stderr
    both = run_folder(folder, "--policy", "hj355_monthly_90", "--set", "combine=product", "--set", "t_unit=group")
    assert both.row("completed", "outlet")["effective"] == "3/8"


def test_nothing_due_as_full(folder):
    """Where nothing is due the rate is none, or 100 % where that is set."""
    folder.list_outlet("W1", {"w01018": 1})
    folder.send("W1", "w01018", [0])
    folder.mark("W1", "*", "stop", "2026-02-01", "", "2026-02-01")
    assert run_folder(folder).row("completed")["effective"] is None
    full = run_folder(folder, "--set", "nothing_due=full").row("completed")
    assert (full["effective"], full["passed"], full["no_rate_reason"]) == ("1", True, None)


def test_table_and_csv(folder, tmp_path):
    """A table goes to stdout, words to stderr; a CSV file has the rows flat, with the ends of the range."""
    folder.list_outlet("W1", {"w01018": 1})
    folder.send("W1", "w01018", range(1, 24))
    result = run(
        "--from-csv", folder.write(), *NOW, "--explain", "--range", "--level", "outlet", "--stage", "completed"
    )
    assert result.exit_code == 0
    assert "outlet  W1" in result.stdout
    assert "95.83" in result.stdout
    assert "2026-03-01T00:00  completed  missing  nothing came" in result.stdout
    assert "2026-03-01 to 2026-03-02, the last day not included" in result.stderr
    target = tmp_path / "rates.csv"
    result = run("--from-csv", folder.path, *NOW, "--range", "--csv", target)
    assert (result.exit_code, result.stdout) == (0, "")
    rows = list(csv.DictReader(target.read_text(encoding="utf-8").splitlines()))
    assert len(rows) == 8
    assert {row["effective"] for row in rows} == {str(Fraction(23, 24) ** 2)}
    assert {row["highest"] for row in rows} == {"23/24"}
    assert rows[0]["passed"] == "false"
    assert {(row["arrivals"], row["estimate"]) for row in rows} == {("files:files", "false")}


def test_choice_of_denominator_is_on_every_report(folder, tmp_path):
    """Validity by what was received stands beside the other, and what the rates were made by: pass or fail may hang on it."""
    folder.list_outlet("W1", {"w01018": 1})
    folder.list_outlet("W2", {"w01018": 1})
    folder.send("W1", "w01018", range(14))
    folder.send("W1", "w01018", [14], flag="D")
    asked = ("--stage", "completed", "--set", "v_denominator=received", "--set", "uncounted_factors=")
    result = run_folder(folder, *asked, "--set", "threshold=92.5", "--policy", "product_expected_denominator")
    silent = result.row("completed", "outlet", "W2")
    assert (silent["validity_received"], silent["validity_received_pct"]) == (None, None)
    sent = result.row("completed", "outlet", "W1")
    assert (sent["validity_received"], sent["validity_received_pct"]) == ("14/15", "93.33")
    target = tmp_path / "rates.csv"
    assert run("--from-csv", folder.path, *NOW, *asked, "--set", "threshold=92.5", "--csv", target).exit_code == 0
    rows = {row["id"]: row for row in csv.DictReader(target.read_text(encoding="utf-8").splitlines())}
    assert (rows["W1"]["validity_received"], rows["W1"]["validity_received_pct"]) == ("14/15", "93.33")
    assert (rows["W2"]["validity_received"], rows["W2"]["validity_received_pct"]) == ("", "")
    used = {name: rows["W1"][name] for name in ("t_unit", "v_denominator", "combine", "threshold", "rollup")}
    assert list(used.values()) == ["value", "received", "product", "92.5", "pooled"]
    words = run("--from-csv", folder.path, *NOW, *asked, "--level", "outlet").stderr
    assert "policy national_platform_v2 (t_unit=value v_denominator=received combine=product), at least 95 %" in words
    assert "changed settings: v_denominator=received uncounted_factors= vouchers=ignored\n" in words


def test_csv_to_stdout(folder, tmp_path):
    """`-` is stdout, as of other commands: the same bytes as in a file, words on stderr, and no file of that name."""
    folder.list_outlet("W1", {"w01018": 1})
    folder.send("W1", "w01018", range(1, 24))
    target = tmp_path / "rates.csv"
    asked = ("--from-csv", folder.write(), *NOW)
    assert run(*asked, "--csv", target).exit_code == 0
    result = run(*asked, "--csv", "-", cwd=tmp_path)
    assert (result.exit_code, result.stdout) == (0, target.read_text(encoding="utf-8")), result.stderr
    assert "stdout: 8 rows" in result.stderr
    assert not (tmp_path / "-").exists()


def test_what_is_listed_and_not_counted_is_told(folder):
    """An outlet whose factors are all shown only has no row, and would otherwise be missing without a word."""
    folder.list_outlet("W1", {"w01018": 1, "w00000": 1})
    folder.list_outlet("W2", {"w01001": 1})
    folder.send("W1", "w01018", range(24))
    document = run_folder(folder).document
    assert document["not_counted"] == [{"outlet": "W1", "factor": "w00000"}, {"outlet": "W2", "factor": "w01001"}]
    assert {row["id"] for row in document["rows"] if row["level"] == "outlet"} == {"W1"}
    told = "listed and not counted (setting uncounted_factors): W1 w00000, W2 w01001\n"
    assert told in run("--from-csv", folder.path, *NOW).stderr
    counted = run_folder(folder, "--set", "uncounted_factors=")
    assert counted.document["not_counted"] == []
    assert counted.row("completed", id_="W2")["expected_groups"] == 24


def test_workbook(folder, tmp_path):
    """A workbook is whole, with lost hours and ranges; in a folder its name says what it is of."""
    folder.list_outlet("W1", {"w01018": 1})
    folder.send("W1", "w01018", range(1, 24))
    result = run("--from-csv", folder.write(), *NOW, "--xlsx", tmp_path)
    assert (result.exit_code, result.stdout) == (0, ""), result.stderr
    (path,) = tmp_path.glob("*.xlsx")
    assert "2026-03-01" in path.name
    with zipfile.ZipFile(path) as file:
        names = file.read("xl/workbook.xml").decode()
    assert all(name in names for name in ("丢失小时", "区间")), names


def test_workbook_says_what_helps_at_each_stage(folder, tmp_path):
    """By the words of the database: manual values count at the completed stage alone, so at noon they help nobody."""
    folder.list_outlet("W1", {"w01018": 1})
    folder.send("W1", "w01018", range(1, 24))
    target = tmp_path / "report.xlsx"
    result = run("--from-csv", folder.write(), "--now", "2026-03-02T10:00", "--level", "city", "--xlsx", target)
    assert result.exit_code == 0, result.stderr
    heading, *rows = load_workbook(target)["丢失小时"].iter_rows(values_only=True)
    rows = [dict(zip(heading, row, strict=True)) for row in rows]
    assert [(row["阶段"], row["补救办法"]) for row in rows] == [
        ("即时", "补传该小时数据；如属停运、标样核查或非排污单位责任，申报标记"),
        ("补全", "补传该小时数据；如属停运、标样核查或非排污单位责任，申报标记；或录入手工监测值"),
    ]
    assert [(row["名称"], row["企业"], row["因子名称"]) for row in rows] == [("W1", "E1", "化学需氧量")] * 2


def test_bad_lines_compute_nothing(folder):
    """Every wrong line of every file is named, whether it is seen in the file or among the others."""
    folder.list_outlet("W1", {"w01018": 1})
    folder.send("W1", "w01018", range(4))
    folder.send("W1", "w01018", [1])
    folder.send("W1", "w01018", [1])
    path = folder.write()
    result = run("--from-csv", path, "--json", *NOW)
    assert (result.exit_code, result.stdout) == (1, "")
    for line in (6, 7):
        assert (
            f"{path}/hours.csv:{line}: arrived_at: expected an outlet, factor, hour and arrival once" in result.stderr
        )
    assert "nothing was computed: 2 errors" in result.stderr
    folder.send("W1", "w01018", [24])
    folder.mark("W9", "*", "stop", "2026-03-02", "2026-03-01", "2026-03-01")
    folder.write()
    result = run("--from-csv", path, "--json", *NOW)
    assert (result.exit_code, result.stdout) == (1, "")
    assert f"{path}/hours.csv:8: hour: expected an hour on the base list" in result.stderr
    assert f"{path}/marks.csv:2: to: expected a moment after from" in result.stderr
    assert f"{path}/marks.csv:2: outlet: expected an outlet of the base list, came 'W9'" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["--set", "v_denominatr=expected"], 2, "expected NAME=VALUE with one of the names"),
        (["--set", "manual"], 2, "v_denominator"),
        (["--set", "v_denominator=both"], 3, "expected policy or expected or received"),
        (["--set", "completed_days=-1"], 3, "expected a whole number from 0 to 400"),
        (["--policy", "best"], 3, "there is no policy 'best': expected one of gfsw_2014, hj355_monthly_90"),
        (["--policy", "hj355_monthly_90", "--period", "day"], 3, "expected --period month, total"),
        (["--from", "March"], 2, "expected a day such as 2026-03-01"),
        (["--from", "2026-03-02", "--to", "2026-03-02"], 2, "is not before"),
        (["--from", "2026-03-05"], 3, "has no day"),
        (["--level", "province"], 2, "province"),
        (["--arrivals", "upstream:province"], 2, "files have arrivals of their own"),
        (["--xlsx", "/nowhere/x.xlsx"], 2, "is no folder"),
        (["--csv", "/nowhere/x.csv"], 2, "is no folder"),
        (["--csv", "."], 2, "expected a file, . is a folder"),
        (["--xlsx", "-"], 2, "a workbook is no text: expected a file or a folder"),
        (["--csv", "-", "--json"], 2, "stdout holds one of them: give --csv a file or leave out --json"),
        (["--range", "--set", "period_figure=mean_of_days"], 3, "ranges are of pooled periods"),
    ],
)
def test_wrong_options(folder, arguments, code, words):
    """Are told with what is accepted, on stderr; nothing goes to stdout."""
    folder.list_outlet("W1", {"w01018": 1})
    folder.send("W1", "w01018", [0])
    result = run("--from-csv", folder.write(), *NOW, *arguments)
    assert (result.exit_code, result.stdout) == (code, "")
    assert words in " ".join(result.stderr.replace("│", " ").split())


def test_base_list_that_cannot_be_read_is_the_one_fault(folder):
    """By it every hour and mark would be of an unknown outlet."""
    folder.list_outlet("W1", {"w01018": 1})
    folder.send("W1", "w01018", range(24))
    folder.mark("W1", "w01018", "stop", "2026-03-01T00:00", "2026-03-01T05:00", "2026-03-01T05:00")
    path = folder.write() / "base_list.csv"
    path.write_text(path.read_text(encoding="utf-8").replace(",", ";"), encoding="utf-8")
    result = run("--from-csv", folder.path, *NOW)
    assert result.exit_code == 1
    lines = [line for line in result.stderr.splitlines() if ".csv:" in line]
    assert len(lines) == 1
    assert "base_list.csv:1: header: expected enterprise," in lines[0]
    assert "nothing was computed: 1 errors" in result.stderr


@pytest.mark.parametrize("name", ["base_list.csv", "hours.csv"])
def test_missing_file(folder, name):
    """Base list and hours have to be there, marks need not."""
    folder.list_outlet("W1", {"w01018": 1})
    folder.send("W1", "w01018", [0])
    (folder.write() / name).unlink()
    result = run("--from-csv", folder.path)
    assert (result.exit_code, result.stdout) == (3, "")
    assert f"there is no {name}" in result.stderr


def test_no_database_named():
    """Without files a database has to be named."""
    result = run("--from", "2026-03-01")
    assert result.exit_code == 3
    assert "no database is named" in result.stderr
