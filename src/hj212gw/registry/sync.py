"""Files into the registry's tables and back."""

import asyncio
from collections.abc import Iterable, Mapping
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from hj212gw.clock import Clock
from hj212gw.registry.changes import HeldRow, KindChanges, RowChanges, current_entries, plan_changes
from hj212gw.registry.csvfiles import FileRows, InputFile, read_files, write_file
from hj212gw.registry.findings import Findings, Level
from hj212gw.registry.kinds import FILES, KINDS, MARKS, Entry
from hj212gw.registry.marks import Listing, MarkChanges, Word, plan_marks, to_cells
from hj212gw.store.marks import StoredMark
from hj212gw.store.registry import RegistryStore


class Report(NamedTuple):
    """What came of an import or a check.

    Attributes:
        findings: what is wrong or unusual.
        changes: by kind of dated rows, what was or would be written.
        marks: the same of marks.
        is_written: the database has it.
    """

    findings: Findings
    changes: dict[str, KindChanges]
    marks: MarkChanges
    is_written: bool

    @property
    def has_errors(self) -> bool:
        """Tell whether any line is wrong."""
        return self.findings.count(Level.ERROR) > 0


class _Held(NamedTuple):
    """What the database has."""

    rows: list[HeldRow]
    marks: list[StoredMark]


async def import_files(store: RegistryStore, files: Iterable[InputFile], clock: Clock, by: str = "import") -> Report:
    """Bring the rows of files into the registry: all of them, or none when any line is wrong.

    A row with the key and `valid_from` of a current row replaces it, the old one stays as superseded; rows that
    are there already stay untouched, and so do those that no file names. Marks are added, or go on: none is replaced.

    Args:
        store: the registry's tables.
        files: of any kinds, in any order; they may refer to each other.
        clock: gives the moment the rows were recorded.
        by: who imports, the author of marks that name none.

    Raises:
        StoreError: the database failed; nothing was written.
    """
    findings = Findings()
    rows = read_files(files, findings)
    async with store.change():
        report = _plan(rows, await _read_all(store), Word(by, clock.now()), findings)
        if report.has_errors:
            return report
        await write_changes(store, report.changes, clock.now())
        report.marks.numbers = await write_marks(store, report.marks)
    return report._replace(is_written=True)


def _plan(rows: FileRows, held: _Held | None, word: Word, findings: Findings) -> Report:
    """Tell what rows do; None where no database was asked."""
    changes = plan_changes(rows, None if held is None else held.rows, findings)
    listing = Listing(current_entries(changes, held.rows if held else ()), rows, is_complete=held is not None)
    marks = plan_marks(rows, listing, held.marks if held else [], word, findings)
    return Report(findings, changes, marks, is_written=False)


async def write_changes(store: RegistryStore, changes: Mapping[str, RowChanges], now: datetime) -> None:
    """Write what becomes of each kind, inside `store.change`: old rows end, new ones come."""
    for name, change in changes.items():
        await store.supersede_rows(name, change.superseded, now)
        await store.add_rows(name, KINDS[name].columns, [entry.values for entry in change.added], now)


async def write_marks(store: RegistryStore, changes: MarkChanges) -> list[int]:
    """Write new marks and what became of those that stand, inside `store.change`; return the new ones' numbers."""
    numbers = await store.marks.add([mark for mark, _ in changes.added])
    became = [(number, events) for number, (_, events) in zip(numbers, changes.added, strict=True)]
    await store.marks.add_events(
        [(number, event) for number, events in [*became, *changes.continued] for event in events]
    )
    return numbers


async def check_files(store: RegistryStore | None, files: Iterable[InputFile], clock: Clock | None = None) -> Report:
    """Tell what an import would find and do, without doing it.

    Args:
        store: the registry's tables; None to let the files stand for themselves.
        files: as for an import.
        clock: tells what is past; the system's unless given.

    Raises:
        StoreError: the database failed.
    """
    findings = Findings()
    rows = read_files(files, findings)
    held = None
    if store is not None:
        async with store.snapshot():
            held = await _read_all(store)
    return _plan(rows, held, Word("check", (clock or Clock()).now()), findings)


async def export_registry(store: RegistryStore, directory: Path) -> dict[Path, int]:
    """Write the current rows of every kind, and all marks made here, as files.

    Keys, and data loggers that were only found, are left out.

    Args:
        store: the registry's tables.
        directory: made when missing; files of these names in it are replaced.

    Returns:
        How many rows each file has.

    Raises:
        StoreError: the database failed; no file was written.
        OSError: a file cannot be written.
    """
    async with store.snapshot():
        held = await _read_all(store)
    entries = [row.entry for row in held.rows if not row.is_found]
    entries += [Entry(MARKS, to_cells(mark), None) for mark in held.marks]
    return await asyncio.to_thread(_write_files, directory, entries)


def _write_files(directory: Path, entries: list[Entry]) -> dict[Path, int]:
    directory.mkdir(parents=True, exist_ok=True)
    return {
        path: write_file(path, kind, [entry.values for entry in entries if entry.kind is kind])
        for kind in FILES.values()
        if kind.is_exported
        for path in [directory / f"{kind.name}.csv"]
    }


async def read_held(store: RegistryStore) -> list[HeldRow]:
    """Read the current rows of every kind, inside a transaction of the store."""
    return [
        HeldRow(Entry(kind, row.values, None), row.row_id, row.is_found)
        for kind in KINDS.values()
        for row in await store.read_rows(kind.name, kind.columns)
    ]


async def _read_all(store: RegistryStore) -> _Held:
    return _Held(await read_held(store), await store.marks.read())
