"""The calculation in SQL equals section 3 of assessment.md told plainly, for any case, both sources and all settings."""

import os
from datetime import timedelta
from fractions import Fraction

from hypothesis import HealthCheck, event, given
from hypothesis import settings as hypothesis_settings
from tests.assessment import cases
from tests.assessment.oracle import DAY, STAGES, Judge, count, cut_off, day_of

from hj212gw.assessment.rates import Counts, Policy, compute_rate, pool
from hj212gw.assessment.rules import make_rules
from hj212gw.store.assessment import Scope

EXAMPLES = 1000 if os.environ.get("HJ212_TEST_LONG") else 70
MASKS = ("stopped", "excused", "checked", "due", "got", "good", "marked", "manual", "valid", "dry", "ever")


def examples(number):
    """Set how many cases a test tries."""
    checks = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.function_scoped_fixture]
    return hypothesis_settings(max_examples=number, deadline=None, suppress_health_check=checks)


def as_mask(groups, holds):
    """The hours for which something holds, as the program writes them."""
    return sum(1 << number for number, group in groups.items() if holds(group))


def holds(name):
    """What a mask of the program says of a group."""
    if name in ("stopped", "excused", "checked", "due"):
        return lambda group: group.state == name
    return lambda group: getattr(group, name)


def is_due_in_values(group, settings):
    """Tell whether a group's values are due and no manual value stands for them."""
    is_excused = group.state == "excused" and settings.not_responsible == "validity"
    return (group.state == "due" and not group.manual) or is_excused


def expect(case, settings, from_day, to_day):
    """The rows that section 3 gives."""
    expected = {}
    for key, (fields, groups) in Judge(case, settings).days(from_day, to_day).items():
        row = {name: as_mask(groups, holds(name)) for name in MASKS}
        row["refused"] = as_mask(groups, lambda group: group.is_refused and is_due_in_values(group, settings))
        row["listed"] = sum(1 << number for number in groups)
        row["planes"] = [as_mask(groups, lambda group, plane=plane: plane in group.planes) for plane in range(1, 9)]
        expected[key] = {"fields": fields, **row, **count(fields, groups, settings)}
    return expected


def check(found, expected):
    """Compare rows; those without an hour on the list say nothing."""
    listed = {key: row for key, row in found.items() if row["listed"]}
    assert all(row[name] == 0 for row in found.values() if not row["listed"] for name in Counts._fields)
    assert sorted(listed) == sorted(expected)
    for key, row in listed.items():
        shown = {name: row[name] for name in expected[key]}
        # What came in hours that are not listed is none of the assessment's business.
        shown["ever"] &= row["listed"]
        shown["planes"] = [plane & row["listed"] for plane in row["planes"]]
        assert (key, shown) == (key, expected[key])


def check_rates(rows):
    """No rate is above 1 under any policy, and pooled sums equal the sums of parts."""
    counts = [Counts(*(row[name] for name in Counts._fields)) for row in rows.values()]
    half = len(counts) // 2
    assert pool([pool(counts[:half]), pool(counts[half:])]) == pool(counts)
    for counted in [*counts, pool(counts)]:
        for t_unit in ("value", "group", "none"):
            for denominator in ("expected", "received", "none"):
                for combine in ("product", "single", "t_only"):
                    rate = compute_rate(counted, Policy("any", t_unit, denominator, combine, Fraction(95)))
                    assert all(part is None or 0 <= part <= 1 for part in rate[:3])


def scope_of(case, days=cases.DAYS):
    """All days and outlets."""
    return Scope(*cases.stretch(days), case.now)


def check_parts(whole, first, second):
    """A day of one outlet by itself is what it is among the others."""
    assert first == {key: row for key, row in whole.items() if key[0] == cases.FIRST and key[1] == "W1"}
    assert second == {key: row for key, row in whole.items() if key[0] > cases.FIRST and key[1] != "W1"}


def part_scopes(case):
    """A day of an outlet, and the other day of the others."""
    middle = cases.FIRST + DAY
    return (
        Scope(cases.FIRST, middle, case.now, ["W1"]),
        Scope(middle, cases.FIRST + cases.DAYS * DAY, case.now, ["W2", "G1"]),
    )


@examples(EXAMPLES)
@given(case=cases.upstream_cases(), settings=cases.settings)
def test_hours_of_files_are_judged_as_section_3_says(calculator, case, settings):
    """Masks and counts of both stages equal the plain telling, whole and in parts."""
    scopes = (scope_of(case), *part_scopes(case))
    found = calculator.run(calculator.of_files(case, *scopes, rules=make_rules(settings)))
    check(found[0], expect(case, settings, *cases.stretch(cases.DAYS)))
    check_rates(found[0])
    check_parts(*found)


@examples(EXAMPLES)
@given(local=cases.local_cases(), settings=cases.settings)
def test_readings_are_judged_as_section_3_says(calculator, local, settings):
    """What data loggers sent through the writer is judged alike, however they are registered."""
    event(local.layout)
    scopes = (scope_of(local.case), *part_scopes(local.case))
    found = calculator.run(calculator.of_readings(local, *scopes, rules=make_rules(settings)))
    check(found[0], expect(local.case, settings, *cases.stretch(cases.DAYS)))
    check_rates(found[0])
    check_parts(*found)


@examples(EXAMPLES // 2)
@given(local=cases.local_cases(), settings=cases.settings)
def test_both_sources_give_the_same(calculator, local, settings):
    """Hours given by files and the same hours sent by data loggers make the same rows, but for flows of zero."""
    plain = [
        arrival._replace(zero=False, planes=frozenset({1, 2, 3} if arrival.has_mean else ()))
        for arrival in local.case.arrivals
        if arrival.series == 0
    ]
    local = local._replace(case=local.case._replace(arrivals=plain))
    rules = make_rules(settings)._replace(is_by_provenance=False)
    of_readings = calculator.run(calculator.of_readings(local, scope_of(local.case), rules=rules))
    of_files = calculator.run(calculator.of_files(local.case, scope_of(local.case), rules=rules))
    assert of_readings == of_files


@examples(EXAMPLES // 2)
@given(case=cases.upstream_cases(), settings=cases.settings)
def test_completed_never_sees_what_came_after_the_closing(calculator, case, settings):
    """Without the records and marks that came after a stage's cut-off its counts are the same."""
    for stage in STAGES:
        # What a platform filled in later is told by its label, not by when it came.
        last = "completed" if settings.immediate_by == "provenance" else stage
        known = case._replace(
            arrivals=[a for a in case.arrivals if a.arrived_at <= cut_off(day_of(a.hour), last, settings)],
            marks=[mark for mark in case.marks if mark.recorded_at <= cut_off(cases.FIRST, stage, settings)],
        )
        scope = Scope(cases.FIRST, cases.FIRST + timedelta(days=1), case.now)
        [with_all] = calculator.run(calculator.of_files(case, scope, rules=make_rules(settings)))
        [with_known] = calculator.run(calculator.of_files(known, scope, rules=make_rules(settings)))
        for key, row in with_all.items():
            if key[3] == stage:
                assert {**row, "ever": 0} == {**with_known[key], "ever": 0}
