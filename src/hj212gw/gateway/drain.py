"""Journal to database: batch after batch, for ever, whatever becomes of the database.

While one batch is being stored the next one is made, so that both processes work. The position moves with the
rows, so that a crash between two steps stores nothing twice and loses nothing.
"""

import asyncio
import random
from contextlib import suppress
from datetime import timedelta
from typing import TYPE_CHECKING, NamedTuple

from hj212gw import telemetry_access, telemetry_gateway, telemetry_store
from hj212gw.errors import RowsRefused, SchemaMismatch, StoreError, StoreUnavailable
from hj212gw.store.held import release_held
from hj212gw.store.loggers import read_known_loggers
from hj212gw.store.migrate import check_schema
from hj212gw.store.proposals import read_time_labels
from hj212gw.store.retention import Retention, maintain
from hj212gw.store.rows import Batch, Outcome, PacketRow, PacketRows
from hj212gw.store.writer import Writer

if TYPE_CHECKING:
    from hj212gw.clock import Clock
    from hj212gw.gateway.admission import Admission
    from hj212gw.gateway.batches import BatchMaker
    from hj212gw.journal import Journal

_ACTIVITY_SECS = 5.0
_MAINTENANCE_SECS = 3600.0
_RELEASE_PACKETS = 500
_MISMATCH_WAIT_SECS = 5.0
_LONG_AGO = float("-inf")


class DrainLimits(NamedTuple):
    """How the drain works.

    Attributes:
        batch_packets: packets a transaction, about.
        batch_wait_secs: how long the first record after a quiet time waits for company.
        idle_wait_secs: longest wait for new records before the drain looks after other things.
        retry_first_secs, retry_max_secs: back-off while the database is away.
        refresh_secs: longest time between two looks at the registry.
        retention: what is dropped when.
    """

    batch_packets: int
    batch_wait_secs: float
    idle_wait_secs: float
    retry_first_secs: float
    retry_max_secs: float
    refresh_secs: float
    retention: Retention


class Drain:
    """Moves the journal's records into the database.

    Args:
        journal: what to drain.
        writer: its connection to the database.
        maker: makes batches.
        admission: gets the registry when it changed.
        clock: the gateway's.
    """

    def __init__(
        self, journal: "Journal", writer: Writer, maker: "BatchMaker", admission: "Admission", clock: "Clock"
    ) -> None:
        self._journal = journal
        self._writer = writer
        self._maker = maker
        self._admission = admission
        self._clock = clock
        self._position = 0
        self._wakened = asyncio.Event()
        self._stopped = asyncio.Event()
        self._away_since: float | None = None
        self._due: dict[str, float] = {}
        self.retention: Retention | None = None  # where it was changed since the start

    @property
    def position(self) -> int:
        """The position known to be in the database."""
        return self._position

    def wake(self) -> None:
        """Tell that the journal has something new."""
        self._wakened.set()

    async def run(self, limits: DrainLimits) -> None:
        """Drain until `stop`; a database that is away is waited for.

        Raises:
            JournalCorrupt: the database knows a later position than the journal: it is not this database's.
        """
        delay = limits.retry_first_secs
        while True:
            stored_upto = self._position
            try:
                await self._open()
                await self._drain(limits)
                return
            except SchemaMismatch as error:
                telemetry_store.store_failed(error)
                delay = max(delay, min(_MISMATCH_WAIT_SECS, limits.retry_max_secs))
            except StoreError as error:
                telemetry_store.store_failed(error)
            telemetry_store.store_missed()
            if self._away_since is None:
                self._away_since = asyncio.get_running_loop().time()
            if self._position > stored_upto:
                delay = limits.retry_first_secs  # it had worked in between
            if self._stopped.is_set():
                return
            await self.pause(delay * random.uniform(0.8, 1.2))  # noqa: S311 - spreads reconnects
            delay = min(limits.retry_max_secs, delay * 2)

    def stop(self) -> None:
        """Stop when the journal is empty, or at the next fault."""
        self._stopped.set()
        self.wake()

    def abort(self) -> None:
        """Cut the connections, so that whatever waits for the database fails at once."""
        with suppress(StoreUnavailable):
            self._writer.connection.terminate()
        with suppress(StoreUnavailable):
            self._writer.numbering.terminate()

    async def pause(self, secs: float) -> None:
        """Wait before the next try; new records do not shorten it, a stop does."""
        try:
            async with asyncio.timeout(secs):
                await self._stopped.wait()
        except TimeoutError:
            pass

    async def close(self) -> None:
        """Close the connection."""
        await self._writer.close()

    async def _open(self) -> None:
        self._position = await self._writer.open(self._clock.now())
        unanswered = self._writer.take_unanswered(self._position)
        if unanswered is not None:
            _count(unanswered)
        self._journal.confirm(self._position, self._clock.now_us())
        self._maker.forget_numbers()
        self._due.clear()

    async def _drain(self, limits: DrainLimits) -> None:
        """Store until told to stop and empty; leave by an exception when the database fails."""
        batch: Batch | None = None
        while True:
            if batch is None:
                await self._look_after(limits)
                batch = await self._make(self._position, limits)
            if batch is None:
                if self._stopped.is_set():
                    await self._tell_idle()
                    return
                if await self._wait(limits.idle_wait_secs) and not self._stopped.is_set():
                    await asyncio.sleep(limits.batch_wait_secs)
                continue
            storing = asyncio.ensure_future(self._store(batch))
            try:
                following = await self._make(batch.upto, limits)
            finally:
                try:
                    await storing
                finally:
                    del storing  # a fault's traceback that leads back to the fault would keep the batch in memory
            batch = following if not self._is_due(limits) else None

    async def _make(self, after: int, limits: DrainLimits) -> Batch | None:
        groups = self._journal.read(after, limits.batch_packets)
        if not groups:
            return None
        return await self._maker.make(self._writer.numbering, groups, after)

    async def _store(self, batch: Batch) -> None:
        if self._pass("activity", _ACTIVITY_SECS):
            batch = batch._replace(activity=self._maker.take_activity())
        loop = asyncio.get_running_loop()
        began = loop.time()
        outcome = await self._writer.write(batch)
        self._note_recovery()
        self._position = batch.upto
        self._journal.confirm(batch.upto, self._clock.now_us())
        telemetry_store.batch_stored(loop.time() - began, outcome.stored, outcome.readings, outcome.path)
        _count(outcome)

    def _note_recovery(self) -> None:
        """Show that the database takes writes, and tell once that it does again."""
        telemetry_store.store_reached()
        if self._away_since is not None:
            telemetry_store.store_recovered(asyncio.get_running_loop().time() - self._away_since)
            self._away_since = None

    def _is_due(self, limits: DrainLimits) -> bool:
        now = asyncio.get_running_loop().time()
        return self._writer.registry_changed or now >= self._due.get("registry", _LONG_AGO) + limits.refresh_secs

    def _pass(self, chore: str, every_secs: float) -> bool:
        """Tell whether a chore's time has come, and set its next."""
        now = asyncio.get_running_loop().time()
        if now < self._due.get(chore, _LONG_AGO):
            return False
        self._due[chore] = now + every_secs
        return True

    async def _look_after(self, limits: DrainLimits) -> None:
        """Do the chores between two batches: schema, registry, held packets, partitions, who was heard.

        Raises:
            SchemaMismatch: somebody migrated meanwhile; what comes waits in the journal for a program that knows it.
        """
        connection = self._writer.connection
        now = self._clock.now()
        is_due = self._is_due(limits)
        if is_due:
            await check_schema(connection)
        if self._pass("maintenance", _MAINTENANCE_SECS):
            await maintain(connection, self.retention or limits.retention, now)
        if is_due:
            self._due["registry"] = asyncio.get_running_loop().time()
            self._writer.registry_changed = False
            self._admission.replace(await read_known_loggers(connection, now))
            self._maker.labels = await read_time_labels(connection, now)
            await self._release(limits)
        if self._is_empty() and self._pass("activity", _ACTIVITY_SECS):
            await self._tell_idle()

    async def _release(self, limits: DrainLimits) -> None:
        """Release held packets whose data loggers are registered now, a bounded run at a time."""
        connection = self._writer.connection
        limit = min(limits.batch_packets, _RELEASE_PACKETS)
        try:
            released, readings = await release_held(connection, self._remake, now=self._clock.now(), limit=limit)
        except RowsRefused as error:
            telemetry_store.store_failed(error)  # they stay held and visible; what comes must be drained all the same
            return
        if released:
            telemetry_gateway.packets_released(released)
            telemetry_gateway.readings_stored(readings)
            self._due["registry"] = _LONG_AGO  # more may be waiting

    async def _remake(self, held: list[PacketRow]) -> list[PacketRows]:
        return await self._maker.remake(self._writer.connection, held)

    async def _tell_idle(self) -> None:
        """Write who was heard, and that nothing older waits here."""
        now = self._clock.now()
        if self._is_empty():
            await self._writer.note_idle(self._position, now - timedelta(seconds=1), self._maker.take_activity())
            self._note_recovery()

    def _is_empty(self) -> bool:
        """Tell whether nothing waits, neither on disk nor on its way there."""
        stats = self._journal.stats()
        return stats.pending_records == 0 and stats.queued_records == 0

    async def _wait(self, secs: float) -> bool:
        """Wait to be woken; False when the time ran out first."""
        self._wakened.clear()
        try:
            async with asyncio.timeout(secs):
                await self._wakened.wait()
        except TimeoutError:
            return False
        return True


def _count(outcome: Outcome) -> None:
    telemetry_gateway.packets_stored(outcome.stored + outcome.quarantined)
    telemetry_gateway.packets_repeated(outcome.repeated)
    if outcome.quarantined:
        telemetry_gateway.packets_quarantined(outcome.quarantined, "rows_refused")
    if outcome.conflicts:
        telemetry_gateway.packets_quarantined(outcome.conflicts, "conflict")
        telemetry_access.conflicts_noted(outcome.conflicts)
    telemetry_gateway.packets_held(outcome.held)
    telemetry_gateway.rejects_stored(outcome.rejects)
    telemetry_gateway.readings_stored(outcome.readings)
    telemetry_gateway.readings_odd(outcome.odd)
    telemetry_gateway.readings_replaced(outcome.replaced)
