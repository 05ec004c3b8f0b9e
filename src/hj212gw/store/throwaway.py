"""A PostgreSQL that lasts as long as a command, for data of files: nothing of it is kept."""

import shutil
import tempfile
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from hj212gw.store.assessment import UPSTREAM
from hj212gw.store.embedded import EmbeddedOptions, EmbeddedServer
from hj212gw.store.migrate import migrate
from hj212gw.store.pool import Connection, connected
from hj212gw.store.queries import load_query

HOUR_COLUMNS = (
    "source",
    "outlet",
    "factor",
    "hour_at",
    "arrived_at",
    "fields",
    "mean_present",
    "data_flag",
    "is_filled",
)

_SETTINGS = {
    "fsync": "off",
    "full_page_writes": "off",
    "synchronous_commit": "off",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "autovacuum": "off",
    "work_mem": "128MB",
}
_STATEMENT_SECS = 86_400.0
_AUTHOR = "files"
_MINUS_INFINITY = datetime.min.replace(tzinfo=UTC)  # what asyncpg writes as -infinity


@asynccontextmanager
async def open_throwaway(now: datetime, options: EmbeddedOptions | None = None) -> AsyncIterator[Connection]:
    """Hold a connection to an empty database of our own, that is gone afterwards.

    Raises:
        ConfigError: no PostgreSQL on this machine; with what to install.
        StoreUnavailable: it did not come up.
    """
    folder = _make_folder()
    given = options or EmbeddedOptions()
    server = EmbeddedServer(folder / "pg", given._replace(settings={**given.settings, **_SETTINGS}))
    try:
        await server.start()
        async with connected(server.dsn, name="hj212gw assess", statement_timeout_secs=_STATEMENT_SECS) as connection:
            await migrate(connection, now=now)
            yield connection
    finally:
        await server.stop()
        shutil.rmtree(folder, ignore_errors=True)


def _make_folder() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="hj212gw-assess-"))
    folder.chmod(0o755)  # the account that root hands over to has to reach what is in it; the server's own is closed
    return folder


async def fill_registry(connection: Connection, tables: dict[str, tuple[Sequence[str], list[tuple[Any, ...]]]]) -> None:
    """Fill tables of the registry with rows; a `valid_from` of None is an open start.

    Args:
        connection: to a database of our own.
        tables: columns and rows by table.
    """
    for table, (columns, rows) in tables.items():
        start = columns.index("valid_from")
        records = [(*row[:start], row[start] or _MINUS_INFINITY, *row[start + 1 :]) for row in rows]
        await connection.copy_records_to_table(table, schema_name="hj212", records=records, columns=list(columns))


async def fill_marks(connection: Connection, source: str, marks: list[tuple[Any, ...]]) -> None:
    """Fill in marks as (outlet, factor, kind, from, to, recorded_at, value); manual ones stand accepted."""
    columns = ["outlet", "factor", "kind", "from_at", "to_at", "recorded_at", "value", "origin", "author"]
    records = [(*mark, f"{UPSTREAM}{source}", _AUTHOR) for mark in marks]
    await connection.copy_records_to_table("marks", schema_name="hj212", records=records, columns=columns)
    await connection.execute(load_query("accept_manual_marks"), _AUTHOR)


async def fill_hours(connection: Connection, batches: Iterable[bytes]) -> set[tuple[str, str, datetime, datetime]]:
    """Fill in hours, given as text of COPY with `HOUR_COLUMNS`.

    Returns:
        What came more than once, as outlet, factor, hour and arrival; up to a bound.
    """
    # A database of our own has one source and one reader of all of it: the key costs more than it gives.
    await connection.execute("ALTER TABLE hj212.upstream_hours DROP CONSTRAINT upstream_hours_pkey")
    await connection.execute("ALTER TABLE hj212.upstream_hours SET UNLOGGED")
    await connection.copy_to_table(
        "upstream_hours", schema_name="hj212", source=_stream(batches), columns=list(HOUR_COLUMNS), format="text"
    )
    await connection.execute("ANALYZE hj212.upstream_hours")
    return {tuple(row) for row in await connection.fetch(load_query("find_repeated_hours"))}


async def _stream(batches: Iterable[bytes]) -> AsyncIterator[bytes]:
    for batch in batches:
        yield batch
