"""Partitions made ahead, old readings put into the columnstore, and what is past its retention dropped.

Data under a legal hold stays (decision 0008).
"""

from datetime import datetime, timedelta
from typing import NamedTuple

import asyncpg

from hj212gw import telemetry_store
from hj212gw.store.engine import EXPECTED_OBSTACLES, OBSTACLES, judge_versions
from hj212gw.store.pool import CONNECTION_ERRORS, Connection, describe, sort_error
from hj212gw.store.queries import load_query

# 600 data loggers at 30 s are 3.4 billion real-time readings a year.
PLAIN_REAL_TIME_DAYS = 90
COLUMNSTORE_REAL_TIME_DAYS = 730


class Retention(NamedTuple):
    """Days each kind of data is kept; None: for ever, real-time data as long as the engine has room for.

    `columnstore_days` is the age at which readings go into TimescaleDB's columnstore.
    """

    real_time_days: int | None = None
    minute_days: int | None = None
    hour_days: int | None = None
    day_days: int | None = None
    packets_days: int | None = None
    columnstore_days: int = 45


_NEVER_ANY = ("plain_postgresql", "native_partitions")
_PASSING = (asyncpg.PostgresError, TimeoutError)

_TABLES = {
    "readings_rtd": "real_time_days",
    "readings_minute": "minute_days",
    "readings_hour": "hour_days",
    "readings_day": "day_days",
    "packets": "packets_days",
    "sub_packets": "packets_days",
}


async def maintain(connection: Connection, retention: Retention, now: datetime) -> None:
    """Make partitions ahead of `now`, apply the columnstore's age, and drop what is past its retention.

    What cannot be dropped or put into the columnstore is told and tried again the next time: storing goes on.

    Raises:
        StoreUnavailable: try again.
    """
    try:
        made, ahead_until = await _ensure(connection, now)  # first of all: without partitions nothing can be stored
        await _warn_of_versions(connection)
        obstacle = await _apply_columnstore(connection, retention.columnstore_days)
        if retention.real_time_days is None:
            retention = retention._replace(real_time_days=await _choose_real_time_days(connection, obstacle))
        dropped = await _drop(connection, retention, now)
        if dropped:
            made_again, ahead_until = await _ensure(connection, now)
            made += made_again
    except CONNECTION_ERRORS as error:
        raise sort_error(error) from error
    telemetry_store.partitions_ensured(made, dropped, ahead_until)


async def _ensure(connection: Connection, now: datetime) -> tuple[int, datetime | None]:
    row = await connection.fetchrow(load_query("ensure_partitions"), now)
    assert row is not None
    return row["made"], row["ahead_until"]


async def _warn_of_versions(connection: Connection) -> None:
    version = int(await connection.fetchval("SHOW server_version_num"))
    extension = await connection.fetchval("SELECT extversion FROM pg_extension WHERE extname = 'timescaledb'")
    if warning := judge_versions(version, extension):
        telemetry_store.store_warned("timescaledb_outdated", warning)


async def _apply_columnstore(connection: Connection, days: int) -> str | None:
    """Apply the age; return why there is no columnstore, "" where there is one, None where that is not known."""
    try:
        obstacle: str = await connection.fetchval(load_query("apply_columnstore"), days) or ""
    except _PASSING as error:
        _pass_on_lost(connection, error)
        telemetry_store.store_warned("columnstore_missing", describe(error))
        return None
    if obstacle and obstacle not in EXPECTED_OBSTACLES:
        telemetry_store.store_warned("columnstore_missing", OBSTACLES.get(obstacle, obstacle))
    return obstacle


async def _choose_real_time_days(connection: Connection, obstacle: str | None) -> int | None:
    """Choose how long real-time data stays where no setting says it; None where nothing may be dropped now.

    Where a columnstore once was in force its longer time stays: another licence must not cost two years of data.
    """
    if obstacle is None:
        return None
    if obstacle in _NEVER_ANY:
        return PLAIN_REAL_TIME_DAYS
    was_in_force = not obstacle or await connection.fetchval(load_query("had_columnstore"))
    return COLUMNSTORE_REAL_TIME_DAYS if was_in_force else PLAIN_REAL_TIME_DAYS


async def _drop(connection: Connection, retention: Retention, now: datetime) -> int:
    """Drop table by table; one that fails, such as by a timeout, must not stop the drain that calls."""
    dropped = 0
    for table, option in _TABLES.items():
        days = getattr(retention, option)
        if days is None:
            continue
        try:
            dropped += await connection.fetchval(load_query("drop_partitions"), table, now - timedelta(days=days))
        except _PASSING as error:
            _pass_on_lost(connection, error)
            telemetry_store.store_warned("retention_failed", f"{table}: {describe(error)}")
    return dropped


def _pass_on_lost(connection: Connection, error: BaseException) -> None:
    """Raise an error on where the connection went with it."""
    if connection.is_closed():
        raise error
