"""Marks in files against those of the database: what is new, what goes on, what stands already. Pure.

A mark is told by what it says: outlet, factor, kind, period, value, and when it was recorded where the file says so.
One that stands is never changed. A file may add what became of it since: an end, a decision, a proof.
"""

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from hj212gw.registry.cells import ALL_FACTORS, format_moment
from hj212gw.registry.changes import find_gap
from hj212gw.registry.csvfiles import FileRows
from hj212gw.registry.findings import Finding, Findings, Level
from hj212gw.registry.kinds import MARKS, Entry, Place
from hj212gw.registry.markkinds import ACCEPTED, DECLARED, ENDED, NATIONAL, PROOF, SOURCES, earlier_states, refuse_state
from hj212gw.store.marks import NewEvent, NewMark, StoredMark

_Period = tuple[datetime, datetime]
_INSTANT = timedelta(microseconds=1)
_MOMENTS = ("recorded_at", "decided_at", "proof_at")
_SAID = ("outlet", "factor", "kind", "from", "to", "value", "note", "source")
_KEPT = ("source", "author", "note")  # what a file cannot change of a mark that stands


class Word(NamedTuple):
    """Who says something, and when."""

    by: str
    now: datetime


@dataclass(slots=True)
class MarkChanges:
    """What an import makes of marks.

    Attributes:
        added: new marks, each with what became of it.
        continued: numbers of marks that stand, each with what became of it since.
        unchanged: how many marks of the files stand just so.
        numbers: of the new marks, once they are written.
    """

    added: list[tuple[NewMark, list[NewEvent]]] = field(default_factory=list)
    continued: list[tuple[int, list[NewEvent]]] = field(default_factory=list)
    unchanged: int = 0
    numbers: list[int] = field(default_factory=list)


class Listing:
    """What marks can be of: outlets, and what of them is on the base list when.

    Args:
        entries: dated rows as they would stand.
        rows: what could be read of the files; who a broken row is about is not judged.
        is_complete: the database's rows are among the entries.
    """

    def __init__(self, entries: list[Entry], rows: FileRows, *, is_complete: bool) -> None:
        self._rows = rows
        self._is_complete = is_complete
        self._outlets = {entry.value("outlet") for entry in entries if entry.kind.name == "outlets"}
        self._listed: dict[tuple[str, str], list[_Period]] = defaultdict(list)
        for entry in entries:
            if entry.kind.name == "base_list":
                for factor in (entry.value("factor"), ALL_FACTORS):
                    self._listed[entry.value("outlet"), factor].append((entry.start, entry.end))

    def check(self, mark: Entry, findings: Findings) -> None:
        """Find what is wrong with where and when a mark is."""
        outlet, factor = mark.value("outlet"), mark.value("factor")
        if not self._rows.is_whole or {("outlets", outlet), ("base_list", outlet)} & self._rows.broken:
            return
        if outlet not in self._outlets:
            message = f"expected an id that stands among the outlets in {self._where}, came {outlet!r}"
            self._add(mark, "outlet", "outlets", message, findings)
            return
        periods = self._listed.get((outlet, factor), [])
        gap = find_gap(periods, mark.start, mark.end if mark.value("to") else mark.start + _INSTANT)
        lacking = f"no factor of {outlet!r} is" if factor == ALL_FACTORS else f"{factor} of {outlet!r} is not"
        if not periods:
            message = f"expected what is on the base list in {self._where}, {lacking} on it"
            self._add(mark, "factor", "base_list", message, findings)
        elif gap is not None:
            message = f"expected hours that are on the base list, {lacking} on it at {format_moment(gap)}"
            self._add(mark, "from" if gap == mark.start else "to", "base_list", message, findings)

    @property
    def _where(self) -> str:
        return "these files or the database" if self._is_complete else "these files (no database was asked)"

    def _add(self, mark: Entry, column: str, of: str, message: str, findings: Findings) -> None:
        is_certain = self._is_complete or of in self._rows.kinds
        _add(findings, mark.place, column, message, Level.ERROR if is_certain else Level.WARNING)


def plan_marks(rows: FileRows, listing: Listing, held: list[StoredMark], word: Word, findings: Findings) -> MarkChanges:
    """Compare the marks of files with those the database holds.

    Args:
        rows: what could be read of the files.
        listing: what marks can be of.
        held: the database's marks.
        word: who imports, and when: for what the files leave open.
        findings: gets an error for each mark that is of nothing on the base list, stands twice, knows the future or
            says of a mark that stands what cannot become of it.

    Returns:
        What is to be written; only fit for it when there are no errors.
    """
    changes = MarkChanges()
    stand = _Standing(held)
    # One that names when it was recorded takes its own mark before one that does not takes any.
    for mark in sorted(_drop_repeats(rows.marks, findings), key=lambda mark: mark.value("recorded_at") is None):
        listing.check(mark, findings)
        _check_moments(mark, word.now, findings)
        found = stand.take(mark)
        if found is None:
            changes.added.append(_begin(mark, word, findings))
            continue
        events = _continue(mark, found, word, findings)
        if events:
            changes.continued.append((found.mark_id, events))
        else:
            changes.unchanged += 1
    return changes


def to_cells(mark: StoredMark) -> tuple[Any, ...]:
    """Return the values of a mark in the order of its file's columns."""
    named = mark._asdict() | {"from": mark.from_at, "to": mark.to_at}
    return tuple(named[column] for column in MARKS.columns)


class _Standing:
    """The marks of the database, each to be found once."""

    def __init__(self, held: list[StoredMark]) -> None:
        self._marks: dict[tuple[Any, ...], list[StoredMark]] = defaultdict(list)
        for mark in held:
            self._marks[mark.outlet, mark.factor, mark.kind, mark.from_at].append(mark)

    def take(self, mark: Entry) -> StoredMark | None:
        """Return the mark that a row says again or goes on with, None where it is new."""
        recorded_at, to_at = mark.value("recorded_at"), mark.value("to")
        marks = self._marks.get((*mark.key, mark.start), [])
        alike = [
            held for held in marks if held.value == mark.value("value") and recorded_at in (None, held.recorded_at)
        ]
        same = [held for held in alike if to_at in (held.to_at, held.declared_to)]
        same += [held for held in alike if held.to_at is None and held.state in (DECLARED, ACCEPTED)]
        if not same:
            return None
        marks.remove(same[0])
        return same[0]


def _drop_repeats(marks: list[Entry], findings: Findings) -> list[Entry]:
    first: dict[tuple[Any, ...], Entry] = {}
    for mark in marks:
        said = tuple(map(mark.value, ("outlet", "factor", "kind", "from", "to", "value", "recorded_at")))
        earlier = first.setdefault(said, mark)
        if earlier is not mark:
            message = f"expected each mark once, came the same one as in {earlier.place}"
            _add(findings, mark.place, "outlet", message)
    return list(first.values())


def _check_moments(mark: Entry, now: datetime, findings: Findings) -> None:
    for column in _MOMENTS:
        moment = mark.value(column)
        if moment is not None and moment > now:
            message = f"expected a moment that is past, came {format_moment(moment)}"
            _add(findings, mark.place, column, message)


def _begin(mark: Entry, word: Word, findings: Findings) -> tuple[NewMark, list[NewEvent]]:
    author = mark.value("author") or word.by
    outlet, factor, kind, from_at, to_at, value, note, source = map(mark.value, _SAID)
    recorded_at = mark.value("recorded_at") or word.now
    new = NewMark(outlet, factor, kind, from_at, to_at, value, note, source, author, recorded_at)
    events = []
    if mark.value("state") != DECLARED:
        events = _decide(mark, (source, author, DECLARED), word, findings)
    return new, events + _prove(mark, word)


def _continue(mark: Entry, held: StoredMark, word: Word, findings: Findings) -> list[NewEvent]:
    """Return what a row adds to a mark that stands."""
    events = []
    if held.to_at is None and mark.value("to") is not None:
        events.append(NewEvent(ENDED, mark.value("author") or word.by, word.now, mark.value("to")))
    if mark.value("state") not in (held.state, *earlier_states(held.state)):
        events += _decide(mark, (held.source, held.author, held.state), word, findings)
    if held.proof_sha256 is None and held.state in (DECLARED, ACCEPTED):
        events += _prove(mark, word)
    if events and held.source == NATIONAL != mark.value("source"):
        message = f"expected {NATIONAL}: mark {held.mark_id} is of the national platform and goes on by its word alone"
        _add(findings, mark.place, "source", message)
    _warn_of_what_stays(mark, held, findings)
    return events


def _warn_of_what_stays(mark: Entry, held: StoredMark, findings: Findings) -> None:
    for column in _KEPT:
        was, said = getattr(held, column), mark.value(column)
        if said not in (None, was) and not (column == "source" and said == SOURCES[0]):  # its cell may be empty
            message = f"mark {held.mark_id} stands with {'nothing' if was is None else repr(was)} and stays so"
            _add(findings, mark.place, column, message, Level.WARNING)
    if mark.value("proof_sha256") and held.proof_sha256 not in (None, mark.value("proof_sha256")):
        message = f"mark {held.mark_id} has another proof, and its voucher counts from that one on"
        _add(findings, mark.place, "proof_sha256", message, Level.WARNING)


def _decide(mark: Entry, was: tuple[str, str, str], word: Word, findings: Findings) -> list[NewEvent]:
    """Return the decision that a row tells of a mark that was of a source, an author and a state."""
    source, author, state = was
    wanted, by = mark.value("state"), mark.value("decided_by")
    # Who decides for the national platform is no business of ours.
    refusal = refuse_state("" if source == NATIONAL else author, state, wanted, by)
    if refusal:
        _add(findings, mark.place, "state", f"expected a state that the mark can come into, came {wanted!r}: {refusal}")
    return [NewEvent(wanted, by, mark.value("decided_at") or word.now)]


def _prove(mark: Entry, word: Word) -> list[NewEvent]:
    digest = mark.value("proof_sha256")
    if digest is None:
        return []
    by, at = mark.value("author") or word.by, mark.value("proof_at") or word.now
    return [NewEvent(PROOF, by, at, proof_sha256=digest, proof_name=mark.value("proof_name"))]


def _add(findings: Findings, place: Place | None, column: str, message: str, level: Level = Level.ERROR) -> None:
    assert place is not None
    findings.add(Finding(*place, column, level, message))
