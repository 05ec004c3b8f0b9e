"""Damaged segments: what can be read is written to a new segment, the old file is kept under another name.

The repaired segment is complete, under a name of its own, before the damaged one is renamed: a crash in between
leaves both, and the next start finishes the renaming. Nothing is deleted here but indexes, which SQLite rebuilds.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, Final

from hj212gw.errors import JournalCorrupt
from hj212gw.journal.directory import is_damage, sqlite_code, sync_directory
from hj212gw.journal.records import Row, checksum, decode_group, is_sound, rejected_bytes
from hj212gw.journal.segments import (
    SEGMENT_GROUPS,
    About,
    SegmentInfo,
    create_segment,
    examine,
    index_path,
    log_path,
    open_to_read,
    parse_name,
    read_about,
    segment_path,
)
from hj212gw.journal.settings import Damage

_NEXT: Final = "SELECT * FROM groups WHERE seq > ? AND seq <= ? ORDER BY seq LIMIT 1"
_ONE: Final = "SELECT * FROM groups WHERE seq = ?"
_BAD_SECTOR: Final = (sqlite3.SQLITE_IOERR_READ, sqlite3.SQLITE_IOERR_CORRUPTFS)


@dataclass(slots=True)
class _Saved:
    groups: int = 0
    records: int = 0
    byte_count: int = 0
    reject_bytes: int = 0


def repair(path: Path, about: About, last_seq: int | None = None) -> tuple[SegmentInfo | None, Damage]:
    """Save what can be read of a damaged segment and set the file aside.

    Args:
        path: the segment; no connection for writing may be open on it.
        about: what the repaired segment is to say of itself, as far as the damaged one cannot.
        last_seq: the last group it held; None when not known.

    Returns:
        The repaired segment, None when nothing could be read; and the report.
    """
    saved = _Saved()
    repaired = None
    if path.exists():
        with closing(open_to_read(path)) as connection:
            if _has_groups(connection):
                if last_seq is None:
                    last_seq = _read_sequence(connection, about.first_seq)
                with suppress(JournalCorrupt, sqlite3.DatabaseError):
                    about = about._replace(previous_seq=read_about(connection, path).previous_seq)
                repaired = _write_repaired(path, about, _sound_rows(connection, about.first_seq, last_seq), saved)
        kept = set_aside(path)
    else:
        kept = path
    lost = None if last_seq is None else last_seq - about.first_seq + 1 - saved.groups
    info = examine(repaired)[1] if repaired else None
    return info, Damage(kept, "segment", saved.groups, saved.records, lost)


def damaged_path(path: Path) -> Path:
    """Name a damaged file under a number not yet taken."""
    number = 1
    while (kept := path.with_name(f"{path.name}.damaged-{number}")).exists() or log_path(kept).exists():
        number += 1
    return kept


def set_aside(path: Path) -> Path:
    """Rename a file, with its log if it has one, as damaged; return the new path."""
    kept = damaged_path(path)
    index_path(path).unlink(missing_ok=True)
    if log_path(path).exists():
        log_path(path).rename(log_path(kept))
    path.rename(kept)
    sync_directory(path.parent)
    return kept


def _write_repaired(path: Path, about: About, rows: Iterator[Row], saved: _Saved) -> Path | None:
    first = next(rows, None)
    if first is None:
        return None
    name = parse_name(path)
    assert name is not None
    repaired = segment_path(path.parent, about.first_seq, name[1] + 1)
    create_segment(repaired, about, _recounted(chain([first], rows), saved))
    return repaired


def _recounted(rows: Iterator[Row], saved: _Saved) -> Iterator[Row]:
    for row in rows:
        saved.groups += 1
        saved.records += row.records
        saved.byte_count += len(row.body)
        saved.reject_bytes += rejected_bytes(decode_group(row.body))
        counted = row._replace(
            records_total=saved.records, bytes_total=saved.byte_count, rejects_total=saved.reject_bytes
        )
        yield counted._replace(crc=checksum(counted))


def _ask(connection: sqlite3.Connection, query: str, numbers: tuple[int, ...] = ()) -> Any:
    """Return the first row of an answer, None when there is none.

    Raises:
        JournalCorrupt: what it stands on is lost; errors that may pass (no descriptors, no memory) stay as they are.
    """
    try:
        return connection.execute(query, numbers).fetchone()
    except sqlite3.DatabaseError as error:
        if is_damage(error) or sqlite_code(error) in _BAD_SECTOR:
            raise JournalCorrupt(str(error)) from error
        raise


def _has_groups(connection: sqlite3.Connection) -> bool:
    """Tell whether the table can be asked at all; with this setting SQLite also reads a file cut short."""
    with suppress(JournalCorrupt):
        _ask(connection, "PRAGMA writable_schema = ON")
        return _ask(connection, "SELECT 1 FROM sqlite_master WHERE name = 'groups'") is not None
    return False


def _read_sequence(connection: sqlite3.Connection, first_seq: int) -> int | None:
    seq = None
    with suppress(JournalCorrupt):
        (seq,) = _ask(connection, "SELECT seq FROM sqlite_sequence WHERE name = 'groups'") or (None,)
    is_plausible = isinstance(seq, int) and 0 <= seq - first_seq + 1 <= SEGMENT_GROUPS
    return seq if is_plausible else None


def _sound_rows(connection: sqlite3.Connection, first_seq: int, last_seq: int | None) -> Iterator[Row]:
    """Step from group to group; where a page cannot be read, try the next number until one can."""
    last = first_seq + SEGMENT_GROUPS - 1 if last_seq is None else last_seq
    seq = first_seq - 1
    while seq < last:
        try:
            found = _ask(connection, _NEXT, (seq, last))
            if found is None:
                return
        except JournalCorrupt:
            # The search for what follows begins at the group before, which may stand on another page.
            found = None
            with suppress(JournalCorrupt):
                found = _ask(connection, _ONE, (seq + 1,))
        seq += 1
        if found:
            row = Row._make(found)
            seq = max(seq, row.seq)
            if is_sound(row):
                yield row
