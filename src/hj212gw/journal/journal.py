"""The journal: records become durable in groups, are read back in order, and go when they are drained.

The contract.

1. A record's callback runs after the fsync of its group, on the event loop, in the order of `submit`. If it ran, the
   record is read back exactly once from any position before it, whatever crashes, until its segment is removed.
2. A group's sequence number is higher than all before it and never comes twice: not after a crash, not when
   segments are damaged or gone.
3. Only what is durable is read. Groups come whole and in order; where a segment is damaged, what can be read of it is.
4. A segment is removed when all of it is confirmed, and then only after `keep_secs` or when room is needed, the
   oldest first. What is not confirmed is never removed: `submit` raises `JournalFull` instead.
5. Memory is bounded: what was submitted and is not yet durable stays under `backlog_bytes`.
6. After a failed write or fsync nothing becomes durable any more, and no callback runs.

Sizes and the format are in `segments` and `records`, the thread in `writer`, what a start does in `recovery`.
"""

import asyncio
import sqlite3
from collections import deque
from typing import Final, Self
from uuid import UUID

from hj212gw.errors import JournalCorrupt, JournalError, JournalFull, JournalUnwritable
from hj212gw.journal.directory import DirectoryLock, make_directory
from hj212gw.journal.ledger import Ledger
from hj212gw.journal.reader import Behind, Reader
from hj212gw.journal.records import HEAD_BYTES, REJECT, Group, Record
from hj212gw.journal.recovery import Recovered
from hj212gw.journal.segments import SegmentInfo
from hj212gw.journal.settings import Damage, JournalObserver, JournalSettings, JournalStats
from hj212gw.journal.storage import Storage
from hj212gw.journal.writer import Callback, Committed, Writer, WriterEvents

_ENTRY_BYTES: Final = 256  # what Python spends on an entry besides its bytes
_CLOSED: Final = -1


class Journal:
    """One directory, held by this process; all methods are for the event loop it was opened on."""

    def __init__(
        self,
        settings: JournalSettings,
        observer: JournalObserver,
        lock: DirectoryLock,
        storage: Storage,
        found: Recovered,
    ) -> None:
        self._settings = settings
        self._observer = observer
        self._lock = lock
        self._uuid = storage.uuid
        self._ledger = Ledger([*found.sealed, storage.active.info], storage.drained_at_us)
        self._reader = Reader(storage.active.info.path)
        self._writer = Writer(storage, settings, self._events())
        self._queue = self._writer.queue
        self._loop = asyncio.get_running_loop()
        self._stopped: asyncio.Future[None] = self._loop.create_future()
        self._failure: JournalUnwritable | None = None
        self._damages: list[Damage] = []
        self._repairing: set[int] = set()
        self._queued_records = self._queued_bytes = self._queued_reject_bytes = 0
        self._limit = self._low_limit = 0
        self._reject_limit = int(settings.reject_share * settings.max_bytes)
        self._low_max_bytes = int(settings.low_priority_share * settings.max_bytes)
        self._was_refused = self._was_low_refused = False
        self._disk_full = ""
        self._was_full = self._is_closing = False
        self._dropped_early = 0

    @classmethod
    def open(cls, settings: JournalSettings, *, observer: JournalObserver | None = None) -> Self:
        """Open a journal, a new one if the directory is missing or empty.

        Raises:
            JournalUnwritable: another process has it open, or the disk or another version's segment is in the way.
            JournalCorrupt: a segment belongs to another journal.
        """
        asyncio.get_running_loop()
        lock: DirectoryLock | None = None
        try:
            make_directory(settings.directory)
            lock = DirectoryLock(settings.directory)
            lock.sign()
            storage, found = Storage.open(settings)
        except (OSError, sqlite3.Error, JournalError) as error:
            if lock:
                lock.release()
            if isinstance(error, JournalError):
                raise
            raise JournalUnwritable(f"journal {settings.directory} cannot be opened: {error}") from error
        journal = cls(settings, observer or JournalObserver(), lock, storage, found)
        journal._start(found.damages)
        return journal

    @property
    def uuid(self) -> UUID:
        """Return the identity that every file of this journal carries."""
        return self._uuid

    @property
    def is_full(self) -> bool:
        """Tell whether no record is taken for want of space."""
        return bool(self._disk_full) or self._taken_bytes >= self._settings.max_bytes

    @property
    def failure(self) -> JournalUnwritable | None:
        """Return why nothing becomes durable any more; None while all is well."""
        return self._failure

    @property
    def damages(self) -> tuple[Damage, ...]:
        """Return what was found damaged since the journal was opened."""
        return tuple(self._damages)

    def submit(self, record: Record, callback: Callback, *, low_priority: bool = False) -> bool:
        """Hand over a record to be made durable.

        Args:
            record: what to keep.
            callback: called on the event loop once it is durable.
            low_priority: real-time data, which must leave the last part of the space to other data.

        Returns:
            False when the record is a reject beyond the share of rejects: it is not taken and no callback comes.

        Raises:
            JournalFull: there is no room; `on_room` of the observer tells when to submit it again.
            JournalUnwritable: the journal has failed or is closed.
        """
        if self._queued_bytes >= (self._low_limit if low_priority else self._limit):
            self._refuse(low_priority=low_priority)
        _, kind, peer, note, body = record
        size = HEAD_BYTES + len(peer) + len(note) + len(body)
        if kind == REJECT:
            if self._pending_reject_bytes + size > self._reject_limit:
                return False
            self._queued_reject_bytes += size
        self._queued_records += 1
        self._queued_bytes += size + _ENTRY_BYTES
        self._queue.append((record, callback, size))
        if len(self._queue) >= self._writer.wake_at:
            self._writer.wake()
        return True

    def read(self, after_seq: int, max_records: int) -> list[Group]:
        """Read durable groups after a position, in order, until they hold `max_records`; the last one comes whole.

        An empty list means that there is nothing yet, or that a damaged segment is being repaired.

        Raises:
            JournalUnwritable: the disk did not let a segment be read.
        """
        groups: list[Group] = []
        if after_seq >= self._ledger.head_seq:
            return groups
        left = max_records
        for info in self._ledger.after(after_seq):
            if left <= 0 or info.first_seq in self._repairing:
                break
            known = len(groups)
            try:
                self._reader.read(info, after_seq, left, groups)
            except JournalCorrupt:
                self._ask_repair(info)
                break
            left -= sum(len(group.records) for group in groups[known:])
        return groups

    def confirm(self, seq: int, now_us: int) -> None:
        """Take note of the position up to which all is in the database; it may also go back.

        Raises:
            JournalCorrupt: the position lies behind the end of this journal, so the directory is an old copy, or a
                copy of it was drained.
        """
        if seq > max(self._ledger.head_seq, self._ledger.active.first_seq - 1):
            raise JournalCorrupt(
                f"journal {self._settings.directory} ends at group {self._ledger.head_seq}, the database has it "
                f"up to {seq}: this is an old copy of the journal, or another gateway drained a copy of it. Keep this "
                f"directory: up to {self._ledger.pending.records} packets in it may be acknowledged and not stored. "
                "`hj212gw journal renew` makes a journal of them that can be drained: docs/runbooks/store-refused.md"
            )
        self._ledger.confirmed_seq = seq
        self._count_pending()
        has_changed = self._ledger.mark_drained(now_us)
        before_us = now_us - int(self._settings.keep_secs * 1_000_000)
        while info := self._ledger.take_expired(before_us):
            self._remove(info)
        if has_changed:
            self._writer.keep_drained(dict(self._ledger.drained_at_us))
        self._settle()

    def stats(self) -> JournalStats:
        """Return what the journal holds now."""
        ledger, pending = self._ledger, self._ledger.pending
        return JournalStats(
            pending_records=pending.records,
            pending_bytes=pending.byte_count,
            total_bytes=ledger.total_bytes,
            oldest_pending_us=pending.oldest_us,
            is_full=self.is_full,
            is_nearly_full=bool(self._disk_full) or self._taken_bytes >= self._low_max_bytes,
            queued_records=self._queued_records,
            queued_bytes=self._queued_bytes,
            pending_reject_bytes=self._pending_reject_bytes,
            first_seq=ledger.first_seq,
            head_seq=ledger.head_seq,
            confirmed_seq=ledger.confirmed_seq,
            segments=ledger.segment_count,
            dropped_early=self._dropped_early,
            damaged=len(self._damages),
        )

    async def close(self) -> None:
        """Make durable what was submitted, run its callbacks and let go of the directory.

        On a full disk, or after a failure, what is not durable stays so and its callbacks do not run.
        """
        self._is_closing = True
        self._settle()
        self._reader.close()
        self._writer.stop()
        await asyncio.shield(self._stopped)
        self._writer.join()
        self._reader.close()
        self._lock.release()

    @property
    def _taken_bytes(self) -> int:
        return self._ledger.total_bytes + self._queued_bytes

    @property
    def _pending_reject_bytes(self) -> int:
        return self._ledger.pending.reject_bytes + self._queued_reject_bytes

    def _events(self) -> WriterEvents:
        return WriterEvents(
            committed=self._on_committed,
            rotated=self._on_rotated,
            repaired=self._on_repaired,
            disk_full=self._on_disk_full,
            disk_has_room=self._on_disk_has_room,
            stopped=self._on_stopped,
        )

    def _start(self, damages: list[Damage]) -> None:
        self._settle()
        self._writer.start()
        for damage in damages:
            self._note_damage(damage)

    def _refuse(self, *, low_priority: bool) -> None:
        if self._failure:
            raise JournalUnwritable(str(self._failure)) from self._failure
        if self._is_closing:
            raise JournalUnwritable(f"journal {self._settings.directory} is closed")
        if low_priority:
            self._was_low_refused = True
        else:
            self._was_refused = True
        raise JournalFull(self._explain_full(low_priority=low_priority))

    def _explain_full(self, *, low_priority: bool) -> str:
        if self._disk_full:
            return f"the disk of journal {self._settings.directory} is full: {self._disk_full}"
        most = self._low_max_bytes if low_priority else self._settings.max_bytes
        if self._taken_bytes >= most:
            return f"journal {self._settings.directory} holds {self._taken_bytes} bytes of at most {most}"
        return f"{self._queued_bytes} bytes wait to become durable, at most {self._settings.backlog_bytes} may"

    def _settle(self) -> None:
        """Work out how much may be taken, and tell those who wait for it."""
        if self._is_closing or self._failure:
            self._limit = self._low_limit = _CLOSED
            return
        self._relieve()
        backlog_bytes = 0 if self._disk_full else self._settings.backlog_bytes
        total_bytes = self._ledger.total_bytes
        self._limit = min(backlog_bytes, self._settings.max_bytes - total_bytes)
        self._low_limit = min(backlog_bytes, self._low_max_bytes - total_bytes)
        if self.is_full != self._was_full:
            self._was_full = self.is_full
            if self._was_full:
                self._observer.on_full(self._explain_full(low_priority=False))
        self._announce_room()

    def _announce_room(self) -> None:
        if self._queued_bytes > self._settings.backlog_bytes // 4:
            return
        is_room = self._was_refused and self._queued_bytes < self._limit
        is_low_room = self._was_low_refused and self._queued_bytes < self._low_limit
        self._was_refused = self._was_refused and not is_room
        self._was_low_refused = self._was_low_refused and not is_low_room
        if is_room or is_low_room:
            self._observer.on_room()

    def _relieve(self) -> None:
        """Remove drained segments before their time rather than refuse records."""
        while self._taken_bytes >= self._low_max_bytes and self._drop_early():
            pass

    def _drop_early(self) -> bool:
        info = self._ledger.take_drained()
        if info:
            self._dropped_early += 1
            self._remove(info)
        return info is not None

    def _remove(self, info: SegmentInfo) -> None:
        self._reader.leave(info.path)
        self._writer.remove(info.path)

    def _count_pending(self) -> None:
        info = self._ledger.partly_behind()
        behind: Behind | None = None
        if info:
            try:
                behind = self._reader.read_behind(info, self._ledger.confirmed_seq)
            except JournalCorrupt:
                self._ask_repair(info)
        self._ledger.count_pending(behind)

    def _ask_repair(self, info: SegmentInfo) -> None:
        self._reader.leave(info.path)
        if info.first_seq not in self._repairing:
            self._repairing.add(info.first_seq)
            self._writer.repair(info)

    def _note_damage(self, damage: Damage) -> None:
        self._damages.append(damage)
        self._observer.on_damage(damage)

    def _on_committed(self, group: Committed) -> None:
        taken = group.taken
        count = len(taken.records)
        byte_count = group.active.byte_count - self._ledger.active.byte_count
        self._queued_records -= count
        self._queued_bytes -= taken.size + count * _ENTRY_BYTES
        self._queued_reject_bytes -= taken.reject_bytes
        self._ledger.committed(group.active, taken.records[0].received_at_us)
        self._settle()
        self._observer.on_commit(count, byte_count, group.secs)
        self._run_callbacks(taken.callbacks)

    def _run_callbacks(self, callbacks: deque[Callback]) -> None:
        """Run callbacks in order; one that raises goes to the loop's handler and does not keep the next from it."""
        try:
            while callbacks:
                callbacks.popleft()()
        finally:
            if callbacks:
                self._loop.call_soon(self._run_callbacks, callbacks)

    def _on_rotated(self, sealed: SegmentInfo, active: SegmentInfo) -> None:
        self._ledger.rotated(sealed, active)
        self._reader.active = active.path

    def _on_repaired(self, left: SegmentInfo, info: SegmentInfo | None, damage: Damage) -> None:
        self._reader.leave(left.path)
        self._ledger.repaired(left, info)
        self._repairing.discard(left.first_seq)
        self._count_pending()
        self._note_damage(damage)
        self._settle()

    def _on_disk_full(self, why: str) -> None:
        self._disk_full = why
        self._drop_early()
        self._settle()

    def _on_disk_has_room(self) -> None:
        self._disk_full = ""
        self._settle()

    def _on_stopped(self, error: JournalUnwritable | None) -> None:
        self._failure = error
        self._stopped.set_result(None)
        self._settle()
        if error:
            self._observer.on_failure(error)
