"""Numbers of the whole city that alarms and dashboards look at."""

from datetime import datetime
from typing import NamedTuple

from hj212gw.store.pool import Connection
from hj212gw.store.queries import load_query


class Gauges(NamedTuple):
    """How the city stands.

    Attributes:
        stale: ranges of days the aggregator has still to compute.
        registered: data loggers of the registry.
        silent: of those, how many were not heard for three of their intervals, an hour at least.
        rates: effective rate of the city by period (day, month, year) and stage, of the newest period; a fraction.
        target: the threshold of the default policy as a fraction.
    """

    stale: int
    registered: int
    silent: int
    rates: dict[tuple[str, str], float]
    target: float


async def read_gauges(connection: Connection, now: datetime) -> Gauges:
    """Read them, as of `now`.

    Raises:
        asyncpg.PostgresError: the database failed.
    """
    row = await connection.fetchrow(load_query("read_gauges"), now)
    assert row is not None
    rates = await connection.fetch(load_query("read_city_rates"), now)
    known = {(rate["period"], rate["stage"]): rate["effective"] for rate in rates if rate["effective"] is not None}
    return Gauges(row["stale"], row["registered"], row["silent"], known, row["target"])
