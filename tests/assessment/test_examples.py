"""The worked examples of assessment.md, by its numbers: through the calculation in SQL, from files and from readings."""

from datetime import UTC, date, datetime, timedelta
from fractions import Fraction

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from tests.assessment.cases import Local
from tests.assessment.oracle import DAY, HOUR, MINUTE, Arrival, Case, Listed, Mark, start_of

from hj212gw.assessment.rates import Counts, Policy, Rate, compute_rate, mean_of, pool, show_percent
from hj212gw.assessment.rules import make_rules
from hj212gw.config_assessment import AssessmentSettings
from hj212gw.store.assessment import Scope

FIRST = date(2026, 3, 1)
AT = start_of(FIRST)
NOW = datetime(2026, 3, 12, tzinfo=UTC)  # before vouchers of March are due
STACK = ("a34013", "a21026", "a21002", "a19001", "a01011", "a01012", "a01014", "a01013", "a00000")
SO2_NOX = ("a21026", "a21002")
WATER = ("w01018", "w21003")
MEDIA = {"W1": "water", "G1": "gas"}
SOURCES = ("files", "readings")


def whole_day(outlet, factors, fields=1, day=FIRST, days=1):
    """All hours of some days, each five minutes after its end."""
    return {
        (factor, number): Arrival(
            outlet,
            factor,
            start_of(day) + number * HOUR,
            start_of(day) + (number + 1) * HOUR + 5 * MINUTE,
            frozenset(range(1, fields + 1)),
            True,
        )
        for factor in factors
        for number in range(24 * days)
    }


def listing(outlet, factors, fields=1):
    """Rows of the base list without dates."""
    return [Listed(outlet, factor, fields, None, None) for factor in factors]


def at(clock, day=0):
    """A moment of the first day, or so many days later: `14:05`."""
    hours, minutes = map(int, clock.split(":"))
    return AT + day * DAY + hours * HOUR + minutes * MINUTE


def mark(outlet, factor, kind, from_clock, to_clock, *, known_at=None):
    """A mark of the first day, recorded the same evening."""
    return Mark(outlet, factor, kind, at(from_clock), at(to_clock), known_at or at("20:00"))


def judge(calculator, case, source="files", *, days=1, first=FIRST, **values):
    """Compute a case and return the pooled counts of both stages."""
    rules = make_rules(AssessmentSettings(**values))
    scope = Scope(first, first + days * DAY, case.now)
    if source == "files":
        [rows] = calculator.run(calculator.of_files(case._replace(has_values=False), scope, rules=rules))
    else:
        [rows] = calculator.run(calculator.of_readings(Local(case, "plain", AT, 1), scope, rules=rules))
    return tuple(
        pool(Counts(*(row[name] for name in Counts._fields)) for key, row in rows.items() if key[3] == stage)
        for stage in ("immediate", "completed")
    )


def policy(calculator, name):
    """Read a policy as the database has it."""
    row = calculator.run(calculator.connection.fetchrow("SELECT * FROM hj212.policies WHERE policy = $1", name))
    how = (row["t_unit"], row["v_denominator"], row["combine"], Fraction(row["threshold"]))
    return Policy(row["policy"], *how, row["basis"], tuple(row["periods"]))


def shown(counts, chosen):
    """The three rates as they are displayed."""
    rate = compute_rate(counts, chosen)
    return tuple(map(show_percent, rate[:3]))


# --- section 8: what was published can be computed again

PUBLISHED_MARKS = (("14:05", "14:34"), ("14:41", "17:29"), ("19:08", "20:51"), ("21:00", "21:24"))  # `to` exclusive


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize(
    ("spans", "valid", "percent"), [(PUBLISHED_MARKS, 202, "93.51"), ((("14:43", "16:31"),), 210, "97.22")]
)
def test_published_rates_of_a_marked_stack(calculator, source, spans, valid, percent):
    """A stack of nine factors whose SO2 and NOx are marked: 45 clean minutes, and what is cut off is not rounded."""
    marks = [mark("G1", factor, "maintenance", *span) for factor in SO2_NOX for span in spans]
    case = Case(MEDIA, listing("G1", STACK), list(whole_day("G1", STACK).values()), marks, NOW)
    for counts in judge(calculator, case, source):
        assert (counts.expected_groups, counts.groups_received, counts.valid_groups) == (216, 216, valid)
        assert shown(counts, policy(calculator, "national_platform_v2")) == ("100.00", percent, percent)


@pytest.mark.parametrize("source", SOURCES)
def test_published_rate_of_five_lost_groups(calculator, source):
    """211 of 216, whatever made five groups invalid, is 97.68 and not 97.69."""
    came = whole_day("G1", STACK)
    for number in range(5):
        came["a21026", number] = came["a21026", number]._replace(flag="DMCTB"[number])
    for counts in judge(calculator, Case(MEDIA, listing("G1", STACK), list(came.values()), [], NOW), source):
        assert shown(counts, policy(calculator, "national_platform_v2")) == ("100.00", "97.68", "97.68")
        assert (
            show_percent(compute_rate(counts, policy(calculator, "single_ratio_zibo")).effective, "half_up") == "97.69"
        )


@pytest.mark.parametrize("source", SOURCES)
def test_published_rate_of_an_exempt_check(calculator, source):
    """Two factors, one hour taken by a standard-sample check, one invalid: 46 of 47."""
    came = whole_day("W1", WATER)
    came["w21003", 15] = came["w21003", 15]._replace(flag="D")
    case = Case(
        MEDIA,
        listing("W1", WATER),
        list(came.values()),
        [mark("W1", "w01018", "standard_check", "02:00", "03:00")],
        NOW,
    )
    for counts in judge(calculator, case, source):
        assert counts == Counts(47, 47, 47, 1, 47, 46)
        assert shown(counts, policy(calculator, "national_platform_v2")) == ("100.00", "97.87", "97.87")


# --- section 9


@pytest.mark.parametrize("source", SOURCES)
def test_e1_late_data(calculator, source):
    """What comes the same evening is immediate, what comes three days later is completed only."""
    came = whole_day("W1", WATER)
    for factor in WATER:
        for number in (3, 4, 5, 6):
            came[factor, number] = came[factor, number]._replace(arrived_at=at("20:00"))
        for number in (7, 8):
            came[factor, number] = came[factor, number]._replace(arrived_at=at("09:00", day=3))
    case = Case(MEDIA, listing("W1", WATER), list(came.values()), [], NOW)
    immediate, completed = judge(calculator, case, source)
    assert (immediate.groups_received, completed.groups_received) == (44, 48)
    assert shown(immediate, policy(calculator, "national_platform_v2")) == ("91.66", "91.66", "84.02")
    assert shown(immediate, policy(calculator, "product_expected_denominator")) == ("91.66", "91.66", "84.02")
    assert shown(immediate, policy(calculator, "product_received_denominator")) == ("91.66", "100.00", "91.66")
    assert shown(immediate, policy(calculator, "gfsw_2014")) == ("91.66", "100.00", "91.66")
    assert shown(immediate, policy(calculator, "single_ratio_zibo"))[2] == "91.66"
    assert shown(immediate, policy(calculator, "transmission_only")) == ("91.66", "100.00", "91.66")
    for name in ("national_platform_v2", "product_received_denominator", "transmission_only"):
        assert shown(completed, policy(calculator, name)) == ("100.00",) * 3
    passed = {
        name: compute_rate(immediate, policy(calculator, name)).passed for name in ("gfsw_2014", "transmission_only")
    }
    assert passed == {"gfsw_2014": True, "transmission_only": True}
    assert compute_rate(immediate, policy(calculator, "product_received_denominator")).passed is False


@pytest.mark.parametrize("source", SOURCES)
def test_e2_late_mark(calculator, source):
    """A mark entered after noon of the next day takes groups away from the completed stage alone."""
    late = mark("G1", "a21026", "device", "08:00", "11:00", known_at=at("16:00", day=1))
    case = Case(MEDIA, listing("G1", STACK), list(whole_day("G1", STACK).values()), [late], NOW)
    immediate, completed = judge(calculator, case, source)
    assert (immediate.valid_groups, completed.valid_groups) == (216, 213)
    assert shown(immediate, policy(calculator, "national_platform_v2"))[2] == "100.00"
    assert shown(completed, policy(calculator, "national_platform_v2"))[2] == "98.61"


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize(
    ("stop_partial", "groups", "percents"),
    [
        ("under_45_running", (135, 126, 126), ("93.33", "93.33", "87.11")),
        ("any_minute", (135, 126, 126), ("93.33", "93.33", "87.11")),
        ("whole_hour", (144, 135, 126), ("93.75", "87.50", "82.03")),
        ("never", (216, 207, 126), ("95.83", "58.33", "55.90")),
    ],
)
def test_e3_part_stopped_hour(calculator, source, stop_partial, groups, percents):
    """A plant stopped until 08:20 whose records of those hours are unusable, and hour 20 missing."""
    came = whole_day("G1", STACK)
    for factor in STACK:
        for number in range(9):
            came[factor, number] = came[factor, number]._replace(flag="F")
        del came[factor, 20]
    marks = [mark("G1", "*", "stop", "00:00", "08:20")]
    case = Case(MEDIA, listing("G1", STACK), list(came.values()), marks, NOW)
    for counts in judge(calculator, case, source, stop_partial=stop_partial):
        assert (counts.expected_groups, counts.groups_received, counts.valid_groups) == groups
        assert counts.groups_not_taking_part == 216 - counts.expected_groups
        assert shown(counts, policy(calculator, "national_platform_v2")) == percents


@pytest.mark.parametrize("source", SOURCES)
def test_e4_values_not_groups(calculator, source):
    """One field of SO2 is missing all day: values are lost, no group is."""
    base = listing("G1", STACK[:3], fields=3) + listing("G1", STACK[3:])
    came = whole_day("G1", STACK[:3], fields=3) | whole_day("G1", STACK[3:])
    for number in range(24):
        came["a21026", number] = came["a21026", number]._replace(planes=frozenset({1, 2}))
    for counts in judge(calculator, Case(MEDIA, base, list(came.values()), [], NOW), source):
        assert counts == Counts(360, 336, 216, 0, 216, 216)
        assert shown(counts, policy(calculator, "national_platform_v2")) == ("93.33", "100.00", "93.33")
        assert shown(counts, policy(calculator, "product_expected_denominator")) == ("100.00",) * 3
    [counts, _] = judge(calculator, Case(MEDIA, base, list(came.values()), [], NOW), source, unconverted="invalid")
    assert (counts.reported_values, counts.valid_groups) == (336, 192)


def test_e5_roll_up(calculator):
    """A month of three points: the same data pass or fail by the choice of the denominator."""
    first, days = date(2026, 4, 1), 30
    media = {"A": "gas", "B": "water", "C": "water"}
    came = whole_day("A", STACK, day=first, days=days)
    came |= {("B", *key): row for key, row in whole_day("B", WATER, day=first, days=days).items()}
    for number in range(140):
        del came["B", "w01018", number]
    for number in range(200, 210):
        came["B", "w01018", number] = came["B", "w01018", number]._replace(flag="D")
    known = start_of(first)
    broken = Mark("A", "a21026", "device", known + 48 * HOUR, known + 228 * HOUR, known)
    stopped = Mark("C", "*", "stop", known - DAY, None, known - DAY, proof_at=known)
    base = listing("A", STACK) + listing("B", WATER) + listing("C", WATER)
    case = Case(media, base, list(came.values()), [broken, stopped], datetime(2026, 5, 12, tzinfo=UTC))

    points = []
    for outlet in media:
        part = case._replace(base=[row for row in case.base if row.outlet == outlet])
        points.append(judge(calculator, part, first=first, days=days)[1])
    assert [point[2:] for point in points] == [(6480, 0, 6480, 6300), (1440, 0, 1300, 1290), (0, 1440, 0, 0)]
    [_, city] = judge(calculator, case, first=first, days=days)
    assert city == pool(points)

    expected, received = (policy(calculator, f"product_{name}_denominator") for name in ("expected", "received"))
    assert [shown(point, expected)[1] for point in points] == ["97.22", "89.58", None]
    assert [shown(point, expected)[2] for point in points] == ["97.22", "80.87", None]
    assert [shown(point, received)[2] for point in points] == ["97.22", "89.58", None]
    assert (shown(city, expected), shown(city, received)) == (("98.23", "95.83", "94.13"), ("98.23", "97.55", "95.83"))
    means = [
        mean_of([compute_rate(point, chosen) for point in points], Fraction(95)) for chosen in (expected, received)
    ]
    assert [show_percent(mean.effective) for mean in means] == ["89.04", "93.40"]
    assert [compute_rate(city, chosen).passed for chosen in (expected, received)] == [False, True]
    assert compute_rate(points[2], expected) == Rate(None, None, None, None)


def test_e6_year(calculator):
    """A year is pooled over its hours; the mean of its months is wrong."""
    months = [Counts(720, 720, 720, 0, 720, 712)] * 11 + [Counts(48, 48, 48, 0, 48, 24)]
    chosen = policy(calculator, "national_platform_v2")
    assert [shown(month, chosen)[2] for month in months[-2:]] == ["98.88", "50.00"]
    assert shown(pool(months), chosen)[2] == "98.59"
    assert show_percent(mean_of([compute_rate(month, chosen) for month in months], Fraction(95)).effective) == "94.81"


@pytest.mark.parametrize("source", SOURCES)
def test_e7_standard_sample_check(calculator, source):
    """The first check of the day is out; the second stays due, and lost where its record is missing."""
    came = whole_day("W1", ["w01018"])
    del came["w01018", 2]
    first = mark("W1", "w01018", "standard_check", "02:00", "03:00")
    case = Case(MEDIA, listing("W1", ["w01018"]), list(came.values()), [first], NOW)
    for counts in judge(calculator, case, source):
        assert (counts.groups_not_taking_part, shown(counts, policy(calculator, "hj355_monthly_90"))) == (
            1,
            (None, "100.00", "100.00"),
        )
    del came["w01018", 14]
    second = mark("W1", "w01018", "standard_check", "14:00", "15:00")
    case = case._replace(arrivals=list(came.values()), marks=[first, second])
    for counts in judge(calculator, case, source):
        assert counts == Counts(23, 22, 23, 1, 22, 22)
        assert shown(counts, policy(calculator, "single_ratio_zibo"))[2] == "95.65"
        assert shown(counts, policy(calculator, "hj355_monthly_90")) == (None, "95.65", "95.65")
        assert compute_rate(counts, policy(calculator, "hj355_monthly_90")).passed


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize(
    ("begin", "end", "valid"), [("14:05", "14:10", 22), ("14:55", "15:05", 21), ("02:30", "02:40", 23)]
)
def test_further_check_spoils_each_hour_it_touches(calculator, source, begin, end, valid):
    """However short it is and although its record came: marks.csv, automatic standard-sample check."""
    came = list(whole_day("W1", ["w01018"]).values())
    marks = [
        mark("W1", "w01018", "standard_check", "02:10", "02:20"),
        mark("W1", "w01018", "standard_check", begin, end),
    ]
    for counts in judge(calculator, Case(MEDIA, listing("W1", ["w01018"]), came, marks, NOW), source):
        assert counts == Counts(23, 23, 23, 1, 23, valid)


@pytest.mark.parametrize(
    ("first", "days", "stopped", "invalid", "counts", "percent", "passed"),
    [
        (date(2026, 1, 1), 90, 160, 150, (2000, 160, 1850), "92.50", True),
        (date(2026, 4, 1), 91, 0, 400, (2184, 0, 1784), "81.68", True),
        (date(2026, 7, 1), 92, 720, 400, (1488, 720, 1088), "73.11", False),
    ],
)
def test_e8_capture_rate(calculator, first, days, stopped, invalid, counts, percent, passed):
    """HJ 75's quarterly capture rate: stops out of both sides, invalid hours out of one."""
    begin = start_of(first)
    marks = [Mark("G1", "a21026", "device", begin + 1000 * HOUR, begin + (1000 + invalid) * HOUR, begin)]
    if stopped:
        marks.append(Mark("G1", "*", "stop", begin, begin + stopped * HOUR, begin, proof_at=begin))
    came = whole_day("G1", ["a21026"], day=first, days=days)
    case = Case(MEDIA, listing("G1", ["a21026"]), list(came.values()), marks, begin + 120 * DAY)
    found = judge(calculator, case, first=first, days=days)[1]
    assert (found.expected_groups, found.groups_not_taking_part, found.valid_groups) == counts
    chosen = policy(calculator, "hj75_capture_quarter")
    assert shown(found, chosen) == (None, percent, percent)
    assert (compute_rate(found, chosen).passed, chosen.periods) == (passed, ("quarter",))


# --- section 4: what may be lost, and what follows from the formulas


@pytest.mark.parametrize(
    ("first", "days", "single", "double"),
    [
        (date(2026, 1, 1), 365, 438, 221),
        (date(2024, 1, 1), 366, 439, 222),
        (date(2026, 4, 1), 30, 36, 18),
    ],
)
def test_hours_that_may_be_lost(calculator, first, days, single, double):
    """So many hours may be invalid, or missing where that is charged twice, and not one more."""
    chosen = policy(calculator, "national_platform_v2")
    came = whole_day("G1", ["a21026"], day=first, days=days)
    case = Case(MEDIA, listing("G1", ["a21026"]), [], [], start_of(first) + 400 * DAY)
    for lost, is_missing, passes in (
        (single, False, True),
        (single + 1, False, False),
        (double, True, True),
        (double + 1, True, False),
    ):
        rows = list(came.values())
        arrivals = rows[lost:] + ([] if is_missing else [row._replace(flag="D") for row in rows[:lost]])
        counts = judge(calculator, case._replace(arrivals=arrivals), first=first, days=days)[1]
        assert counts.expected_groups == 24 * days
        assert compute_rate(counts, chosen).passed is passes


def test_95_percent_twice_is_not_95_percent():
    """95 % in both transmission and validity is 90.25 %; 97.47 % in both is what 95 % takes."""
    chosen = Policy("any", "group", "received", "product", Fraction(95))
    assert compute_rate(Counts(400, 380, 400, 0, 380, 361), chosen)[:3] == (
        Fraction(95, 100),
        Fraction(95, 100),
        Fraction(9025, 10000),
    )
    both = Policy("any", "value", "expected", "product", Fraction(95))
    assert compute_rate(Counts(10000, 9747, 10000, 0, 10000, 9747), both).passed
    assert not compute_rate(Counts(10000, 9746, 10000, 0, 10000, 9746), both).passed


@st.composite
def counts_of_groups(draw):
    """Counts as they can be, many of them at the edge of 95 %."""
    due = draw(st.one_of(st.integers(0, 50), st.sampled_from([20, 100, 720, 8760]), st.integers(0, 10**9)))
    edge = due * 95 // 100
    got = draw(st.one_of(st.just(due), st.integers(0, due), st.integers(max(0, edge - 1), min(due, edge + 1))))
    valid = draw(
        st.one_of(st.just(got), st.integers(0, got), st.just(min(got, edge)), st.just(min(got, max(0, edge - 1))))
    )
    fields = draw(st.integers(1, 3))
    values = draw(st.one_of(st.just(got * fields), st.integers(0, due * fields)))
    return Counts(due * fields, values, due, draw(st.sampled_from([0, 0, 3])), got, valid)


@given(counts=counts_of_groups())
def test_validity_by_what_was_received_makes_a_single_ratio(counts):
    """With transmission in groups the product is valid groups over groups due."""
    received = Policy("any", "group", "received", "product", Fraction(95))
    single = Policy("any", "group", "expected", "single", Fraction(95))
    assert compute_rate(counts, received).effective == compute_rate(counts, single).effective


# --- the view says the same as the program


@hypothesis_settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(many=st.lists(counts_of_groups(), min_size=1, max_size=60))
def test_the_view_of_rates_equals_the_program(calculator, many):
    """Every policy gives the same rates, reasons and verdict in v_rates, exactly at the threshold too."""
    many = [
        *many,
        Counts(100, 95, 100, 0, 95, 95),
        Counts(20, 20, 20, 0, 20, 19),
        Counts(8760, 8760, 8760, 0, 8760, 8322),
        Counts(24, 20, 0, 24, 0, 0),  # not_responsible = validity: values are due though no group is
    ]
    policies = {
        row["policy"]: policy(calculator, row["policy"])
        for row in calculator.run(calculator.connection.fetch("SELECT policy FROM hj212.policies"))
    }
    assert len(policies) == 8
    rows = calculator.run(view_rates(calculator.connection, many))
    assert len(rows) == len(many) * (6 * 4 + 2)
    for row in rows:
        counts, chosen = many[int(row["id"])], policies[row["policy"]]
        rate = compute_rate(counts, chosen)
        assert row["period"] in chosen.periods
        assert row["passed"] is rate.passed
        for name in ("transmission", "validity", "effective"):
            expected = getattr(rate, name)
            assert row[name] == (expected if expected is None else pytest.approx(float(expected), rel=1e-14))
        assert (row["no_rate_reason"] is None) == (counts.expected_groups > 0)


async def view_rates(connection, many):
    """What v_rates shows of counts, for all periods and bases."""
    transaction = connection.transaction()
    await transaction.start()
    try:
        await connection.executemany(
            "INSERT INTO hj212.rate_counts (period, period_start, level, id, stage, basis, expected_values, reported_values,"
            " expected_groups, groups_not_taking_part, groups_received, valid_groups, provisional, computed_at, reason)"
            " SELECT p, '2026-01-01', 'outlet', $1, 'completed', b, $2, $3, $4, $5, $6, $7, false, now(), 'test'"
            " FROM unnest('{day,month,quarter,year}'::text[]) AS p, unnest('{all,gfsw,gas,water}'::text[]) AS b",
            [(str(number), *counts) for number, counts in enumerate(many)],
        )
        return await connection.fetch("SELECT * FROM hj212.v_rates")
    finally:
        await transaction.rollback()


def test_a_stopped_point_has_no_rate_and_a_reason(calculator):
    """Nothing due is neither 0 nor 100, and the reason tells a stop from an empty list."""
    rows = calculator.run(view_rates(calculator.connection, [Counts(0, 0, 0, 24, 0, 0), Counts()]))
    reasons = {(row["id"], row["no_rate_reason"], row["effective"], row["passed"]) for row in rows}
    assert reasons == {("0", "stopped or excused all the time", None, None), ("1", "nothing is due", None, None)}


# --- the two stages: at the moment itself


@pytest.mark.parametrize("source", SOURCES)
def test_cut_offs_are_inclusive(calculator, source):
    """Noon of the next day is immediate, a microsecond later is not; the tenth day's last moment is completed."""
    noon, closing = at("12:00", day=1), at("00:00", day=11)
    moments = (noon, noon + timedelta(microseconds=1), closing - timedelta(microseconds=1), closing)
    came = whole_day("W1", ["w01018"])
    for number, moment in enumerate(moments):
        came["w01018", number] = came["w01018", number]._replace(arrived_at=moment)
    case = Case(MEDIA, listing("W1", ["w01018"]), list(came.values()), [], datetime(2026, 3, 13, tzinfo=UTC))
    immediate, completed = judge(calculator, case, source)
    assert (immediate.groups_received, completed.groups_received) == (21, 23)


@pytest.mark.parametrize("source", SOURCES)
def test_the_same_sample_entered_four_times_is_one(calculator, source):
    """Four samples a day are asked for; a line that was entered again, at another time, is no other sample."""
    nothing_came = Case(MEDIA, listing("W1", ["w01018"]), [], [], NOW)
    samples = [
        mark("W1", "w01018", "manual", f"{hour}:00", f"{hour + 6}:00")._replace(state="accepted")
        for hour in (0, 6, 12, 18)
    ]
    again = [samples[0]._replace(recorded_at=samples[0].recorded_at + number * MINUTE) for number in range(4)]
    for marks, valid in ((again, 0), (again + samples[1:3], 0), (again + samples[1:], 24)):
        _, completed = judge(calculator, nothing_came._replace(marks=marks), source)
        assert (completed.expected_groups, completed.valid_groups) == (24, valid)


OCTOBERS, NOVEMBERS = start_of(date(2026, 11, 11)), start_of(date(2026, 12, 11))  # vouchers are there before


@pytest.mark.parametrize(
    ("proof_at", "now", "stopped"),
    [
        (None, OCTOBERS - MINUTE, (4, 9)),
        (None, OCTOBERS, (0, 9)),
        (None, NOVEMBERS - MINUTE, (0, 9)),
        (None, NOVEMBERS, (0, 0)),
        (OCTOBERS - MINUTE, NOVEMBERS, (4, 9)),
        (OCTOBERS, NOVEMBERS, (0, 9)),
        (NOVEMBERS - MINUTE, NOVEMBERS, (0, 9)),
        (NOVEMBERS, NOVEMBERS, (0, 0)),
    ],
)
def test_voucher_saves_the_months_it_is_in_time_for(calculator, proof_at, now, stopped):
    """A stop from 28 October to 9 November: each day's voucher is due by the 10th of the month after that day."""
    months = ((date(2026, 10, 28), 4), (date(2026, 11, 1), 9))
    from_at = start_of(months[0][0])
    stop = Mark("W1", "*", "stop", from_at, from_at + 13 * DAY, from_at, "accepted", None, proof_at)
    case = Case(MEDIA, listing("W1", ["w01018"]), [], [stop], now)
    immediate, found = zip(*(judge(calculator, case, days=days, first=first) for first, days in months), strict=True)
    assert [counts.groups_not_taking_part for counts in immediate] == [4 * 24, 9 * 24]  # that stage was final before
    assert [(counts.groups_not_taking_part, counts.expected_groups) for counts in found] == [
        (24 * days, 24 * (of_month - days)) for days, (_, of_month) in zip(stopped, months, strict=True)
    ]
