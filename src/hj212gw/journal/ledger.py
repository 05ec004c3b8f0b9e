"""What the journal holds, as the event loop knows it: segments, what is pending, what is drained. No I/O."""

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass

from hj212gw.journal.reader import Behind
from hj212gw.journal.segments import SegmentInfo


@dataclass(slots=True)
class Pending:
    """Durable and not confirmed."""

    records: int = 0
    byte_count: int = 0
    reject_bytes: int = 0
    oldest_us: int | None = None


class Ledger:
    """Keeps the catalogue of segments, the oldest first; the last one is the active one."""

    def __init__(self, segments: list[SegmentInfo], drained_at_us: dict[int, int]) -> None:
        self._segments = segments
        firsts = {info.first_seq for info in segments}
        self.drained_at_us = {first: at for first, at in drained_at_us.items() if first in firsts}
        self.confirmed_seq = 0
        self.pending = Pending()
        self._measure()
        self.count_pending(None)

    def _measure(self) -> None:
        self._sealed_bytes = sum(info.file_bytes for info in self._segments[:-1])
        self.head_seq = max((info.last_seq for info in self._segments if info.records), default=0)

    @property
    def active(self) -> SegmentInfo:
        """Return the segment that is appended to."""
        return self._segments[-1]

    @property
    def first_seq(self) -> int:
        """Return the first number of the oldest segment."""
        return self._segments[0].first_seq

    @property
    def total_bytes(self) -> int:
        """Return the size of all segments."""
        return self._sealed_bytes + self.active.file_bytes

    @property
    def segment_count(self) -> int:
        """Return the number of segments."""
        return len(self._segments)

    def after(self, seq: int) -> Iterator[SegmentInfo]:
        """List the segments with groups after a position."""
        start = bisect_right(self._segments, seq, key=lambda info: info.last_seq)
        return (info for info in self._segments[start:] if info.records)

    def committed(self, active: SegmentInfo, oldest_us: int) -> None:
        """Take note of a durable group, given the arrival of its first record."""
        before, self._segments[-1] = self.active, active
        self.head_seq = active.last_seq
        self.pending.records += active.records - before.records
        self.pending.byte_count += active.byte_count - before.byte_count
        self.pending.reject_bytes += active.reject_bytes - before.reject_bytes
        if self.pending.oldest_us is None:
            self.pending.oldest_us = oldest_us

    def rotated(self, sealed: SegmentInfo, active: SegmentInfo) -> None:
        """Take note that a segment was sealed and another begun."""
        self._segments[-1:] = [sealed, active]
        self._measure()

    def repaired(self, left: SegmentInfo, info: SegmentInfo | None) -> None:
        """Put a repaired segment, or none, in the place of a damaged one."""
        at = next((n for n, known in enumerate(self._segments) if known.path == left.path), None)
        if at is not None:
            self._segments[at : at + 1] = [info] if info else []
            self._measure()

    def partly_behind(self) -> SegmentInfo | None:
        """Return the segment in whose midst the confirmed position lies; None when it lies between two."""
        info = next(self.after(self.confirmed_seq), None)
        return info if info and info.first_seq <= self.confirmed_seq else None

    def count_pending(self, behind: Behind | None) -> None:
        """Count what is pending, given what is not of the segment that is partly behind."""
        pending = Pending()
        for info in self.after(self.confirmed_seq):
            pending.records += info.records
            pending.byte_count += info.byte_count
            pending.reject_bytes += info.reject_bytes
            if pending.oldest_us is None:
                pending.oldest_us = behind.oldest_us if behind else info.oldest_us
        if behind:
            pending.records -= behind.records
            pending.byte_count -= behind.byte_count
            pending.reject_bytes -= behind.reject_bytes
        self.pending = pending

    def mark_drained(self, now_us: int) -> bool:
        """Note since when sealed segments are wholly confirmed; tell whether anything changed.

        The position may also have gone back, in a database restored from a backup.
        """
        behind = [info.first_seq for info in self._segments[:-1] if info.last_seq <= self.confirmed_seq]
        drained_at_us = {first: self.drained_at_us.get(first, now_us) for first in behind}
        is_changed = drained_at_us != self.drained_at_us
        self.drained_at_us = drained_at_us
        return is_changed

    def take_expired(self, before_us: int) -> SegmentInfo | None:
        """Strike out the oldest segment, if it was drained before a time and holds nothing newer."""
        oldest = self._segments[0]
        drained_at_us = self.drained_at_us.get(oldest.first_seq)
        if drained_at_us is None or max(drained_at_us, oldest.newest_us) > before_us:
            return None
        return self.take_drained()

    def take_drained(self) -> SegmentInfo | None:
        """Strike out the oldest segment, if it is drained; what was drained in an earlier run must be confirmed."""
        oldest = self._segments[0]
        if oldest.first_seq not in self.drained_at_us or oldest.last_seq > self.confirmed_seq:
            return None
        del self._segments[0]
        del self.drained_at_us[oldest.first_seq]
        self._measure()
        return oldest
