"""The files of an open journal: active segment, identity, reserve; owned by the writer's thread once it runs."""

import sqlite3
from dataclasses import replace
from pathlib import Path
from typing import Self
from uuid import UUID

from hj212gw.journal.active import ActiveSegment
from hj212gw.journal.directory import Reserve, is_out_of_space
from hj212gw.journal.recovery import Recovered, recover
from hj212gw.journal.repair import repair
from hj212gw.journal.segments import (
    SEGMENT_GROUPS,
    About,
    SegmentInfo,
    create_segment,
    remove_segment,
    segment_path,
    size_of,
)
from hj212gw.journal.settings import Damage, JournalSettings


class Storage:
    """Changes the directory; every method can be called again after it failed for want of space."""

    def __init__(self, settings: JournalSettings, found: Recovered) -> None:
        self.reserve = Reserve(settings.directory, settings.reserve_bytes)
        self._settings = settings
        self._identity = found.identity
        self._repaired: set[Path] = set()
        if found.active:
            self._reserve_numbers(found.active.first_seq)
            self.active = ActiveSegment(found.active, settings.segment_bytes)
        else:
            first_seq = max(found.head_seq, found.identity.reserved_seq) + 1
            self.active = self._begin(first_seq, found.head_seq)

    @classmethod
    def open(cls, settings: JournalSettings) -> tuple[Self, Recovered]:
        """Bring the directory into order and open it; on a full disk the reserve is given up for that.

        Raises:
            JournalCorrupt: a segment belongs to another journal.
            JournalUnwritable: a segment was written by another version.
        """
        damages: list[Damage] = []
        try:
            found = recover(settings.directory, damages)
            return cls(settings, found), found
        except (OSError, sqlite3.Error) as error:
            if not is_out_of_space(error):
                raise
            Reserve(settings.directory, settings.reserve_bytes).release()
        found = recover(settings.directory, damages)
        return cls(settings, found), found

    @property
    def uuid(self) -> UUID:
        """Return the journal's identity."""
        return self._identity.uuid

    @property
    def drained_at_us(self) -> dict[int, int]:
        """Return when the segments of these first numbers were found drained."""
        return self._identity.drained_at_us

    @property
    def wants_rotation(self) -> bool:
        """Tell whether the active segment has taken all it may."""
        info = self.active.info
        return info.file_bytes >= self._settings.segment_bytes or info.last_seq >= self._identity.reserved_seq

    def rotate(self) -> SegmentInfo:
        """Seal the active segment and begin another; return the sealed one."""
        sealed = self.active.seal()
        finished, self.active = self.active, self._begin(sealed.last_seq + 1, sealed.last_seq)
        finished.close()
        return sealed

    def replace_damaged(self) -> SegmentInfo:
        """Leave the active segment as it is and begin another; return the one left."""
        left = self.active
        self.active = self._begin(left.info.last_seq + 1, left.info.last_seq)
        left.abandon()
        return replace(left.info, file_bytes=size_of(left.info.path))

    def repair(self, info: SegmentInfo) -> tuple[SegmentInfo | None, Damage] | None:
        """Save what a sealed segment still holds and set it aside; None when that was done before."""
        if info.path in self._repaired:
            return None
        about = About(self.uuid, info.first_seq, info.first_seq - 1)
        result = repair(info.path, about, info.last_seq)
        self._repaired.add(info.path)
        return result

    def remove(self, path: Path) -> None:
        """Remove a sealed segment."""
        remove_segment(path)

    def keep_drained(self, drained_at_us: dict[int, int]) -> None:
        """Make durable when segments were found drained."""
        self._identity = replace(self._identity, drained_at_us=drained_at_us)
        self._identity.write(self._settings.directory)

    def close(self) -> None:
        """Seal and close the active segment; the sequence goes on from here at the next start."""
        sealed = self.active.seal()
        self.active.close()
        self._identity = replace(self._identity, reserved_seq=sealed.last_seq)
        self._identity.write(self._settings.directory)

    def abandon(self) -> None:
        """Close without another write; the next start finds what a crash would have left."""
        self.active.abandon()

    def _begin(self, first_seq: int, previous_seq: int) -> ActiveSegment:
        self._reserve_numbers(first_seq)
        path = segment_path(self._settings.directory, first_seq)
        create_segment(path, About(self.uuid, first_seq, previous_seq))
        info = SegmentInfo(path, first_seq, first_seq - 1, file_bytes=size_of(path))
        return ActiveSegment(info, self._settings.segment_bytes)

    def _reserve_numbers(self, first_seq: int) -> None:
        self._identity = replace(self._identity, reserved_seq=first_seq + SEGMENT_GROUPS - 1)
        self._identity.write(self._settings.directory)
