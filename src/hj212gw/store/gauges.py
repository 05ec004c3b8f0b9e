"""Numbers of the whole city that alarms and dashboards look at."""

from datetime import datetime

from hj212gw.store.pool import Connection
from hj212gw.store.queries import load_query
from hj212gw.telemetry_assessment import Gauges


async def read_gauges(connection: Connection, now: datetime) -> Gauges:
    """Read them, as of `now`.

    Raises:
        asyncpg.PostgresError: the database failed.
    """
    row = await connection.fetchrow(load_query("read_gauges"), now)
    assert row is not None
    rates = await connection.fetch(load_query("read_city_rates"), now)
    known = {(rate["period"], rate["stage"]): rate["effective"] for rate in rates if rate["effective"] is not None}
    return Gauges(row["stale"], row["registered"], row["silent"], row["skewed"], known, row["target"])
