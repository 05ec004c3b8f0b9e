"""Files into the registry's tables and back."""

import asyncio
from collections.abc import Iterable, Mapping
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from hj212gw.clock import Clock
from hj212gw.registry.changes import HeldRow, KindChanges, RowChanges, plan_changes
from hj212gw.registry.csvfiles import InputFile, read_files, write_file
from hj212gw.registry.findings import Findings, Level
from hj212gw.registry.kinds import KINDS, Entry
from hj212gw.store.registry import RegistryStore


class Report(NamedTuple):
    """What came of an import or a check.

    Attributes:
        findings: what is wrong or unusual.
        changes: by kind, what was or would be written.
        is_written: the database has it.
    """

    findings: Findings
    changes: dict[str, KindChanges]
    is_written: bool

    @property
    def has_errors(self) -> bool:
        """Tell whether any line is wrong."""
        return self.findings.count(Level.ERROR) > 0


async def import_files(store: RegistryStore, files: Iterable[InputFile], clock: Clock) -> Report:
    """Bring the rows of files into the registry: all of them, or none when any line is wrong.

    A row with the key and `valid_from` of a current row replaces it, the old one stays as superseded; rows that
    are there already stay untouched, and so do those that no file names.

    Args:
        store: the registry's tables.
        files: of any kinds, in any order; they may refer to each other.
        clock: gives the moment the rows were recorded.

    Raises:
        StoreError: the database failed; nothing was written.
    """
    findings = Findings()
    rows = read_files(files, findings)
    async with store.change():
        report = Report(findings, plan_changes(rows, await read_held(store), findings), is_written=False)
        if report.has_errors:
            return report
        await write_changes(store, report.changes, clock.now())
    return report._replace(is_written=True)


async def write_changes(store: RegistryStore, changes: Mapping[str, RowChanges], now: datetime) -> None:
    """Write what becomes of each kind, inside `store.change`: old rows end, new ones come."""
    for name, change in changes.items():
        await store.supersede_rows(name, change.superseded, now)
        await store.add_rows(name, KINDS[name].columns, [entry.values for entry in change.added], now)


async def check_files(store: RegistryStore | None, files: Iterable[InputFile]) -> Report:
    """Tell what an import would find and do, without doing it.

    Args:
        store: the registry's tables; None to let the files stand for themselves.
        files: as for an import.

    Raises:
        StoreError: the database failed.
    """
    findings = Findings()
    rows = read_files(files, findings)
    held = None
    if store is not None:
        async with store.snapshot():
            held = await read_held(store)
    return Report(findings, plan_changes(rows, held, findings), is_written=False)


async def export_registry(store: RegistryStore, directory: Path) -> dict[Path, int]:
    """Write the current rows of every kind as files; keys, and data loggers that were only found, are left out.

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
        held = [row.entry for row in await read_held(store) if not row.is_found]
    return await asyncio.to_thread(_write_files, directory, held)


def _write_files(directory: Path, entries: list[Entry]) -> dict[Path, int]:
    directory.mkdir(parents=True, exist_ok=True)
    return {
        path: write_file(path, kind, [entry.values for entry in entries if entry.kind is kind])
        for kind in KINDS.values()
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
