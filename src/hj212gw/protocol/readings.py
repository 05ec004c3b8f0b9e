"""Packet to reading rows: pure, total, deterministic (HJ 212-2017, 6.3.3 and annex C).

What a data logger sends again and again is read by its shape (`shapes.py`); any doubt goes to the plain way here,
which both agree with.
"""

from typing import Any

from hj212gw.protocol.codes import is_condition_mark, is_known_data_flag
from hj212gw.protocol.dataarea import DataArea, parse_data_area
from hj212gw.protocol.shapes import pick_values
from hj212gw.protocol.times import DATA_TIME_DIGITS, parse_data_time
from hj212gw.protocol.values import FLAG_SLOT, MAX_NUMBER, PLAIN_DECIMAL, SLOTS, Extra, Reading, Readings, split_name


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
    return read_rows(parse_data_area(cp)) if values is None else values.make_readings()


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


def _place(
    rows: dict[tuple[str, int], list[Any]],
    latest: dict[str, int],
    item: tuple[str, str, str],
    warnings: list[str],
) -> None:
    """Put one value into its factor's row, opening the next row when its place is taken."""
    factor, suffix, value = item
    slot = SLOTS.get(suffix, FLAG_SLOT if suffix == "Flag" else -1)
    nth = latest.setdefault(factor, 0)
    cells = rows.get((factor, nth))
    if cells is not None and _is_taken(cells, slot, suffix):
        latest[factor] = nth = nth + 1
        cells = None
    if cells is None:
        cells = rows[factor, nth] = [None] * (FLAG_SLOT + 1) + [{}]
    extra: Extra = cells[-1]
    if slot < 0:
        extra[suffix] = value
    elif slot == FLAG_SLOT:
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
