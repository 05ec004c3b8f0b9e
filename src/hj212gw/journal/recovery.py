"""What opening a journal finds on the disk, and what it does about it.

1. What a crash left half made is removed.
2. The identity is read; if it is damaged it is set aside and rebuilt from the segments.
3. Each segment's write-ahead log is brought into its file, and the segment's words and ends are checked; a damaged
   segment is repaired. The one to append to is checked whole. Groups in the middle are checked when they are read.
4. The active segment goes on only after a clean close; otherwise a new one begins behind every number that may ever
   have been given out, since a log that lost its end looks just like one that never had it.
"""

import sqlite3
import struct
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from uuid import uuid4

from hj212gw.errors import JournalCorrupt
from hj212gw.journal.directory import IDENTITY_NAME, Identity, is_damage, write_atomically
from hj212gw.journal.repair import damaged_path, repair, set_aside
from hj212gw.journal.segments import (
    PAGE_BYTES,
    SEGMENT_GROUPS,
    About,
    SegmentInfo,
    examine,
    list_damaged,
    list_segments,
    log_path,
    open_to_read,
    open_to_write,
    parse_name,
    remove_segment,
    remove_unfinished,
    segment_path,
)
from hj212gw.journal.settings import Damage

_LOG_HEADER_BYTES: Final = 32  # salts at 16, checksum at 24
_FRAME_HEADER_BYTES: Final = 24  # pages after a commit (0: none) at 4, salts at 8
_WORD: Final = 0xFFFFFFFF


@dataclass(slots=True)
class Recovered:
    """A journal as it was found: sealed segments, and the segment to go on with, None to begin a new one."""

    identity: Identity
    sealed: list[SegmentInfo] = field(default_factory=list)
    active: SegmentInfo | None = None
    damages: list[Damage] = field(default_factory=list)

    @property
    def head_seq(self) -> int:
        """Return the last group found; 0 when there is none."""
        return max((info.last_seq for info in (*self.sealed, self.active) if info), default=0)


def recover(directory: Path, damages: list[Damage]) -> Recovered:
    """Bring a directory into order and say what it holds.

    Args:
        directory: the journal's; its lock must be held.
        damages: takes what was found damaged, also when this function fails.

    Raises:
        JournalCorrupt: a segment belongs to another journal.
        JournalUnwritable: a segment was written by another version.
    """
    remove_unfinished(directory)
    paths = _finish_repairs(list_segments(directory), damages)
    found = Recovered(_read_identity(directory, paths, damages), damages=damages)
    for path in paths:
        if info := _recover_segment(path, found):
            found.sealed.append(info)
    _choose_active(found)
    return found


def _finish_repairs(paths: list[Path], damages: list[Damage]) -> list[Path]:
    """Set aside what a repaired segment replaces, where a crash came before the renaming."""
    newest = {_first_seq(path): path for path in paths}
    replaced = [path for path in paths if newest[_first_seq(path)] != path]
    damages += [Damage(set_aside(path), "segment", 0, 0, None) for path in replaced]
    return list(newest.values())


def _first_seq(path: Path) -> int:
    name = parse_name(path)
    assert name is not None
    return name[0]


def _read_identity(directory: Path, paths: list[Path], damages: list[Damage]) -> Identity:
    try:
        identity = Identity.read(directory)
    except JournalCorrupt:
        identity = None
        damages.append(Damage(set_aside(directory / IDENTITY_NAME), "identity", 0, 0, 0))
    if identity:
        return identity
    named = [*paths, *(path.with_suffix("") for path in list_damaged(directory))]
    firsts = [name[0] for path in named if (name := parse_name(path))]
    reserved = max(firsts) + SEGMENT_GROUPS - 1 if firsts else 0
    for path in reversed(paths):
        with suppress(JournalCorrupt):
            return Identity(examine(path)[0].uuid, reserved)
    return Identity(uuid4(), reserved)


def _recover_segment(path: Path, found: Recovered) -> SegmentInfo | None:
    """Absorb a segment's log and check its ends; repair it if need be; None when nothing is left of it."""
    try:
        _absorb_log(path, found.damages)
        about, info = examine(path)
    except (JournalCorrupt, sqlite3.Error) as error:
        if isinstance(error, sqlite3.Error) and not is_damage(error):
            raise
        return _repair(path, found)
    if about.uuid != found.identity.uuid:
        raise JournalCorrupt(
            f"{path} belongs to journal {about.uuid}, this is journal {found.identity.uuid}: "
            "move it to a directory of its own"
        )
    return info


def _repair(path: Path, found: Recovered) -> SegmentInfo | None:
    about = About(found.identity.uuid, _first_seq(path), found.head_seq)
    info, damage = repair(path, about)
    found.damages.append(damage)
    return info


def _absorb_log(path: Path, damages: list[Damage]) -> None:
    log = log_path(path)
    if not log.exists():
        return
    content = log.read_bytes()
    with closing(open_to_write(path)) as connection:
        _, frames, _ = connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    if lost := count_lost_commits(content, frames):
        kept = log_path(damaged_path(path))
        write_atomically(kept, content)
        damages.append(Damage(kept, "log", 0, 0, lost))


def count_lost_commits(log: bytes, frames: int) -> int:
    """Count the commits in a write-ahead log behind the last frame SQLite took.

    SQLite stops at the first frame whose checksum is wrong and says nothing. Frames of the log's present round
    carry its salts. Behind a torn end there is at most one commit, one that was not yet synced and acknowledged;
    more than one means that the log was damaged later.
    """
    if len(log) < _LOG_HEADER_BYTES + _FRAME_HEADER_BYTES:
        return 0
    salts = _salts_of(log)
    step = _FRAME_HEADER_BYTES + PAGE_BYTES
    starts = range(_LOG_HEADER_BYTES + max(frames, 0) * step, len(log) - step + 1, step)
    return sum(log[at + 8 : at + 16] == salts and any(log[at + 4 : at + 8]) for at in starts)


def _salts_of(log: bytes) -> bytes:
    """Read the salts of a log's present round, from its first frame if its header is damaged."""
    words = struct.unpack(">6I" if log[3] & 1 else "<6I", log[:24])
    one = two = 0
    for left, right in zip(words[::2], words[1::2], strict=True):
        one = (one + left + two) & _WORD
        two = (two + right + one) & _WORD
    is_whole = struct.pack(">II", one, two) == log[24:_LOG_HEADER_BYTES]
    return log[16:24] if is_whole else log[40:48]


def _choose_active(found: Recovered) -> None:
    """Decide whether the newest segment goes on, and remove those that never held a group."""
    newest = found.sealed[-1] if found.sealed else None
    if newest and newest.last_seq == found.identity.reserved_seq and _is_original(newest.path):
        found.sealed.pop()
        if _is_whole(newest.path):
            found.active = newest
        elif info := _repair(newest.path, found):
            found.sealed.append(info)
    for info in [info for info in found.sealed if info.last_seq < info.first_seq]:
        remove_segment(info.path)
        found.sealed.remove(info)


def _is_original(path: Path) -> bool:
    """Tell whether a segment never was repaired; one that was is not appended to."""
    return path == segment_path(path.parent, _first_seq(path))


def _is_whole(path: Path) -> bool:
    """Check every page of a segment; the repair finds out what an error means."""
    with closing(open_to_read(path)) as connection, suppress(sqlite3.DatabaseError):
        (answer,) = connection.execute("PRAGMA quick_check(1)").fetchone()
        return bool(answer == b"ok")
    return False
