"""Base list, hours and marks as CSV files, so that a figure can be checked without a database.

Every wrong line becomes a finding: reading never stops at the first. Times are on UTC+8, intervals half-open.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import NamedTuple

from hj212gw.assessment.tables import Source, parse_moment, parse_open, read_rows
from hj212gw.protocol.factors import match_factor
from hj212gw.protocol.times import WIRE_ZONE
from hj212gw.registry.cells import parse_code, parse_decimal, parse_id, parse_name, parse_number, parse_one_of
from hj212gw.registry.findings import Level
from hj212gw.registry.markkinds import KINDS_OF_MARKS, MANUAL

BASE_COLUMNS = ("enterprise", "county", "outlet", "medium", "factor", "fields", "from", "to")
MARK_COLUMNS = ("outlet", "factor", "kind", "from", "to", "recorded_at", "value")
ANY_FACTOR = "*"
MEDIA = ("water", "gas")
MOST_FIELDS = 8

_EARLIEST = datetime.min.replace(tzinfo=UTC)
_LATEST = datetime.max.replace(tzinfo=UTC)
_MOST_VALUE = 1e12

Series = tuple[str, str]  # outlet and factor
Period = tuple[datetime, datetime, int]  # from, to, fields


class BaseRow(NamedTuple):
    """A line of the base list; None where a period is open."""

    outlet: str
    enterprise: str
    county: str | None
    medium: str
    factor: str
    fields: int
    from_at: datetime | None
    to_at: datetime | None


class Mark(NamedTuple):
    """A line of the marks."""

    outlet: str
    factor: str
    kind: str
    from_at: datetime
    to_at: datetime | None
    recorded_at: datetime
    value: float | None


class BaseList:
    """What is assessed, and when.

    Attributes:
        rows: in order, without those that have a fault; `outlets` has the same by outlet.
        periods: of each outlet and factor, as (from, to, fields).
        broken: outlets of lines with a fault: others may speak of them and be right.
    """

    def __init__(self) -> None:
        self.rows: list[BaseRow] = []
        self.periods: dict[Series, list[Period]] = {}
        self.outlets: dict[str, list[BaseRow]] = {}
        self.broken: set[str] = set()

    def add(self, row: BaseRow) -> str | None:
        """Add a row; return what it contradicts, as column and reason."""
        others = self.outlets.setdefault(row.outlet, [])
        if others and row.medium != others[0].medium:
            return f"medium: expected {others[0].medium} as in the outlet's other lines, came {row.medium!r}"
        start, end = row.from_at or _EARLIEST, row.to_at or _LATEST
        if any(start < until and since < end for since, until, _ in self.periods.get((row.outlet, row.factor), ())):
            return f"factor: expected each time of {row.outlet} {row.factor} in one line, an earlier line overlaps"
        for other in others:
            is_same = (other.enterprise, other.county) == (row.enterprise, row.county)
            if not is_same and start < (other.to_at or _LATEST) and (other.from_at or _EARLIEST) < end:
                return f"enterprise: expected {other.enterprise} in {other.county or 'no county'} as in an earlier line"
        self.periods.setdefault((row.outlet, row.factor), []).append((start, end, row.fields))
        self.rows.append(row)
        others.append(row)
        return None

    def periods_of(self, outlet: str, factor: str) -> list[Period]:
        """Return the periods of an outlet and a factor, or any."""
        if factor != ANY_FACTOR:
            return self.periods.get((outlet, factor), [])
        factors = {row.factor for row in self.outlets.get(outlet, ())}
        return [period for factor in factors for period in self.periods[outlet, factor]]

    def find_period(self, series: Series, hour: datetime) -> Period | None:
        """Return the period of the list that an hour begins in, None where there is none."""
        return next((period for period in self.periods.get(series, ()) if period[0] <= hour < period[1]), None)


def read_base_list(source: Source) -> BaseList:
    """Read base_list.csv."""
    base = BaseList()
    parsers: dict[str, Callable[[str], object]] = {
        "enterprise": parse_id,
        "county": lambda text: parse_name(text) if text else None,
        "outlet": parse_id,
        "medium": parse_one_of(*MEDIA),
        "factor": parse_code,
        "fields": parse_number(range(1, MOST_FIELDS + 1)),
        "from": parse_open,
        "to": parse_open,
    }
    told: set[str] = set()
    for line, cells in read_rows(source, BASE_COLUMNS):
        texts = [cell.strip() for cell in cells]
        named = dict(zip(BASE_COLUMNS, texts, strict=True))
        count = source.findings.count(Level.ERROR)
        values = {name: source.read(line, name, named[name], parse) for name, parse in parsers.items()}
        _check_order(source, line, values["from"], values["to"])
        if source.findings.count(Level.ERROR) == count:
            columns = ("outlet", "enterprise", "county", "medium", "factor", "fields", "from", "to")
            fault = base.add(BaseRow(*(values[column] for column in columns)))
            if fault:
                column, _, reason = fault.partition(": ")
                source.add(line, column, reason)
            _tell_unknown(source, line, named, told)
        if source.findings.count(Level.ERROR) > count:
            base.broken.add(named["outlet"])
    return base


def read_marks(source: Source, base: BaseList) -> list[Mark]:
    """Read marks.csv; each has to speak of what is on the base list."""
    marks: dict[Mark, int] = {}
    parsers: dict[str, Callable[[str], object]] = {
        "outlet": parse_id,
        "factor": lambda text: text if text == ANY_FACTOR else parse_code(text),
        "kind": parse_one_of(*KINDS_OF_MARKS),
        "from": parse_moment,
        "to": parse_open,
        "recorded_at": parse_moment,
        "value": lambda text: parse_decimal(-_MOST_VALUE, _MOST_VALUE)(text) if text else None,
    }
    for line, cells in read_rows(source, MARK_COLUMNS):
        named = dict(zip(MARK_COLUMNS, (cell.strip() for cell in cells), strict=True))
        count = source.findings.count(Level.ERROR)
        values = {name: source.read(line, name, named[name], parse) for name, parse in parsers.items()}
        _check_order(source, line, values["from"], values["to"])
        if values["kind"] == MANUAL:
            _check_manual(source, line, named)
        if values["outlet"] and values["factor"]:
            check_listed(source, line, base, (values["outlet"], values["factor"]))
        if source.findings.count(Level.ERROR) > count:
            continue
        mark = Mark(*(values[column] for column in MARK_COLUMNS))
        if not _check_period(source, line, base, mark):
            continue
        if marks.setdefault(mark, line) != line:
            source.add(line, "row", f"the same as line {marks[mark]}: it counts once", Level.WARNING)
    return list(marks)


def _check_manual(source: Source, line: int, named: dict[str, str]) -> None:
    if not named["to"]:
        source.add(line, "to", "expected an end, since a manual value covers a stretch, came nothing")
    if not named["value"]:
        source.add(line, "value", "expected the manual value, came nothing")
    if named["factor"] == ANY_FACTOR:
        source.add(line, "factor", f"expected one factor for a manual value, came {ANY_FACTOR!r}")


def _check_period(source: Source, line: int, base: BaseList, mark: Mark) -> bool:
    """Tell whether any of a mark's time is on the base list; where none is, that is a finding."""
    periods = base.periods_of(mark.outlet, mark.factor)
    if mark.outlet in base.broken or any(
        since < (mark.to_at or _LATEST) and mark.from_at < until for since, until, _ in periods
    ):
        return True
    what = mark.outlet if mark.factor == ANY_FACTOR else f"{mark.outlet} {mark.factor}"
    stretches = ", ".join(_show_stretch(since, until) for since, until in sorted({period[:2] for period in periods}))
    message = f"expected hours that are on the base list, where {what} stands {stretches}"
    source.add(line, "from", f"{message}; came {_show_stretch(mark.from_at, mark.to_at or _LATEST)}")
    return False


def _show_stretch(start: datetime, end: datetime) -> str:
    if end == _LATEST:
        return f"from {show_moment(start)}"
    return f"until {show_moment(end)}" if start == _EARLIEST else f"{show_moment(start)} to {show_moment(end)}"


def _check_order(source: Source, line: int, start: datetime | None, end: datetime | None) -> None:
    if start is not None and end is not None and end <= start:
        source.add(line, "to", f"expected a moment after from, {show_moment(start)}, came {show_moment(end)}")


def check_listed(source: Source, line: int, base: BaseList, series: Series) -> bool:
    """Tell whether an outlet and a factor, or any, are on the base list; what is not is a finding."""
    outlet, factor = series
    if outlet in base.broken:
        return True
    if outlet not in base.outlets:
        source.add(line, "outlet", f"expected an outlet of the base list, came {outlet!r}")
        return False
    if factor != ANY_FACTOR and series not in base.periods:
        source.add(line, "factor", f"expected a factor of {outlet} on the base list, came {factor!r}")
        return False
    return True


def _tell_unknown(source: Source, line: int, named: dict[str, str], told: set[str]) -> None:
    code = named["factor"]
    if code not in told and match_factor(code, named["medium"]) is None:
        told.add(code)
        source.add(line, "factor", f"not in the catalogue: {code}; rules that name factors pass it by", Level.WARNING)


def show_moment(moment: datetime) -> str:
    """Write a moment as the files have it."""
    return moment.astimezone(WIRE_ZONE).strftime("%Y-%m-%dT%H:%M:%S").removesuffix(":00")
