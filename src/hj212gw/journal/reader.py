"""Reading groups on the event loop, through a connection of its own to one segment at a time."""

import sqlite3
from pathlib import Path
from typing import Final, NamedTuple

from hj212gw.errors import JournalCorrupt, JournalUnwritable
from hj212gw.journal.directory import is_busy, is_damage, is_out_of_space
from hj212gw.journal.records import Group, Row, decode_group, is_sound
from hj212gw.journal.segments import AFTER, SegmentInfo, open_to_read, segment_path

_BUSY_SECS: Final = 0.05  # the event loop stands still meanwhile
_TOTALS: Final = "SELECT records_total, bytes_total, rejects_total FROM groups WHERE seq <= ? ORDER BY seq DESC LIMIT 1"
_OLDEST: Final = "SELECT oldest_us FROM groups WHERE seq > ? ORDER BY seq LIMIT 1"


class Behind(NamedTuple):
    """What of a segment lies behind a position, and the arrival of the first group that does not."""

    records: int
    byte_count: int
    reject_bytes: int
    oldest_us: int


class Reader:
    """Reads segments; keeps the last one open.

    `active` is the segment that is still appended to.
    """

    def __init__(self, active: Path) -> None:
        self.active = active
        self._path: Path | None = None
        self._connection: sqlite3.Connection | None = None

    def read(self, info: SegmentInfo, after_seq: int, most: int, groups: list[Group]) -> None:
        """Append a segment's groups after a position until they hold `most` records; the last one comes whole.

        Raises:
            JournalCorrupt: the next group is damaged; those before it were appended.
            JournalUnwritable: the disk did not let it be read.
        """
        expected = max(after_seq + 1, info.first_seq)
        is_original = info.path == segment_path(info.path.parent, info.first_seq)
        try:
            cursor = self._open(info.path).execute(AFTER, (after_seq, info.last_seq))
            try:
                for values in cursor:
                    row = Row._make(values)
                    if not is_sound(row) or (is_original and row.seq != expected):
                        raise JournalCorrupt(f"{info.path} is damaged: group {expected} cannot be read")
                    groups.append(Group(row.seq, decode_group(row.body), len(row.body)))
                    expected = row.seq + 1
                    most -= row.records
                    if most <= 0:
                        return
            finally:
                cursor.close()
        except sqlite3.Error as error:
            self._explain(error, info.path)
            return
        if is_original and expected <= info.last_seq:
            raise JournalCorrupt(f"{info.path} is damaged: group {expected} is missing")

    def read_behind(self, info: SegmentInfo, seq: int) -> Behind:
        """Count what lies behind a position inside a segment.

        Raises:
            JournalCorrupt: the segment is damaged.
            JournalUnwritable: the disk did not let it be read.
        """
        try:
            connection = self._open(info.path)
            totals = connection.execute(_TOTALS, (seq,)).fetchone() or (0, 0, 0)
            oldest = connection.execute(_OLDEST, (seq,)).fetchone() or (info.newest_us,)
        except sqlite3.Error as error:
            self._explain(error, info.path)
            return Behind(0, 0, 0, info.oldest_us)
        if not all(isinstance(number, int) for number in (*totals, *oldest)):
            raise JournalCorrupt(f"{info.path} is damaged: the totals at group {seq} are no numbers")
        return Behind(*totals, *oldest)

    def leave(self, path: Path) -> None:
        """Close a segment if it is the one that is open."""
        if path == self._path:
            self.close()

    def close(self) -> None:
        """Close the segment that is open, if any."""
        if self._connection:
            self._connection.close()
        self._path = self._connection = None

    def _open(self, path: Path) -> sqlite3.Connection:
        if self._connection is None or self._path != path:
            self.close()
            self._connection = open_to_read(path, busy_secs=_BUSY_SECS, is_sealed=path != self.active)
            self._path = path
        return self._connection

    def _explain(self, error: sqlite3.Error, path: Path) -> None:
        """Raise what an error means; a lock, or no room for an index, means to ask again."""
        self.close()
        if is_damage(error) or not path.exists():
            raise JournalCorrupt(f"{path} is damaged: {error}") from error
        if not (is_busy(error) or is_out_of_space(error)):
            raise JournalUnwritable(f"{path} cannot be read: {error}") from error
