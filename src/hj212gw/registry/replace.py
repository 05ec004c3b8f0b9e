"""One data logger in the place of another: the same outlet from a moment on, under another MN."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from hj212gw.clock import Clock
from hj212gw.registry.cells import format_moment
from hj212gw.registry.changes import HeldRow, RowChanges
from hj212gw.registry.kinds import EARLIEST, KINDS, LATEST, Entry, Kind
from hj212gw.registry.sync import read_held, write_changes
from hj212gw.store.registry import RegistryStore

_LOGGERS = KINDS["data_loggers"]
_MOVING = frozenset(("channels", "units"))  # they are the outlet's, the others the device's
_DEPENDENT = [kind.name for kind in KINDS.values() if any(to.target == _LOGGERS.name for to in kind.references)]


class Swap(NamedTuple):
    """What is asked for.

    Attributes:
        old: MN of the data logger that goes.
        new: MN of the one that comes.
        at: the moment from which readings are the new one's, by DataTime.
        pw: the new one's password, None for any; a secret.
    """

    old: str
    new: str
    at: datetime
    pw: str | None = None

    def __repr__(self) -> str:
        return f"Swap({self.old!r}, {self.new!r}, {self.at})"


@dataclass(slots=True)
class SwapChanges(RowChanges):
    """What a replacement makes of one kind.

    Attributes:
        ended: how many rows of the old data logger end at the moment; rows that began later are dropped.
        moved: how many rows the new one gets.
    """

    ended: int = 0
    moved: int = 0


class SwapReport(NamedTuple):
    """What came of a replacement.

    Attributes:
        refusal: why nothing can be done; empty where it can.
        changes: by kind, what was or would be written.
        is_written: the database has it.
    """

    refusal: str
    changes: dict[str, SwapChanges]
    is_written: bool = False


async def replace_logger(store: RegistryStore, swap: Swap, clock: Clock, *, is_dry_run: bool = False) -> SwapReport:
    """Put one data logger in the place of another, all of it or nothing.

    The old one's row in force then ends there, and the new one gets it from there to where it ended, with outlet,
    ST, CNs, intervals, factors and role. Channels and units move along; dialects, time labels, keys
    and networks are the device's and end with it.

    Args:
        store: the registry's tables.
        swap: who, by whom, when.
        clock: gives the moment the rows were recorded.
        is_dry_run: write nothing.

    Raises:
        StoreError: the database failed; nothing was written.
    """
    if is_dry_run:
        async with store.snapshot():
            return plan_swap(await read_held(store), swap)
    async with store.change():
        report = plan_swap(await read_held(store), swap)
        if report.refusal:
            return report
        await write_changes(store, report.changes, clock.now())
    return report._replace(is_written=True)


def plan_swap(held: list[HeldRow], swap: Swap) -> SwapReport:
    """Tell what a replacement does to the current rows, or why it cannot be done. Pure."""
    loggers = [row for row in held if row.entry.kind is _LOGGERS]
    old = next((row for row in loggers if _is_of(row, swap.old) and row.entry.start <= swap.at < row.entry.end), None)
    refusal = _find_refusal(loggers, swap, old)
    if old is None or refusal:
        return SwapReport(refusal, {})
    until = old.entry.end
    changes = {name: SwapChanges() for name in (_LOGGERS.name, *_DEPENDENT)}
    change = changes[_LOGGERS.name]
    _cut(change, old, swap, until)
    change.added.append(_part(old.entry, swap.at, until, mn=swap.new, pw=swap.pw))
    change.moved = 1
    change.superseded += [row.row_id for row in loggers if row.is_found and row.entry.value("mn") == swap.new]
    for row in _dependents(held, swap, until):
        kind = row.entry.kind.name
        _cut(changes[kind], row, swap, until)
        if kind in _MOVING:
            changes[kind].moved += 1
            start, end = max(row.entry.start, swap.at), min(row.entry.end, until)
            changes[kind].added.append(_part(row.entry, start, end, mn=swap.new))
    return SwapReport("", changes)


def _is_of(row: HeldRow, mn: str) -> bool:
    return not row.is_found and bool(row.entry.value("mn") == mn)


def _find_refusal(loggers: list[HeldRow], swap: Swap, old: HeldRow | None) -> str:
    at = format_moment(swap.at)
    if swap.old == swap.new:
        return f"expected two data loggers, came {swap.old!r} twice"
    if old is None:
        periods = [row.entry.period for row in loggers if _is_of(row, swap.old)]
        known = f"it is {', '.join(periods)}" if periods else "it is not registered at all"
        return f"expected a data logger that is registered at {at}, came {swap.old!r}: {known}"
    taken = next(
        (row.entry for row in loggers if _is_of(row, swap.new) and _overlaps(row, swap.at, old.entry.end)), None
    )
    if taken is not None:
        return f"expected a data logger that is not registered from {at} on, came {swap.new!r}: it is {taken.period}"
    return ""


def _overlaps(row: HeldRow, start: datetime, end: datetime) -> bool:
    return row.entry.start < end and start < row.entry.end


def _dependents(held: list[HeldRow], swap: Swap, until: datetime) -> Iterator[HeldRow]:
    for row in held:
        if row.entry.kind.name in _DEPENDENT and _is_of(row, swap.old) and _overlaps(row, swap.at, until):
            yield row


def _cut(change: SwapChanges, row: HeldRow, swap: Swap, until: datetime) -> None:
    """Take the time from the replacement until `until` out of a row of the old data logger."""
    change.ended += 1
    change.superseded.append(row.row_id)
    if row.entry.start < swap.at:
        change.added.append(_part(row.entry, row.entry.start, swap.at))
    if row.entry.end > until:
        change.added.append(_part(row.entry, until, row.entry.end))


def _part(entry: Entry, start: datetime, end: datetime, **changed: Any) -> Entry:
    """Return a row with another period and other values."""
    kind: Kind = entry.kind
    period = {"valid_from": None if start == EARLIEST else start, "valid_to": None if end == LATEST else end}
    named = {**dict(zip(kind.columns, entry.values, strict=True)), **changed, **period}
    return Entry(kind, tuple(named.values()), None)
