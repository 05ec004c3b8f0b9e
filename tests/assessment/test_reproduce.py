"""Which settings give a platform's figure: what matters is kept, what a real day contradicts is ruled out."""

from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hj212gw.assessment.rates import Counts, Policy
from hj212gw.assessment.reproduce import (
    ALL,
    HOURS,
    OF_FIGURES,
    Key,
    Outcome,
    drop_idle,
    find_combinations,
    judge,
    plan_choices,
    show_percents,
    try_choices,
    values_of,
)
from hj212gw.config_assessment import AssessmentSettings

POLICY = Policy("national_platform_v2", "value", "expected", "product", Fraction(95))
VALUES = values_of(AssessmentSettings(vouchers="ignored"), POLICY)
NAMES = tuple(item.name for item in OF_FIGURES)


def show(counts, figures):
    """Percents under a choice of the settings of figures."""
    return show_percents(counts, POLICY, dict(zip(NAMES, figures, strict=True)))


def key(day):
    """A day of March."""
    return Key("O1", date(2026, 3, 1) + timedelta(days=day), "completed")


def percents(transmission, validity, effective):
    """Percents as they are shown."""
    return tuple(None if text is None else Decimal(text) for text in (transmission, validity, effective))


def test_every_open_setting_is_one():
    """Each is a setting of the assessment, and each value but the policy's own one that it takes."""
    for item in ALL:
        for value in item.values:
            assert getattr(AssessmentSettings.model_validate({item.name: value}), item.name) == value
        assert VALUES[item.name][0] in item.values


def test_wastewater_parameters_are_not_counted_by_default():
    """Question 11; that they count is what is tried besides."""
    assert VALUES["uncounted_factors"] == (("w00000", "w01001", "w01010"), ())


def test_value_in_use_comes_first():
    """Also one that is not among those usually tried."""
    values = values_of(AssessmentSettings(immediate_cutoff_hours=10), POLICY)
    assert values["immediate_cutoff_hours"] == (10, 12, 13, 24)


def test_policy_without_a_product_fixes_its_parts():
    """Where valid groups are divided by groups due, neither denominator nor unit is open."""
    values = values_of(AssessmentSettings(), POLICY._replace(combine="single"))
    assert (values["v_denominator"], values["t_unit"]) == (("expected",), ("value",))


def test_plan_takes_what_a_day_holds():
    """Nothing but hours: one way; a stop: four ways by groups due net and gross."""
    assert plan_choices(frozenset((HOURS,)), VALUES) == ((), [()])
    names, choices = plan_choices(frozenset((HOURS, "stop")), VALUES)
    assert names == ("expected_groups", "stop_partial")
    assert len(choices) == 8
    assert choices[0] == ("net", "under_45_running")


def test_lost_hours_tell_denominators_apart():
    """44 of 48 groups came and are valid: TV 84.02 is S/N, 91.66 is S/G (example E1)."""
    counts = {(): Counts(48, 44, 48, 0, 44, 44)}
    strict = try_choices(percents("91.66", None, "84.02"), (), counts, show, VALUES)
    assert (strict.matters, strict.reproduced_by) == (("v_denominator", "rounding"), [("expected", "truncate")])
    loose = try_choices(percents(None, None, "91.66"), (), counts, show, VALUES)
    assert loose.reproduced_by == [("received", "truncate")]
    assert loose.tried == 4


def test_nothing_due_may_be_full():
    """A platform that shows 100 where nothing is due."""
    outcome = try_choices(percents(None, None, "100.00"), (), {(): Counts()}, show, VALUES)
    assert (outcome.matters, outcome.reproduced_by) == (("nothing_due",), [("full",)])


@given(st.dictionaries(st.tuples(*[st.booleans()] * 3), st.integers(0, 2), min_size=8, max_size=8))
def test_drop_idle_keeps_every_value(table):
    """What is left gives each choice the value it had, and each setting left changes something."""
    names, left = drop_idle(("a", "b", "c"), table)
    places = ["abc".index(name) for name in names]
    assert all(left[tuple(choice[place] for place in places)] == value for choice, value in table.items())
    for place in range(len(names)):
        assert any(left[choice] != left[(*choice[:place], not choice[place], *choice[place + 1 :])] for choice in left)


def test_judge_and_combine():
    """A day no combination reproduces says nothing; one that only one value does rules the other out."""
    outcomes = {
        key(0): Outcome(("v_denominator", "rounding"), [("expected", "truncate"), ("received", "half_up")], 4),
        key(1): Outcome(("rounding",), [("truncate",)], 2),
        key(2): Outcome(("t_unit",), [], 2),
    }
    verdicts = {(verdict.name, verdict.value): verdict for verdict in judge(outcomes, VALUES)}
    assert verdicts["rounding", "half_up"].ruled_out_by == key(1)
    assert (verdicts["rounding", "half_up"].reproduces, verdicts["rounding", "half_up"].fails) == (1, 1)
    assert verdicts["v_denominator", "received"].ruled_out_by is None
    assert verdicts["t_unit", "group"][3:] == (0, 0, None)
    # Alone it is not ruled out; together with the second day it is.
    names, combinations = find_combinations(outcomes.values(), VALUES)
    assert (names, combinations) == (("v_denominator", "rounding"), [("expected", "truncate")])


def test_too_many_combinations():
    """They are not tried for ever."""
    outcomes = [Outcome((item.name,), [(VALUES[item.name][0],)], len(VALUES[item.name])) for item in ALL]
    assert find_combinations(outcomes, VALUES)[1] is None


@pytest.mark.parametrize("outcomes", [[], [Outcome((), [()], 1)]])
def test_nothing_that_matters(outcomes):
    """No names, and at most the one empty combination."""
    assert find_combinations(outcomes, VALUES) == ((), [()])
