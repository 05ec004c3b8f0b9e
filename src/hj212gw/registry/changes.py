"""What files would change in the registry, and what stands against it. Pure: rows in, findings and a plan out."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from operator import attrgetter
from typing import NamedTuple

from hj212gw.registry.csvfiles import FileRows
from hj212gw.registry.findings import Finding, Findings, Level
from hj212gw.registry.kinds import KINDS, Entry, Place

_Group = tuple[str, tuple[str, ...]]  # kind and key: what a row is about


class HeldRow(NamedTuple):
    """A current row of the database; `is_found` where the gateway made it from a packet."""

    entry: Entry
    row_id: int
    is_found: bool


@dataclass(slots=True)
class RowChanges:
    """Rows of one kind that come and go.

    Attributes:
        added: rows that are written, replacing ones included.
        superseded: numbers of the database's rows that end, those replaced and those found.
    """

    added: list[Entry] = field(default_factory=list)
    superseded: list[int] = field(default_factory=list)


@dataclass(slots=True)
class KindChanges(RowChanges):
    """What an import makes of one kind.

    Attributes:
        replaced: how many rows of the database get a new version.
        unchanged: how many rows of the files stand in the database already.
        registered: how many data loggers found by the gateway become registered.
    """

    replaced: int = 0
    unchanged: int = 0
    registered: int = 0

    @property
    def new(self) -> int:
        """Return how many rows are written that replace none."""
        return len(self.added) - self.replaced


def plan_changes(rows: FileRows, held: list[HeldRow] | None, findings: Findings) -> dict[str, KindChanges]:
    """Compare the rows of files with those the database holds.

    Args:
        rows: what could be read of the files.
        held: the database's current rows; None when no database was asked.
        findings: gets an error for each row that repeats or overlaps another, or that refers to a row that is
            missing or holds for a shorter time.

    Returns:
        By kind what is to be written; only fit for it when there are no errors.
    """
    entries = list(_drop_repeats(rows.entries, findings))
    changes = {name: KindChanges() for name in KINDS}
    kept = _match(entries, held or [], changes)
    _check_overlaps([*entries, *kept], findings)
    _References(rows, [*entries, *kept], findings, is_complete=held is not None).check()
    return changes


def current_entries(changes: dict[str, KindChanges], held: Iterable[HeldRow]) -> list[Entry]:
    """Return the rows that would hold after the changes, those found by the gateway left out."""
    ended = {(name, row_id) for name, change in changes.items() for row_id in change.superseded}
    kept = [row.entry for row in held if not row.is_found and (row.entry.kind.name, row.row_id) not in ended]
    return kept + [entry for change in changes.values() for entry in change.added]


def _group_of(entry: Entry) -> _Group:
    return entry.kind.name, entry.key


def _drop_repeats(entries: list[Entry], findings: Findings) -> Iterator[Entry]:
    first: dict[tuple[_Group, datetime], Entry] = {}
    for entry in entries:
        earlier = first.setdefault((_group_of(entry), entry.start), entry)
        if earlier is entry:
            yield entry
            continue
        what = "the same row" if earlier.values == entry.values else "the same id and valid_from"
        _add_error(findings, entry.place, entry.kind.key[0], f"expected each row once, came {what} as in {earlier}")


def _match(entries: list[Entry], held: list[HeldRow], changes: dict[str, KindChanges]) -> list[Entry]:
    """Fill in the changes; return the database's rows that stay and that no file repeats."""
    asked = {(_group_of(entry), entry.start): entry for entry in entries}
    groups = {_group_of(entry) for entry in entries}
    kept = []
    for row in held:
        group = _group_of(row.entry)
        change = changes[row.entry.kind.name]
        new = None if row.is_found else asked.get((group, row.entry.start))
        if new is not None and new.values == row.entry.values:
            change.unchanged += 1
            del asked[group, new.start]
        elif new is not None:
            change.replaced += 1
            change.superseded.append(row.row_id)
        elif row.is_found and group in groups:
            change.registered += 1
            change.superseded.append(row.row_id)
        elif not row.is_found:
            kept.append(row.entry)
    for entry in asked.values():
        changes[entry.kind.name].added.append(entry)
    return kept


def _check_overlaps(entries: list[Entry], findings: Findings) -> None:
    by_group: dict[_Group, list[Entry]] = defaultdict(list)
    for entry in entries:
        if entry.kind.may_overlap:
            continue
        by_group[_group_of(entry)].append(entry)
    for group in by_group.values():
        group.sort(key=attrgetter("start"))
        widest = group[0]
        for entry in group[1:]:
            own, other = (entry, widest) if entry.place else (widest, entry)
            if entry.start < widest.end and own.place:
                message = f"expected periods of one id not to overlap, {own.period} overlaps {other}"
                _add_error(findings, own.place, "valid_from", message)
            widest = max(widest, entry, key=attrgetter("end"))


class _References:
    """Checks that what rows refer to is there, and for as long as they hold.

    Args:
        rows: what could be read of the files.
        entries: all rows there would be, of files and database.
        findings: gets what is wrong.
        is_complete: the database's rows are among the entries.
    """

    def __init__(self, rows: FileRows, entries: list[Entry], findings: Findings, *, is_complete: bool) -> None:
        self._rows = rows
        self._entries = entries
        self._findings = findings
        self._is_complete = is_complete
        self._periods: dict[_Group, list[tuple[datetime, datetime]]] = defaultdict(list)
        self._changed: dict[_Group, Place] = {}
        for entry in entries:
            self._periods[_group_of(entry)].append((entry.start, entry.end))
            if entry.place:
                self._changed.setdefault(_group_of(entry), entry.place)

    def check(self) -> None:
        """Check every reference that these files can have touched."""
        if not self._rows.is_whole:
            return  # what is missing may stand in what could not be read
        for entry in self._entries:
            for column, target in entry.kind.references:
                wanted = entry.value(column)
                if wanted is not None and (target, wanted) not in self._rows.broken:
                    self._check_one(entry, column, (target, (wanted,)))

    def _check_one(self, entry: Entry, column: str, group: _Group) -> None:
        target, (wanted,) = group
        periods = self._periods.get(group)
        if periods is None and entry.place:
            self._add_missing(entry.place, column, target, wanted)
        elif periods and find_gap(periods, entry.start, entry.end):
            if entry.place:
                message = f"expected a row of {target} {wanted!r} for all the time {entry.period}, came a shorter one"
                _add_error(self._findings, entry.place, column, message)
            elif group in self._changed:
                needs = (
                    f"{entry.kind.name} {' '.join(filter(None, entry.key))!r} in the database needs it {entry.period}"
                )
                _add_error(self._findings, self._changed[group], "valid_to", f"expected a longer period: {needs}")

    def _add_missing(self, place: Place, column: str, target: str, wanted: str) -> None:
        where = "these files or the database" if self._is_complete else "these files (no database was asked)"
        is_certain = self._is_complete or target in self._rows.kinds
        level = Level.ERROR if is_certain else Level.WARNING
        message = f"expected an id that stands among the {target} in {where}, came {wanted!r}"
        self._findings.add(Finding(*place, column, level, message))


def find_gap(periods: Iterable[tuple[datetime, datetime]], start: datetime, end: datetime) -> datetime | None:
    """Return the first moment from `start` to `end` in which no period holds, None where one always does."""
    reached = start
    for from_at, to_at in sorted(periods):
        if from_at > reached:
            break
        reached = max(reached, to_at)
    return reached if reached < end else None


def _add_error(findings: Findings, place: Place | None, column: str, message: str) -> None:
    assert place is not None
    findings.add(Finding(*place, column, Level.ERROR, message))
