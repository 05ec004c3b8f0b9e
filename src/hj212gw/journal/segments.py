"""Segments: the SQLite files that hold the groups.

Constraints first. A segment is only ever appended to, by one connection; it is sealed when it is large, and
never written again; only whole segments are removed. Its name says the first sequence number it may hold, and a
number after that the how-manieth repair of it this is. It comes into being under another name and is renamed when
complete, so a file under a segment's name is a whole segment or a damaged one.

Columns of `groups`: `seq` (AUTOINCREMENT, never reused), `oldest_us` and `newest_us` (arrival of the first and last
record), `records`, `records_total`, `bytes_total`, `rejects_total` (running totals from the segment's first group to
this one, so that what is pending behind any position is known from one row), `crc` and `body` (see `records`).
`about` has one row: `format`, `uuid` of the journal, `first_seq`, `previous_seq` (last group of the segment
before, so that a missing file shows) and the checksum of these.

A database file must never be opened but through SQLite while a connection to it exists: closing any other
descriptor of the file drops the locks of the whole process.
"""

import os
import re
import sqlite3
import struct
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple
from uuid import UUID
from zlib import crc32

from hj212gw.errors import JournalCorrupt, JournalUnwritable
from hj212gw.journal.directory import UNFINISHED_SUFFIX, is_damage, sync_directory
from hj212gw.journal.records import Row, is_sound

FORMAT: Final = 1
SEGMENT_GROUPS: Final = 1 << 18  # no segment holds more groups: bounds the sequence when a segment is unreadable
PAGE_BYTES: Final = 8192
BUSY_SECS: Final = 5.0

_NAME: Final = re.compile(r"segment-(\d{20})(?:\.(\d+))?\.db")
_ABOUT: Final = struct.Struct("<q16sqq")
_SCHEMA: Final = (
    f"PRAGMA page_size = {PAGE_BYTES}",
    "PRAGMA synchronous = FULL",
    "CREATE TABLE about (format INTEGER, uuid BLOB, first_seq INTEGER, previous_seq INTEGER, crc INTEGER)",
    (
        "CREATE TABLE groups (seq INTEGER PRIMARY KEY AUTOINCREMENT, oldest_us INTEGER, newest_us INTEGER,"
        " records INTEGER, records_total INTEGER, bytes_total INTEGER, rejects_total INTEGER, crc INTEGER, body BLOB)"
    ),
)
INSERT: Final = "INSERT INTO groups VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
AFTER: Final = "SELECT * FROM groups WHERE seq > ? AND seq <= ? ORDER BY seq"
_FIRST: Final = "SELECT * FROM groups ORDER BY seq LIMIT 1"
_LAST: Final = "SELECT * FROM groups ORDER BY seq DESC LIMIT 1"


class About(NamedTuple):
    """What a segment says of itself."""

    uuid: UUID
    first_seq: int
    previous_seq: int


@dataclass(frozen=True, slots=True)
class SegmentInfo:
    """One segment and what it holds; `last_seq` is `first_seq` - 1 when it is empty, both times are then 0."""

    path: Path
    first_seq: int
    last_seq: int
    records: int = 0
    byte_count: int = 0
    reject_bytes: int = 0
    oldest_us: int = 0
    newest_us: int = 0
    file_bytes: int = 0


def parse_name(path: Path) -> tuple[int, int] | None:
    """Read (first sequence number, repairs) from a segment's name; None for any other file."""
    match = _NAME.fullmatch(path.name)
    return (int(match[1]), int(match[2] or 0)) if match else None


def segment_path(directory: Path, first_seq: int, repairs: int = 0) -> Path:
    """Name a segment."""
    return directory / f"segment-{first_seq:020d}{f'.{repairs}' if repairs else ''}.db"


def log_path(path: Path) -> Path:
    """Name the write-ahead log of a segment."""
    return path.with_name(path.name + "-wal")


def index_path(path: Path) -> Path:
    """Name the shared index of a segment's write-ahead log."""
    return path.with_name(path.name + "-shm")


def list_segments(directory: Path) -> list[Path]:
    """List the segments of a directory in the order of their groups, a repaired one after the original."""
    named = [(name, path) for path in directory.iterdir() if (name := parse_name(path))]
    return [path for _, path in sorted(named)]


def list_damaged(directory: Path) -> list[Path]:
    """List the files set aside as damaged."""
    return sorted(path for path in directory.glob("*.damaged-*") if not path.name.endswith("-shm"))


def remove_segment(path: Path) -> None:
    """Unlink a segment with its log and index."""
    for part in (log_path(path), index_path(path), path):
        part.unlink(missing_ok=True)
    sync_directory(path.parent)


def open_to_write(path: Path) -> sqlite3.Connection:
    """Open a segment for appending; checkpoints are the caller's, since SQLite's own swallow their errors."""
    connection = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode=rw",
        uri=True,
        timeout=BUSY_SECS,
        isolation_level=None,
        check_same_thread=False,
    )
    try:
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA wal_autocheckpoint = 0")
        connection.execute("SELECT seq FROM groups LIMIT 1").fetchone()
    except sqlite3.Error:
        connection.close()
        raise
    return connection


def open_to_read(path: Path, *, busy_secs: float | None = None, is_sealed: bool = False) -> sqlite3.Connection:
    """Open a segment for reading.

    One that nobody writes and whose log is empty is read without locks: that leaves no files behind, and needs no
    room for an index on a disk that is full. Where the caller does not know that a segment is sealed, the index tells
    whether somebody may be writing.
    Texts come as bytes, because a flipped bit may turn a number into text that is not UTF-8.
    """
    is_logged = has_bytes(log_path(path)) or (not is_sealed and index_path(path).exists())
    how = "mode=ro" if is_logged else "mode=ro&immutable=1"
    connection = sqlite3.connect(
        f"{path.absolute().as_uri()}?{how}",
        uri=True,
        timeout=BUSY_SECS if busy_secs is None else busy_secs,
        isolation_level=None,
        check_same_thread=False,
    )
    connection.text_factory = bytes
    return connection


def _crc_of(about: About) -> int:
    return crc32(_ABOUT.pack(FORMAT, about.uuid.bytes, about.first_seq, about.previous_seq))


def _lay_out(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None)
    try:
        for statement in _SCHEMA:
            connection.execute(statement).fetchall()
    except sqlite3.Error:
        connection.close()
        raise
    return connection


def create_segment(path: Path, about: About, rows: Iterator[Row] | None = None) -> None:
    """Make a complete segment under its final name, with some rows if given; leave nothing when it fails."""
    unfinished = path.with_name(path.name + UNFINISHED_SUFFIX)
    try:
        os.close(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600))
        with closing(_lay_out(unfinished)) as connection:
            connection.execute(
                "INSERT INTO about VALUES (?, ?, ?, ?, ?)",
                (FORMAT, about.uuid.bytes, about.first_seq, about.previous_seq, _crc_of(about)),
            )
            connection.execute("INSERT INTO sqlite_sequence VALUES ('groups', ?)", (about.first_seq - 1,))
            connection.execute("BEGIN")
            connection.executemany(INSERT, rows or ())
            connection.execute("COMMIT")
            connection.execute("PRAGMA journal_mode = WAL").fetchone()
        unfinished.rename(path)
    except (OSError, sqlite3.Error):
        remove_unfinished(path.parent)
        raise
    sync_directory(path.parent)


def remove_unfinished(directory: Path) -> None:
    """Remove what a crash left half made."""
    for path in directory.glob(f"segment-*{UNFINISHED_SUFFIX}*"):
        path.unlink(missing_ok=True)


def read_about(connection: sqlite3.Connection, path: Path) -> About:
    """Read what a segment says of itself.

    Raises:
        JournalCorrupt: it is damaged.
        JournalUnwritable: another version wrote it.
    """
    try:
        row = connection.execute("SELECT format, uuid, first_seq, previous_seq, crc FROM about").fetchone()
        if row is None or crc32(_ABOUT.pack(*row[:4])) != row[4]:
            raise JournalCorrupt(f"{path} is damaged: what it says of itself does not match its checksum")
    except struct.error as error:
        raise JournalCorrupt(f"{path} is damaged: what it says of itself has the wrong types") from error
    if row[0] != FORMAT:
        raise JournalUnwritable(f"{path} has format {row[0]}: this version reads and writes format {FORMAT}")
    return About(UUID(bytes=row[1]), row[2], row[3])


def read_info(connection: sqlite3.Connection, path: Path) -> SegmentInfo:
    """Read what a segment holds from its first and last row.

    Raises:
        JournalCorrupt: one of these rows is damaged.
    """
    name = parse_name(path)
    first_seq = name[0] if name else 0
    ends = [row for query in (_FIRST, _LAST) if (row := connection.execute(query).fetchone())]
    if not ends:
        return SegmentInfo(path, first_seq, first_seq - 1, file_bytes=size_of(path))
    first, last = (Row._make(row) for row in ends)
    if not (is_sound(first) and is_sound(last)):
        raise JournalCorrupt(f"{path} is damaged: its first or last group does not match its checksum")
    return SegmentInfo(
        path,
        first_seq,
        last.seq,
        last.records_total,
        last.bytes_total,
        last.rejects_total,
        first.oldest_us,
        last.newest_us,
        size_of(path),
    )


def examine(path: Path) -> tuple[About, SegmentInfo]:
    """Read a segment's own words and what it holds.

    Raises:
        JournalCorrupt: it is damaged.
    """
    try:
        with closing(open_to_read(path)) as connection:
            return read_about(connection, path), read_info(connection, path)
    except sqlite3.Error as error:
        if is_damage(error):
            raise JournalCorrupt(f"{path} is damaged: {error}") from error
        raise


def has_bytes(path: Path) -> bool:
    """Tell whether a file is there and holds anything."""
    with suppress(FileNotFoundError):
        return path.stat().st_size > 0
    return False


def size_of(path: Path) -> int:
    """Measure a segment with its write-ahead log."""
    total = 0
    for part in (path, log_path(path)):
        with suppress(FileNotFoundError):
            total += part.stat().st_size
    return total
