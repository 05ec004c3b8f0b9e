"""Lowest and highest figures over the settings that are not publicly fixed (assessment.md section 10).

An outlet's counts are computed for each choice of those settings alone that can matter to it, and every figure is put
together of them: what a choice does to one outlet does not depend on the others. Questions that change no count of
hours (rounding, the rate where nothing is due, how days make a period) are not varied.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from fractions import Fraction
from itertools import product
from typing import NamedTuple, get_args

from hj212gw.assessment.figures import Key, Manner, keys_of
from hj212gw.assessment.rates import Counts
from hj212gw.assessment.reports import Bound
from hj212gw.config_assessment import (
    CLOSING_DAYS,
    CUTOFF_HOURS,
    EXEMPT_HOURS,
    WASTEWATER_PARAMETERS,
    AssessmentSettings,
)
from hj212gw.store.figures import Cell, Cutoffs

# What decides about which arrivals and marks are known, each at one stage alone.
OF_ARRIVALS = {"immediate_by": "immediate", "immediate_cutoff_hours": "immediate", "completed_days": "completed"}
# What decides about groups; expected_groups does not need another computation.
OF_GROUPS = (
    "stop_partial",
    "manual",
    "interruption",
    "not_responsible",
    "uncounted_factors",
    "qc_exempt_scope",
    "qc_exempt_hours",
    "zero_flow",
    "invalid_received",
    "unconverted",
)
NET_OR_GROSS = "expected_groups"
_UNCOUNTED = "uncounted_factors"
_ROLLUP = "rollup"
_OF_COUNTS = {"v_denominator": ("expected", "received"), "t_unit": ("value", "group")}
_WITH_T = ("product", "t_only")
# Values of settings that are no choice of few.
_TRIED = {
    "uncounted_factors": (",".join(WASTEWATER_PARAMETERS), ""),
    "immediate_cutoff_hours": tuple(map(str, CUTOFF_HOURS)),
    "completed_days": tuple(map(str, CLOSING_DAYS)),
    "qc_exempt_hours": tuple(map(str, EXEMPT_HOURS)),
}

Choice = tuple[str, ...]  # a value for each of some settings, in their order; of a list its codes, as --set takes them
Names = tuple[str, ...]


def change_settings(settings: AssessmentSettings, changes: Mapping[str, str]) -> AssessmentSettings:
    """Return settings with some changed, whose values are as `Ranges` names them."""
    return AssessmentSettings.model_validate({**settings.model_dump(), **changes})


def show_setting(value: object) -> str:
    """Write the value of a setting as `--set` takes it."""
    return ",".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def names_at(stage: str, names: Names) -> Names:
    """Return those of some settings that can matter at a stage."""
    return tuple(name for name in names if OF_ARRIVALS.get(name, stage) == stage)


class Part(NamedTuple):
    """The counts of a cell by one choice of the settings of groups that can matter to it."""

    cell: Cell
    choice: Choice


@dataclass(slots=True)
class _Variants:
    """Counts by every choice: (settings, choice) -> counts net, and groups due gross."""

    counts: dict[Names, dict[Choice, tuple[Counts, int]]] = field(default_factory=dict)

    def add(self, names: Names, choice: Choice, counts: Counts, listed: int) -> None:
        """Pool the counts of one choice."""
        known = self.counts.setdefault(names, {})
        before, before_listed = known.get(choice, (Counts(), 0))
        known[choice] = (before.plus(counts), before_listed + listed)

    def names(self) -> Names:
        """Return all settings that matter."""
        return tuple(sorted({name for names in self.counts for name in names}))

    def find_movers(self) -> set[str]:
        """Return the settings that do change a count, of those that can."""
        found: set[str] = set()
        for names, known in self.counts.items():
            if NET_OR_GROSS in names and any(counts.expected_groups != gross for counts, gross in known.values()):
                found.add(NET_OR_GROSS)
            for place, name in enumerate(name for name in names if name != NET_OR_GROSS):
                by_rest: dict[Choice, tuple[Counts, int]] = {}
                if (
                    name == _UNCOUNTED
                    or any(  # what is not counted is missing by some choices
                        by_rest.setdefault((*choice[:place], *choice[place + 1 :]), value) != value
                        for choice, value in known.items()
                    )
                ):
                    found.add(name)
        return found

    def pick(self, chosen: dict[str, str]) -> Counts:
        """Return the counts by a choice."""
        found, listed = Counts(), 0
        for names, known in self.counts.items():
            choice = tuple(chosen[name] for name in names if name != NET_OR_GROSS)
            # None where nothing that is counted is listed then
            counts, gross = known.get(choice, (Counts(), 0))
            found, listed = found.plus(counts), listed + gross
        return found._replace(expected_groups=listed) if chosen.get(NET_OR_GROSS) == "gross" else found


@dataclass(slots=True)
class _Parts:
    """The variants of one key: of all of it, and by outlet and enterprise for the means."""

    whole: _Variants = field(default_factory=_Variants)
    points: dict[str, _Variants] = field(default_factory=dict)
    enterprises: dict[str, _Variants] = field(default_factory=dict)


class Ranges:
    """Collects the parts and finds the bounds.

    Args:
        settings: as configured.
        manner: how they make figures.
        city: its name.
    """

    def __init__(self, settings: AssessmentSettings, manner: Manner, city: str) -> None:
        self._settings = settings
        self._manner = manner
        self._city = city
        self._parts: dict[Key, _Parts] = {}
        self._has_values = False
        self.varied: dict[str, tuple[str, ...]] = {}

    def cutoffs(self) -> Cutoffs:
        """Return the earliest and the latest cut-off tried."""
        hours = sorted((*CUTOFF_HOURS, self._settings.immediate_cutoff_hours))
        days = sorted((*CLOSING_DAYS, self._settings.completed_days))
        moment = timedelta(microseconds=1)  # the last one of a day is included
        return Cutoffs(
            (timedelta(hours=hours[0]), timedelta(hours=hours[-1])),
            (timedelta(days=days[0]) - moment, timedelta(days=days[-1]) - moment),
        )

    def add(self, part: Part, names: Names) -> None:
        """Add the counts of a cell by one choice.

        Args:
            part: those counts, and the choice.
            names: of the settings that can matter to the outlet; `expected_groups` has no part in the choice.
        """
        cell = part.cell
        if not cell.listed:
            return
        counts = Counts(*cell.counts)
        self._has_values |= counts[:2] != (counts.expected_groups, counts.groups_received)
        for key in keys_of(cell, self._city):
            parts = self._parts.setdefault(key, _Parts())
            units = [parts.whole]
            if key[0] != "outlet":
                units.append(parts.points.setdefault(cell.outlet, _Variants()))
                if cell.enterprise is not None:
                    units.append(parts.enterprises.setdefault(cell.enterprise, _Variants()))
            for unit in units:
                unit.add(names, part.choice, counts, cell.listed)

    def find(self, key: Key) -> tuple[Bound | None, Bound | None]:
        """Return the lowest and the highest rate of a key, and by which settings; None where there is no rate."""
        parts = self._parts.get(key)
        if parts is None:
            return None, None
        lowest: tuple[Fraction, int, dict[str, str]] | None = None
        highest: tuple[Fraction, int, dict[str, str]] | None = None
        for effective, chosen in self._list(parts, has_rollup=key[0] != "outlet"):
            changes = sum(value != self._configured(name) for name, value in chosen.items())
            if lowest is None or (effective, changes) < lowest[:2]:
                lowest = (effective, changes, chosen)
            if highest is None or (-effective, changes) < (-highest[0], highest[1]):
                highest = (effective, changes, chosen)
        if lowest is None or highest is None:
            return None, None
        return Bound(lowest[0], lowest[2]), Bound(highest[0], highest[2])

    def _list(self, parts: _Parts, *, has_rollup: bool) -> Iterator[tuple[Fraction, dict[str, str]]]:
        """Yield the rate by every choice that gives one."""
        names = parts.whole.names()
        # What changes nothing here is best left as configured.
        movers = set().union(*(unit.find_movers() for unit in parts.points.values() or [parts.whole]))
        values = [self.values_of(name)[: None if name in movers else 1] for name in names]
        rollups: dict[str, Iterable[_Variants]] = {"pooled": [parts.whole]}
        if has_rollup:
            rollups["mean_of_points"] = parts.points.values()
            rollups["mean_of_enterprises"] = parts.enterprises.values()
            self.varied[_ROLLUP] = tuple(rollups)
        for of_counts in self._count_choices():
            policy = self._manner.policy
            policy = policy._replace(
                v_denominator=of_counts.get("v_denominator", policy.v_denominator),
                t_unit=of_counts.get("t_unit", policy.t_unit),
            )
            for rollup, units in rollups.items():
                means = _Means(units, self._manner._replace(policy=policy))
                named = {_ROLLUP: rollup} if has_rollup else {}
                for choice in product(*values):
                    chosen = dict(zip(names, choice, strict=True))
                    effective = means.pick(chosen)
                    if effective is not None:
                        yield effective, {**of_counts, **named, **chosen}

    def values_of(self, name: str) -> tuple[str, ...]:
        """Return what a setting can be, the configured value first; it counts as varied from then on."""
        configured = self._configured(name)
        values = _TRIED.get(name) or get_args(AssessmentSettings.model_fields[name].annotation)
        ordered = (configured, *(value for value in values if value != configured))
        self.varied[name] = ordered
        return ordered

    def _count_choices(self) -> list[dict[str, str]]:
        policy = self._manner.policy
        varied = {}
        if policy.combine == "product" and policy.v_denominator != "none":
            varied["v_denominator"] = _OF_COUNTS["v_denominator"]
        if policy.combine in _WITH_T and policy.t_unit != "none" and self._has_values:
            varied["t_unit"] = _OF_COUNTS["t_unit"]
        self.varied.update(varied)
        return [dict(zip(varied, choice, strict=True)) for choice in product(*varied.values())]

    def _configured(self, name: str) -> str:
        if name in _OF_COUNTS:
            return str(getattr(self._manner.policy, name))
        return show_setting(getattr(self._settings, name))


class _Means:
    """The mean of units by any choice; units to which the same settings matter are added up once."""

    def __init__(self, units: Iterable[_Variants], manner: Manner) -> None:
        self._manner = manner
        self._groups: dict[Names, list[_Variants]] = {}
        self._sums: dict[tuple[Names, Choice], tuple[Fraction, int]] = {}
        for unit in units:
            self._groups.setdefault(unit.names(), []).append(unit)

    def pick(self, chosen: dict[str, str]) -> Fraction | None:
        """Return the mean rate by a choice, None where no unit has a rate."""
        total, count = Fraction(0), 0
        for names in self._groups:
            choice = tuple(chosen[name] for name in names)
            if (names, choice) not in self._sums:
                self._sums[names, choice] = self._add_up(names, chosen)
            part, how_many = self._sums[names, choice]
            total, count = total + part, count + how_many
        return total / count if count else None

    def _add_up(self, names: Names, chosen: dict[str, str]) -> tuple[Fraction, int]:
        rates = [self._manner.rate(unit.pick(chosen)).effective for unit in self._groups[names]]
        known = [rate for rate in rates if rate is not None]
        return sum(known, Fraction(0)), len(known)
