"""hours.csv: millions of lines, so what was read once is looked up, and a line becomes text of COPY at once."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import NamedTuple

from hj212gw.assessment.files import BaseList, Period, Series, check_listed, show_moment
from hj212gw.assessment.tables import Source, parse_moment, read_rows
from hj212gw.registry.cells import parse_number
from hj212gw.registry.findings import Level

HOUR_COLUMNS = ("outlet", "factor", "hour", "arrived_at", "fields_received", "mean_present", "data_flag")
FILLED = "is_filled"  # may be left out: the platform's label 6, filled in (补缺), not 0, reported (上报)
PROVENANCE = "provenance"  # the same as that label
OPTIONAL_COLUMNS = (FILLED, PROVENANCE)

_BOOLEANS = {"true": "t", "yes": "t", "1": "t", "t": "t", "false": "f", "no": "f", "0": "f", "f": "f"}
_BOOLEAN_EXPECTED = "true or false"
_LABELS = {"": "false", "0": "false", "6": "true"}
_REPORTED = ("", "0")
_FLAG = re.compile(r"[0-9A-Za-z]{0,8}")
_BATCH_LINES = 4096
_MOST_KNOWN = 200_000  # texts of moments that are remembered

Key = tuple[str, str, datetime, datetime]


class _Due(NamedTuple):
    """What lines of one outlet and factor begin with in COPY, and the period their hours lie in."""

    head: str
    since: datetime
    until: datetime
    counts: frozenset[str]


class HoursReader:
    """Reads hours.csv.

    Args:
        base: what may stand in the file.
        before: a column that stands before a line's own ones in what is yielded.

    Attributes:
        count: lines without a fault.
        first, last: hours among them, None where there are none.
    """

    def __init__(self, base: BaseList, before: str) -> None:
        self._base = base
        self._before = _escape(before)
        self._dues: dict[Series, _Due] = {}
        self._hours: dict[str, tuple[datetime, str]] = {}
        self._arrivals: dict[str, str] = {}
        self._flags: dict[str, str] = {}
        self.count = 0
        self.first: datetime | None = None
        self.last: datetime | None = None

    def read(self, source: Source) -> Iterator[bytes]:
        """Yield the lines without a fault as text of COPY, in the order of the table's columns."""
        batch: list[str] = []
        for line, cells in read_rows(source, HOUR_COLUMNS, OPTIONAL_COLUMNS):
            text = self._take(cells) or self._explain(source, line, [cell.strip() for cell in cells])
            if text is None:
                continue
            batch.append(text)
            if len(batch) == _BATCH_LINES:
                yield self._flush(batch)
        yield self._flush(batch)
        hours = [at for at, _ in self._hours.values()]
        self.first, self.last = min(hours, default=None), max(hours, default=None)

    def _flush(self, batch: list[str]) -> bytes:
        self.count += len(batch)
        text = "".join(batch)
        batch.clear()
        return text.encode()

    def _take(self, cells: list[str]) -> str | None:
        """Read a line whose texts were all met before, and which is right; None for any other."""
        outlet, factor, hour, arrived, fields, mean, flag, filled, label = cells
        due, known = self._dues.get((outlet, factor)), self._hours.get(hour)
        came, mean_text = self._arrivals.get(arrived) or self._learn(arrived), _BOOLEANS.get(mean)
        flag_text = self._flags.get(flag)
        if due is None or known is None or came is None or mean_text is None or flag_text is None or filled:
            return None
        if label not in _REPORTED:
            return None
        at, hour_text = known
        if not due.since <= at < due.until or fields not in due.counts:
            return None
        if fields == "0" and mean_text == "t":
            return None  # odd
        return f"{due.head}{hour_text}\t{came}\t{fields}\t{mean_text}\t{flag_text}\tf\n"

    def _explain(self, source: Source, line: int, cells: list[str]) -> str | None:
        """Read a line cell by cell, and remember what it holds; None with findings where it has a fault."""
        named = dict(zip((*HOUR_COLUMNS, *OPTIONAL_COLUMNS), cells, strict=True))
        count = source.findings.count(Level.ERROR)
        series = (named["outlet"], named["factor"])
        hour = source.read(line, "hour", named["hour"], _parse_hour)
        arrived = source.read(line, "arrived_at", named["arrived_at"], parse_moment)
        mean = source.read(line, "mean_present", named["mean_present"], _parse_boolean)
        flag = source.read(line, "data_flag", named["data_flag"], _parse_flag)
        label = source.read(line, PROVENANCE, named[PROVENANCE], _parse_label)
        filled = source.read(line, FILLED, named[FILLED] or label or "false", _parse_boolean)
        period = self._find_period(source, line, series, hour)
        most = period[2] if period else 8
        fields = source.read(line, "fields_received", named["fields_received"], parse_number(range(most + 1)))
        if source.findings.count(Level.ERROR) > count or period is None:
            return None
        if fields == 0 and mean == "t":
            source.add(line, "fields_received", "the mean came, and no field", Level.WARNING)
        self._remember(series, period, (named["hour"], hour))
        self._flags[named["data_flag"]] = flag
        moments = f"{self._hours[named['hour']][1]}\t{arrived.isoformat()}"
        return f"{self._dues[series].head}{moments}\t{fields}\t{mean}\t{flag}\t{filled}\n"

    def _find_period(self, source: Source, line: int, series: Series, hour: datetime | None) -> Period | None:
        if not check_listed(source, line, self._base, series) or hour is None:
            return None
        period = self._base.find_period(series, hour)
        if period is None and series[0] not in self._base.broken:
            times = ", ".join(map(_show_period, self._base.periods[series]))
            source.add(line, "hour", f"expected an hour on the base list, {times}, came {show_moment(hour)}")
        return period

    def _learn(self, text: str) -> str | None:
        """Read a moment not met before as COPY takes it; None where it cannot be read."""
        try:
            moment = parse_moment(text)
        except ValueError:
            return None
        if len(self._arrivals) >= _MOST_KNOWN:
            self._arrivals.clear()
        known = self._arrivals[text] = moment.isoformat()
        return known

    def _remember(self, series: Series, period: Period, hour: tuple[str, datetime]) -> None:
        since, until, fields = period
        head = "".join(f"{_escape(text)}\t" for text in (self._before, *series))
        self._dues[series] = _Due(head, since, until, frozenset(map(str, range(fields + 1))))
        self._hours[hour[0]] = (hour[1], hour[1].isoformat())


def find_repeats(source: Source, keys: set[Key]) -> None:
    """Note every line but the first of outlets, factors, hours and arrivals that stand in hours.csv repeatedly."""
    seen: dict[Key, int] = {}
    for line, cells in read_rows(source, HOUR_COLUMNS, OPTIONAL_COLUMNS):
        outlet, factor, hour, arrived = (cell.strip() for cell in cells[:4])
        key = (outlet, factor, parse_moment(hour), parse_moment(arrived))
        if key in keys and seen.setdefault(key, line) != line:
            message = f"expected an outlet, factor, hour and arrival once, line {seen[key]} has the same"
            source.add(line, "arrived_at", message)


def _parse_hour(text: str) -> datetime:
    hour = parse_moment(text)
    if hour.minute or hour.second or hour.microsecond:
        raise ValueError("a full hour such as 2026-01-31T08:00")
    return hour


def _parse_boolean(text: str) -> str:
    if text.lower() not in _BOOLEANS:
        raise ValueError(_BOOLEAN_EXPECTED)
    return _BOOLEANS[text.lower()]


def _parse_label(text: str) -> str:
    if text not in _LABELS:
        raise ValueError("0 reported, 6 filled in, or nothing for 0")
    return _LABELS[text]


def _parse_flag(text: str) -> str:
    if not _FLAG.fullmatch(text):
        raise ValueError("a data flag such as N or D, or nothing for N")
    return text or "N"


def _show_period(period: Period) -> str:
    since, until, _ = period
    start = "ever" if since == datetime.min.replace(tzinfo=UTC) else show_moment(since)
    end = "open" if until == datetime.max.replace(tzinfo=UTC) else show_moment(until)
    return f"{start} to {end}"


def _escape(text: str) -> str:
    return text.replace("\\", "\\\\")
