"""What evidence of an outlet is made of, read in one snapshot, row by row."""

from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from datetime import date, datetime
from typing import Any, NamedTuple

from hj212gw.errors import StoreUnavailable
from hj212gw.store.archive import STATEMENT_TIMEOUT_SECS, read_entries
from hj212gw.store.digests import Entry
from hj212gw.store.migrate import check_schema
from hj212gw.store.pool import CONNECTION_ERRORS, Connection, connected, sort_error
from hj212gw.store.queries import load_query, load_table_query

# Registry tables by the column that says whom a row is about.
REGISTRY_KEYS = {
    "outlets": "outlet",
    "enterprises": "enterprise",
    "data_loggers": "mn",
    "channels": "mn",
    "dialects": "mn",
    "time_labels": "mn",
    "units": "mn",
    "limits": "outlet",
    "cipher_keys": "mn",
    "networks": "mn",
    "legal_holds": "outlet",
}
_SECRETS = frozenset(("pw", "secret"))
_PREFETCH = 500


class Table(NamedTuple):
    """Rows with the names of their columns."""

    columns: tuple[str, ...]
    rows: list[tuple[Any, ...]]


class EvidenceReader:
    """Reads what belongs to one outlet and range, all as of one moment.

    Args:
        connection: inside a read-only transaction of one snapshot.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    @classmethod
    @asynccontextmanager
    async def open(cls, dsn: str) -> AsyncIterator["EvidenceReader"]:
        """Connect and hold one snapshot until the context ends.

        Raises:
            SchemaMismatch: migrate first.
            StoreUnavailable: try again, or with a login that may read frames as they came.
        """
        opened = connected(dsn, name="hj212gw evidence", statement_timeout_secs=STATEMENT_TIMEOUT_SECS)
        try:
            async with opened as connection:
                await check_schema(connection)
                async with connection.transaction(isolation="repeatable_read", readonly=True):
                    yield cls(connection)
        except CONNECTION_ERRORS as error:
            if isinstance(error, OSError) and not isinstance(error, ConnectionError | TimeoutError):
                raise  # of the file that is written meanwhile
            raise StoreUnavailable(str(sort_error(error))) from error

    async def find_outlet(self, outlet: str) -> bool:
        """Tell whether the registry knows an outlet, now or in the past."""
        return bool(await self._connection.fetchval(load_query("find_outlet_rows"), outlet))

    async def find_loggers(self, outlet: str, start: datetime, end: datetime) -> list[str]:
        """Return the MNs that served an outlet in a range, by their own rows or by their channels'."""
        found: set[str] = set()
        for table in ("data_loggers", "channels"):
            query = load_table_query("find_outlet_loggers", table)
            found |= {row["mn"] for row in await self._connection.fetch(query, outlet, start, end)}
        return sorted(found)

    async def read_registry(self, table: str, ids: Iterable[str], start: datetime, end: datetime) -> Table:
        """Return the rows of a registry table that hold in a range, superseded ones too.

        Args:
            table: one of REGISTRY_KEYS.
            ids: whom the rows are about.
            start: of the range.
            end: of the range, excluded.
        """
        columns = [column for column in await self._columns(table) if column not in _SECRETS]
        query = load_table_query("read_registry_history", table)
        query = query.replace("{columns}", ", ".join(columns)).replace("{key}", REGISTRY_KEYS[table])
        rows = await self._connection.fetch(query, sorted(set(ids)), start, end)
        return Table(tuple(columns), [tuple(row) for row in rows])

    async def find_arrivals(
        self, outlet: str, start: datetime, end: datetime, mns: Sequence[str]
    ) -> tuple[datetime | None, datetime | None]:
        """Return first and last arrival of what the outlet's readings of a range were made of."""
        row = await self._connection.fetchrow(load_query("find_arrival_span"), outlet, start, end, mns)
        assert row is not None
        return row["first_at"], row["last_at"]

    def read_frames(self, mns: Sequence[str], first: datetime, last: datetime) -> AsyncIterator[Any]:
        """Yield packets by arrival, `first` and `last` included."""
        return self._stream("read_outlet_frames", mns, first, last)

    def read_readings(self, outlet: str, start: datetime, end: datetime) -> AsyncIterator[Any]:
        """Yield the rows of v_readings of a range of DataTime."""
        return self._stream("read_outlet_readings", outlet, start, end)

    def read_history(self, mns: Sequence[str], start: datetime, end: datetime) -> AsyncIterator[Any]:
        """Yield the rows of v_history of a range of DataTime."""
        return self._stream("read_outlet_history", mns, start, end)

    def read_rejects(
        self, start: datetime, end: datetime, peers: Iterable[str], mns: Iterable[str]
    ) -> AsyncIterator[Any]:
        """Yield rejects of a range of arrival that came from these peers or name these MNs."""
        marks = [f"MN={mn}".encode() for mn in mns]
        return self._stream("read_outlet_rejects", start, end, sorted(peers), marks)

    async def columns_of(self, view: str) -> tuple[str, ...]:
        """Return the columns of a view."""
        return tuple(await self._columns(view))

    async def read_chain(self, first: date, last: date) -> list[Entry]:
        """Return the run of the chain, without gaps, that covers some days of arrival."""
        span = await self._connection.fetchrow(load_query("find_chain_span"), first, last)
        if span is None or span["first"] is None:
            return []
        return [entry async for entry in read_entries(self._connection, span["first"], span["last"])]

    async def read_chain_head(self) -> Entry | None:
        """Return the newest entry of the chain."""
        row = await self._connection.fetchrow(load_query("read_chain_head"))
        return None if row is None else Entry(*row)

    async def _columns(self, table: str) -> list[str]:
        return [row["attname"] for row in await self._connection.fetch(load_query("list_columns"), f"hj212.{table}")]

    async def _stream(self, query: str, *arguments: Any) -> AsyncIterator[Any]:
        async for row in self._connection.cursor(load_query(query), *arguments, prefetch=_PREFETCH):
            yield row
