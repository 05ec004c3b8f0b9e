"""The registry's dated tables: current rows out, new rows in, old ones superseded."""

from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple

import asyncpg

from hj212gw.errors import StoreError
from hj212gw.store.marks import MarkTable
from hj212gw.store.migrate import check_schema
from hj212gw.store.pool import CONNECTION_ERRORS, Connection, connected, sort_error
from hj212gw.store.queries import load_query, load_table_query

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence


_APPLICATION = "hj212gw registry"
_FOUND = "found"
_ROWS_A_COPY = 5000
# What asyncpg writes as -infinity; it reads both infinities as such extremes without a time zone.
_MINUS_INFINITY = datetime.min.replace(tzinfo=UTC)
_INFINITIES = (datetime.min, datetime.max)  # noqa: DTZ901 - compared with what asyncpg reads


class StoredRow(NamedTuple):
    """A current row.

    Attributes:
        row_id: its number.
        values: of the columns asked for; an infinite moment is None, an array a tuple.
        is_found: the gateway made it from a packet of an unknown data logger.
    """

    row_id: int
    values: tuple[Any, ...]
    is_found: bool


class RegistryStore:
    """The registry's tables over one connection; tables and columns are names of ours, never input.

    Args:
        connection: of a login that may write the registry; nobody else uses it meanwhile.

    Attributes:
        marks: the table of marks, inside the same `change` or `snapshot`.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.marks = MarkTable(connection)
        self.on_rows: Callable[[str, int], None] | None = None  # told the table and how many rows it just got

    @classmethod
    @asynccontextmanager
    async def open(cls, dsn: str) -> "AsyncIterator[RegistryStore]":
        """Connect, and close again at the end.

        Raises:
            ConfigError: the DSN cannot be read.
            StoreUnavailable: no connection.
        """
        async with connected(dsn, name=_APPLICATION) as connection:
            yield cls(connection)

    @asynccontextmanager
    async def change(self) -> "AsyncIterator[None]":
        """Hold a transaction in which nobody else changes the registry; what is left by an error is undone.

        Raises:
            SchemaMismatch: the tables are not those this program writes.
            StoreUnavailable: nothing was written.
        """
        try:
            await check_schema(self._connection)
            async with self._connection.transaction():
                await self._connection.execute(load_query("lock_registry"))
                await self._connection.execute(load_query("lock_data_loggers"))
                yield
        except CONNECTION_ERRORS as error:
            raise _sort(error) from error

    @asynccontextmanager
    async def snapshot(self) -> "AsyncIterator[None]":
        """Hold a transaction that reads all tables as of one moment.

        Raises:
            SchemaMismatch: the tables are not those this program reads.
            StoreUnavailable: try again.
        """
        try:
            await check_schema(self._connection)
            async with self._connection.transaction(isolation="repeatable_read", readonly=True):
                yield
        except CONNECTION_ERRORS as error:
            raise _sort(error) from error

    async def read_rows(self, table: str, columns: "Sequence[str]") -> list[StoredRow]:
        """Read the current rows of a table, inside `change` or `snapshot`."""
        rows = await self._connection.fetch(load_table_query("read_registry_rows", table))
        return [
            StoredRow(row["row_id"], tuple(_take(row[column]) for column in columns), row.get("origin") == _FOUND)
            for row in rows
        ]

    async def read_noted_rules(self) -> str | None:
        """Read the settings the aggregator works by, as JSON, inside `snapshot`; None where none ever looked."""
        noted: str | None = await self._connection.fetchval(load_query("read_noted_rules"))
        return noted

    async def supersede_rows(self, table: str, row_ids: "Sequence[int]", now: datetime) -> None:
        """End rows at `now`, inside `change`; they stay in the table."""
        if row_ids:
            await self._connection.execute(load_table_query("supersede_registry_rows", table), row_ids, now)

    async def add_rows(
        self, table: str, columns: "Sequence[str]", rows: "Sequence[tuple[Any, ...]]", now: datetime
    ) -> None:
        """Add rows recorded at `now`, inside `change`; a `valid_from` of None is an open start."""
        if not rows:
            return
        start = columns.index("valid_from")
        records = [(*row[:start], row[start] or _MINUS_INFINITY, *row[start + 1 :], now) for row in rows]
        for first in range(0, len(records), _ROWS_A_COPY):
            some = records[first : first + _ROWS_A_COPY]
            await self._connection.copy_records_to_table(
                table, schema_name="hj212", records=some, columns=[*columns, "recorded_at"]
            )
            if self.on_rows is not None:
                self.on_rows(table, len(some))


def _sort(error: Exception) -> StoreError:
    """Turn a database error into ours, without the row: PostgreSQL repeats it in the detail, password included."""
    if isinstance(error, asyncpg.PostgresError):
        error.detail = None
    return sort_error(error)


def _take(value: Any) -> Any:
    if isinstance(value, list):
        return tuple(value)
    return None if value in _INFINITIES else value
