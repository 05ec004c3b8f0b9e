"""What commands print: data to stdout, words to stderr, plain text when nobody watches."""

import json
import sys
import unicodedata
from collections.abc import Sequence
from typing import Any

import typer


def say(text: str) -> None:
    """Print words to stderr."""
    typer.echo(text, err=True)


def print_data(text: str) -> None:
    """Print data to stdout."""
    typer.echo(text)


def print_json(document: Any) -> None:
    """Print a JSON document to stdout, with Chinese as it is; what JSON does not know becomes text."""
    typer.echo(json.dumps(document, ensure_ascii=False, indent=2, default=str))


def print_table(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Print a table to stdout: drawn on a terminal, aligned columns elsewhere."""
    cells = [["" if cell is None else str(cell) for cell in row] for row in rows]
    if sys.stdout.isatty():
        _draw_table(columns, cells)
        return
    lines = [list(columns), *cells]
    widths = [max(_width(line[index]) for line in lines) for index in range(len(columns))]
    for line in lines:
        padded = (cell + " " * (width - _width(cell)) for cell, width in zip(line, widths, strict=True))
        typer.echo("  ".join(padded).rstrip())


def _width(text: str) -> int:
    """Count terminal columns: a Chinese character takes two."""
    return sum(2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in text)


def _draw_table(columns: Sequence[str], cells: Sequence[Sequence[str]]) -> None:
    from rich.console import Console  # noqa: PLC0415 - 40 ms, and pipes never need it
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in cells:
        table.add_row(*(Text(cell) for cell in row))
    Console().print(table)
