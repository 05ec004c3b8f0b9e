"""Which database it is: plain PostgreSQL or TimescaleDB, and how much it holds."""

from typing import NamedTuple

from hj212gw.store.pool import CONNECTION_ERRORS, Connection, sort_error
from hj212gw.store.queries import load_query


class Engine(NamedTuple):
    """A database server.

    Attributes:
        server: its version.
        timescaledb: version of the extension, None where it is not installed.
        database_bytes: size of the database.
        table_bytes: size of each time series with all its partitions or chunks.
    """

    server: str
    timescaledb: str | None
    database_bytes: int
    table_bytes: dict[str, int]


async def read_engine(connection: Connection) -> Engine:
    """Look at the server and the database.

    Raises:
        StoreUnavailable: try again.
    """
    try:
        server = await connection.fetchval("SHOW server_version")
        extension = await connection.fetchval("SELECT extversion FROM pg_extension WHERE extname = 'timescaledb'")
        size = await connection.fetchval("SELECT pg_database_size(current_database())")
        query = "read_hypertable_sizes" if extension else "read_table_sizes"
        known = await connection.fetchval("SELECT to_regclass('hj212.series') IS NOT NULL")
        rows = await connection.fetch(load_query(query)) if known else []
    except CONNECTION_ERRORS as error:
        raise sort_error(error) from error
    return Engine(server, extension, size, {row["table_name"]: row["bytes"] for row in rows})
