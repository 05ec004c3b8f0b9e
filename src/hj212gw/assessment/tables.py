"""The rows of the CSV files of an assessment: UTF-8 with a header, columns in any order, read as a stream."""

import csv
import re
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from typing import Any, BinaryIO, NamedTuple

from hj212gw.protocol.times import WIRE_ZONE
from hj212gw.registry.cells import find_separator, show_cell
from hj212gw.registry.findings import Finding, Findings, Level

_BOM = "\ufeff"
_YEARS = range(1900, 2200)
_MOMENT = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}([T ][0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,6})?)?(Z|[+-][0-9]{2}:[0-9]{2})?)?"
)
_MOMENT_EXPECTED = "a time on UTC+8 such as 2026-01-31T08:00 or 2026-01-31"

Row = tuple[int, list[str]]


class Source(NamedTuple):
    """A file to read.

    Attributes:
        name: what findings call it.
        stream: its bytes.
        findings: what is wrong in it goes here.
        on_bytes: told the size of every line as it is read.
    """

    name: str
    stream: BinaryIO
    findings: Findings
    on_bytes: Callable[[int], None] = lambda _size: None

    def add(self, line: int, column: str, message: str, level: Level = Level.ERROR) -> None:
        """Note what is wrong in a line."""
        self.findings.add(Finding(self.name, line, column, level, message))

    def read(self, line: int, column: str, text: str, parse: Callable[[str], Any]) -> Any:
        """Read a cell; None with a finding where it cannot be read."""
        try:
            return parse(text)
        except ValueError as error:
            self.add(line, column, f"expected {error}, came {show_cell(text)}")
            return None


def read_rows(source: Source, columns: tuple[str, ...], optional: tuple[str, ...] = ()) -> Iterator[Row]:
    """Yield the line each row begins in and its cells, in the order of `columns` and `optional`.

    A wrong header, or a row of another length, is a finding; after a wrong header nothing is yielded. A cell of an
    optional column that is not there is empty.
    """
    rows = _split(source)
    line, header = next(rows, (1, []))
    while header and not header[-1].strip():  # as spreadsheets save columns that once held something
        header.pop()
    places = _find_places(source, line, header, (columns, optional))
    if places is None:
        return
    width = len(header)
    blank = [""] * places.count(None)
    is_plain = places == [*range(width), *(None for _ in blank)]
    for line, cells in rows:
        if not cells:
            continue
        while len(cells) > width and not cells[-1].strip():
            cells.pop()
        if len(cells) != width:
            if any(cell.strip() for cell in cells):
                source.add(line, "row", f"expected {width} cells, came {len(cells)}")
        elif is_plain:
            yield line, cells + blank
        else:
            yield line, ["" if place is None else cells[place] for place in places]


def parse_moment(text: str) -> datetime:
    """Read a moment: on UTC+8 unless it names its offset itself."""
    if not _MOMENT.fullmatch(text) or int(text[:4]) not in _YEARS:
        raise ValueError(_MOMENT_EXPECTED)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise ValueError(_MOMENT_EXPECTED) from error
    return (moment if moment.tzinfo else moment.replace(tzinfo=WIRE_ZONE)).astimezone(UTC)


def parse_open(text: str) -> datetime | None:
    """Read a moment; an empty cell is None."""
    return parse_moment(text) if text else None


def _find_places(
    source: Source, line: int, header: list[str], known: tuple[tuple[str, ...], tuple[str, ...]]
) -> list[int | None] | None:
    """Tell in which cell each column stands; None with findings where the header is wrong."""
    columns, optional = known
    names = [name.strip() for name in header]
    names[:1] = [name.removeprefix(_BOM) for name in names[:1]]
    if not any(names):
        source.add(line, "header", f"expected {','.join(columns)}, came an empty file")
        return None
    if (separator := find_separator(names)) is not None:
        source.add(line, "header", f"expected {','.join(columns)}, came {separator} between the names, not commas")
        return None
    faults = [f"missing column {name!r}" for name in columns if name not in names]
    faults += [f"unknown column {show_cell(name)}" for name in names if name not in columns + optional]
    faults += [f"column {name!r} stands twice" for name in columns + optional if names.count(name) > 1]
    for fault in faults:
        source.add(line, "header", f"{fault}; expected {','.join(columns)}")
    if faults:
        return None
    return [names.index(name) if name in names else None for name in columns + optional]


def _split(source: Source) -> Iterator[Row]:
    """Split a stream into rows; what is no CSV or no UTF-8 is a finding and the end."""
    reader = csv.reader(_decode(source), strict=True)
    line = 1
    try:
        for cells in reader:
            yield line, cells
            line = reader.line_num + 1
    except csv.Error as error:
        source.add(line, "row", f"expected cells separated by commas, quotes doubled and closed, came: {error}")
    except UnicodeDecodeError:
        message = "expected the encoding UTF-8: save it as UTF-8 (in a spreadsheet: CSV UTF-8)"
        source.add(reader.line_num + 1, "file", message)


def _decode(source: Source) -> Iterator[str]:
    lines: Iterable[bytes] = source.stream
    for line in lines:
        source.on_bytes(len(line))
        yield line.decode()
