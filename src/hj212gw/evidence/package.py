"""The file evidence is kept in: a ZIP whose bytes follow from its content, with a manifest of SHA-256.

Cells and lines are written as they come, nothing is held back: a year of an outlet passes through a few hundred kB.
"""

import base64
import csv
import hashlib
import io
import json
import os
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime
from pathlib import Path
from typing import IO, Any, NamedTuple, Self

from hj212gw.protocol.times import WIRE_ZONE
from hj212gw.registry.cells import format_name

FORMAT = "hj212gw evidence 1"
MANIFEST = "manifest.json"
MANIFEST_HASH = "manifest.sha256"

_FIRST_DATE = (1980, 1, 1, 0, 0, 0)  # the earliest a ZIP can say
_UNIX = 3
_PRIVATE = 0o600  # frames hold passwords
# What asyncpg reads an infinite moment as.
_INFINITIES = (datetime.min, datetime.max)  # noqa: DTZ901


class FileFacts(NamedTuple):
    """A file inside: SHA-256, size, and how many rows it holds beside its header (0 for texts)."""

    sha256: str
    bytes: int
    rows: int


class Member:
    """A file being written inside the ZIP."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._hash = hashlib.sha256()
        self._bytes = 0
        self.rows = 0

    def write(self, data: bytes) -> None:
        """Append bytes."""
        self._hash.update(data)
        self._bytes += len(data)
        self._stream.write(data)

    def write_row(self, cells: Sequence[Any]) -> None:
        """Append a line of CSV."""
        text = io.StringIO(newline="")
        csv.writer(text, lineterminator="\n").writerow([format_value(cell) for cell in cells])
        self.write(text.getvalue().encode())
        self.rows += 1

    def write_line(self, document: dict[str, Any]) -> None:
        """Append a line of JSON."""
        self.write(json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode() + b"\n")
        self.rows += 1

    def facts(self) -> FileFacts:
        """Return what the manifest says of the file."""
        return FileFacts(self._hash.hexdigest(), self._bytes, self.rows)


class Draft:
    """A ZIP beside the place where it will stand; `finish` puts it there.

    Args:
        path: where to.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._part = path.with_name(f".{path.name}.{os.getpid()}")
        self.files: dict[str, FileFacts] = {}

    def __enter__(self) -> Self:
        descriptor = os.open(self._part, os.O_RDWR | os.O_CREAT | os.O_TRUNC, _PRIVATE)
        self._file = os.fdopen(descriptor, "w+b")
        self._zip = zipfile.ZipFile(self._file, "w", zipfile.ZIP_DEFLATED, compresslevel=6)
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        try:
            self._zip.close()
            if kind is None:
                self._file.flush()
                os.fsync(self._file.fileno())
                self._part.replace(self._path)
        finally:
            self._file.close()
            self._part.unlink(missing_ok=True)

    @contextmanager
    def member(self, name: str, columns: Sequence[str] = ()) -> Iterator[Member]:
        """Write one file inside; `columns` is the header of a CSV file."""
        info = zipfile.ZipInfo(name, _FIRST_DATE)
        info.create_system = _UNIX
        info.external_attr = _PRIVATE << 16
        info.compress_type = zipfile.ZIP_DEFLATED
        with self._zip.open(info, "w", force_zip64=True) as stream:
            member = Member(stream)
            if columns:
                member.write_row(columns)
                member.rows = 0
            yield member
        self.files[name] = member.facts()

    def finish(self, facts: dict[str, Any]) -> str:
        """Write the manifest with the facts given, and its own SHA-256 behind it; return that."""
        files = {name: file._asdict() for name, file in sorted(self.files.items())}
        manifest = json.dumps({"format": FORMAT, **facts, "files": files}, ensure_ascii=False, indent=2) + "\n"
        with self.member(MANIFEST) as member:
            member.write(manifest.encode())
        digest = self.files[MANIFEST].sha256
        with self.member(MANIFEST_HASH) as member:
            member.write(f"{digest}  {MANIFEST}\n".encode())
        return digest


def format_moment(moment: datetime) -> str:
    """Write a moment on UTC+8, with its offset."""
    return moment.astimezone(WIRE_ZONE).isoformat()


def parse_moment(text: str) -> datetime:
    """Read what `format_moment` wrote, in UTC.

    Raises:
        ValueError: it is no moment with an offset, or none in UTC.
    """
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError("a moment with its offset from UTC")
    try:
        return moment.astimezone(UTC)
    except OverflowError as error:
        raise ValueError("a moment of the years 1 to 9999") from error


def format_value(value: Any) -> str:
    """Write a value of the database as a cell: moments on UTC+8, bytes as base64, no text a spreadsheet would run."""
    if value is None or value in _INFINITIES:
        return ""
    if isinstance(value, datetime):
        return format_moment(value)
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float | date):
        return str(value)
    if isinstance(value, bytes):
        value = base64.b64encode(value).decode()
    elif isinstance(value, list | tuple):
        value = " ".join(map(str, value))
    return format_name(str(value))
