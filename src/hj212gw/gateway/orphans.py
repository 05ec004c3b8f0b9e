"""Journals that no process fills any more, left by another number of workers: drained one after the other."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from hj212gw import telemetry_store
from hj212gw.errors import ConfigError, JournalError, JournalUnwritable
from hj212gw.journal import Journal, JournalObserver, JournalSettings, JournalStats

if TYPE_CHECKING:
    from hj212gw.clock import Clock
    from hj212gw.gateway.drain import Drain, DrainLimits
    from hj212gw.store.retention import Retention

# An orphan that is drained is looked at again: the database may have been restored from a backup, its files grow old,
# and the daily digests wait for every journal that was heard of lately to say that it has nothing older.
_AGAIN = timedelta(hours=1)
_LEAST_WAIT_SECS = 1.0  # real ones, however fast a simulated clock runs
_CUT_SECS = 1.0


class Orphans:
    """Opens each orphan only to drain it, and closes it when it is empty.

    Args:
        find: lists the orphans there are now.
        settings: the gateway's own journal, whose sizes and times hold for orphans too.
        make_drain: makes the drain of a journal.
        limits: how it drains.
        clock: the gateway's.
    """

    def __init__(
        self,
        find: Callable[[], list[Path]],
        settings: JournalSettings,
        make_drain: Callable[[Journal], "Drain"],
        limits: "DrainLimits",
        clock: "Clock",
    ) -> None:
        self._find = find
        self._settings = settings
        self._make_drain = make_drain
        self._limits = limits
        self._clock = clock
        self._journal: Journal | None = None
        self._drain: Drain | None = None
        self._task: asyncio.Task[None] | None = None
        self._stopped = asyncio.Event()

    def start(self) -> None:
        """Begin in the background."""
        self._task = asyncio.create_task(self._run())
        self._task.add_done_callback(_tell_fault)

    async def stop(self) -> None:
        """Stop where it is: what is not stored stays in its journal for the next start."""
        if self._task is None:
            return
        self._stopped.set()
        if self._drain is not None:
            self._drain.abort()
        await asyncio.wait({self._task}, timeout=_CUT_SECS)
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    def replace_retention(self, retention: "Retention") -> None:
        """Drop by other ages from now on."""
        self._limits = self._limits._replace(retention=retention)
        if self._drain is not None:
            self._drain.retention = retention

    def stats(self) -> list[JournalStats]:
        """Return what the orphan that is being drained holds; nothing while none is open."""
        return [] if self._journal is None else [self._journal.stats()]

    async def drain_all(self) -> None:
        """Drain every orphan there is; one that cannot be is told and left for the next time."""
        for directory in self._list():
            if self._stopped.is_set():
                return
            try:
                await self._drain_one(directory)
            except (JournalError, ConfigError) as error:
                telemetry_store.journal_left(str(directory), error)

    async def _run(self) -> None:
        while not self._stopped.is_set():
            await self.drain_all()
            await self._pause(max(_LEAST_WAIT_SECS, self._clock.real_secs(_AGAIN.total_seconds())))

    async def _pause(self, secs: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(secs):
                await self._stopped.wait()

    def _list(self) -> list[Path]:
        try:
            return self._find()
        except OSError as error:
            telemetry_store.journal_left(str(self._settings.directory), error)
            return []

    async def _drain_one(self, directory: Path) -> None:
        observer = JournalObserver(on_damage=lambda damage: telemetry_store.journal_damaged(str(damage.path)))
        journal = Journal.open(replace(self._settings, directory=directory, reserve_bytes=0), observer=observer)
        self._journal = journal
        try:
            telemetry_store.journal_adopted(str(directory), str(journal.uuid))
            if await self._empty(journal):
                telemetry_store.journal_emptied(str(directory), str(journal.uuid))
        finally:
            self._journal = self._drain = None
            await _finish(asyncio.ensure_future(journal.close()))

    async def _empty(self, journal: Journal) -> bool:
        """Drain a journal to its end, however often the database goes away meanwhile; False when we have to stop."""
        delay = self._limits.retry_first_secs
        while True:
            drain = self._drain = self._make_drain(journal)
            drain.stop()  # it ends when the journal is empty, or when the database fails
            try:
                await drain.run(self._limits)
            finally:
                await _close(drain)
            if journal.failure is not None:
                raise JournalUnwritable(str(journal.failure))
            if not journal.stats().pending_records:
                return True
            if self._stopped.is_set():
                return False
            await self._pause(delay)
            delay = min(self._limits.retry_max_secs, delay * 2)


def _tell_fault(task: asyncio.Task[None]) -> None:
    """Tell a fault nobody thought of: orphans wait for the next start then, and the gateway goes on."""
    if not task.cancelled() and (error := task.exception()) is not None:
        context = {"message": "draining orphans met a fault it does not know", "exception": error}
        asyncio.get_running_loop().call_exception_handler(context)


async def _close(drain: "Drain") -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(_CUT_SECS * 3):
            await drain.close()


async def _finish(closing: asyncio.Task[None]) -> None:
    """Wait until a journal is closed, also when we are told to stop meanwhile."""
    try:
        await asyncio.shield(closing)
    except asyncio.CancelledError:
        await closing
        raise
