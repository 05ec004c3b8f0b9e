"""A higher platform's rates beside ours, and which open settings make ours theirs (assessment.md section 10)."""

from collections.abc import Callable, Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from itertools import groupby
from typing import Any, NamedTuple

from hj212gw.assessment.figures import apply_settings
from hj212gw.assessment.rates import Counts, Policy
from hj212gw.assessment.reproduce import (
    HOURS,
    NET_OR_GROSS,
    OF_ARRIVALS,
    OF_FIGURES,
    Choice,
    Key,
    Names,
    Outcome,
    Percents,
    Verdict,
    find_combinations,
    judge,
    plan_choices,
    show_percents,
    try_choices,
    values_of,
)
from hj212gw.assessment.rules import make_rules
from hj212gw.config_assessment import WASTEWATER_PARAMETERS, AssessmentSettings
from hj212gw.errors import ConfigError
from hj212gw.store.assessment import UPSTREAM, Scope
from hj212gw.store.figures import Cell, Cutoffs, read_policies
from hj212gw.store.upstream import CountRows, UpstreamRate, UpstreamStore

_ARRIVAL_NAMES = frozenset(item.name for item in OF_ARRIVALS)
_FIGURE_NAMES = tuple(item.name for item in OF_FIGURES)

Values = dict[str, tuple[Any, ...]]
Assignment = tuple[tuple[str, Any], ...]


class Question(NamedTuple):
    """What is compared.

    Attributes:
        source: name of the higher platform.
        from_day, to_day: days of UTC+8, the last one not included.
        outlets: None for all it has rates of.
        settings: of the assessment.
        now: hours that are not over are not due. Aware.
        on_progress: told how much is done, 0 to 1, and of which outlet.
    """

    source: str
    from_day: date
    to_day: date
    outlets: list[str] | None
    settings: AssessmentSettings
    now: datetime
    on_progress: Callable[[float, str], None] = lambda _share, _what: None


class Compared(NamedTuple):
    """One of their rates beside ours.

    Attributes:
        rate: theirs.
        local: ours from what arrived here; None where the day is not assessed here.
        recomputed: ours from their hours and marks; None where they gave no hours.
        outcome: which settings make it theirs; None where there is nothing to try.
    """

    rate: UpstreamRate
    local: Percents | None
    recomputed: Percents | None
    outcome: Outcome | None

    @property
    def theirs(self) -> Percents:
        """Return their percents."""
        return self.rate.transmission_pct, self.rate.validity_pct, self.rate.effective_pct

    def difference(self, ours: Percents | None) -> Decimal | None:
        """Return the effective rate of ours less theirs, None where either is not there."""
        if ours is None or ours[2] is None or self.rate.effective_pct is None:
            return None
        return ours[2] - self.rate.effective_pct


class Comparison(NamedTuple):
    """What was found.

    Attributes:
        policy: with the settings applied that change it.
        rows: by outlet, day and stage.
        values: what each open setting can be, the one in use first.
        verdicts: what the days say of each value.
        names, combinations: the settings that matter, and their choices that reproduce every day that any reproduces;
            None where they are too many to be tried together.
    """

    policy: Policy
    rows: list[Compared]
    values: Values
    verdicts: list[Verdict]
    names: Names
    combinations: list[Choice] | None


async def compare(store: UpstreamStore, question: Question) -> Comparison:
    """Lay a higher platform's rates beside ours, and try the open settings over its hours and marks.

    Its marks come without vouchers, so none lapses for lack of one; that they do is one of the settings tried.

    Raises:
        ConfigError: the policy is not one of days.
        StoreError: the database failed.
    """
    async with store.transaction():
        policy = await _find_policy(store, question.settings)
        days = (question.from_day, question.to_day)
        rates = await store.read_rates(question.source, days, question.outlets)
    run = _Run(store, question, policy)
    rows: list[Compared] = []
    for outlet, group in groupby(rates, key=lambda rate: rate.outlet):
        question.on_progress(len(rows) / len(rates), outlet)
        rows += await run.compare_outlet(list(group))
    outcomes = {Key(*row.rate.key): row.outcome for row in rows if row.outcome is not None}
    names, combinations = find_combinations(outcomes.values(), run.values)
    return Comparison(policy, rows, run.values, judge(outcomes, run.values), names, combinations)


async def _find_policy(store: UpstreamStore, settings: AssessmentSettings) -> Policy:
    known = await read_policies(store.connection)
    row = known.get(settings.policy)
    if row is None:
        raise ConfigError(f"there is no policy {settings.policy!r}: expected one of {', '.join(known)}")
    if "day" not in row["periods"]:
        raise ConfigError(f"the policy {settings.policy} has no figures of days: expected another --policy")
    values = {name: row[name] for name in ("t_unit", "v_denominator", "combine", "basis")}
    policy = Policy(row["policy"], threshold=Fraction(row["threshold"]), periods=tuple(row["periods"]), **values)
    return apply_settings(policy, settings)


class _Run:
    """One comparison on its way through the outlets."""

    def __init__(self, store: UpstreamStore, question: Question, policy: Policy) -> None:
        self._store = store
        self._question = question
        self._policy = policy
        self._settings = question.settings.model_copy(update={"vouchers": "ignored"})
        self.values = values_of(self._settings, policy)
        self._in_use = tuple(self.values[name][0] for name in _FIGURE_NAMES)

    async def compare_outlet(self, rates: Sequence[UpstreamRate]) -> list[Compared]:
        """Compare the rates of one outlet, in order of days."""
        question = self._question
        days = (rates[0].day, max(rate.day for rate in rates) + timedelta(days=1))
        scope = Scope(*days, question.now, [rates[0].outlet])
        theirs = scope._replace(arrivals=f"{UPSTREAM}{question.source}")
        rules = make_rules(self._settings)
        async with self._store.transaction():
            local = await self._store.count_days(scope, make_rules(question.settings), self._policy.basis)
            recomputed = await self._store.count_days(theirs, rules, self._policy.basis)
            traits = await self._store.read_traits(theirs, rules, self._cutoffs(), WASTEWATER_PARAMETERS)
        plans = {day: plan_choices(found, self.values) for (_, day), found in traits.items() if HOURS in found}
        counted = await self._count(theirs, {rate.day: plans[rate.day] for rate in rates if rate.day in plans})
        return [
            Compared(
                rate,
                self._show(local, rate),
                self._show(recomputed, rate) if rate.day in plans else None,
                self._try(rate, plans[rate.day], counted) if rate.day in plans else None,
            )
            for rate in rates
        ]

    async def _count(self, scope: Scope, plans: dict[date, tuple[Names, list[Choice]]]) -> dict[Assignment, CountRows]:
        """Count by every choice that is planned for any day; those that read the same arrivals share the reading."""
        wanted = {self._assign(names, choice) for names, choices in plans.values() for choice in choices}
        readings: dict[Assignment, list[Assignment]] = {}
        for assignment in sorted(wanted, key=repr):
            read = tuple(pair for pair in assignment if pair[0] in _ARRIVAL_NAMES)
            readings.setdefault(read, []).append(assignment)
        counted: dict[Assignment, CountRows] = {}
        for assignments in readings.values():
            net = {NET_OR_GROSS: "net"}  # gross groups are known with the net ones
            variants = [make_rules(self._settings.model_copy(update=net | dict(pairs))) for pairs in assignments]
            async with self._store.transaction():
                found = await self._store.count_variants(scope, variants, self._policy.basis)
            counted.update(zip(assignments, found, strict=True))
        return counted

    def _try(
        self, rate: UpstreamRate, plan: tuple[Names, list[Choice]], counted: dict[Assignment, CountRows]
    ) -> Outcome:
        names, choices = plan
        counts = {}
        for choice in choices:
            cell = counted[self._assign(names, choice)].get(rate.key)
            is_gross = dict(zip(names, choice, strict=True)).get(NET_OR_GROSS) == "gross"
            counts[choice] = _to_counts(cell, is_gross=is_gross)
        theirs = (rate.transmission_pct, rate.validity_pct, rate.effective_pct)
        return try_choices(theirs, names, counts, self._percents, self.values)

    def _assign(self, names: Names, choice: Choice) -> Assignment:
        """Return what a choice changes in the computation; whatever is not in it is as configured."""
        pairs = zip(names, choice, strict=True)
        return tuple(pair for pair in pairs if pair[0] != NET_OR_GROSS and pair[1] != self.values[pair[0]][0])

    def _percents(self, counts: Counts, figures: Choice) -> Percents:
        return show_percents(counts, self._policy, dict(zip(_FIGURE_NAMES, figures, strict=True)))

    def _show(self, counted: CountRows, rate: UpstreamRate) -> Percents | None:
        cell = counted.get(rate.key)
        return None if cell is None else self._percents(Counts(*cell.counts), self._in_use)

    def _cutoffs(self) -> Cutoffs:
        hours, days = self.values["immediate_cutoff_hours"], self.values["completed_days"]
        return Cutoffs(
            (timedelta(hours=min(hours)), timedelta(hours=max(hours))),
            (timedelta(days=min(days), microseconds=-1), timedelta(days=max(days))),
        )


def _to_counts(cell: Cell | None, *, is_gross: bool) -> Counts:
    """Return the counts of a cell that was computed net."""
    if cell is None:
        return Counts()
    counts = Counts(*cell.counts)
    return counts._replace(expected_groups=cell.listed) if is_gross else counts
