"""Figures kept: what is stale, the days computed again, the rates pooled of them, version after version.

Each call belongs into a transaction of its caller, in which `hold_assessment` was called first: one aggregator at a
time, and what it took is given back when the transaction fails.
"""

from datetime import date, datetime, timedelta
from typing import NamedTuple

from hj212gw.store.pool import Connection
from hj212gw.store.queries import load_query

_TAKEN_AT_A_TIME = 20_000  # dirty rows
_PERIODS = (("month", "day"), ("quarter", "month"), ("year", "month"))
_MOST_REASONS = 8  # of one figure
_FIGURE = "level, id, period, period_start"
_ID = 'text COLLATE "C"'  # like the ids they are looked up by, else no index is used
_TABLES = (
    "changed_days (outlet text, day date, PRIMARY KEY (outlet, day))",
    "changed_rates (level text, id text, period text, period_start date)",
    f"day_owners (outlet {_ID}, day date, medium text, enterprise {_ID}, county text, PRIMARY KEY (outlet, day))",
    "rate_scope (level text, id text, period_start date)",
    f"rate_reasons (level text, id {_ID}, period text, period_start date, reasons text, PRIMARY KEY ({_FIGURE}))",
)


class StaleDay(NamedTuple):
    """A day to be computed again; `outlet` None for all of them."""

    outlet: str | None
    day: date
    reason: str


async def hold_assessment(connection: Connection) -> bool:
    """Take the right to write figures until the transaction ends; False while another aggregator has it."""
    return bool(await connection.fetchval("SELECT pg_try_advisory_xact_lock(hashtext('hj212.assessment'))"))


async def note_time(connection: Connection, now: datetime, rules: str) -> None:
    """Note what time alone made stale since the last call, or other rules.

    Args:
        connection: in a transaction.
        now: by the aggregator's clock.
        rules: as JSON.
    """
    await connection.execute(load_query("note_time"), now, rules)


async def take_dirty(connection: Connection) -> int:
    """Turn dirty rows of the gateways into stale days; return how many there were, up to a bound."""
    return int(await connection.fetchval(load_query("take_dirty"), _TAKEN_AT_A_TIME))


async def widen_stale(connection: Connection) -> None:
    """Note the days that became assessable because data or a base list came that is older than all before."""
    first_day = await connection.fetchval(load_query("find_first_day"))
    if first_day is not None:
        await connection.execute(load_query("widen_stale"), first_day)


async def claim_stale(connection: Connection, today: date) -> list[StaleDay]:
    """Take the stale days of the newest month that has any; they are back when the transaction fails."""
    first_day = await connection.fetchval(load_query("find_first_day"))
    rows = await connection.fetch(load_query("claim_stale"), first_day or today, today)
    return [StaleDay(*row) for row in rows]


async def find_drained_through(connection: Connection, live: timedelta) -> datetime | None:
    """Tell up to which arrival all live journals are in the database; None when there is no live one."""
    row = await connection.fetchrow(load_query("find_drained_through"), live)
    return row["drained_through"] if row else None


async def freeze_stages(connection: Connection, immediate: date | None, completed: date | None) -> None:
    """Note through which day the stages are frozen; figures up to there stop being provisional."""
    await connection.execute(load_query("freeze_stages"), immediate, completed)


async def begin_days(connection: Connection) -> None:
    """Make the temporary tables in which changes are collected until the transaction ends."""
    for table in _TABLES:
        await connection.execute(f"CREATE TEMP TABLE {table} ON COMMIT DROP")
    await connection.execute(
        "CREATE TEMP TABLE new_rates ON COMMIT DROP AS SELECT * FROM hj212.rate_counts WITH NO DATA"
    )


async def store_days(connection: Connection, from_day: date, to_day: date, outlets: list[str] | None) -> None:
    """Bring `assessed_days` up to `computed_days` of the same scope, and collect what changed."""
    await connection.execute(load_query("store_assessed"), from_day, to_day, outlets)


async def force_days(connection: Connection, stale: list[StaleDay]) -> None:
    """Collect days as changed though no group of theirs did: outlets may belong elsewhere now."""
    outlets = [row.outlet for row in stale]
    await connection.execute(load_query("force_days"), outlets, [row.day for row in stale])


async def roll_up(connection: Connection, now: datetime, city: str, stale: list[StaleDay]) -> int:
    """Pool what changed into outlets, enterprises, counties, the city; days, months, quarters, years.

    Args:
        connection: in the transaction of `begin_days` and `store_days`.
        now: when the figures are computed.
        city: its name.
        stale: what was computed, and why.

    Returns:
        How many days of outlets had changed.
    """
    count: int = await connection.fetchval("SELECT count(*) FROM changed_days")
    if not count:
        return 0
    await connection.execute("ANALYZE changed_days")
    await connection.execute(load_query("find_owners"))
    await connection.execute("ANALYZE day_owners")
    why = await _note_reasons(connection, city, stale)
    await connection.execute(load_query("scope_outlet_days"))
    await connection.execute(load_query("rate_outlet_days"))
    await _replace(connection, "day", now, why)
    await connection.execute(load_query("scope_groups"))
    await connection.execute(load_query("rate_groups"), city)
    await _replace(connection, "day", now, why)
    for period, shorter in _PERIODS:
        await connection.execute(load_query("scope_periods"), period, shorter)
        await connection.execute(load_query("rate_periods"), period, shorter)
        await _replace(connection, period, now, why)
    return count


async def _note_reasons(connection: Connection, city: str, stale: list[StaleDay]) -> str:
    """Fill `rate_reasons` where figures have different ones; return the reasons of all."""
    reasons = sorted({part for row in stale for part in row.reason.split("; ")})
    if len(reasons) > 1:
        await connection.execute(load_query("note_reasons"), *zip(*stale, strict=True), city, _MOST_REASONS)
    await connection.execute("ANALYZE rate_reasons")
    more = [f"and {len(reasons) - _MOST_REASONS} more"] if len(reasons) > _MOST_REASONS else []
    return "; ".join([*reasons[:_MOST_REASONS], *more])


async def _replace(connection: Connection, period: str, now: datetime, reason: str) -> None:
    """Let new figures take the place of those that differ."""
    await connection.execute("ANALYZE new_rates")
    await connection.execute("ANALYZE rate_scope")
    await connection.execute(load_query("close_rates"), now, period, reason)
    await connection.execute(load_query("open_rates"), now, reason)
    await connection.execute("TRUNCATE new_rates, rate_scope")
