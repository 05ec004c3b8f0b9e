"""The writer: one thread that makes groups durable and is the only one to change the directory.

The event loop and this thread share nothing but queues in one direction and `call_soon_threadsafe` in the other.
The loop appends to `queue` and, only when `len(queue) >= wake_at`, calls `wake`; the thread sets `wake_at` to what
it waits for, then looks at the queue again before it sleeps, so no entry is overlooked and no lock is taken.

When the disk is full the group at hand is kept and tried again until there is room; in the meantime the loop may
ask for segments to be removed. The reserve is given back to the disk first, so that what was taken can be finished;
the disk counts as full until the reserve could be claimed again. Any other error ends the thread: after a failed
write or fsync nobody knows what the disk holds, and asking again gives the wrong answer.
"""

import asyncio
import sqlite3
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from time import monotonic, perf_counter
from typing import Final, NamedTuple, TypeVar

from hj212gw.errors import JournalUnwritable
from hj212gw.journal.directory import is_busy, is_damage, is_out_of_space
from hj212gw.journal.records import REJECT, Record
from hj212gw.journal.segments import SegmentInfo
from hj212gw.journal.settings import Damage, JournalSettings
from hj212gw.journal.storage import Storage

Callback = Callable[[], object]
Entry = tuple[Record, Callback, int]
_T = TypeVar("_T")
_NEVER: Final = 1 << 62
_FIRST_RETRY_SECS: Final = 0.05
_LONGEST_RETRY_SECS: Final = 1.0


class Taken(NamedTuple):
    """Entries taken from the queue for one group; sizes as the entries said."""

    records: list[Record]
    callbacks: deque[Callback]
    size: int
    reject_bytes: int


class Committed(NamedTuple):
    """A group that became durable, the segment as it stands now, and how long write and fsync took."""

    taken: Taken
    active: SegmentInfo
    secs: float


@dataclass(frozen=True, slots=True, kw_only=True)
class WriterEvents:
    """What the thread tells: functions called on the event loop.

    Attributes:
        committed: a group is durable.
        rotated: the first segment was sealed and the second begun.
        repaired: the segment was damaged; what there is now instead, None when nothing is.
        disk_full: the disk is full, or still is.
        disk_has_room: it no longer is.
        stopped: the thread is at its end.
    """

    committed: Callable[[Committed], None]
    rotated: Callable[[SegmentInfo, SegmentInfo], None]
    repaired: Callable[[SegmentInfo, SegmentInfo | None, Damage], None]
    disk_full: Callable[[str], None]
    disk_has_room: Callable[[], None]
    stopped: Callable[[JournalUnwritable | None], None]


class _GivenUpError(Exception):
    """Nobody waits any more: the journal is closed on a full disk, or its event loop is gone."""


class Writer:
    """Runs the thread; all methods but the private ones are for the event loop."""

    def __init__(self, storage: Storage, settings: JournalSettings, events: WriterEvents) -> None:
        self.queue: deque[Entry] = deque()
        self.wake_at = _NEVER
        self._storage = storage
        self._settings = settings
        self._events = events
        self._loop = asyncio.get_running_loop()
        self._thread = threading.Thread(target=self._run, name="hj212gw-journal", daemon=True)
        self._wake = threading.Event()
        self._chores: deque[Callable[[], None]] = deque()
        self._removals: deque[Path] = deque()
        self._is_stopping = False
        self._is_full = False
        self._retry_secs = _FIRST_RETRY_SECS

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def wake(self) -> None:
        """Let the thread look at the queue."""
        self.wake_at = _NEVER
        self._wake.set()

    def stop(self) -> None:
        """Let the thread finish the queue and end; on a full disk it tries once."""
        self._is_stopping = True
        self._wake.set()

    def join(self) -> None:
        """Wait for the thread after it said that it stopped."""
        self._thread.join()

    def remove(self, path: Path) -> None:
        """Have a sealed segment removed, also while the disk is full."""
        self._removals.append(path)
        self._wake.set()

    def repair(self, info: SegmentInfo) -> None:
        """Have a damaged segment repaired."""
        self._ask(partial(self._repair, info))

    def keep_drained(self, drained_at_us: dict[int, int]) -> None:
        """Have it made durable when segments were found drained."""
        self._ask(partial(self._storage.keep_drained, drained_at_us))

    def _ask(self, chore: Callable[[], None]) -> None:
        self._chores.append(chore)
        self._wake.set()

    def _run(self) -> None:
        error: JournalUnwritable | None = JournalUnwritable("the journal's writer ended unexpectedly")
        is_closed = False
        try:
            if not self._storage.reserve.hold():
                self._call_full("no room for the reserve")
            self._serve()
            self._storage.close()
            error, is_closed = None, True
        except _GivenUpError:
            error = None
        except (sqlite3.Error, OSError) as cause:
            error = self._explain(cause)
        finally:
            if not is_closed:
                with suppress(OSError, sqlite3.Error):
                    self._storage.abandon()
            with suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._events.stopped, error)

    def _explain(self, cause: sqlite3.Error | OSError) -> JournalUnwritable | None:
        if self._is_stopping and is_out_of_space(cause):
            return None
        error = JournalUnwritable(f"journal {self._settings.directory} cannot be written: {cause}")
        error.__cause__ = cause
        return error

    def _serve(self) -> None:
        wait_secs = self._settings.group_wait_secs
        due = 0.0
        while True:
            self._do_chores()
            if self.queue:
                self._await_company(due)
                due = monotonic() + wait_secs
                self._commit(self._take())
                self._tend()
            elif self._is_stopping:
                return
            else:
                self._sleep()
                due = monotonic() + wait_secs

    def _sleep(self) -> None:
        """Wait for anything to do; while the disk is full, look for room now and then."""
        if self._is_full:
            self._look_for_room()
        self.wake_at = 1
        is_idle = not (self.queue or self._chores or self._removals or self._is_stopping)
        longest_secs = self._next_retry_secs() if self._is_full else None
        self._wake.wait(longest_secs if is_idle else 0.0)
        self._wake.clear()
        self.wake_at = _NEVER

    def _look_for_room(self) -> None:
        """Claim the reserve again; while that fails, each look lets one more drained segment go."""
        if not self._storage.reserve.hold():
            self._post(self._events.disk_full, "no room for the reserve")
            return
        self._is_full = False
        self._retry_secs = _FIRST_RETRY_SECS
        self._post(self._events.disk_has_room)

    def _next_retry_secs(self) -> float:
        secs = self._retry_secs
        self._retry_secs = min(2 * secs, _LONGEST_RETRY_SECS)
        return secs

    def _await_company(self, due: float) -> None:
        """Give a group time to grow; what waits was submitted at most `group_wait_secs` before `due`."""
        self.wake_at = most = self._settings.group_records
        while len(self.queue) < most and not self._is_stopping and (left := due - monotonic()) > 0:
            self._wake.wait(left)
            self._wake.clear()
        self.wake_at = _NEVER

    def _take(self) -> Taken:
        queue, most, most_bytes = self.queue, self._settings.group_records, self._settings.group_bytes
        records: list[Record] = []
        callbacks: deque[Callback] = deque()
        total = reject_bytes = 0
        while queue and len(records) < most and total < most_bytes:
            record, callback, size = queue.popleft()
            records.append(record)
            callbacks.append(callback)
            total += size
            if record.kind == REJECT:
                reject_bytes += size
        return Taken(records, callbacks, total, reject_bytes)

    def _commit(self, taken: Taken) -> None:
        self._post(self._events.committed, self._with_room(partial(self._append, taken)))

    def _append(self, taken: Taken) -> Committed:
        started = perf_counter()
        active = self._undamaged(lambda: self._storage.active.append(taken.records, taken.reject_bytes))
        return Committed(taken, active, perf_counter() - started)

    def _tend(self) -> None:
        """Keep log and segment small, after those who wait for the group were told."""
        self._with_room(partial(self._undamaged, self._checkpoint))
        if self._storage.wants_rotation:
            sealed = self._with_room(partial(self._undamaged, self._storage.rotate))
            self._post(self._events.rotated, sealed, self._storage.active.info)

    def _checkpoint(self) -> None:
        self._storage.active.checkpoint()

    def _undamaged(self, action: Callable[[], _T]) -> _T:
        """Do something with the active segment, and with a new one if this one proves damaged."""
        try:
            return action()
        except sqlite3.DatabaseError as error:
            if not is_damage(error):
                raise
        self._replace_active()
        return action()

    def _replace_active(self) -> None:
        left = self._storage.replace_damaged()
        self._post(self._events.rotated, left, self._storage.active.info)
        self.repair(left)

    def _repair(self, info: SegmentInfo) -> None:
        if info.path == self._storage.active.info.path:
            self._replace_active()
        elif result := self._storage.repair(info):
            self._post(self._events.repaired, info, *result)

    def _do_chores(self) -> None:
        self._do_removals()
        while self._chores:
            self._with_room(self._chores[0])
            self._chores.popleft()

    def _do_removals(self) -> None:
        while self._removals:
            self._storage.remove(self._removals.popleft())

    def _with_room(self, action: Callable[[], _T]) -> _T:
        """Do something, again and again while the disk is full or the segment is locked by another process."""
        while True:
            try:
                return action()
            except (sqlite3.Error, OSError) as error:
                if not (is_out_of_space(error) or is_busy(error)):
                    raise
                self._wait_for_room(str(error))

    def _wait_for_room(self, why: str) -> None:
        was_full = self._is_full
        self._call_full(why)
        if was_full:
            if self._is_stopping:
                raise _GivenUpError(why)
            self._wake.wait(self._next_retry_secs())
            self._wake.clear()
            self._do_removals()

    def _call_full(self, why: str) -> None:
        self._is_full = True
        self._storage.reserve.release()
        self._post(self._events.disk_full, why)

    def _post(self, function: Callable[..., None], *args: object) -> None:
        try:
            self._loop.call_soon_threadsafe(function, *args)
        except RuntimeError as error:
            raise _GivenUpError("the event loop is closed") from error
