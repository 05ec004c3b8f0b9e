"""The calculation of rates in SQL: which group of which hour is due, came and is valid (assessment.md section 3).

Everything happens in temporary tables of one transaction. Local arrivals and those of files or of a higher platform
differ in where arrivals are read; from there on it is one calculation.
"""

import json
from datetime import date, datetime, timedelta
from typing import Any, NamedTuple

from hj212gw.protocol.times import start_of
from hj212gw.store.pool import Connection
from hj212gw.store.queries import load_query

LOCAL = "local"
STAGES = ("immediate", "completed")
UPSTREAM = "upstream:"

_READ = ("base_days", "plain_days", "odd_hours", "stood_days", "arrived_days")
_JUDGED = ("mark_days", "computed_days")
# Sorting millions of rows to join them with the hours of a month takes longer than hashing those; compiling too.
_SETTINGS = ("SET LOCAL enable_mergejoin = off", "SET LOCAL jit = off", "SET LOCAL work_mem = '128MB'")


# Few moving data loggers are read by index, reading by reading; for many all is read and hashed.
_FEW = 50
_OF_FEW = ("enable_seqscan", "enable_material")
_OF_MANY = ("enable_nestloop",)


class Scope(NamedTuple):
    """What is computed.

    Attributes:
        from_day, to_day: days of UTC+8, the last one not included.
        now: hours that are not over are not due. Aware.
        outlets: None for all of the base list.
        arrivals: `local`, or `upstream:NAME`: hours and marks of that source.
    """

    from_day: date
    to_day: date
    now: datetime
    outlets: list[str] | None = None
    arrivals: str = LOCAL


class Rules(NamedTuple):
    """The settings that decide about groups, as the queries take them.

    Attributes:
        immediate_after, completed_after: how long after a day's end its stages take data, the last moment included.
        good_flags: of valid data.
        is_by_provenance: whether what was filled in later is not immediate, whenever it came.
        values: the others, by the names of the settings.
    """

    immediate_after: timedelta
    completed_after: timedelta
    good_flags: list[str]
    is_by_provenance: bool
    values: dict[str, Any]


async def compute_days(connection: Connection, scope: Scope, rules: Rules) -> None:
    """Fill the temporary table `computed_days`, a row an outlet, factor, day and stage, like `assessed_days`.

    Args:
        connection: inside a transaction, at whose end the table is gone. A call replaces the one before.
        scope: which days of which outlets.
        rules: by which settings.

    Raises:
        asyncpg.PostgresError: the database failed.
    """
    await read_arrivals(connection, scope, rules)
    await apply_rules(connection, scope, rules)


async def read_arrivals(connection: Connection, scope: Scope, rules: Rules) -> None:
    """Fill `base_days` and `arrived_days`: what is listed and what came. The slow half; rules may then change.

    What was there is gone, what `apply_rules` made too.
    """
    await _prepare(connection)
    from_at, to_at = start_of(scope.from_day), start_of(scope.to_day)
    ends = (rules.immediate_after, rules.completed_after)
    await connection.execute(load_query("assess_base"), scope.from_day, scope.to_day, scope.outlets, scope.now)
    if scope.arrivals == LOCAL:
        await _read_local(connection, scope, (from_at, to_at, *ends, rules.good_flags))
    else:
        source = scope.arrivals.removeprefix(UPSTREAM)
        more = (rules.good_flags, scope.outlets, source, rules.is_by_provenance)
        await connection.execute(load_query("assess_upstream"), from_at, to_at, *ends, *more)
    await connection.execute("ANALYZE base_days")
    await connection.execute("ANALYZE arrived_days")


async def apply_rules(connection: Connection, scope: Scope, rules: Rules) -> None:
    """Fill `computed_days` from what `read_arrivals` found; called again it replaces what it made before."""
    await _drop(connection, _JUDGED)
    values = json.dumps(rules.values)
    ends = (rules.immediate_after, rules.completed_after)
    await connection.execute(load_query("assess_marks"), values, *ends, scope.arrivals, scope.now)
    await connection.execute("ANALYZE mark_days")
    await connection.execute(load_query("assess_days"), values)


async def _prepare(connection: Connection) -> None:
    for setting in _SETTINGS:
        await connection.execute(setting)
    await _drop(connection, _READ + _JUDGED)


async def _drop(connection: Connection, tables: tuple[str, ...]) -> None:
    # A table named like one of these stands in no schema of ours, but the search path may hold others' ones.
    await connection.execute(f"DROP TABLE IF EXISTS {', '.join(f'pg_temp.{table}' for table in tables)}")


async def _read_local(connection: Connection, scope: Scope, span: tuple[Any, ...]) -> None:
    """Plain hours in one pass over all readings; the few others, and moving data loggers, one by one."""
    from_at, to_at, *ends, good_flags = span
    found = await connection.fetchrow(load_query("assess_moving_loggers"), from_at, to_at)
    moving, ending = tuple(found or ([], []))
    wanted = None
    if scope.outlets is not None:
        wanted = await connection.fetchval(load_query("assess_loggers_of"), scope.outlets)
        moving = sorted(set(moving) & set(wanted))
    await connection.execute(load_query("assess_plain"), *span, wanted, moving, ending)
    await connection.execute(load_query("assess_odd"), *span, wanted, moving, ending)
    if moving:
        await _read_moving(connection, from_at, to_at, moving)
    await connection.execute("ANALYZE odd_hours")
    await connection.execute(load_query("assess_stood"), *ends, good_flags)
    for table in ("plain_days", "stood_days"):
        await connection.execute(f"ANALYZE {table}")
    await connection.execute(load_query("assess_outlets"), from_at)


async def _read_moving(connection: Connection, from_at: datetime, to_at: datetime, moving: list[int]) -> None:
    """Read through the view; its many joins by ranges of time mislead the planner, so that it needs to be told how."""
    mns = await connection.fetchval("SELECT array_agg(mn) FROM hj212.loggers WHERE logger_id = ANY ($1)", moving)
    misleading = _OF_FEW if len(moving) <= _FEW else _OF_MANY
    for name in misleading:
        await connection.execute(f"SET LOCAL {name} = off")
    await connection.execute(load_query("assess_moving"), from_at, to_at, mns)
    for name in misleading:
        await connection.execute(f"SET LOCAL {name} = on")
