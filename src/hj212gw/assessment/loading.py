"""The assessment of a folder of files: checked whole, loaded into a database of our own, computed there, gone."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import hj212gw.assessment.assess as calculation
from hj212gw.assessment.files import BaseList, BaseRow, Mark, read_base_list, read_marks
from hj212gw.assessment.hours import HoursReader, find_repeats
from hj212gw.assessment.reports import Report
from hj212gw.assessment.tables import Source
from hj212gw.errors import ConfigError
from hj212gw.registry.findings import Findings, Level
from hj212gw.store.assessment import UPSTREAM
from hj212gw.store.pool import CONNECTION_ERRORS, Connection, sort_error
from hj212gw.store.throwaway import fill_hours, fill_marks, fill_registry, open_throwaway

BASE_LIST, HOURS, MARKS = "base_list.csv", "hours.csv", "marks.csv"

_SOURCE = "files"
_MOST_FINDINGS = 10_000
_SHOWN_BYTES = 1 << 20


class Checked(NamedTuple):
    """What came of a folder: findings, and a report where no line is wrong."""

    findings: Findings
    report: Report | None


async def assess_folder(folder: Path, question: calculation.Question) -> Checked:
    """Assess the files of a folder; nothing is computed when any line is wrong.

    Args:
        folder: with base_list.csv, hours.csv and, where there are marks, marks.csv.
        question: what is asked; its arrivals are those of the files.

    Raises:
        ConfigError: a file is missing, or there is no PostgreSQL on this machine; with what to do.
        StoreError: the database failed.
    """
    _check_folder(folder)
    loading = _Loading(folder, question)
    base, marks = loading.read_small()
    if loading.has_errors():
        for _ in loading.read_faults(base):
            pass
        return Checked(loading.findings, None)
    async with open_throwaway(question.now) as connection:
        try:
            await loading.fill(connection, base, marks)
            if loading.has_errors():
                return Checked(loading.findings, None)
            wanted = question._replace(arrivals=f"{UPSTREAM}{_SOURCE}")
            report = await calculation.assess(connection, wanted)
        except CONNECTION_ERRORS as error:
            raise sort_error(error) from error
    return Checked(loading.findings, report._replace(arrivals=f"files:{folder.name}"))


def _check_folder(folder: Path) -> None:
    for name in (BASE_LIST, HOURS):
        if not (folder / name).is_file():
            raise ConfigError(f"there is no {name} in {folder}: expected {BASE_LIST}, {HOURS} and, if any, {MARKS}")


class _Loading:
    """The files of a folder on their way into a database."""

    def __init__(self, folder: Path, question: calculation.Question) -> None:
        self.findings = Findings(limit=_MOST_FINDINGS)
        self._folder = folder
        self._question = question
        self._bytes = 0

    def has_errors(self) -> bool:
        """Tell whether any line is wrong."""
        return self.findings.count(Level.ERROR) > 0

    def read_small(self) -> tuple[BaseList, list[Mark]]:
        """Read base list and marks."""
        path = self._folder / BASE_LIST
        with path.open("rb") as stream:
            base = read_base_list(Source(str(path), stream, self.findings))
        path = self._folder / MARKS
        if not path.exists() or not self._is_known(base):
            return base, []
        with path.open("rb") as stream:
            return base, read_marks(Source(str(path), stream, self.findings), base)

    def read_hours(self, base: BaseList) -> Iterator[bytes]:
        """Read the hours, as text of COPY."""
        path = self._folder / HOURS
        size = max(path.stat().st_size, 1)
        reader = HoursReader(base, _SOURCE)
        told = 0
        with path.open("rb") as stream:
            for batch in reader.read(Source(str(path), stream, self.findings, self._count)):
                yield batch
                if self._bytes - told >= _SHOWN_BYTES:
                    told = self._bytes
                    self._question.on_progress(min(told / size, 1.0), f"loaded {reader.count} hours")

    def read_faults(self, base: BaseList) -> Iterator[bytes]:
        """Read the hours for their faults alone; by a base list of which nothing could be read all would be wrong."""
        return self.read_hours(base) if self._is_known(base) else iter(())

    def _is_known(self, base: BaseList) -> bool:
        return bool(base.rows) or not self.has_errors()

    async def fill(self, connection: Connection, base: BaseList, marks: list[Mark]) -> None:
        """Fill the database; what stands in the hours twice is a finding."""
        await fill_registry(connection, _to_tables(base))
        await fill_marks(connection, _SOURCE, [tuple(mark) for mark in marks])
        repeated = await fill_hours(connection, self.read_hours(base))
        if repeated:
            path = self._folder / HOURS
            with path.open("rb") as stream:
                find_repeats(Source(str(path), stream, self.findings), repeated)

    def _count(self, size: int) -> None:
        self._bytes += size


def _to_tables(base: BaseList) -> dict[str, tuple[Sequence[str], list[tuple[Any, ...]]]]:
    """Turn a base list into rows of the registry; names are not in files, so ids stand for them."""
    enterprises = sorted({row.enterprise for row in base.rows})
    return {
        "enterprises": (("enterprise", "name", "valid_from"), [(name, name, None) for name in enterprises]),
        "outlets": (
            ("outlet", "enterprise", "name", "medium", "county", "valid_from", "valid_to"),
            [values for rows in base.outlets.values() for values in _to_outlets(rows)],
        ),
        "base_list": (
            ("outlet", "factor", "fields", "valid_from", "valid_to"),
            [(row.outlet, row.factor, row.fields, row.from_at, row.to_at) for row in base.rows],
        ),
    }


def _to_outlets(rows: list[BaseRow]) -> Iterator[tuple[Any, ...]]:
    """Tell whose an outlet was and where, without a gap: from the first line that says so until another one."""
    earliest = datetime.min.replace(tzinfo=UTC)
    turns: list[tuple[datetime | None, BaseRow]] = []
    for row in sorted(rows, key=lambda row: row.from_at or earliest):
        if not turns or (row.enterprise, row.county) != (turns[-1][1].enterprise, turns[-1][1].county):
            turns.append((row.from_at if turns else None, row))
    for (start, row), (end, _) in pairwise([*turns, (None, rows[0])]):
        yield row.outlet, row.enterprise, row.outlet, row.medium, row.county, start, end
