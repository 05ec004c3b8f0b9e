"""From counts of outlets to figures of outlets, enterprises, counties and the city (assessment.md section 6)."""

from collections.abc import Iterable, Iterator
from datetime import date, datetime, timedelta
from fractions import Fraction
from typing import NamedTuple

from hj212gw.assessment.rates import Counts, Policy, Rate, compute_rate, is_passed, mean_of, pool
from hj212gw.assessment.reports import LEVELS, Figure
from hj212gw.assessment.stages import voucher_due
from hj212gw.config_assessment import AssessmentSettings
from hj212gw.errors import ConfigError
from hj212gw.protocol.times import start_of
from hj212gw.store.assessment import STAGES, Rules
from hj212gw.store.figures import Cell

NOT_OF_POLICY = "nothing the policy assesses"
ALL_LEFT_OUT = "stopped or excused all the time"
NOTHING_DUE = "nothing is due"

_MONTHS = {"month": 1, "quarter": 3, "year": 12}

Key = tuple[str, str, date, str]  # level, id, period_start, stage
Days = dict[date | None, Counts]  # one entry where days are pooled


class Manner(NamedTuple):
    """How counts become figures.

    Attributes:
        policy: with the settings applied.
        is_full: whether the rate is 100 % where nothing is due.
        rollup: pooled, mean_of_points or mean_of_enterprises.
    """

    policy: Policy
    is_full: bool
    rollup: str

    def rate(self, counts: Counts) -> Rate:
        """Compute the rates of pooled counts."""
        rate = compute_rate(counts, self.policy)
        if rate.effective is None and self.is_full and not counts.expected_groups:
            full = Fraction(1)
            return Rate(
                None if self.policy.t_unit == "none" else full, full, full, is_passed(full, self.policy.threshold)
            )
        return rate

    def rate_of_days(self, days: Days) -> Rate:
        """Compute the rates of a period: pooled, or the mean of its days where those are apart."""
        if len(days) == 1:
            return self.rate(*days.values())
        return mean_of(map(self.rate, days.values()), self.policy.threshold)

    def mean(self, rates: Iterable[Rate]) -> Rate:
        """Compute the mean of those that have a rate."""
        return mean_of(rates, self.policy.threshold)


def apply_settings(policy: Policy, settings: AssessmentSettings) -> Policy:
    """Let settings that are not left to the policy take its place.

    Raises:
        ConfigError: the effective rate is to be made of a transmission that the policy does not count.
    """
    if settings.v_denominator != "policy":
        policy = policy._replace(v_denominator=settings.v_denominator)
    if settings.t_unit != "policy":
        policy = policy._replace(t_unit=settings.t_unit)
    if settings.combine != "policy":
        policy = policy._replace(combine=settings.combine)
    if policy.t_unit == "none" and policy.combine != "single":
        raise ConfigError(
            f"combine={policy.combine} takes transmission, and the policy {policy.name} counts no transmission:"
            " expected t_unit=value or t_unit=group besides"
        )
    if settings.threshold is not None:
        policy = policy._replace(threshold=Fraction(str(settings.threshold)))
    return policy


class Pool:
    """What is known of one key while cells are put together."""

    __slots__ = ("days", "enterprises", "listed", "points")

    def __init__(self) -> None:
        self.days: Days = {}
        self.points: dict[str, Days] = {}
        self.enterprises: dict[str, Days] = {}
        self.listed = 0

    def add(self, cell: Cell) -> None:
        """Add the counts of a cell."""
        if not cell.listed:
            return
        counts = Counts(*cell.counts)
        self.listed += cell.listed
        _add(self.days, cell.day, counts)
        _add(self.points.setdefault(cell.outlet, {}), cell.day, counts)
        if cell.enterprise is not None:
            _add(self.enterprises.setdefault(cell.enterprise, {}), cell.day, counts)


def keys_of(cell: Cell, city: str) -> Iterator[Key]:
    """Yield whose figures a cell is part of."""
    ids = (cell.outlet, cell.enterprise, cell.county, city)
    for level, name in zip(LEVELS, ids, strict=True):
        if name is not None:
            yield level, name, cell.period_start, cell.stage


def pool_cells(cells: Iterable[Cell], city: str, pools: dict[Key, Pool]) -> None:
    """Put cells into the pools of whose figures they are part of."""
    for cell in cells:
        for key in keys_of(cell, city):
            pools.setdefault(key, Pool()).add(cell)


def order_of(key: Key) -> tuple[int, str, date, int]:
    """Return what figures are sorted by: the city first, outlets last; then id, period and stage."""
    level, name, period_start, stage = key
    return -LEVELS.index(level), name, period_start, STAGES.index(stage)


def make_figure(key: Key, pool_: Pool, manner: Manner, named: tuple[str, str, bool]) -> Figure:
    """Make a figure.

    Args:
        key: whose.
        pool_: its counts.
        manner: how.
        named: its name, the period, and whether it is provisional.
    """
    level, id_, period_start, stage = key
    name, period, is_provisional = named
    counts = pool(pool_.days.values())
    rate = manner.rate_of_days(pool_.days)
    points = enterprises = None
    if level != "outlet":
        points = manner.mean(manner.rate_of_days(days) for days in pool_.points.values())
        enterprises = manner.mean(manner.rate_of_days(days) for days in pool_.enterprises.values())
        rate = {"mean_of_points": points, "mean_of_enterprises": enterprises}.get(manner.rollup, rate)
    reason = None if rate.effective is not None else _tell_no_rate(counts, manner.policy, pool_.listed)
    return Figure(
        level, id_, name, period, period_start, stage, counts, rate, points, enterprises, reason, is_provisional
    )


def is_provisional(last_day: date, stage: str, rules: Rules, now: datetime) -> bool:
    """Tell whether data, marks or vouchers may still change a stage of a period that ends with a day."""
    ended_at = start_of(last_day + timedelta(days=1))
    if stage == "immediate":
        return now <= ended_at + rules.immediate_after
    final_at = ended_at + rules.completed_after
    if rules.values["vouchers"] == "required":
        final_at = max(final_at, voucher_due(last_day))
    return now <= final_at


def last_day_of(period: str, period_start: date, to_day: date) -> date:
    """Return the last day of a period that lies before `to_day`."""
    end = to_day
    if period == "day":
        end = period_start + timedelta(days=1)
    elif period in _MONTHS:
        months = period_start.month - 1 + _MONTHS[period]
        end = date(period_start.year + months // 12, months % 12 + 1, 1)
    return min(end, to_day) - timedelta(days=1)


def _add(days: Days, day: date | None, counts: Counts) -> None:
    days[day] = days[day].plus(counts) if day in days else counts


def _tell_no_rate(counts: Counts, policy: Policy, listed: int) -> str:
    if counts.groups_not_taking_part:
        return ALL_LEFT_OUT
    return NOT_OF_POLICY if policy.basis != "all" and not listed else NOTHING_DUE
