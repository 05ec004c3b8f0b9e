"""Looking into a journal from outside, also while a process has it open: nothing is locked and nothing changed."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, NamedTuple
from uuid import UUID

from hj212gw.errors import JournalCorrupt, JournalError, JournalUnwritable
from hj212gw.journal.directory import IDENTITY_NAME, Identity, read_owner
from hj212gw.journal.records import Row, is_sound
from hj212gw.journal.segments import (
    AFTER,
    list_damaged,
    list_segments,
    open_to_read,
    parse_name,
    read_about,
    read_info,
    size_of,
)

_LAST_SEQ: Final = (1 << 63) - 1
_MOST_LINES: Final = 20


@dataclass(frozen=True, slots=True)
class SegmentReport:
    """One segment; `problem` says why it could not be read, the numbers are then 0 and `uuid` None.

    `is_drained`: the journal's own note says that all of it is in the database. The note is made for whole segments
    that are no longer appended to.
    """

    name: str
    uuid: UUID | None
    first_seq: int
    last_seq: int
    records: int
    byte_count: int
    file_bytes: int
    oldest_us: int
    newest_us: int
    problem: str = ""
    is_drained: bool = False


@dataclass(frozen=True, slots=True)
class JournalReport:
    """A journal's directory.

    `owner_pid` is the process that has it open, if any; `damaged` lists the files that were set aside.
    """

    directory: Path
    uuid: UUID | None
    owner_pid: int | None
    segments: list[SegmentReport]
    damaged: list[Path]

    @property
    def records(self) -> int:
        """Return how many records the segments hold, drained or not."""
        return sum(segment.records for segment in self.segments)

    @property
    def file_bytes(self) -> int:
        """Return the size of all segments."""
        return sum(segment.file_bytes for segment in self.segments)

    @property
    def waiting(self) -> list[SegmentReport]:
        """Return the segments that may hold what the database has not; no others do."""
        return [segment for segment in self.segments if not segment.is_drained]

    @property
    def waiting_file_bytes(self) -> int:
        """Return the size of the segments that may hold what waits."""
        return sum(segment.file_bytes for segment in self.waiting if segment.records or segment.problem)


class Finding(NamedTuple):
    """Something `verify` found: a file, a fixed slug, and what was expected and what came."""

    name: str
    slug: str
    detail: str


def inspect(directory: Path) -> JournalReport:
    """Report what a journal's directory holds.

    Raises:
        JournalUnwritable: there is no such directory, or it cannot be read.
    """
    drained = _find_drained(directory)
    segments = [replace(report, is_drained=report.first_seq in drained) for report in _report_all(directory)]
    return JournalReport(
        directory, _find_uuid(directory, segments), read_owner(directory), segments, list_damaged(directory)
    )


def verify(directory: Path) -> list[Finding]:
    """Read every group of a journal and check it; an empty list means that all is well.

    The slugs: `identity` (journal.json cannot be read), `shared_uuid` (a directory beside this one is a copy),
    `foreign_uuid` (a segment of another journal), `unreadable`, `integrity` (SQLite's own check), `checksum`
    (a group is not what was written), `gap` (groups are missing), `set_aside` (a damaged file is kept).

    Raises:
        JournalUnwritable: there is no such directory, or it cannot be read.
    """
    paths = _list(directory)
    uuid = _find_uuid(directory, _report_all(directory))
    findings = [*_check_identity(directory), *_check_neighbours(directory, uuid)]
    previous_seq: int | None = None
    for path in paths:
        check = _SegmentCheck(path, uuid, previous_seq)
        check.run()
        findings += check.findings
        previous_seq = check.last_seq
    findings += [Finding(path.name, "set_aside", "was damaged and is kept") for path in list_damaged(directory)]
    return findings


def _list(directory: Path) -> list[Path]:
    try:
        return list_segments(directory)
    except OSError as error:
        raise JournalUnwritable(f"{directory} is no journal: {error}") from error


def _report_all(directory: Path) -> list[SegmentReport]:
    return [report for path in _list(directory) if (report := _report(path))]


def _report(path: Path) -> SegmentReport | None:
    """Report one segment; None when the process that owns it removed it meanwhile."""
    name = parse_name(path)
    first_seq = name[0] if name else 0
    try:
        with closing(open_to_read(path)) as connection:
            about, info = read_about(connection, path), read_info(connection, path)
    except (JournalError, sqlite3.Error) as error:
        if not path.exists():
            return None
        return SegmentReport(path.name, None, first_seq, 0, 0, 0, size_of(path), 0, 0, str(error))
    return SegmentReport(
        path.name,
        about.uuid,
        info.first_seq,
        info.last_seq,
        info.records,
        info.byte_count,
        info.file_bytes,
        info.oldest_us,
        info.newest_us,
    )


def _find_uuid(directory: Path, segments: list[SegmentReport]) -> UUID | None:
    with suppress(JournalCorrupt):
        if identity := Identity.read(directory):
            return identity.uuid
    return next((segment.uuid for segment in reversed(segments) if segment.uuid), None)


def _find_drained(directory: Path) -> frozenset[int]:
    with suppress(JournalCorrupt, OSError):
        if identity := Identity.read(directory):
            return frozenset(identity.drained_at_us)
    return frozenset()


def _check_identity(directory: Path) -> Iterator[Finding]:
    try:
        if Identity.read(directory) is None:
            yield Finding(IDENTITY_NAME, "identity", "is missing; the next start makes it again from the segments")
    except JournalCorrupt as error:
        yield Finding(IDENTITY_NAME, "identity", str(error))


def _check_neighbours(directory: Path, uuid: UUID | None) -> Iterator[Finding]:
    """Look for a copy of this journal; two gateways that drain copies would each skip what the other drained."""
    for other in sorted(directory.absolute().parent.iterdir()):
        if other.is_dir() and not other.samefile(directory):
            with suppress(JournalCorrupt, OSError):
                if (identity := Identity.read(other)) and identity.uuid == uuid:
                    yield Finding(other.name, "shared_uuid", f"has the same identity {uuid} as {directory.name}")


class _SegmentCheck:
    """Checks one segment; `last_seq` is what the next one must go on from, None when not known."""

    def __init__(self, path: Path, uuid: UUID | None, previous_seq: int | None) -> None:
        self.findings: list[Finding] = []
        self.last_seq: int | None = None
        self._path = path
        self._uuid = uuid
        self._previous_seq = previous_seq

    def run(self) -> None:
        """Check everything about the segment."""
        try:
            with closing(open_to_read(self._path)) as connection:
                self._check_about(connection)
                self._check_pages(connection)
                self._check_groups(connection)
        except (JournalError, sqlite3.Error) as error:
            if self._path.exists():
                self._find("unreadable", str(error))

    def _find(self, slug: str, detail: str) -> None:
        self.findings.append(Finding(self._path.name, slug, detail))

    def _check_about(self, connection: sqlite3.Connection) -> None:
        about = read_about(connection, self._path)
        if about.uuid != self._uuid:
            self._find("foreign_uuid", f"belongs to journal {about.uuid}, this is {self._uuid}")
        if self._previous_seq is not None and about.previous_seq != self._previous_seq:
            self._find("gap", f"follows group {about.previous_seq}, the segment before ends at {self._previous_seq}")
        self.last_seq = about.previous_seq

    def _check_pages(self, connection: sqlite3.Connection) -> None:
        for (line,) in connection.execute(f"PRAGMA integrity_check({_MOST_LINES})").fetchall():
            if line != b"ok":
                self._find("integrity", line.decode(errors="replace"))

    def _check_groups(self, connection: sqlite3.Connection) -> None:
        name = parse_name(self._path)
        expected = name[0] if name else 0
        for values in connection.execute(AFTER, (0, _LAST_SEQ)):
            row = Row._make(values)
            if row.seq != expected:
                self._find("gap", f"groups {expected} to {row.seq - 1} are missing")
            if not is_sound(row):
                self._find("checksum", f"group {row.seq} is not what was written")
            self.last_seq = row.seq
            expected = row.seq + 1
