"""Rates as a higher platform recorded them, and the calculation tried over its hours under many rules."""

from collections.abc import Iterable, Sequence
from contextlib import asynccontextmanager
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, NamedTuple

from hj212gw.store.assessment import UPSTREAM, Rules, Scope, apply_rules, compute_days
from hj212gw.store.migrate import check_schema
from hj212gw.store.pool import CONNECTION_ERRORS, Connection, connected, sort_error
from hj212gw.store.queries import load_query

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

_APPLICATION = "hj212gw upstream"

Key = tuple[str, date, str]  # outlet, day, stage
CountRows = dict[Key, tuple[int, ...]]  # by the names of `assessed_days`, in its order


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


class Cutoffs(NamedTuple):
    """The earliest and the latest end of both stages that are tried, after the end of a day."""

    immediate: tuple[timedelta, timedelta]
    completed: tuple[timedelta, timedelta]


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
        async with connected(dsn, name=_APPLICATION, statement_timeout_secs=600) as connection:
            yield cls(connection)

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

    async def add_rates(self, source: str, rates: Sequence[UpstreamRate], now: datetime) -> int:
        """Add versions of rates recorded at `now`; return how many are new or differ from those that stood."""
        columns = [list(column) for column in zip(*rates, strict=True)]
        if not columns:
            return 0
        done: str = await self.connection.execute(load_query("add_upstream_rates"), source, *columns, now)
        return int(done.rpartition(" ")[2])

    async def read_rates(self, source: str, days: tuple[date, date], outlets: list[str] | None) -> list[UpstreamRate]:
        """Read the newest version of a source's rates, of days the second of which is not included."""
        rows = await self.connection.fetch(load_query("read_upstream_rates"), source, *days, outlets)
        return [UpstreamRate(*row) for row in rows]

    async def count_days(self, scope: Scope, rules: Rules) -> CountRows:
        """Compute the counts of outlets and days, inside `transaction`."""
        await compute_days(self.connection, scope, rules)
        return await self._read_counts()

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

    async def count_variants(self, scope: Scope, variants: Iterable[Rules]) -> list[CountRows]:
        """Compute the counts under several rules that read the same arrivals, inside `transaction`."""
        found: list[CountRows] = []
        for rules in variants:
            if not found:
                found.append(await self.count_days(scope, rules))
                continue
            # Undone each time: the locks of dropped tables would otherwise stay to the end, thousands of them.
            step = self.connection.transaction()
            await step.start()
            try:
                await apply_rules(self.connection, scope, rules)
                found.append(await self._read_counts())
            finally:
                await step.rollback()
        return found

    async def _read_counts(self) -> CountRows:
        rows = await self.connection.fetch(load_query("read_outlet_counts"))
        return {(row[0], row[1], row[2]): tuple(row[3:]) for row in rows}
