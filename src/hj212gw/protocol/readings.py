"""Packet to reading rows: pure, total, deterministic (HJ 212-2017, 6.3.3 and annex C).

A data logger sends one shape again and again: the same names and separators with other values. So a
shape is understood once, into a plan of where each value stands, and later packets of the shape only
have their values picked out (`bench/codec.py`). Any doubt goes to the plain way, which both agree with.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from operator import itemgetter
from typing import Any, NamedTuple

from hj212gw.protocol.codes import DataFlag, is_condition_mark, is_known_data_flag
from hj212gw.protocol.dataarea import DataArea, parse_data_area
from hj212gw.protocol.times import DATA_TIME_DIGITS, parse_data_time

Extra = dict[str, str]

VALUE_SUFFIXES = ("Rtd", "Min", "Avg", "Max", "Cou", "ZsRtd", "ZsMin", "ZsAvg", "ZsMax")  # 7.2
OTHER_SUFFIXES = frozenset(
    [
        "EFlag",
        "SampleTime",
        "RS",
        "RT",
        "Ala",
        "UpValue",
        "LowValue",
        "Data",
        "DayData",
        "NightData",
        "Info",
        "SN",
        "RawAvg",
        "CompleteTime",
        "SampleType",
        "SampleRd",
        "StandardValue",
        "ResultType",
    ]
)

_SLOTS = {suffix: index for index, suffix in enumerate(VALUE_SUFFIXES)}
_FLAG_SLOT = len(VALUE_SUFFIXES)
_FOLDED = {name.casefold(): name for name in (*VALUE_SUFFIXES, "Flag", *OTHER_SUFFIXES)}
PLAIN_DECIMAL = re.compile(r"-?(?:[0-9]+\.?[0-9]*|\.[0-9]+)")
MAX_NUMBER = 300  # characters; a float holds 308 digits before the point


class Reading(NamedTuple):
    """One factor of one packet.

    Attributes:
        factor: its code as sent.
        nth: 0, or how many of the same factor and suffix came before in the packet.
        data_time: DataTime in UTC, None where it is no moment.
        rtd, min, avg, max, cou: values as sent, in whatever unit the data logger uses.
        zs_rtd, zs_min, zs_avg, zs_max: converted (折算) values.
        data_flag: the factor's flag as sent, None where absent, which is not the same as N.
        extra: other suffixes and unreadable values by suffix, text as sent; None where there are none.
    """

    factor: str
    nth: int
    data_time: datetime | None
    rtd: float | None
    min: float | None
    avg: float | None
    max: float | None
    cou: float | None
    zs_rtd: float | None
    zs_min: float | None
    zs_avg: float | None
    zs_max: float | None
    data_flag: str | None
    extra: Extra | None


class Readings(NamedTuple):
    """The readings of one packet.

    Attributes:
        rows: in the order their factors first came.
        data_time_text: DataTime as sent, "" where absent.
        warnings: slugs of what was odd yet accepted.
    """

    rows: list[Reading]
    data_time_text: str
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Layout:
    """Where the values of a known shape stand; compared by identity, so a look-up costs nothing.

    Attributes:
        rows: (factor, nth, cells) in order; a cell is the place of its value in `Values.numbers`, of its flag in
            `Values.flags` for the last one, or None.
    """

    rows: tuple[tuple[str, int, tuple[int | None, ...]], ...]
    pick_numbers: Callable[[list[bytes]], tuple[bytes, ...]]
    pick_flags: Callable[[list[bytes]], tuple[bytes, ...]]
    data_time: int
    pool_tail: tuple[Any, ...]
    pick_rows: tuple[Callable[[list[Any]], tuple[Any, ...]], ...]


class Values(NamedTuple):
    """The values of a data area of known shape, picked and checked, not yet made into rows.

    Attributes:
        layout: says what is what.
        numbers: in the order sent.
        flags: in the order sent, one letter each.
        data_time: in UTC.
        data_time_text: as sent.
    """

    layout: Layout
    numbers: list[float]
    flags: tuple[bytes, ...]
    data_time: datetime
    data_time_text: str


class _Plans:
    """Plans by shape, bounded: a flood of made-up shapes must not grow the process."""

    __slots__ = ("_name_count", "by_shape")

    def __init__(self) -> None:
        self.by_shape: dict[tuple[bytes, ...], Layout | None] = {}
        self._name_count = 0

    def keep(self, shape: tuple[bytes, ...], plan: Layout | None) -> None:
        """Keep a plan, or None where packets of the shape always need the plain way."""
        self._name_count += len(shape)
        if self._name_count > _MAX_PLANNED_NAMES:
            self.by_shape.clear()
            self._name_count = len(shape)
        self.by_shape[shape] = plan


_NOT_SEPARATORS = bytes(byte for byte in range(256) if byte not in b"=,;")
_NUMBER_CHARACTERS = b"0123456789.-"
_ALTERNATING = re.compile(rb"=(?:[;,]=)*")
_FLAG_TEXTS = {flag.encode(): str(flag) for flag in DataFlag}
_KNOWN_FLAGS = frozenset(_FLAG_TEXTS)
_MAX_PLANNED_NAMES = 131_072  # about 7,000 shapes of eight factors, 20 MB
_plans = _Plans()
_find_plan = _plans.by_shape.get
_new = tuple.__new__


def parse_readings(cp: bytes) -> Readings:
    """Read the rows of a data area.

    Args:
        cp: the data area of an upload that carries readings (2011, 2031, 2051, 2061 and kin).

    Returns:
        A row per factor and repetition; a value that is not a plain decimal number is None with the
        warning `value_unreadable`, its text stands in `extra`. So does a production condition's mark (p99101-Rtd=St,
        2025), without a warning. Never fails.
    """
    values = pick_values(cp)
    if values is None:
        return read_rows(parse_data_area(cp))
    layout = values.layout
    pool = [*values.numbers, *map(_FLAG_TEXTS.__getitem__, values.flags), values.data_time, *layout.pool_tail]
    return Readings([_new(Reading, pick(pool)) for pick in layout.pick_rows], values.data_time_text)


def pick_values(cp: bytes) -> Values | None:
    """Pick the values of a data area whose shape is understood.

    Args:
        cp: as for `parse_readings`.

    Returns:
        None where only `parse_readings` can tell: a shape with other suffixes, a value that is not a plain
        decimal, an unknown flag, an unusual DataTime. A data area that gives values gives no warnings.
    """
    if cp.endswith(b";"):
        cp = cp.rstrip(b";")
    structure = cp.translate(None, _NOT_SEPARATORS)
    tokens = cp.replace(b",", b";").replace(b"=", b";").split(b";")
    shape = (structure, *tokens[::2])
    layout = _find_plan(shape) or _learn(shape)
    if layout is None:
        return None
    numbers = layout.pick_numbers(tokens)
    joined = b"".join(numbers)
    if joined.translate(None, _NUMBER_CHARACTERS):
        return None
    if len(joined) > MAX_NUMBER and max(map(len, numbers)) > MAX_NUMBER:
        return None
    flags = layout.pick_flags(tokens)
    if not _KNOWN_FLAGS.issuperset(flags):
        return None
    try:
        floats = list(map(float, numbers))
    except ValueError:
        return None
    text = tokens[layout.data_time].decode("latin-1")
    moment = parse_data_time(text) if len(text) == DATA_TIME_DIGITS else None
    return None if moment is None else Values(layout, floats, flags, moment, text)


def read_rows(area: DataArea) -> Readings:
    """Read the rows of a split data area, the plain way."""
    rows: dict[tuple[str, int], list[Any]] = {}
    latest: dict[str, int] = {}
    warnings = list(area.warnings)
    data_time_text = area.find("DataTime") or ""
    data_time = parse_data_time(data_time_text)
    if data_time_text and data_time is None:
        warnings.append("data_time_unreadable")
    elif data_time_text and len(data_time_text) != DATA_TIME_DIGITS:
        warnings.append("data_time_unusual")
    for group in area.groups:
        for name, value in group:
            factor, suffix = split_name(name, warnings)
            if suffix:
                _place(rows, latest, (factor, suffix, value), warnings)
    if rows and not data_time_text:
        warnings.append("data_time_missing")
    readings = [
        Reading._make((factor, nth, data_time, *cells[:-1], cells[-1] or None)) for (factor, nth), cells in rows.items()
    ]
    return Readings(readings, data_time_text, tuple(dict.fromkeys(warnings)))


def split_name(name: str, warnings: list[str]) -> tuple[str, str]:
    """Split ``code-Suffix`` and note what is odd about it; both are "" for plain fields."""
    factor, separator, suffix = name.partition("-")
    if not separator or not factor:
        if name in _SLOTS or name == "Flag" or separator:
            warnings.append("factor_missing")
        return "", ""
    if suffix in _SLOTS or suffix == "Flag" or suffix in OTHER_SUFFIXES:
        return factor, suffix
    folded = _FOLDED.get(suffix.casefold())
    warnings.append("suffix_case" if folded else "suffix_unknown")
    return factor, folded or suffix


def _place(
    rows: dict[tuple[str, int], list[Any]],
    latest: dict[str, int],
    item: tuple[str, str, str],
    warnings: list[str],
) -> None:
    """Put one value into its factor's row, opening the next row when its place is taken."""
    factor, suffix, value = item
    slot = _SLOTS.get(suffix, _FLAG_SLOT if suffix == "Flag" else -1)
    nth = latest.setdefault(factor, 0)
    cells = rows.get((factor, nth))
    if cells is not None and _is_taken(cells, slot, suffix):
        latest[factor] = nth = nth + 1
        cells = None
    if cells is None:
        cells = rows[factor, nth] = [None] * (_FLAG_SLOT + 1) + [{}]
    extra: Extra = cells[-1]
    if slot < 0:
        extra[suffix] = value
    elif slot == _FLAG_SLOT:
        if not is_known_data_flag(value):
            warnings.append("flag_unknown")
        cells[slot] = value
    elif PLAIN_DECIMAL.fullmatch(value) and len(value) <= MAX_NUMBER:
        cells[slot] = float(value)
    else:
        if not is_condition_mark(factor, value):
            warnings.append("value_unreadable")
        extra[suffix] = value


def _is_taken(cells: list[Any], slot: int, suffix: str) -> bool:
    extra: Extra = cells[-1]
    return suffix in extra or (slot >= 0 and cells[slot] is not None)


def _learn(shape: tuple[bytes, ...]) -> Layout | None:
    """Make and keep the plan of a shape; None when its packets always need the plain way."""
    if shape in _plans.by_shape:
        return None
    plan = None
    structure, *names = shape
    if _ALTERNATING.fullmatch(structure) and all(map(bytes.isascii, names)):
        plan = _make_plan([name.decode() for name in names])
    _plans.keep(shape, plan)
    return plan


def _make_plan(names: list[str]) -> Layout | None:
    """Plan where each row finds its cells in the pool: numbers, flags, DataTime, then constants.

    Only shapes of one DataTime and values of factors are planned: every token is then checked when it is
    picked, and what only the plain way understands (log text, GBK) cannot pass unseen.
    """
    warnings: list[str] = []
    rows: dict[tuple[str, int], list[Any]] = {}
    latest: dict[str, int] = {}
    number_tokens: list[int] = []
    flag_tokens: list[int] = []
    for index, name in enumerate(names):
        factor, suffix = split_name(name, warnings)
        if name == "DataTime":
            continue
        if suffix not in _SLOTS and suffix != "Flag":
            return None
        slot = _SLOTS.get(suffix, _FLAG_SLOT)
        nth = latest.setdefault(factor, 0)
        if (factor, nth) in rows and rows[factor, nth][slot] is not None:
            latest[factor] = nth = nth + 1
        cells = rows.setdefault((factor, nth), [None] * (_FLAG_SLOT + 1))
        tokens = flag_tokens if suffix == "Flag" else number_tokens
        cells[slot] = (suffix == "Flag", len(tokens))
        tokens.append(2 * index + 1)
    if warnings or names.count("DataTime") != 1 or any(name != name.strip() for name in names):
        return None
    return _assemble(rows, number_tokens, flag_tokens, 2 * names.index("DataTime") + 1)


def _assemble(
    rows: dict[tuple[str, int], list[Any]], number_tokens: list[int], flag_tokens: list[int], data_time: int
) -> Layout:
    """Turn cells into one picker a row; the pool's tail holds None, the codes and the nths."""
    moment = len(number_tokens) + len(flag_tokens)
    tail: list[Any] = [None]
    pickers = []
    for (factor, nth), cells in rows.items():
        code = moment + 1 + len(tail)
        tail += [factor, nth]
        places = [moment + 1 if cell is None else cell[1] + (len(number_tokens) if cell[0] else 0) for cell in cells]
        pickers.append(itemgetter(code, code + 1, moment, *places, moment + 1))
    places_by_row = tuple(
        (factor, nth, tuple(cell and cell[1] for cell in cells)) for (factor, nth), cells in rows.items()
    )
    return Layout(places_by_row, _picker(number_tokens), _picker(flag_tokens), data_time, tuple(tail), tuple(pickers))


def _picker(tokens: list[int]) -> Callable[[list[bytes]], tuple[bytes, ...]]:
    """Make a function that returns the tokens at these places, always as a tuple."""
    if len(tokens) > 1:
        return itemgetter(*tokens)
    return lambda values: tuple(values[index] for index in tokens)
