"""The report of an assessment as a workbook (XLSX) that a bureau can print and send."""

import os
import re
from datetime import UTC
from functools import lru_cache
from math import ceil
from pathlib import Path
from typing import Any
from unicodedata import east_asian_width

from xlsxwriter import Workbook
from xlsxwriter.format import Format
from xlsxwriter.worksheet import Worksheet

from hj212gw.assessment.reports import Report
from hj212gw.assessment.sheets import Column, Sheet, make_sheets, name_range
from hj212gw.protocol.times import WIRE_ZONE

SHEET_ROWS = 1_048_576  # what a sheet of XLSX holds

_MOST_TEXT = 32_767  # characters of a cell
_A4 = 9
_LINE_POINTS = 15
_MOST_LINES = 20
# A name that begins like a formula is no formula, and digits may be an id. Rows leave memory as they come.
_OPTIONS = {
    "strings_to_formulas": False,
    "strings_to_numbers": False,
    "strings_to_urls": False,
    "constant_memory": True,
}
_FORMATS: dict[str, dict[str, Any]] = {
    "title": {"bold": True, "font_size": 14},
    "note": {"italic": True},
    "heading": {
        "bold": True,
        "border": 1,
        "bg_color": "#DDEBF7",
        "align": "center",
        "valign": "vcenter",
        "text_wrap": True,
    },
    "text": {"border": 1, "num_format": "@", "text_wrap": True, "valign": "top"},
    "count": {"border": 1, "valign": "top", "num_format": "#,##0"},
    "percent": {"border": 1, "valign": "top", "num_format": "0.00%"},
    "moment": {"border": 1, "valign": "top", "num_format": "yyyy-mm-dd hh:mm", "align": "left"},
}
# What XML cannot hold, other control characters than those the writer escapes.
_UNWRITABLE = re.compile("[\ud800-\udfff\ufffe\uffff]")
_NOT_IN_NAMES = re.compile(r'[\s/\\:*?"<>|\x00-\x1f]+')


def workbook_name(report: Report) -> str:
    """Return the name a report's file has unless somebody gives it another: city and period are in it."""
    city = _NOT_IN_NAMES.sub("_", report.city).strip("._") or "city"
    return f"{city}_传输有效率_{name_range(report)}.xlsx"


def write_workbook(path: Path, report: Report, *, rows_per_sheet: int = SHEET_ROWS) -> None:
    """Write a report as a workbook, whole or not at all.

    Args:
        path: replaced when it exists.
        report: what is in it.
        rows_per_sheet: a table that has more goes on in further sheets.

    Raises:
        OSError: nothing was replaced.
    """
    part = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with part.open("wb") as stream, Workbook(stream, _OPTIONS) as book:
            _describe(book, report)
            formats = {name: book.add_format(look) for name, look in _FORMATS.items()}
            for sheet in make_sheets(report):
                _write_sheet(book, sheet, formats, rows_per_sheet)
            for worksheet in book.worksheets():
                _set_print(worksheet, report)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def _describe(book: Workbook, report: Report) -> None:
    title = _clean(f"{report.city}自动监控数据传输有效率考核 {name_range(report)}")
    book.set_properties({"title": title, "created": report.now.astimezone(UTC).replace(tzinfo=None)})


def _write_sheet(book: Workbook, sheet: Sheet, formats: dict[str, Format], rows_per_sheet: int) -> None:
    """Write a table into as many sheets as it needs."""
    rows = iter(sheet.rows)
    worksheet, line = _begin(book, sheet, sheet.notes, formats)
    heading, number = line - 1, 1
    for row in rows:
        if line >= rows_per_sheet:
            _end(worksheet, heading, line, len(sheet.columns))
            number += 1
            more = sheet._replace(name=f"{sheet.name}({number})")
            worksheet, line = _begin(book, more, (f"接上页 {sheet.name}",), formats)
            heading = line - 1
        _write_row(worksheet, line, sheet.columns, row, formats)
        line += 1
    _end(worksheet, heading, line, len(sheet.columns))


def _begin(book: Workbook, sheet: Sheet, notes: tuple[str, ...], formats: dict[str, Format]) -> tuple[Worksheet, int]:
    """Make a sheet with its notes and headings; return it and the line its table goes on in."""
    worksheet = book.add_worksheet(sheet.name)
    for place, column in enumerate(sheet.columns):
        worksheet.set_column(place, place, column.width)
    for line, note in enumerate(notes):
        worksheet.write_string(line, 0, _clean(note), formats["note" if line else "title"])
    heading = len(notes)
    for place, column in enumerate(sheet.columns):
        worksheet.write_string(heading, place, column.heading, formats["heading"])
    worksheet.freeze_panes(heading + 1, 0)
    worksheet.repeat_rows(heading)
    return worksheet, heading + 1


def _end(worksheet: Worksheet, heading: int, line: int, columns: int) -> None:
    worksheet.autofilter(heading, 0, max(line - 1, heading), columns - 1)


def _set_print(worksheet: Worksheet, report: Report) -> None:
    worksheet.set_landscape()
    worksheet.set_paper(_A4)
    worksheet.fit_to_pages(1, 0)
    city = _clean(report.city).replace("&", "&&")[:100]
    worksheet.set_header(f"&L{city}&C&A&R{name_range(report)}")
    worksheet.set_footer("&C第 &P 页,共 &N 页")


def _write_row(
    worksheet: Worksheet, line: int, columns: tuple[Column, ...], row: tuple[Any, ...], formats: dict[str, Format]
) -> None:
    texts = ((column.width, value) for column, value in zip(columns, row, strict=True) if column.kind == "text")
    lines = max(_count_lines(width, text or "") for width, text in texts)
    if lines > 1:  # not every reader finds the height of wrapped text itself
        worksheet.set_row(line, lines * _LINE_POINTS)
    for place, (column, value) in enumerate(zip(columns, row, strict=True)):
        look = formats[column.kind]
        if value is None or value == "":
            worksheet.write_blank(line, place, None, look)
        elif column.kind == "moment":
            worksheet.write_datetime(line, place, value.astimezone(WIRE_ZONE).replace(tzinfo=None), look)
        elif column.kind == "text":
            worksheet.write_string(line, place, _clean(value), look)
        else:
            worksheet.write_number(line, place, float(value), look)


@lru_cache(maxsize=4096)
def _count_lines(width: int, text: str) -> int:
    """Return how many lines a cell needs; a Chinese character is as wide as two others."""
    if 2 * len(text) <= width:
        return 1
    columns = sum(2 if east_asian_width(char) in "WF" else 1 for char in text[: _MOST_LINES * width])
    return min(ceil(columns / (width - 1)), _MOST_LINES)


@lru_cache(maxsize=4096)
def _clean(text: str) -> str:
    """Return text that a cell holds."""
    return _UNWRITABLE.sub("\ufffd", text)[:_MOST_TEXT]
