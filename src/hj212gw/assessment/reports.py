"""What an assessment finds, for whoever prints it: figures, lost hours, ranges, and by which settings."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from fractions import Fraction
from types import MappingProxyType
from typing import Any, NamedTuple

from hj212gw.assessment.rates import Counts, Policy, Rate

LEVELS = ("outlet", "enterprise", "county", "city")
PERIODS = ("day", "month", "quarter", "year", "total")
STATES = ("missing", "late", "flag", "mark", "partial")


class Figure(NamedTuple):
    """The rates of an outlet, an enterprise, a county or the city over a period at a stage.

    Attributes:
        level, id, name: of whom.
        period: day, month, quarter, year, or total for the whole range.
        period_start: the first day of the period by the calendar; of a total, of the range.
        stage: immediate or completed.
        counts: pooled.
        rate: by the settings used; no rate where nothing is due.
        mean_of_points, mean_of_enterprises: beside it, None for outlets.
        no_rate_reason: why there is no rate, None where there is one.
        provisional: whether a stage or a voucher may still change it.
    """

    level: str
    id: str
    name: str
    period: str
    period_start: date
    stage: str
    counts: Counts
    rate: Rate
    mean_of_points: Rate | None
    mean_of_enterprises: Rate | None
    no_rate_reason: str | None
    provisional: bool


class LostHour(NamedTuple):
    """A group that counts against a rate.

    Attributes:
        outlet, factor: what of.
        hour: its start, of UTC+8, aware.
        stage: at which it counts.
        state: missing, late, flag, mark or partial.
        reason: in words.
        enterprise: its outlet was of in that hour, None where the registry does not know.
        is_dry: whether its outlet had no flow.
    """

    outlet: str
    factor: str
    hour: datetime
    stage: str
    state: str
    reason: str
    enterprise: str | None = None
    is_dry: bool = False


class Bound(NamedTuple):
    """One end of a range: the effective rate, and the open settings that give it."""

    effective: Fraction
    settings: dict[str, str]


class Spread(NamedTuple):
    """How far the open settings move one figure (assessment.md section 10).

    Attributes:
        level, id, name, period, period_start, stage: as of the figure.
        configured: the figure by the settings used; None where there is no rate.
        lowest, highest: None where no choice of settings gives a rate.
    """

    level: str
    id: str
    name: str
    period: str
    period_start: date
    stage: str
    configured: Fraction | None
    lowest: Bound | None
    highest: Bound | None


class Report(NamedTuple):
    """An assessment.

    Attributes:
        figures: level by level from the city down to outlets, then by id, period and stage.
        policy: with the settings applied that change it: v_denominator, t_unit, combine, threshold.
        settings: every setting of the assessment by its name, as used.
        from_day, to_day: days of UTC+8, the last one not included.
        period: which periods the figures are of.
        now: when it was computed, aware.
        arrivals: `local`, `upstream:NAME`, or `files:NAME` for a folder of files.
        city: its name.
        lost_hours: None where nobody asked.
        spreads: the ranges; None where nobody asked.
        varied: the open settings that the ranges go over, with the values tried.
        names: the newest, by level and id, whoever has a figure; of factors by `factor` and code.
        remedies: in Chinese, what can be done about a lost hour while its stage is open, by stage, state and whether
            there was no flow.
        uncounted: outlets and factors of the base list that are shown and not counted (assessment.md section 12,
            question 11).
    """

    figures: list[Figure]
    policy: Policy
    settings: dict[str, Any]
    from_day: date
    to_day: date
    period: str
    now: datetime
    arrivals: str
    city: str
    lost_hours: Sequence[LostHour] | None = None
    spreads: list[Spread] | None = None
    varied: dict[str, tuple[str, ...]] = {}  # noqa: RUF012 - of a tuple, never changed
    names: Mapping[tuple[str, str], str] = MappingProxyType({})
    remedies: Mapping[tuple[str, str, bool], str] = MappingProxyType({})
    uncounted: Sequence[tuple[str, str]] = ()

    @property
    def is_estimate(self) -> bool:
        """Whether the figures are an estimate of the province's: other data reach its platform, at other times."""
        return self.arrivals == "local"
