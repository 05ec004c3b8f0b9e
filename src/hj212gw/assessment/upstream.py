"""Hours, marks and rates as a higher platform recorded them: CSV files into the database, all lines or none."""

import io
import re
from collections.abc import Callable, Iterable
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import BinaryIO, NamedTuple

from hj212gw.assessment.files import ANY_FACTOR, BaseList, BaseRow, Mark, check_listed, read_marks
from hj212gw.assessment.hours import HOUR_COLUMNS, OPTIONAL_COLUMNS, HoursReader
from hj212gw.assessment.tables import Source, parse_moment, read_rows
from hj212gw.protocol.times import WIRE_ZONE
from hj212gw.registry.cells import parse_id, parse_one_of
from hj212gw.registry.findings import Findings, Level
from hj212gw.store.assessment import STAGES
from hj212gw.store.pool import undone
from hj212gw.store.upstream import HourKey, UpstreamRate, UpstreamStore

RATE_COLUMNS = ("outlet", "day", "stage")
PERCENT_COLUMNS = ("transmission_pct", "validity_pct", "effective_pct")

_PERCENT = re.compile(r"[0-9]{1,3}(\.[0-9]{1,2})?")
_MOST_PERCENT = 100
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
# What tells the kind of a file: a column that only it has.
_TELLING = {"hour": "hours", "kind": "marks", "stage": "rates"}


class File(NamedTuple):
    """A file to import: what findings call it, and its bytes or where they are."""

    name: str
    content: Path | bytes

    def open(self) -> BinaryIO:
        """Return its bytes from the start."""
        return io.BytesIO(self.content) if isinstance(self.content, bytes) else self.content.open("rb")


class ImportReport(NamedTuple):
    """What came of an import.

    Attributes:
        findings: what is wrong or unusual.
        read: lines of hours, marks and rates without a fault.
        new: how many of them were or would be written; the others are there already.
        is_written: the database has it.
    """

    findings: Findings
    read: dict[str, int]
    new: dict[str, int]
    is_written: bool

    @property
    def has_errors(self) -> bool:
        """Tell whether any line is wrong."""
        return self.findings.count(Level.ERROR) > 0


class _Import:
    """One import: the files by kind, and what was read of them."""

    def __init__(self, store: UpstreamStore, source: str, files: Iterable[File], findings: Findings) -> None:
        self._store, self._source, self._findings = store, source, findings
        self._files: dict[str, list[File]] = {"hours": [], "marks": [], "rates": []}
        self._given = list(files)
        self.marks: list[Mark] = []
        self.rates: dict[tuple[str, date, str], UpstreamRate] = {}
        self.hours = 0

    @property
    def is_wrong(self) -> bool:
        return self._findings.count(Level.ERROR) > 0

    @property
    def read(self) -> dict[str, int]:
        return {"hours": self.hours, "marks": len(self.marks), "rates": len(self.rates)}

    async def take(self, base: BaseList) -> None:
        """Read all files; hours are staged in the database as they come."""
        for file in self._given:
            self._sort(file)
        for file in self._files["hours"]:
            reader = HoursReader(base, self._source)
            with file.open() as stream:
                await self._store.stage_hours(reader.read(Source(file.name, stream, self._findings)))
            self.hours += reader.count
        for file in self._files["marks"]:
            with file.open() as stream:
                self.marks += read_marks(Source(file.name, stream, self._findings), base)
        places: dict[tuple[str, date, str], str] = {}
        for file in self._files["rates"]:
            with file.open() as stream:
                _read_rates(Source(file.name, stream, self._findings), base, self.rates, places)
        if self.hours and not self.is_wrong:
            self._tell_clashes(await self._store.find_clashes())

    async def write(self, now: datetime) -> dict[str, int]:
        """Let what was read stand; return how much of it is new."""
        return {
            "hours": await self._store.add_hours(),
            "marks": await self._store.add_marks(self._source, list(dict.fromkeys(self.marks))),
            "rates": await self._store.add_rates(self._source, list(self.rates.values()), now),
        }

    def _sort(self, file: File) -> None:
        with file.open() as stream:
            header = stream.readline().decode("utf-8", "replace").removeprefix("\ufeff")
        names = {name.strip(' "\r\n') for name in header.split(",")}
        kinds = [kind for column, kind in _TELLING.items() if column in names]
        if kinds:
            self._files[kinds[0]].append(file)
            return
        expected = " or ".join(f"{kind} ({column})" for column, kind in _TELLING.items())
        source = Source(file.name, io.BytesIO(), self._findings)
        source.add(1, "header", f"expected a header with the columns of {expected}, came none of these")

    def _tell_clashes(self, keys: dict[HourKey, bool]) -> None:
        """Find the lines of hours that cannot stand beside others; files are read again for their numbers."""
        seen: dict[HourKey, str] = {}
        for file in self._files["hours"] if keys else ():
            with file.open() as stream:
                source = Source(file.name, stream, self._findings)
                for line, cells in read_rows(source, HOUR_COLUMNS, OPTIONAL_COLUMNS):
                    outlet, factor, hour, arrived = (cell.strip() for cell in cells[:4])
                    key = HourKey(outlet, factor, parse_moment(hour), parse_moment(arrived))
                    if key in keys:
                        _tell_clash(source, line, seen.setdefault(key, f"{file.name}:{line}"), is_stored=keys[key])


def _tell_clash(source: Source, line: int, first: str, *, is_stored: bool) -> None:
    if first != f"{source.name}:{line}":
        source.add(line, "row", f"expected an outlet, factor, hour and arrival once, {first} has the same")
    elif is_stored:
        message = "expected what was imported before of this hour and arrival, or a later arrival, which replaces it"
        source.add(line, "arrived_at", message)


async def import_upstream(
    store: UpstreamStore, source: str, files: Iterable[File], now: datetime, *, is_dry_run: bool = False
) -> ImportReport:
    """Bring hours, marks and rates of a higher platform into the database: all of them, or none when a line is wrong.

    Nothing that is there is replaced: what is there already stays, other rates become a newer version, and an hour
    with a later arrival stands from then on.

    Args:
        store: the tables.
        source: name of the platform.
        files: of any kinds, in any order; headers tell the kind.
        now: when the rates were recorded.
        is_dry_run: write nothing.

    Raises:
        StoreError: the database failed; nothing was written.
        OSError: a file cannot be read.
    """
    findings = Findings()
    work = _Import(store, source, files, findings)
    async with store.importing():
        await work.take(_make_base(await store.read_base_list()))
        if work.is_wrong:
            return ImportReport(findings, work.read, {}, is_written=False)
        if is_dry_run:
            async with undone(store.connection):
                return ImportReport(findings, work.read, await work.write(now), is_written=False)
        new = await work.write(now)
    return ImportReport(findings, work.read, new, is_written=True)


def _make_base(rows: list[tuple[str, str, str, int, datetime | None, datetime | None]]) -> BaseList:
    base = BaseList()
    for outlet, medium, factor, fields, from_at, to_at in rows:
        base.add(BaseRow(outlet, "", None, medium, factor, fields, from_at, to_at))
    return base


def _read_rates(
    source: Source,
    base: BaseList,
    rates: dict[tuple[str, date, str], UpstreamRate],
    places: dict[tuple[str, date, str], str],
) -> None:
    """Read rates.csv into `rates`; `places` tells where each was found."""
    parsers: dict[str, Callable[[str], object]] = {
        "outlet": parse_id,
        "day": parse_day,
        "stage": parse_one_of(*STAGES),
        **dict.fromkeys(PERCENT_COLUMNS, _parse_percent),
    }
    for line, cells in read_rows(source, RATE_COLUMNS, PERCENT_COLUMNS):
        count = source.findings.count(Level.ERROR)
        named = zip((*RATE_COLUMNS, *PERCENT_COLUMNS), (cell.strip() for cell in cells), strict=True)
        values = {name: source.read(line, name, text, parsers[name]) for name, text in named}
        rate = UpstreamRate(*values.values())
        if values["outlet"] and check_listed(source, line, base, (values["outlet"], ANY_FACTOR)) and rate.day:
            _check_day(source, line, base, rate)
        if source.findings.count(Level.ERROR) > count:
            continue
        if all(values[name] is None for name in PERCENT_COLUMNS):
            source.add(line, "row", f"expected one of {', '.join(PERCENT_COLUMNS)} at least, came none")
        elif places.setdefault(rate.key, f"{source.name}:{line}") != f"{source.name}:{line}":
            source.add(line, "row", f"expected an outlet, day and stage once, {places[rate.key]} has the same")
        else:
            rates[rate.key] = rate


def _check_day(source: Source, line: int, base: BaseList, rate: UpstreamRate) -> None:
    start = datetime(rate.day.year, rate.day.month, rate.day.day, tzinfo=WIRE_ZONE)
    periods = base.periods_of(rate.outlet, ANY_FACTOR)
    if periods and not any(since < start + timedelta(days=1) and start < until for since, until, _ in periods):
        source.add(line, "day", f"expected a day on which {rate.outlet} is on the base list, came {rate.day}")


def parse_day(text: str) -> date:
    """Read a day."""
    expected = "a day such as 2026-01-31"
    if not _DAY.fullmatch(text):
        raise ValueError(expected)
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise ValueError(expected) from error


def _parse_percent(text: str) -> Decimal | None:
    if not text:
        return None
    if not _PERCENT.fullmatch(text) or Decimal(text) > _MOST_PERCENT:
        raise ValueError("a percentage, 0 to 100 with at most two decimals, or nothing")
    return Decimal(text)
