"""Partitions made ahead, and dropped when what they hold is older than its retention."""

from datetime import datetime, timedelta
from typing import NamedTuple

from hj212gw import telemetry
from hj212gw.store.pool import CONNECTION_ERRORS, Connection, sort_error
from hj212gw.store.queries import load_query


class Retention(NamedTuple):
    """Days each kind of data is kept; None: for ever."""

    real_time_days: int | None = 90
    minute_days: int | None = None
    hour_days: int | None = None
    day_days: int | None = None
    packets_days: int | None = None


_TABLES = {
    "readings_rtd": "real_time_days",
    "readings_minute": "minute_days",
    "readings_hour": "hour_days",
    "readings_day": "day_days",
    "packets": "packets_days",
    "sub_packets": "packets_days",
}


async def maintain(connection: Connection, retention: Retention, now: datetime) -> None:
    """Make partitions ahead of `now` and drop what is past its retention.

    Raises:
        StoreUnavailable: try again.
    """
    dropped = 0
    try:
        for table, option in _TABLES.items():
            days = getattr(retention, option)
            if days is not None:
                dropped += await connection.fetchval(load_query("drop_partitions"), table, now - timedelta(days=days))
        row = await connection.fetchrow(load_query("ensure_partitions"), now)
    except CONNECTION_ERRORS as error:
        raise sort_error(error) from error
    assert row is not None
    telemetry.partitions_ensured(row["made"], dropped, row["ahead_until"])
