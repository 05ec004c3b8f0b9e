"""What a journal is told, and what it tells."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from hj212gw.errors import ConfigError, JournalUnwritable

MIB = 1024 * 1024
_SEGMENTS_PER_JOURNAL = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class JournalSettings:
    """Settings of one journal.

    Attributes:
        directory: where its files are; a journal of its own for each process.
        max_bytes: all segments together; at this size intake stops.
        segment_bytes: a segment over this size is sealed and a new one begun.
        keep_secs: how long a segment stays after it was drained.
        group_records: most records in a group.
        group_bytes: a group over this size takes no further record.
        group_wait_secs: longest time the first record of a group waits for company.
        backlog_bytes: most bytes submitted and not yet durable.
        reserve_bytes: disk space kept aside to finish with when the disk is full; 0 for none.
        reject_share: part of `max_bytes` that rejects not yet drained may fill.
        low_priority_share: part of `max_bytes` that low-priority records may fill.
    """

    directory: Path
    max_bytes: int = 20 * 1024 * MIB
    segment_bytes: int = 64 * MIB
    keep_secs: float = 7 * 86400.0
    group_records: int = 1024
    group_bytes: int = MIB
    group_wait_secs: float = 0.002
    backlog_bytes: int = 16 * MIB
    reserve_bytes: int = 16 * MIB
    reject_share: float = 0.05
    low_priority_share: float = 0.80

    def __post_init__(self) -> None:
        if self.max_bytes < _SEGMENTS_PER_JOURNAL * self.segment_bytes:
            raise ConfigError(
                f"journal.max_bytes is {self.max_bytes}: expected at least {_SEGMENTS_PER_JOURNAL} times "
                f"journal.segment_bytes ({self.segment_bytes}), since only whole segments are removed"
            )


class JournalStats(NamedTuple):
    """What a journal holds now.

    Attributes:
        pending_records: durable and not confirmed.
        pending_bytes: size of these in their groups.
        total_bytes: size of all segment files, damaged ones set aside not counted.
        oldest_pending_us: arrival of the oldest pending record; None when nothing is pending.
        is_full: no record is taken for want of space.
        is_nearly_full: no low-priority record is taken for want of space.
        queued_records: submitted and not yet durable.
        queued_bytes: size of these.
        pending_reject_bytes: the part of pending and queued bytes that are rejects.
        first_seq: groups before this one were removed.
        head_seq: last durable group; 0 when there was none yet.
        confirmed_seq: last confirmed group; 0 until the first `confirm`.
        segments: number of segment files.
        dropped_early: drained segments removed for want of space before `keep_secs` had passed.
        damaged: number of files found damaged since the journal was opened.
    """

    pending_records: int
    pending_bytes: int
    total_bytes: int
    oldest_pending_us: int | None
    is_full: bool
    is_nearly_full: bool
    queued_records: int
    queued_bytes: int
    pending_reject_bytes: int
    first_seq: int
    head_seq: int
    confirmed_seq: int
    segments: int
    dropped_early: int
    damaged: int


class Damage(NamedTuple):
    """A file found damaged, kept at `path`.

    `reason` is `segment` (unreadable in part or whole) or `log` (a write-ahead log broken before its end; when
    `lost_groups` is 1 that may be a group which a power failure tore before it was acknowledged).
    `lost_groups` is None when nothing says how many there were.
    """

    path: Path
    reason: str
    salvaged_groups: int
    salvaged_records: int
    lost_groups: int | None


def _ignore(*_: object) -> None:
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class JournalObserver:
    """Functions a journal calls on the event loop; each may be left out.

    Attributes:
        on_commit: a group became durable: records, bytes, seconds for write and fsync.
        on_full: intake stopped for want of space; the text says why.
        on_room: records are taken again after `JournalFull` was raised.
        on_damage: a file was found damaged and set aside.
        on_failure: nothing more will become durable; stop the process.
    """

    on_commit: Callable[[int, int, float], None] = field(default=_ignore)
    on_full: Callable[[str], None] = field(default=_ignore)
    on_room: Callable[[], None] = field(default=_ignore)
    on_damage: Callable[[Damage], None] = field(default=_ignore)
    on_failure: Callable[[JournalUnwritable], None] = field(default=_ignore)
