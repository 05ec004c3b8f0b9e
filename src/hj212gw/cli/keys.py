"""Key files and dialects of `decode` and `encode`: a key is never an argument, where `ps` shows it to everybody."""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import typer

from hj212gw.errors import ConfigError
from hj212gw.protocol import Dialect, Key, make_dialect
from hj212gw.protocol.cipher import parse_key

_COLUMNS = ("mn", "key_id", "secret")
_EXPECTED = "expected one key alone, or lines of mn,key_id,secret"


class KeyFile(NamedTuple):
    """The keys of a file.

    Attributes:
        shared: for every data logger.
        by_mn: for single ones, in the file's order.
    """

    shared: tuple[Key, ...] = ()
    by_mn: Mapping[str, tuple[Key, ...]] = {}

    def find(self, mn: str) -> tuple[Key, ...]:
        """Return the keys of a data logger, its own first."""
        return self.by_mn.get(mn, ()) + self.shared


def read_key_file(path: Path | None) -> KeyFile:
    """Read a file with one key for all data loggers, or with CSV lines of mn, key_id and secret.

    Args:
        path: the file; None has no keys. A key alone is named after the file, without its ending.

    Raises:
        ConfigError: it holds neither; names the line and never shows what is in it.
        OSError: it cannot be read.
    """
    if path is None:
        return KeyFile()
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: {_EXPECTED}, as UTF-8") from error
    filled = [(number, line.strip()) for number, line in enumerate(lines, 1) if line.strip()]
    if not filled:
        raise ConfigError(f"{path} is empty: {_EXPECTED}")
    if len(filled) == 1 and not _is_row(filled[0][1]):
        return KeyFile((Key(path.stem, _parse(filled[0][1], path, filled[0][0])),))
    return _read_rows(filled, path)


def _is_row(line: str) -> bool:
    try:
        parse_key(line)
    except ConfigError:
        return "," in line
    return False


def _read_rows(lines: Sequence[tuple[int, str]], path: Path) -> KeyFile:
    """Read CSV lines; a first line that names the columns may have them in any order, and others beside them."""
    columns: Sequence[str] = _COLUMNS
    by_mn: dict[str, tuple[Key, ...]] = {}
    for number, line in lines:
        cells = [cell.strip() for cell in next(csv.reader([line]))]
        if number == lines[0][0] and set(_COLUMNS) <= set(cells):
            columns = cells
            continue
        if len(cells) != len(columns):
            raise ConfigError(f"{path}, line {number}: {_EXPECTED}, got {len(cells)} cells")
        row = dict(zip(columns, cells, strict=True))
        key = Key(row["key_id"], _parse(row["secret"], path, number))
        by_mn[row["mn"]] = (*by_mn.get(row["mn"], ()), key)
    return KeyFile(by_mn=by_mn)


def _parse(text: str, path: Path, number: int) -> bytes:
    try:
        return parse_key(text)
    except ConfigError as error:
        raise ConfigError(f"{path}, line {number}: {error}") from None


def read_dialect(slugs: Sequence[str]) -> Dialect:
    """Read `--dialect` options.

    Raises:
        typer.BadParameter: one is no dialect.
    """
    try:
        return make_dialect(slugs)
    except ConfigError as error:
        raise typer.BadParameter(str(error), param_hint="--dialect") from error
