"""Sealed days against the tables: which day is wrong, and how."""

from collections.abc import Callable
from datetime import date, datetime, timedelta
from typing import NamedTuple

from hj212gw.errors import StoreUnavailable
from hj212gw.store.archive import digest_part, read_entries
from hj212gw.store.digests import PARTS, DayDigest, Entry, find_break
from hj212gw.store.pool import CONNECTION_ERRORS, Connection, sort_error
from hj212gw.store.queries import load_query

# Kinds of findings; the ones in WRONG are faults, the others are said and are none.
CHANGED, MISSING, ADDED, BROKEN, UNEXPECTED = "changed", "missing", "added", "chain_broken", "not_as_expected"
NOT_CHECKABLE, LATE, RESEALED, SHORT = "not_checkable", "late", "resealed", "sealed_short"
WRONG = frozenset((CHANGED, MISSING, ADDED, BROKEN, UNEXPECTED))


class AuditFinding(NamedTuple):
    """One thing noticed; `day` and `part` are None and "" where it is about the chain, `kind` is one of those above."""

    kind: str
    day: date | None
    part: str
    detail: str

    @property
    def is_wrong(self) -> bool:
        """Whether the archive or the chain is not what it was."""
        return self.kind in WRONG


class Audit(NamedTuple):
    """What an audit found.

    Attributes:
        findings: in order of discovery.
        head: the newest entry; its `chained` is to be kept elsewhere. None where no day is sealed.
        checked: sealed parts of days whose digest was computed again.
    """

    findings: list[AuditFinding]
    head: Entry | None
    checked: int

    @property
    def is_good(self) -> bool:
        """Whether nothing is wrong."""
        return not any(finding.is_wrong for finding in self.findings)


class AuditRange(NamedTuple):
    """What to check.

    Attributes:
        first, last: days of arrival, local, inclusive.
        kept_since: retention may have dropped packets whose `qn_at` is before; None: it drops none.
        expected: a `chained` digest that was kept elsewhere; None: none was.
    """

    first: date = date.min
    last: date = date.max
    kept_since: datetime | None = None
    expected: bytes | None = None


async def audit_chain(
    connection: Connection, wanted: AuditRange, *, on_part: Callable[[float, date], None] | None = None
) -> Audit:
    """Check the whole chain's links, and the digests of the days asked for against the tables.

    Args:
        connection: its own for this; a day of many packets takes minutes.
        wanted: which days.
        on_part: told how much is done, 0 to 1, and which day comes next.

    Raises:
        StoreUnavailable: try again.
    """
    try:
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            walk = _Walk(wanted)
            async for entry in read_entries(connection):
                walk.take(entry)
            findings = walk.finish()
            written = await _read_written(connection, walk.newest)
            checked = 0
            for number, ((day, part), entry) in enumerate(sorted(walk.newest.items())):
                if on_part is not None:
                    on_part(number / len(walk.newest), day)
                if _is_dropped(entry, wanted.kept_since):
                    detail = "retention has dropped this day's packets, or some of them"
                    findings.append(AuditFinding(NOT_CHECKABLE, day, part, detail))
                    continue
                found = await digest_part(connection, day, part)
                findings += _compare(entry, found, written.get((day, part), 0))
                checked += 1
    except CONNECTION_ERRORS as error:
        raise StoreUnavailable(str(sort_error(error))) from error
    return Audit(findings, walk.head, checked)


class _Walk:
    """Goes along the chain once; keeps the newest entry of each part of a day asked for."""

    def __init__(self, wanted: AuditRange) -> None:
        self._wanted = wanted
        self._findings: list[AuditFinding] = []
        self._is_expected_met = wanted.expected is None
        self.newest: dict[tuple[date, str], Entry] = {}
        self.head: Entry | None = None

    def take(self, entry: Entry) -> None:
        """Take the next entry."""
        if self.head is None and entry.seq != 1:
            detail = f"the chain begins with entry {entry.seq}: what stood before was taken out"
            self._findings.append(AuditFinding(BROKEN, entry.day, entry.part, detail))
        broken = find_break([entry], self.head)
        if broken:
            self._findings.append(AuditFinding(BROKEN, entry.day, entry.part, broken))
        self.head = entry
        self._is_expected_met = self._is_expected_met or entry.chained == self._wanted.expected
        if not self._wanted.first <= entry.day <= self._wanted.last:
            return
        before = self.newest.get((entry.day, entry.part))
        self.newest[entry.day, entry.part] = entry
        if before is not None:
            detail = f"sealed again by entry {entry.seq}: {entry.rows} rows, entry {before.seq} had {before.rows}"
            self._findings.append(AuditFinding(RESEALED, entry.day, entry.part, detail))

    def finish(self) -> list[AuditFinding]:
        """Return what was found, a digest that was expected and did not come included."""
        if not self._is_expected_met and self._wanted.expected is not None:
            detail = f"no entry has the digest {self._wanted.expected.hex()}: the chain was rewritten or cut short"
            self._findings.append(AuditFinding(UNEXPECTED, None, "", detail))
        return self._findings


async def _read_written(connection: Connection, entries: dict[tuple[date, str], Entry]) -> dict[tuple[date, str], int]:
    if not entries:
        return {}
    days = [day for day, _ in entries]
    rows = await connection.fetch(load_query("read_written"), min(days), max(days))
    return {(row["day"], part): row[part] for row in rows for part in PARTS}


def _is_dropped(entry: Entry, kept_since: datetime | None) -> bool:
    """Tell whether retention may have dropped packets of an entry."""
    return kept_since is not None and entry.oldest_qn_at is not None and entry.oldest_qn_at < kept_since


def _compare(entry: Entry, found: DayDigest, written: int) -> list[AuditFinding]:
    """Compare what a part of a day was sealed with and what the tables hold of it."""
    findings = []
    if entry.written > entry.rows:
        detail = f"{entry.written} rows were written, {entry.rows} were there when entry {entry.seq} sealed them"
        findings.append(AuditFinding(SHORT, entry.day, entry.part, detail))
    if found[:2] == (entry.rows, entry.digest):
        return findings
    late = max(0, written - entry.written)
    difference = found.rows - entry.rows
    text = f"{entry.rows} rows were sealed by entry {entry.seq}, {found.rows} are there"
    if late and difference == late:
        kind, detail = LATE, f"{text}: {late} were written since and wait for their entry (hj212gw db seal)"
    elif difference > late:
        kind, detail = ADDED, f"{text}: {difference - late} are there that no journal wrote"
    elif difference < late:
        kind, detail = MISSING, f"{text}: {late - difference} are missing"
    else:
        kind, detail = CHANGED, f"{text}, and what they hold is not what was sealed"
    return [*findings, AuditFinding(kind, entry.day, entry.part, detail)]


def kept_since(now: datetime, packets_days: int | None) -> datetime | None:
    """Tell from which `qn_at` on packets are kept, None where all are."""
    return None if packets_days is None else now - timedelta(days=packets_days)
