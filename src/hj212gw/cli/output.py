"""What commands print: data to stdout, words to stderr, plain text when nobody watches."""

import json
import sys
import time
import unicodedata
from collections.abc import Sequence
from contextlib import suppress
from types import TracebackType
from typing import Any, Self

import typer

_PROGRESS_SECS = 5.0


def say(text: str) -> None:
    """Print words to stderr; where it was closed, a terminal that is gone for example, nobody is told."""
    with suppress(OSError):
        typer.echo(text, err=True)


class Progress:
    """How far long work is, on stderr: a bar on a terminal, a plain line every few seconds elsewhere.

    Args:
        what: what is done, such as `replayed`.
    """

    def __init__(self, what: str) -> None:
        self._what = what
        self._bar: Any = None
        self._task: Any = None
        self._told_at = time.monotonic()

    def __enter__(self) -> Self:
        if sys.stderr.isatty():
            from rich.console import Console  # noqa: PLC0415 - only where somebody watches
            from rich.progress import Progress as Bar  # noqa: PLC0415

            self._bar = Bar(console=Console(stderr=True), transient=True)
            self._bar.start()
            self._task = self._bar.add_task(self._what, total=1.0)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def show(self, share: float, detail: str) -> None:
        """Show how much is done, 0 to 1, and what of it."""
        if self._bar is not None:
            self._bar.update(self._task, completed=share, description=f"{self._what} {detail}")
        elif time.monotonic() - self._told_at >= _PROGRESS_SECS:
            self._told_at = time.monotonic()
            say(f"{self._what} {share:.0%}: {detail}")


class RowCount:
    """Shows rows as they are written, of about so many.

    Args:
        expected: rows, at most.
        progress: where they are shown.
    """

    def __init__(self, expected: int, progress: Progress) -> None:
        self._expected = max(1, expected)
        self._progress = progress
        self._written = 0

    def __call__(self, table: str, count: int) -> None:
        """Take what a table got."""
        self._written += count
        self._progress.show(min(1.0, self._written / self._expected), f"{self._written} rows, {table}")


def print_data(text: str) -> None:
    """Print data to stdout."""
    typer.echo(text)


def print_json(document: Any, *, is_line: bool = False) -> None:
    """Print a JSON document to stdout, with Chinese as it is; what JSON does not know becomes text.

    Args:
        document: what to print.
        is_line: in one line, for documents that follow each other.

    JSON escapes control characters of ASCII alone: the others, which a terminal obeys as well, and halves of
    surrogate pairs, which UTF-8 cannot write, are escaped here.
    """
    text = json.dumps(document, ensure_ascii=False, indent=None if is_line else 2, default=str)
    if not text.replace("\n", "").isprintable():
        text = "".join(char if char.isprintable() or char == "\n" else json.dumps(char)[1:-1] for char in text)
    typer.echo(text)


def plain_text(value: object) -> str:
    r"""Return text that does nothing to a terminal, characters that are not printable as ``\xNN``."""
    text = str(value)
    return text if text.isprintable() else "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in text)


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
