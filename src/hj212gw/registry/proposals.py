"""From what the gateway proposes to a dated row of the registry, by a person's word."""

from datetime import datetime
from typing import Any, NamedTuple

from hj212gw.errors import ConfigError
from hj212gw.protocol.factors import find_factor
from hj212gw.protocol.faults import REPAIRS
from hj212gw.registry.cells import format_moment
from hj212gw.registry.kinds import EARLIEST, KINDS, LATEST, Entry
from hj212gw.store.proposals import ACCEPTED, DISMISSED, ProposalStore, Wanted
from hj212gw.store.registry import StoredRow

_Span = tuple[datetime, datetime]

_PERIOD = ("valid_from", "valid_to")
_INSTEAD = {
    "clock": "set the data logger's clock; the proposal comes no more when it is right",
    "register": "add it to data_loggers.csv, then: hj212gw registry import data_loggers.csv",
    "key": "ask for its key and add it to cipher_keys.csv, then: hj212gw registry import cipher_keys.csv",
}


class Setting(NamedTuple):
    """A row to be written.

    Attributes:
        table: of the registry.
        columns: without the period; the first `key_count` say what the row is about.
        key_count: how many.
        values: one a column.
    """

    table: str
    columns: tuple[str, ...]
    key_count: int
    values: tuple[Any, ...]

    @property
    def key(self) -> tuple[Any, ...]:
        """Return what the row is about."""
        return self.values[: self.key_count]


class Accepted(NamedTuple):
    """The settings that hold now, and for how long, in words."""

    settings: list[Setting]
    period: str


async def accept_proposal(
    store: ProposalStore, wanted: Wanted, start: datetime | None, now: datetime, by: str
) -> Accepted:
    """Write the rows that proposals ask for and mark them as accepted: both, or nothing.

    Args:
        store: where the proposals and the registry are.
        wanted: which proposals.
        start: from when the rows hold; None for as long as the data logger is registered. A row of the same key that
            holds then ends there.
        now: when this is decided.
        by: who decides.

    Returns:
        The settings that hold now, also those that did before, and the period asked for.

    Raises:
        ConfigError: nothing was written: no such proposal, or none that a row can answer, or the data logger is not
            registered then, or a row of the same key begins at `start` or later.
        StoreError: the database failed; nothing was written.
    """
    async with store.registry.change():
        places = await store.decide(wanted, ACCEPTED, now, by)
        _check_found(places, wanted)
        settings = [setting for st, cn in places for setting in _make_settings(wanted, st, cn)]
        span = await _find_period(store, wanted.mn, start)
        for setting in settings:
            await _write(store, setting, span, now)
    return Accepted(settings, _show_period(span))


async def dismiss_proposal(store: ProposalStore, wanted: Wanted, now: datetime, by: str) -> int:
    """Mark proposals as dismissed; return how many. Rows of the registry stay as they are.

    Raises:
        ConfigError: no such proposal.
        StoreError: the database failed; nothing was written.
    """
    async with store.registry.change():
        places = await store.decide(wanted, DISMISSED, now, by)
        _check_found(places, wanted)
    return len(places)


def explain_repair(what: str, value: str) -> str:
    """Say what to do about a proposal that no row of the registry answers; "" for the others."""
    if what == "repair":
        fault = REPAIRS.get(value)
        meaning = fault.meaning if fault else "unknown to this version"
        return f"the data logger's maker has to mend it: {meaning}. Dismiss it when it is known"
    return _INSTEAD.get(what, "")


def _check_found(places: list[tuple[str, str]], wanted: Wanted) -> None:
    if not places:
        message = f"no proposal {wanted.what} {wanted.value!r} of {wanted.mn!r}: see hj212gw registry proposals --all"
        raise ConfigError(message)


def _make_settings(wanted: Wanted, st: str, cn: str) -> list[Setting]:
    instead = explain_repair(wanted.what, wanted.value)
    if instead:
        message = f"{wanted.what} {wanted.value} cannot be accepted: {instead}"
        raise ConfigError(message)
    mn, parts = wanted.mn, wanted.value.split(" ")
    if wanted.what == "dialect":
        return [Setting("dialects", ("mn", "dialect"), 2, (mn, slug)) for slug in parts]
    if wanted.what == "time_label":
        return [Setting("time_labels", ("mn", "st", "cn", "label"), 3, (mn, st, cn, wanted.value))]
    if wanted.what == "rename":
        code, factor = parts
        return [_make_unit(mn, code, factor, _catalogue_unit(factor), 1.0)]
    code, factor, *unit, scale = parts
    return [_make_unit(mn, code, factor, " ".join(unit), float(scale))]


def _make_unit(mn: str, code: str, factor: str, unit: str, scale: float) -> Setting:
    return Setting("units", ("mn", "code", "factor", "unit", "scale"), 2, (mn, code, factor, unit, scale))


def _catalogue_unit(code: str) -> str:
    factor = find_factor(code)
    if factor is None or not factor.unit:
        message = f"the catalogue has no unit for {code}: write the row with its unit into units.csv and import it"
        raise ConfigError(message)
    return factor.unit


async def _find_period(store: ProposalStore, mn: str, start: datetime | None) -> _Span:
    """Return from when to when a row of a data logger may hold: no longer than the registry has the data logger.

    Args:
        store: of the registry.
        mn: of the data logger.
        start: wanted; None for as long as it is registered without a gap up to now.

    Raises:
        ConfigError: it is not registered, or not at `start`.
    """
    kind = KINDS["data_loggers"]
    rows = await store.registry.read_rows(kind.name, kind.columns)
    entries = [Entry(kind, row.values, None) for row in rows if not row.is_found]
    runs = _join_periods([(entry.start, entry.end) for entry in entries if entry.key == (mn,)])
    if not runs:
        message = f"{mn!r} is not registered: {_INSTEAD['register']}"
        raise ConfigError(message)
    if start is None:
        return runs[-1]
    for began, ended in runs:
        if began <= start < ended:
            return start, ended
    known = " and ".join(_show_period(run) for run in runs)
    message = f"{mn!r} is registered {known}, not at {format_moment(start)}: give a --from within"
    raise ConfigError(message)


def _join_periods(periods: list[_Span]) -> list[_Span]:
    """Return the stretches without a gap, in order."""
    runs: list[_Span] = []
    for start, end in sorted(periods):
        if runs and start <= runs[-1][1]:
            runs[-1] = runs[-1][0], max(runs[-1][1], end)
        else:
            runs.append((start, end))
    return runs


async def _write(store: ProposalStore, setting: Setting, span: _Span, now: datetime) -> None:
    """Write one setting for a span, ending the row of its key that holds when it begins."""
    start, end = span
    columns = (*setting.columns, *_PERIOD)
    rows = await store.registry.read_rows(setting.table, columns)
    rivals = [row for row in rows if row.values[: setting.key_count] == setting.key and _meets(_span_of(row), span)]
    if any(row.values[:-2] == setting.values and _covers(_span_of(row), span) for row in rivals):
        return
    added = [(*setting.values, *_to_cells(span))]
    for row in rivals:
        began, ended = _span_of(row)
        if began >= start or ended > end:
            held = f"{setting.table} has a row of {' '.join(map(str, setting.key))} {_show_period((began, ended))}"
            message = f"{held}: give a later --from"
            raise ConfigError(message)
        added.append((*row.values[:-1], start))
    await store.registry.supersede_rows(setting.table, [row.row_id for row in rivals], now)
    await store.registry.add_rows(setting.table, columns, added, now)


def _span_of(row: StoredRow) -> _Span:
    return row.values[-2] or EARLIEST, row.values[-1] or LATEST


def _to_cells(span: _Span) -> tuple[datetime | None, datetime | None]:
    start, end = span
    return None if start == EARLIEST else start, None if end == LATEST else end


def _show_period(span: _Span) -> str:
    start, end = _to_cells(span)
    return f"from {format_moment(start) if start else 'ever'}{f' to {format_moment(end)}' if end else ''}"


def _meets(one: _Span, other: _Span) -> bool:
    return one[0] < other[1] and other[0] < one[1]


def _covers(one: _Span, other: _Span) -> bool:
    return one[0] <= other[0] and other[1] <= one[1]
