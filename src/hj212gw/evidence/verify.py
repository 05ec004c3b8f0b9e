"""Check evidence by itself, without a database: hashes, frames, readings against frames, links of the chain."""

import csv
import hashlib
import io
import json
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime
from pathlib import Path
from typing import IO, Any, NamedTuple, Self

from hj212gw.errors import EvidenceError
from hj212gw.evidence.export import CHAIN, CHAIN_COLUMNS, FRAMES, HISTORY, READINGS
from hj212gw.evidence.frames import VALUES, check_frame, key_hash, plain_qn, reading_hash
from hj212gw.evidence.package import FORMAT, MANIFEST, MANIFEST_HASH, parse_moment
from hj212gw.registry.cells import parse_text
from hj212gw.store.digests import Entry, find_break

_SHOWN = 20
_CHUNK_BYTES = 1 << 16
_LINE_BYTES = 1 << 20
_MANIFEST_BYTES = 1 << 20
_CELL_CHARACTERS = 1 << 20
_MOST_FILES = 100
_TEXT_CHARACTERS = 500  # of a problem: names and numbers in it are whoever made the file's
# What zipfile raises on bytes that were made to break it; OSError where an offset lies before the file.
_BROKEN_ZIP = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, OSError, ValueError)
_READ_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # the others may ask for any amount of memory
_NEEDED = ("mn", "st", "cn", "factor", "nth", "qn", "data_time", "data_flag", "extra", *VALUES)


class Verdict(NamedTuple):
    """What a check found.

    Attributes:
        manifest: as read, {} where it could not be.
        manifest_sha256: of its bytes.
        problems: what does not hold; the first of each kind, then how many more.
        notes: what could not be checked, and why.
        counts: frames, encrypted, readings, history, entries.
    """

    manifest: dict[str, Any]
    manifest_sha256: str
    problems: list[str]
    notes: list[str]
    counts: dict[str, int]

    @property
    def is_good(self) -> bool:
        """Whether all holds."""
        return not self.problems


def verify_evidence(path: Path, *, expected: str | None = None) -> Verdict:
    """Check a file of evidence. A reading takes 100 bytes of memory meanwhile.

    Args:
        path: the ZIP.
        expected: SHA-256 of its manifest as kept elsewhere, hexadecimal digits.

    Raises:
        EvidenceError: it is no file of evidence at all.
        OSError: it cannot be opened.
    """
    with path.open("rb") as file:
        try:
            with zipfile.ZipFile(file) as package:
                check = _Check(package)
                check.run(expected)
                return check.verdict()
        except _BROKEN_ZIP as error:
            raise EvidenceError(f"{path} is no whole ZIP: {_clean(str(error))}") from error


class _Check:
    """One check of one file."""

    def __init__(self, package: zipfile.ZipFile) -> None:
        self._package = package
        self._problems: dict[str, list[str]] = {}
        self._totals: dict[str, int] = {}
        self._notes: list[str] = []
        self._manifest: dict[str, Any] = {}
        self._named: dict[str, dict[str, Any]] = {}  # what the manifest says of each file
        self._manifest_sha256 = ""
        self._counts = dict.fromkeys(("frames", "encrypted", "readings", "history", "entries"), 0)
        self._given: set[int] = set()
        self._sealed: set[tuple[str, str]] = set()
        self._unmet: set[int] = set()  # keys of readings that frames give and no row has yet

    def verdict(self) -> Verdict:
        """Return what was found."""
        problems = []
        for kind, shown in self._problems.items():
            problems += shown
            if self._totals[kind] > len(shown):
                problems.append(f"{kind}: {self._totals[kind] - len(shown)} more")
        return Verdict(self._manifest, self._manifest_sha256, problems, self._notes, self._counts)

    def run(self, expected: str | None) -> None:
        """Check everything; one thing that is wrong does not keep the rest from being looked at."""
        self._check_manifest(expected)
        self._check_files()
        self._check_frames()
        for name, count in ((READINGS, "readings"), (HISTORY, "history")):
            self._check_readings(name, count)
        self._note_unmet()
        self._check_chain()

    def _tell(self, kind: str, text: str) -> None:
        self._totals[kind] = self._totals.get(kind, 0) + 1
        shown = self._problems.setdefault(kind, [])
        if len(shown) < _SHOWN:
            shown.append(f"{kind}: {_clean(text)}")

    def _check_manifest(self, expected: str | None) -> None:
        try:
            with _open_member(self._package, MANIFEST) as stream:
                content = stream.read(_MANIFEST_BYTES)
            with _open_member(self._package, MANIFEST_HASH) as stream:
                written = stream.read(200).decode("ascii", "replace").split(" ")[0].strip()
        except KeyError as error:
            raise EvidenceError(f"the ZIP is no evidence of hj212gw: {error.args[0]}") from error
        self._manifest_sha256 = hashlib.sha256(content).hexdigest()
        if self._manifest_sha256 != written:
            self._tell(
                MANIFEST, f"it was changed: its SHA-256 is {self._manifest_sha256}, {MANIFEST_HASH} has {written}"
            )
        if expected is not None and self._manifest_sha256 != expected.lower():
            self._tell(MANIFEST, f"its SHA-256 is {self._manifest_sha256}, expected was {expected.lower()}")
        try:
            manifest = json.loads(content)
        except (ValueError, RecursionError) as error:
            raise EvidenceError(f"{MANIFEST} cannot be read: {error}") from error
        if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
            raise EvidenceError(f"{MANIFEST} is not of the format {FORMAT!r} that this program reads")
        self._manifest = manifest
        named = manifest.get("files")
        if isinstance(named, dict):
            self._named = {name: facts if isinstance(facts, dict) else {} for name, facts in named.items()}

    def _check_files(self) -> None:
        """Compare the files there are with the manifest: none more, none less, all as they were written."""
        present = Counter(name for name in self._package.namelist() if name not in (MANIFEST, MANIFEST_HASH))
        names = sorted(present.keys() | self._named.keys())
        if len(names) > _MOST_FILES:
            self._tell(
                "file added", f"{len(names)} files are there or named; more than {_MOST_FILES} are not looked at"
            )
            names = names[:_MOST_FILES]
        for name in names:
            if name not in self._named:
                self._tell("file added", f"{name} is not in the manifest")
            elif present[name] != 1:
                self._tell("file missing" if name not in present else "file added", f"{name} is there not once")
            else:
                self._compare_file(name, self._named[name])

    def _compare_file(self, name: str, wanted: dict[str, Any]) -> None:
        digest, size = hashlib.sha256(), 0
        try:
            with _open_member(self._package, name) as stream:
                while chunk := stream.read(_CHUNK_BYTES):
                    digest.update(chunk)
                    size += len(chunk)
        except _BROKEN_ZIP as error:
            self._tell("file damaged", f"{name}: {error}")
            return
        if (digest.hexdigest(), size) != (wanted.get("sha256"), wanted.get("bytes")):
            self._tell(
                "file changed", f"{name}: SHA-256 {digest.hexdigest()}, {size} bytes, is not what the manifest says"
            )

    def _check_frames(self) -> None:
        """Check every frame and keep what readings it gives."""
        for number, line in self._lines(FRAMES):
            self._counts["frames"] += 1
            check = check_frame(line)
            if check.problem:
                self._tell("frame", f"line {number} of {FRAMES}: {check.problem}")
            if check.encrypted is not None:
                self._counts["encrypted"] += 1
                self._sealed.add(check.encrypted)
            self._given.update(check.readings)
            self._unmet.update(key for moment, key in check.keys if self._is_in_range(moment))
        if self._counts["encrypted"]:
            note = (
                f"{self._counts['encrypted']} frames are encrypted: their CRC and readings need the key to be checked"
            )
            self._notes.append(note)
        self._compare_rows(FRAMES, self._counts["frames"])

    def _check_readings(self, name: str, count: str) -> None:
        """Check that every row of a file of readings is what a frame gives."""
        needing_key = 0
        for number, row in self._rows(name, _NEEDED):
            self._counts[count] += 1
            try:
                found = _hash_row(row)
            except ValueError as error:
                self._tell("reading", f"row {number} of {name} cannot be read: {str(error)[:100]}")
                continue
            if found in self._given:
                self._unmet.discard(_hash_key(row))
                continue
            if (row["mn"], plain_qn(row["qn"])) in self._sealed:
                needing_key += 1
                continue
            where = f"{row['mn']} {row['cn']} {row['factor']} at {row['data_time']}"
            self._tell("reading", f"row {number} of {name} comes from no frame: {where}")
        if needing_key:
            self._notes.append(
                f"{needing_key} rows of {name} come from encrypted frames: the key is needed to check them"
            )
        self._compare_rows(name, self._counts[count])

    def _note_unmet(self) -> None:
        if self._unmet:
            self._notes.append(
                f"{len(self._unmet)} readings that frames give stand in no row of {READINGS}: the same data logger may"
                " serve other outlets, their times may be impossible, or their rows were taken out"
            )

    def _is_in_range(self, moment: datetime) -> bool:
        try:
            return parse_moment(self._manifest["from"]) <= moment < parse_moment(self._manifest["to"])
        except (KeyError, TypeError, ValueError):
            return False

    def _check_chain(self) -> None:
        entries = self._entries()
        broken = find_break(entries)
        if broken:
            self._tell("chain", broken)
        for _ in entries:  # the rest is counted all the same
            pass
        if not self._counts["entries"]:
            self._notes.append("no day of the range was sealed in the archive's chain when this was exported")
        self._compare_rows(CHAIN, self._counts["entries"])

    def _entries(self) -> Iterator[Entry]:
        for number, row in self._rows(CHAIN, CHAIN_COLUMNS):
            self._counts["entries"] += 1
            try:
                entry = _read_entry(row)
            except ValueError as error:
                self._tell("chain", f"row {number} of {CHAIN} cannot be read: {str(error)[:100]}")
                continue
            yield entry

    def _compare_rows(self, name: str, count: int) -> None:
        facts = self._named.get(name)
        if facts and facts.get("rows") != count:
            self._tell("rows", f"{name} has {count} rows, the manifest says {facts.get('rows')}")

    def _lines(self, name: str) -> Iterator[tuple[int, bytes]]:
        """Yield the lines of a file, numbered from 1; a missing file is told already."""
        with _opened(self._package, name) as stream:
            number = 0
            try:
                while line := stream.readline(_LINE_BYTES):
                    number += 1
                    yield number, line
            except _BROKEN_ZIP as error:
                self._tell("file damaged", f"{name} behind line {number}: {error}")

    def _rows(self, name: str, needed: Iterable[str]) -> Iterator[tuple[int, dict[str, str]]]:
        """Yield the rows of a CSV file by column, numbered from 1 behind the header."""
        with _long_cells(), _opened(self._package, name) as stream:
            lines = _Lines(stream)
            reader = csv.reader(lines, strict=True)
            number = 0
            try:
                header = next(reader, [])
                missing = [column for column in needed if column not in header]
                if missing:
                    self._tell("columns", f"{name} lacks {', '.join(missing)}")
                    return
                for number, cells in enumerate(reader, 1):
                    lines.room = _LINE_BYTES
                    if len(cells) != len(header):
                        self._tell("rows", f"row {number} of {name} has {len(cells)} cells, its header {len(header)}")
                        continue
                    yield number, dict(zip(header, map(parse_text, cells), strict=True))
            except (csv.Error, UnicodeDecodeError, *_BROKEN_ZIP) as error:
                self._tell("file damaged", f"{name} behind row {number}: {error}")


@contextmanager
def _long_cells() -> Iterator[None]:
    """Let cells be as long as evidence has them; the limit is the whole program's."""
    before = csv.field_size_limit(_CELL_CHARACTERS)
    try:
        yield
    finally:
        csv.field_size_limit(before)


class _Lines:
    """The lines of a text; `room` bytes at most until somebody sets it again, so that no row takes the memory."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self.room = _LINE_BYTES

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> str:
        line = self._stream.readline(self.room + 1)
        if not line:
            raise StopIteration
        self.room -= len(line)
        if self.room < 0:
            raise csv.Error(f"a row of more than {_LINE_BYTES} bytes")
        return line.decode()


def _opened(package: zipfile.ZipFile, name: str) -> IO[bytes]:
    """Open a file inside that may be missing or broken, which is told elsewhere."""
    try:
        return _open_member(package, name)
    except (KeyError, *_BROKEN_ZIP):
        return io.BytesIO()


def _open_member(package: zipfile.ZipFile, name: str) -> IO[bytes]:
    if package.getinfo(name).compress_type not in _READ_METHODS:
        raise zipfile.BadZipFile(f"{name} is compressed in a way that evidence is not")
    return package.open(name)


def _clean(text: str) -> str:
    """Return text that does nothing to a terminal, bounded."""
    shown = text if text.isprintable() else ascii(text)[1:-1]
    return shown if len(shown) <= _TEXT_CHARACTERS else f"{shown[:_TEXT_CHARACTERS]}..."


def _hash_row(row: dict[str, str]) -> int:
    """Reduce a row of readings to what a frame would give for it."""
    values: dict[str, Any] = {name: float(row[name]) if row[name] else None for name in VALUES}
    values["data_time"] = parse_moment(row["data_time"]).isoformat()
    head = (row["mn"], row["st"], row["cn"], row["factor"], int(row["nth"]), row["qn"])
    return reading_hash(head, values, row["data_flag"], row["extra"])


def _hash_key(row: dict[str, str]) -> int:
    head = (row["mn"], row["st"], row["cn"], row["factor"], int(row["nth"]))
    return key_hash(head, parse_moment(row["data_time"]))


def _read_entry(row: dict[str, str]) -> Entry:
    oldest = row["oldest_qn_at"]
    return Entry(
        seq=int(row["seq"]),
        day=date.fromisoformat(row["day"]),
        part=row["part"],
        rows=int(row["rows"]),
        written=int(row["written"]),
        oldest_qn_at=parse_moment(oldest) if oldest else None,
        digest=bytes.fromhex(row["digest"]),
        previous=bytes.fromhex(row["previous"]),
        chained=bytes.fromhex(row["chained"]),
        sealed_at=datetime.min.replace(tzinfo=UTC),  # not in the file: the chain does not cover it
    )
