"""Figures out of `computed_days`: counts by outlet, lost hours, and which open settings can matter."""

import json
from collections.abc import AsyncIterator, Iterable, Sequence
from datetime import date, datetime, timedelta
from typing import Any, NamedTuple

from hj212gw.protocol.times import WIRE_ZONE, local_day, start_of
from hj212gw.store.assessment import LOCAL, UPSTREAM, Rules, Scope
from hj212gw.store.pool import Connection
from hj212gw.store.queries import load_query

_PREFETCH = 5000
_READ = ("base_days", "arrived_days")


class Cell(NamedTuple):
    """The counts of an outlet at a stage over a period, or over a day of it.

    Attributes:
        outlet: whose.
        enterprise, county: it was of; None where the registry does not know.
        stage: immediate or completed.
        period_start: of the period.
        day: where asked for by day.
        counts: expected_values, reported_values, expected_groups, groups_not_taking_part, groups_received,
            valid_groups.
        listed: groups on the base list that are over, those left out included.
    """

    outlet: str
    enterprise: str | None
    county: str | None
    stage: str
    period_start: date
    day: date | None
    counts: tuple[int, ...]
    listed: int


class Grouping(NamedTuple):
    """How counts are put together.

    Attributes:
        period: day, month, quarter, year or total.
        first_day: which a total begins with.
        basis: which counts a policy takes: all, gfsw, gas, water.
        by_day: each day of a period apart.
        stages: which.
    """

    period: str
    first_day: date
    basis: str
    by_day: bool
    stages: Sequence[str]


class Loss(NamedTuple):
    """A group that counts against a rate, with what tells the reason.

    Attributes:
        outlet, factor, day, hour, stage: where.
        fields: values due.
        came: how many came by the cut-off.
        state: missing, late, flag, mark or partial.
        has_mean: whether the mean is among them.
        is_dry: whether the flow of its outlet came and is zero.
        enterprise: its outlet was of in that hour, None where the registry does not know.
    """

    outlet: str
    factor: str
    day: date
    hour: int
    stage: str
    fields: int
    came: int
    state: str
    has_mean: bool
    is_dry: bool
    enterprise: str | None


class Cutoffs(NamedTuple):
    """The earliest and the latest end of both stages that are tried, after the end of a day."""

    immediate: tuple[timedelta, timedelta]
    completed: tuple[timedelta, timedelta]


async def read_policies(connection: Connection) -> dict[str, dict[str, Any]]:
    """Read the named policies."""
    rows = await connection.fetch("SELECT * FROM hj212.policies ORDER BY policy")
    return {row["policy"]: dict(row) for row in rows}


async def read_names(connection: Connection) -> dict[tuple[str, str], str]:
    """Read the newest names, by level and id; those of factors by `factor` and code."""
    return {(row["level"], row["id"]): row["name"] for row in await connection.fetch(load_query("read_names"))}


async def find_sources(connection: Connection) -> list[str]:
    """Return the names of the higher platforms of which there are hours."""
    return [row["source"] for row in await connection.fetch(load_query("find_upstream_sources"))]


async def read_remedies(
    connection: Connection, stages: Sequence[str], states: Sequence[str]
) -> dict[tuple[str, str, bool], str]:
    """Read what can be done about a lost hour while its stage is open, by stage, state and whether flow lacked."""
    rows = await connection.fetch(load_query("read_remedies"), list(stages), list(states))
    return {(row["stage"], row["state"], row["is_dry"]): row["remedy"] for row in rows}


async def find_span(connection: Connection, arrivals: str) -> tuple[date | None, date | None]:
    """Tell the first day that the base list and the hours span, and the day after the last; None where it is open."""
    source = None if arrivals == LOCAL else arrivals.removeprefix(UPSTREAM)
    row = await connection.fetchrow(load_query("find_assessed_span"), source)
    assert row is not None
    first, end = row["from_at"], row["to_at"]
    return (
        None if first is None else local_day(first),
        None if end is None else _day_after(end.astimezone(WIRE_ZONE)),
    )


async def read_cells(connection: Connection, grouping: Grouping) -> list[Cell]:
    """Read the counts of `computed_days`, in its transaction."""
    rows = await connection.fetch(load_query("read_figures"), *grouping)
    return [_to_cell(tuple(row)) for row in rows]


async def read_uncounted(connection: Connection, factors: Sequence[str]) -> set[tuple[str, str]]:
    """Tell which outlets and factors of `base_days` some of the factors leave out, in its transaction."""
    query = "SELECT DISTINCT outlet, factor FROM base_days WHERE factor = ANY ($1::text[])"
    return {(row["outlet"], row["factor"]) for row in await connection.fetch(query, list(factors))}


async def read_losses(connection: Connection, rules: Rules, stages: Sequence[str]) -> AsyncIterator[Loss]:
    """Yield the lost hours of `computed_days`, by outlet, hour, factor and stage, in its transaction."""
    query = load_query("read_lost_hours")
    async for row in connection.cursor(query, json.dumps(rules.values), list(stages), prefetch=_PREFETCH):
        yield Loss(*row)


async def read_open_questions(
    connection: Connection, scope: Scope, flow_factors: Sequence[str], uncounted: Iterable[str], cutoffs: Cutoffs
) -> dict[str, tuple[str, ...]]:
    """Tell which settings can matter to each outlet, by what `base_days` and `arrived_days` hold.

    Args:
        connection: in the transaction of `read_arrivals`.
        scope: it was called with.
        flow_factors: tell the flow.
        uncounted: factors that some choice leaves out.
        cutoffs: what comes or is recorded between those tried is in time for some and late for others.
    """
    source = None if scope.arrivals == LOCAL else scope.arrivals.removeprefix(UPSTREAM)
    days = (start_of(scope.from_day), start_of(scope.to_day))
    more = (source, list(uncounted), *cutoffs.immediate, *cutoffs.completed)
    rows = await connection.fetch(load_query("read_open_questions"), scope.arrivals, list(flow_factors), *days, *more)
    return {row["outlet"]: tuple(name for name, value in row.items() if value is True) for row in rows}


async def keep_aside(connection: Connection) -> None:
    """Put what `read_arrivals` found aside, for `narrow` to take from; what was aside before is gone."""
    for table in _READ:
        await connection.execute(f"DROP TABLE IF EXISTS pg_temp.all_{table}")
        await connection.execute(f"ALTER TABLE pg_temp.{table} RENAME TO all_{table}")


async def narrow(connection: Connection, outlets: list[str]) -> None:
    """Take some outlets of what was kept aside as if `read_arrivals` had found them alone."""
    for table in _READ:
        await connection.execute(f"DROP TABLE IF EXISTS pg_temp.{table}")
        await connection.execute(
            f"CREATE TEMP TABLE {table} ON COMMIT DROP AS SELECT * FROM all_{table} WHERE outlet = ANY ($1::text[])",  # noqa: S608 - names of ours
            outlets,
        )
        await connection.execute(f"ANALYZE {table}")


def _to_cell(row: tuple[Any, ...]) -> Cell:
    outlet, enterprise, county, stage, period_start, day, *counts, listed = row
    return Cell(outlet, enterprise, county, stage, period_start, day, tuple(counts), listed)


def _day_after(end: datetime) -> date:
    """Return the day after the last one that has a moment before `end`."""
    day = end.date()
    is_start = (end.hour, end.minute, end.second, end.microsecond) == (0, 0, 0, 0)
    return day if is_start else date.fromordinal(day.toordinal() + 1)
