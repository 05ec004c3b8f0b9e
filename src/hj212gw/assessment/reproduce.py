"""Which of the settings that are not publicly fixed give a higher platform's own figures (assessment.md section 10).

A setting is tried on a day of an outlet only where the hours and marks of that day hold what it decides about, and only
those that change the figure are told. Pure: counts come in, verdicts go out.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import date
from decimal import Decimal
from itertools import product
from typing import Any, NamedTuple, TypeVar

from hj212gw.assessment.figures import Manner
from hj212gw.assessment.rates import Counts, Policy, show_percent
from hj212gw.config_assessment import (
    CLOSING_DAYS,
    CUTOFF_HOURS,
    EXEMPT_HOURS,
    WASTEWATER_PARAMETERS,
    AssessmentSettings,
)

T = TypeVar("T")
Choice = tuple[Any, ...]  # a value for each of some settings, in their order
Names = tuple[str, ...]
Percents = tuple[Decimal | None, Decimal | None, Decimal | None]  # transmission, validity, effective

NET_OR_GROSS = "expected_groups"  # needs no computation of its own
HOURS = "hours"  # the trait of days of which there is any hour
MOST_COMBINATIONS = 200_000  # that are tried against all days together

_LEFT_OUT = frozenset(("stop", "not_responsible", "interruption", "standard_check"))


class Open(NamedTuple):
    """A setting that is not publicly fixed: what it can be, and what a day must hold for it to matter."""

    name: str
    values: tuple[Any, ...]
    traits: frozenset[str]


def _open(name: str, values: tuple[Any, ...], *traits: str) -> Open:
    return Open(name, values, frozenset(traits))


# Those that decide which arrivals and marks are known in time, those that decide about groups, those about figures.
OF_ARRIVALS = (
    _open("immediate_by", ("deadline", "provenance"), "filled"),
    _open("immediate_cutoff_hours", CUTOFF_HOURS, "late_immediate"),
    _open("completed_days", CLOSING_DAYS, "late_completed"),
)
OF_GROUPS = (
    _open(NET_OR_GROSS, ("net", "gross"), *_LEFT_OUT),
    _open("stop_partial", ("under_45_running", "whole_hour", "any_minute", "never"), "stop"),
    _open("manual", ("completed", "never"), "manual"),
    _open("interruption", ("explains", "excuses"), "interruption"),
    _open("not_responsible", ("both", "validity", "none"), "not_responsible", "interruption"),
    _open("uncounted_factors", (WASTEWATER_PARAMETERS, ()), "uncounted"),
    _open("qc_exempt_scope", ("factor", "point"), "standard_check"),
    _open("qc_exempt_hours", EXEMPT_HOURS, "standard_check"),
    _open("invalid_received", ("counts", "missing"), "bad_flag"),
    _open("unconverted", ("valid", "invalid"), "partial"),
    _open("vouchers", ("ignored", "required"), "voucher"),
)
OF_FIGURES = (
    _open("v_denominator", ("expected", "received")),
    _open("t_unit", ("value", "group")),
    _open("rounding", ("truncate", "half_up")),
    _open("nothing_due", ("none", "full")),
)
OF_COUNTS = (*OF_ARRIVALS, *OF_GROUPS)
ALL = (*OF_COUNTS, *OF_FIGURES)


class Key(NamedTuple):
    """A day of an outlet at a stage."""

    outlet: str
    day: date
    stage: str


class Outcome(NamedTuple):
    """What came of trying to reproduce one figure.

    Attributes:
        matters: settings that change the figure, in the order of `ALL`.
        reproduced_by: the choices of those that give their figure, the fewest changes first.
        tried: how many choices there were.
    """

    matters: Names
    reproduced_by: list[Choice]
    tried: int


class Verdict(NamedTuple):
    """What real days say of one value of a setting.

    Attributes:
        name, value: which.
        is_configured: whether it is used.
        reproduces, fails: days that some combination reproduces, on which one with this value does, or none does.
        ruled_out_by: the first of the latter, None where there is none.
    """

    name: str
    value: Any
    is_configured: bool
    reproduces: int
    fails: int
    ruled_out_by: Key | None


def values_of(settings: AssessmentSettings, policy: Policy) -> dict[str, tuple[Any, ...]]:
    """Return what each open setting can be, the value in use first."""
    used = {**{item.name: getattr(settings, item.name) for item in ALL}}
    used |= {"v_denominator": policy.v_denominator, "t_unit": policy.t_unit}
    fixed = {
        "v_denominator": policy.combine != "product" or policy.v_denominator == "none",
        "t_unit": policy.combine not in ("product", "t_only") or policy.t_unit == "none",
    }
    return {
        item.name: (used[item.name], *(value for value in item.values if value != used[item.name]))
        if not fixed.get(item.name)
        else (used[item.name],)
        for item in ALL
    }


def plan_choices(traits: frozenset[str], values: Mapping[str, tuple[Any, ...]]) -> tuple[Names, list[Choice]]:
    """Return the settings of counts that a day's traits let matter, and every choice of their values."""
    names = tuple(item.name for item in OF_COUNTS if item.traits & traits)
    return names, list(product(*(values[name] for name in names)))


def show_percents(counts: Counts, policy: Policy, figures: Mapping[str, Any]) -> Percents:
    """Return transmission, validity and effective rate as they are shown."""
    changed = policy._replace(v_denominator=figures["v_denominator"], t_unit=figures["t_unit"])
    rate = Manner(changed, figures["nothing_due"] == "full", "pooled").rate(counts)
    texts = [show_percent(part, figures["rounding"]) for part in rate[:3]]
    first, second, third = (None if text is None else Decimal(text) for text in texts)
    return first, second, third


def try_choices(
    theirs: Percents, names: Names, counts: Mapping[Choice, Counts], figure_of: Callable[[Counts, Choice], Percents],
    values: Mapping[str, tuple[Any, ...]],
) -> Outcome:  # fmt: skip
    """Try every choice of the settings of counts with every one of the settings of figures.

    Args:
        theirs: what is to be reproduced; what they do not tell is not compared.
        names: settings of counts.
        counts: by each choice of those.
        figure_of: makes percents of counts under a choice of `OF_FIGURES`.
        values: what each setting can be, the one in use first.
    """
    names, reduced = drop_idle(names, counts)
    of_figures = tuple(item.name for item in OF_FIGURES)
    table = {
        (*choice, *figures): figure_of(found, figures)
        for choice, found in reduced.items()
        for figures in product(*(values[name] for name in of_figures))
    }
    told = [place for place, percent in enumerate(theirs) if percent is not None]
    shown = {choice: tuple(percents[place] for place in told) for choice, percents in table.items()}
    matters, shown = drop_idle((*names, *of_figures), shown)
    wanted = tuple(theirs[place] for place in told)
    found = [choice for choice, percents in shown.items() if percents == wanted]
    used = tuple(values[name][0] for name in matters)
    found.sort(key=lambda choice: sum(one != other for one, other in zip(choice, used, strict=True)))
    return Outcome(matters, found, len(shown))


def drop_idle(names: Names, table: Mapping[Choice, T]) -> tuple[Names, dict[Choice, T]]:
    """Drop the settings that change nothing in a table of every choice."""
    kept, left = names, dict(table)
    for name in names:
        place = kept.index(name)
        by_rest: dict[Choice, T] = {}
        if all(by_rest.setdefault((*key[:place], *key[place + 1 :]), value) == value for key, value in left.items()):
            kept, left = (*kept[:place], *kept[place + 1 :]), by_rest
    return kept, left


def judge(outcomes: Mapping[Key, Outcome], values: Mapping[str, tuple[Any, ...]]) -> list[Verdict]:
    """Say of each value of each open setting whether a real day rules it out.

    A day that no combination reproduces says nothing: its hours or marks are not those the platform had.
    """
    verdicts = []
    for name, choices in values.items():
        if len(choices) == 1:
            continue
        explained = [
            (key, {choice[outcome.matters.index(name)] for choice in outcome.reproduced_by})
            for key, outcome in outcomes.items()
            if name in outcome.matters and outcome.reproduced_by
        ]
        for value in choices:
            against = [key for key, found in explained if value not in found]
            first = against[0] if against else None
            verdicts.append(
                Verdict(name, value, value == choices[0], len(explained) - len(against), len(against), first)
            )
    return verdicts


def find_combinations(
    outcomes: Iterable[Outcome], values: Mapping[str, tuple[Any, ...]]
) -> tuple[Names, list[Choice] | None]:
    """Return the settings that matter on any day, and their choices that reproduce every day any one reproduces.

    None where they are too many to be tried together.
    """
    known = {(outcome.matters, frozenset(outcome.reproduced_by)) for outcome in outcomes if outcome.reproduced_by}
    names = tuple(name for name in values if any(name in matters for matters, _ in known))
    count = 1
    for name in names:
        count *= len(values[name])
    if count > MOST_COMBINATIONS:
        return names, None
    tests = [(tuple(map(names.index, matters)), choices) for matters, choices in known]
    return names, list(_filter(product(*(values[name] for name in names)), tests))


def _filter(choices: Iterable[Choice], tests: list[tuple[tuple[int, ...], frozenset[Choice]]]) -> Iterator[Choice]:
    for choice in choices:
        if all(tuple(choice[place] for place in places) in allowed for places, allowed in tests):
            yield choice
