"""The registry's CSV files: UTF-8 with or without BOM, a header row, columns in any order.

Which kind of rows a file holds is told by its header. Reading never stops at the first fault: all bad lines of
all files become findings.
"""

import csv
import io
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from pydantic import ValidationError

from hj212gw.registry.cells import find_separator, format_cell, format_name, show_cell
from hj212gw.registry.findings import Finding, Findings, Level
from hj212gw.registry.kinds import FILES, MARKS, Entry, Kind, Place

_UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")
_HEADER_EXPECTED = f"expected a header row with the columns of one of {', '.join(FILES)}; the first has " + ",".join(
    next(iter(FILES.values())).columns
)
_PRIVATE = 0o600  # a file with passwords is its owner's


class InputFile(NamedTuple):
    """A file as it came; `name` is what findings call it."""

    name: str
    content: bytes


@dataclass(slots=True)
class FileRows:
    """What could be read of some files.

    Attributes:
        entries: the dated rows without a fault, in order.
        marks: the marks without a fault, in order.
        kinds: names of the kinds the files hold.
        broken: (kind, id) of rows with a fault: others may refer to them and be right.
        is_whole: every line of every file could at least be split into named cells.
    """

    entries: list[Entry] = field(default_factory=list)
    marks: list[Entry] = field(default_factory=list)
    kinds: set[str] = field(default_factory=set)
    broken: set[tuple[str, str]] = field(default_factory=set)
    is_whole: bool = True


class _Header(NamedTuple):
    kind: Kind
    columns: list[str]


def read_files(files: Iterable[InputFile], findings: Findings) -> FileRows:
    """Read all files; what is wrong or unusual in a line becomes a finding."""
    rows = FileRows()
    for file in files:
        if not _read_file(file, rows, findings):
            rows.is_whole = False
    return rows


def write_file(path: Path, kind: Kind, rows: Iterable[tuple[object, ...]]) -> int:
    """Write rows as a file that `read_files` takes, sorted, whole or not at all.

    Args:
        path: replaced when it exists; readable by its owner only where the kind has secrets.
        kind: of the rows.
        rows: values in the order of the kind's columns.

    Returns:
        How many rows were written.

    Raises:
        OSError: nothing was replaced.
    """
    ordered = sorted(rows, key=lambda row: _sort_key(kind, row))
    part = path.with_name(f".{path.name}.{os.getpid()}")
    mode = _PRIVATE if kind.secrets else 0o666
    try:
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
        with os.fdopen(descriptor, "w", encoding="utf-8", newline="") as stream:
            writer = csv.writer(stream, lineterminator="\n")
            writer.writerow(kind.columns)
            writer.writerows(_format_row(kind, row) for row in ordered)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
    return len(ordered)


def _sort_key(kind: Kind, row: tuple[object, ...]) -> tuple[object, ...]:
    entry = Entry(kind, row, None)
    return (entry.key, entry.start)


def _format_row(kind: Kind, row: tuple[object, ...]) -> list[str]:
    """Write a row; a secret as it is, since nothing takes an apostrophe off it again."""
    return [
        format_name(format_cell(value))
        if isinstance(value, str | tuple) and column not in kind.secrets
        else format_cell(value)
        for column, value in zip(kind.columns, row, strict=True)
    ]


def _read_file(file: InputFile, rows: FileRows, findings: Findings) -> bool:
    """Add what one file holds to `rows`; False where some of it could not be split into named cells."""
    text = _decode(file, findings)
    if text is None:
        return False
    header: _Header | None = None
    for line, cells in _split(text):
        place = Place(file.name, line)
        if isinstance(cells, csv.Error):
            message = f"expected cells separated by commas, quotes doubled and closed, came: {cells}"
            _add_error(findings, place, "row", message)
            return False
        if header:
            _read_row(place, header, cells, rows, findings)
            continue
        header = _read_header(place, cells, findings)
        if header is None:
            return False
        rows.kinds.add(header.kind.name)
    if header is None:
        _add_error(findings, Place(file.name, 1), "header", f"{_HEADER_EXPECTED}, came an empty file")
    return header is not None


def _decode(file: InputFile, findings: Findings) -> str | None:
    try:
        return file.content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = file.content.count(b"\n", 0, error.start) + 1
        advice = "save it as UTF-8 (in a spreadsheet: CSV UTF-8)"
        message = f"expected the encoding UTF-8, came {_guess_encoding(file.content)}: {advice}"
        _add_error(findings, Place(file.name, line), "file", message)
        return None


def _guess_encoding(content: bytes) -> str:
    if content.startswith(_UTF16_MARKS):
        return "UTF-16"
    try:
        content.decode("gb18030")
    except UnicodeDecodeError:
        return "bytes that are no UTF-8"
    return "what looks like GBK"


def _split(text: str) -> Iterator[tuple[int, list[str] | csv.Error]]:
    """Yield the line where each row begins and its cells without outer spaces; a fault is the last."""
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    line = 1
    try:
        for cells in reader:
            stripped = [cell.strip() for cell in cells]
            if any(stripped):
                yield line, stripped
            line = reader.line_num + 1
    except csv.Error as error:
        yield line, error


def _read_header(place: Place, cells: list[str], findings: Findings) -> _Header | None:
    """Find the kind whose columns these are; each column too many or too few is a finding."""
    while cells and not cells[-1]:
        cells.pop()
    kind = max(FILES.values(), key=lambda kind: _likeness(kind, cells))
    if _likeness(kind, cells) <= 0:
        # A first row of data is not repeated here: it may hold a password.
        separator = find_separator(cells)
        came = f"{separator} between the names, not commas" if separator else "none of these names"
        _add_error(findings, place, "header", f"{_HEADER_EXPECTED}, came {came}")
        return None
    known = f"a file of {kind.name} has {','.join(kind.columns)}"
    faults = [f"unknown column {show_cell(name)}" for name in cells if name not in kind.columns]
    lacked = [name for name in kind.columns if name not in cells and name not in kind.optional]
    faults += [f"missing column {name!r}" for name in lacked]
    faults += [f"column {name!r} stands twice" for name in kind.columns if cells.count(name) > 1]
    for fault in faults:
        _add_error(findings, place, "header", f"{fault}; {known}")
    return None if faults else _Header(kind, cells)


def _likeness(kind: Kind, cells: list[str]) -> int:
    """Return how many columns are the kind's, those of the period left aside, less those it lacks."""
    names = set(cells)
    own = set(kind.columns) - set(kind.period)
    return 100 * len(names & own) - len(own - names - kind.optional)


def _read_row(place: Place, header: _Header, cells: list[str], rows: FileRows, findings: Findings) -> None:
    kind, columns = header
    while len(cells) > len(columns) and not cells[-1]:
        cells.pop()
    named = {**dict.fromkeys(kind.optional, ""), **dict(zip(columns, cells, strict=False))}
    if len(cells) != len(columns):
        _add_error(findings, place, "row", f"expected {len(columns)} cells, came {len(cells)}")
    elif _take_row(place, kind, named, rows, findings):
        return
    rows.broken.add((kind.name, named.get(kind.key[0], "")))


def _take_row(place: Place, kind: Kind, named: dict[str, str], rows: FileRows, findings: Findings) -> bool:
    """Add a row to `rows`; False where a cell has a fault."""
    entry = read_cells(kind, named, place, findings)
    if entry is not None:
        (rows.marks if kind is MARKS else rows.entries).append(entry)
    return entry is not None


def read_cells(kind: Kind, named: dict[str, str], place: Place, findings: Findings) -> Entry | None:
    """Read the cells of one row, every column named; a fault becomes a finding, and then there is no row."""
    try:
        row = kind.row.model_validate(named)
    except ValidationError as error:
        for fault in error.errors(include_url=False, include_input=False):
            column = str(fault["loc"][0])
            came = show_cell(named[column], is_secret=column in kind.secrets)
            _add_error(findings, place, column, f"expected {fault['ctx']['error']}, came {came}")
        return None
    for column, message in kind.oddities(row):
        findings.add(Finding(*place, column, Level.WARNING, message))
    return Entry(kind, tuple(getattr(row, name) for name in kind.row.model_fields), place)


def _add_error(findings: Findings, place: Place, column: str, message: str) -> None:
    findings.add(Finding(*place, column, Level.ERROR, message))
