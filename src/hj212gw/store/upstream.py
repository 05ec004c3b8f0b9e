"""Hours, marks and rates as a higher platform recorded them, and the calculation tried under many rules."""

from collections.abc import Iterable, Sequence
from contextlib import asynccontextmanager
from datetime import date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, NamedTuple

from hj212gw.store.assessment import STAGES, UPSTREAM, Rules, Scope, apply_rules, compute_days
from hj212gw.store.figures import Cell, Cutoffs, Grouping, read_cells
from hj212gw.store.migrate import check_schema
from hj212gw.store.pool import CONNECTION_ERRORS, Connection, connected, count_rows, sort_error, undone
from hj212gw.store.queries import load_query

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

_APPLICATION = "hj212gw upstream"
_STATEMENT_SECS = 86_400.0  # a year of hours is millions of lines

Key = tuple[str, date, str]  # outlet, day, stage
CountRows = dict[Key, Cell]  # what is not listed has none


class UpstreamRate(NamedTuple):
    """A day of an outlet at a stage as a higher platform shows it: percent, None where it is not told."""

    outlet: str
    day: date
    stage: str
    transmission_pct: Decimal | None
    validity_pct: Decimal | None
    effective_pct: Decimal | None

    @property
    def key(self) -> Key:
        """Return what it is a rate of."""
        return self.outlet, self.day, self.stage


class HourKey(NamedTuple):
    """Which hour of what came when."""

    outlet: str
    factor: str
    hour_at: datetime
    arrived_at: datetime


class UpstreamStore:
    """What a higher platform recorded, over one connection.

    Args:
        connection: of a login that may write the registry; nobody else uses it meanwhile.
    """

    def __init__(self, connection: Connection) -> None:
        self.connection = connection

    @classmethod
    @asynccontextmanager
    async def open(cls, dsn: str) -> "AsyncIterator[UpstreamStore]":
        """Connect, and close again at the end.

        Raises:
            ConfigError: the DSN cannot be read.
            StoreUnavailable: no connection.
        """
        async with connected(dsn, name=_APPLICATION, statement_timeout_secs=_STATEMENT_SECS) as connection:
            yield cls(connection)

    @asynccontextmanager
    async def importing(self) -> "AsyncIterator[None]":
        """Hold a transaction in which nobody else imports or changes the registry; `stage_hours` has room in it.

        Raises:
            SchemaMismatch: the tables are not those this program knows.
            StoreUnavailable: nothing was written.
        """
        async with self.transaction():
            await self.connection.execute(load_query("lock_registry"))
            await self.connection.execute(load_query("stage_upstream_hours"))
            yield

    @asynccontextmanager
    async def transaction(self) -> "AsyncIterator[None]":
        """Hold a transaction; what is left by an error is undone.

        Raises:
            SchemaMismatch: the tables are not those this program knows.
            StoreUnavailable: nothing was written.
        """
        try:
            await check_schema(self.connection)
            async with self.connection.transaction():
                yield
        except CONNECTION_ERRORS as error:
            raise sort_error(error) from error

    async def read_base_list(self) -> list[tuple[Any, ...]]:
        """Read the base list as outlet, medium, factor, fields, from and to, None where open."""
        return [tuple(row) for row in await self.connection.fetch(load_query("read_base_list"))]

    async def stage_hours(self, batches: Iterable[bytes]) -> None:
        """Take hours in, given as text of COPY in the order of the table's columns; `add_hours` makes them stand."""
        await self.connection.copy_to_table("staged_hours", source=_stream(batches), format="text")

    async def find_clashes(self) -> dict[HourKey, bool]:
        """Return staged hours that come repeatedly with one arrival; True for those that stand otherwise already."""
        return {HourKey(*row[:4]): row[4] for row in await self.connection.fetch(load_query("find_upstream_clashes"))}

    async def add_hours(self) -> int:
        """Let the staged hours stand; return how many are new."""
        return count_rows(await self.connection.execute(load_query("add_upstream_hours")))

    async def add_marks(self, source: str, marks: Sequence[tuple[Any, ...]]) -> int:
        """Add marks as (outlet, factor, kind, from, to, recorded_at, value); return how many are new."""
        if not marks:
            return 0
        columns = [list(column) for column in zip(*marks, strict=True)]
        origin = f"{UPSTREAM}{source}"
        added: int = await self.connection.fetchval(load_query("add_upstream_marks"), origin, origin, *columns)
        return added

    async def add_rates(self, source: str, rates: Sequence[UpstreamRate], now: datetime) -> int:
        """Add versions of rates recorded at `now`; return how many are new or differ from those that stood."""
        if not rates:
            return 0
        columns = [list(column) for column in zip(*rates, strict=True)]
        return count_rows(await self.connection.execute(load_query("add_upstream_rates"), source, *columns, now))

    async def read_rates(self, source: str, days: tuple[date, date], outlets: list[str] | None) -> list[UpstreamRate]:
        """Read the newest version of a source's rates, of days the second of which is not included."""
        rows = await self.connection.fetch(load_query("read_upstream_rates"), source, *days, outlets)
        return [UpstreamRate(*row) for row in rows]

    async def count_days(self, scope: Scope, rules: Rules, basis: str) -> CountRows:
        """Compute the counts that a policy's basis takes, of outlets, days and stages, inside `transaction`."""
        await compute_days(self.connection, scope, rules)
        return await self._read_counts(scope, basis)

    async def read_traits(
        self, scope: Scope, rules: Rules, cutoffs: Cutoffs, uncounted: Sequence[str]
    ) -> dict[tuple[str, date], frozenset[str]]:
        """Tell of each outlet and day what its hours and marks hold that rules may turn on.

        Args:
            scope: of a higher platform's arrivals; `count_days` was called with it in the same transaction.
            rules: those it was called with.
            cutoffs: between which arrivals are late.
            uncounted: factors that some rule leaves out.
        """
        source = scope.arrivals.removeprefix(UPSTREAM)
        more = (rules.good_flags, list(uncounted), *cutoffs.immediate, *cutoffs.completed)
        rows = await self.connection.fetch(load_query("read_upstream_traits"), source, scope.arrivals, *more)
        return {(row["outlet"], row["day"]): frozenset(row["traits"]) for row in rows}

    async def count_variants(self, scope: Scope, variants: Iterable[Rules], basis: str) -> list[CountRows]:
        """Compute the counts under several rules that read the same arrivals, inside `transaction`."""
        found: list[CountRows] = []
        for rules in variants:
            if not found:
                found.append(await self.count_days(scope, rules, basis))
                continue
            # Otherwise the locks of dropped tables would stay to the end, thousands of them.
            async with undone(self.connection):
                await apply_rules(self.connection, scope, rules)
                found.append(await self._read_counts(scope, basis))
        return found

    async def _read_counts(self, scope: Scope, basis: str) -> CountRows:
        cells = await read_cells(self.connection, Grouping("day", scope.from_day, basis, False, STAGES))
        return {(cell.outlet, cell.period_start, cell.stage): cell for cell in cells if cell.listed}


async def _stream(batches: Iterable[bytes]) -> "AsyncIterator[bytes]":
    for batch in batches:
        yield batch
