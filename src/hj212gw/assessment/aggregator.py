"""The aggregator: what changed is computed again, again and again, whatever becomes of the database."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import date, datetime, timedelta
from functools import partial
from itertools import groupby
from typing import NamedTuple, TypeVar

from hj212gw import telemetry_assessment, telemetry_gateway
from hj212gw.assessment.stages import completed_through, immediate_through
from hj212gw.clock import Clock
from hj212gw.errors import StoreError
from hj212gw.protocol.times import local_day
from hj212gw.store.assessment import Rules, Scope, compute_days
from hj212gw.store.gauges import read_gauges
from hj212gw.store.migrate import check_schema
from hj212gw.store.pool import AGGREGATOR_ROLE, CONNECTION_ERRORS, Connection, connected, sort_error
from hj212gw.store.rates import (
    StaleDay,
    begin_days,
    claim_stale,
    find_drained_through,
    force_days,
    freeze_stages,
    hold_assessment,
    note_time,
    roll_up,
    store_days,
    take_dirty,
    widen_stale,
)

STATEMENT_TIMEOUT_SECS = 3600.0

_Result = TypeVar("_Result")

_WIDE_SHARE = 2  # a day on which more than one outlet in so many is stale is computed for all
_DAY = timedelta(days=1)
# Reasons, as the database notes them, for which an outlet may belong elsewhere now.
_MOVES = frozenset(("outlet changed", "enterprise changed", "first look", "settings changed"))


class Plan(NamedTuple):
    """What an aggregator does.

    Attributes:
        rules: by which groups are judged.
        city: its name.
        interval_secs: real seconds between two looks.
        live_journal: a journal heard of within this has to be drained past a cut-off.
    """

    rules: Rules
    city: str
    interval_secs: float
    live_journal: timedelta


class Look(NamedTuple):
    """What a step of computing did: whether nothing was stale, and how many days of outlets changed."""

    is_done: bool
    changed: int


class Aggregator:
    """Keeps the rates up to date. Several may run: one works, the others look on.

    Args:
        dsn: the database.
        plan: what to do.
        clock: decides which hours are over.
    """

    def __init__(self, dsn: str, plan: Plan, clock: Clock) -> None:
        self._dsn = dsn
        self._plan = plan
        self._clock = clock
        self._stopped = asyncio.Event()

    def stop(self) -> None:
        """Stop after the transaction under way."""
        self._stopped.set()

    async def run(self) -> None:
        """Work until stopped; a database that is away is waited for."""
        while not self._stopped.is_set():
            try:
                await self.work()
            except StoreError as error:
                telemetry_assessment.assessment_failed(error)
            except Exception as error:  # noqa: BLE001 - whatever it is, the next look must come
                telemetry_gateway.fault_contained("assessment", error)
            with suppress(TimeoutError):
                async with asyncio.timeout(self._plan.interval_secs):
                    await self._stopped.wait()

    async def work(self) -> int:
        """Compute all that is stale now; return how many days of outlets changed.

        Raises:
            SchemaMismatch: migrate first.
            StoreUnavailable: try again; what was computed stays.
        """
        opened = connected(
            self._dsn,
            name="hj212gw aggregator",
            role=AGGREGATOR_ROLE,
            statement_timeout_secs=STATEMENT_TIMEOUT_SECS,
        )
        changed = 0
        try:
            async with opened as connection:
                await check_schema(connection)
                known_upto = await self._step(connection, self._note)
                if known_upto is None:
                    return 0
                while (look := await self._step(connection, self._compute)) and not look.is_done:
                    changed += look.changed
                    if self._stopped.is_set():
                        return changed
                if look is None:  # another one took over
                    return changed
                await self._step(connection, partial(self._freeze, known_upto=known_upto))
                telemetry_assessment.gauges_read(await read_gauges(connection, self._clock.now()))
        except CONNECTION_ERRORS as error:
            raise sort_error(error) from error
        telemetry_assessment.assessment_passed(self._clock.now())
        return changed

    async def _step(
        self, connection: Connection, step: Callable[[Connection, datetime], Awaitable[_Result]]
    ) -> _Result | None:
        """Do one transaction as the only aggregator; None when another one works."""
        async with connection.transaction():
            if not await hold_assessment(connection):
                return None
            return await step(connection, self._clock.now())

    async def _note(self, connection: Connection, now: datetime) -> datetime:
        """Note what is stale; return up to which arrival everything is in the database and noted."""
        drained = await find_drained_through(connection, self._plan.live_journal)
        rules = self._plan.rules
        noted = {
            "rules": repr(rules),
            "city": self._plan.city,
            # v_lost_hours and v_due tell by these what can be done, and until when; `mark` what a mark does not do
            "immediate_after_secs": rules.immediate_after.total_seconds(),
            "completed_after_secs": rules.completed_after.total_seconds(),
            **rules.values,
        }
        await note_time(connection, now, json.dumps(noted))
        while await take_dirty(connection):
            pass
        await widen_stale(connection)
        return min(now, drained or now)

    async def _compute(self, connection: Connection, now: datetime) -> Look:
        """Compute the newest month that has stale days."""
        today = local_day(now)
        stale = await claim_stale(connection, today)
        if not stale:
            return Look(is_done=True, changed=0)
        began = asyncio.get_running_loop().time()
        await begin_days(connection)
        total = await connection.fetchval(
            "SELECT count(DISTINCT outlet) FROM hj212.base_list WHERE superseded_at IS NULL"
        )
        for scope in split_scopes(stale, total, now):
            await compute_days(connection, scope, self._plan.rules)
            await store_days(connection, scope.from_day, scope.to_day, scope.outlets)
        moved = [row for row in stale if _MOVES.intersection(row.reason.split("; "))]
        if moved:
            await force_days(connection, moved)
        count = await roll_up(connection, now, self._plan.city, stale)
        secs = asyncio.get_running_loop().time() - began
        telemetry_assessment.days_assessed(min(row.day for row in stale), count, secs)
        return Look(is_done=False, changed=count)

    async def _freeze(self, connection: Connection, now: datetime, known_upto: datetime) -> None:
        rules = self._plan.rules
        completed = completed_through(
            rules.completed_after, known_upto, now, needs_vouchers=rules.values["vouchers"] == "required"
        )
        await freeze_stages(connection, immediate_through(rules.immediate_after, known_upto), completed)


def split_scopes(stale: list[StaleDay], outlet_count: int, now: datetime) -> list[Scope]:
    """Put stale days together: runs of days for all outlets, then the days of single ones.

    Args:
        stale: of one month.
        outlet_count: how many outlets are assessed.
        now: hours that are not over are not due.

    Returns:
        Scopes that hold all of them; more than was asked for costs time and changes nothing.
    """
    by_day: dict[date, set[str | None]] = {}
    for row in stale:
        by_day.setdefault(row.day, set()).add(row.outlet)
    wide = {day for day, outlets in by_day.items() if None in outlets or len(outlets) * _WIDE_SHARE > outlet_count}
    scopes = [Scope(first, last + _DAY, now) for first, last in _runs_of(sorted(wide))]
    narrow: dict[frozenset[str], list[date]] = {}
    for day, outlets in sorted(by_day.items()):
        if day not in wide:
            narrow.setdefault(frozenset(filter(None, outlets)), []).append(day)
    for names, days in narrow.items():
        scopes += [Scope(first, last + _DAY, now, sorted(names)) for first, last in _runs_of(days)]
    return scopes


def _runs_of(days: list[date]) -> list[tuple[date, date]]:
    """Return first and last day of each run without a gap."""
    numbered = groupby(enumerate(days), key=lambda pair: pair[1].toordinal() - pair[0])
    runs = [[day for _, day in run] for _, run in numbered]
    return [(run[0], run[-1]) for run in runs]
