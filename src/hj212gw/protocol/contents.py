"""What is odd in a data area that is read all the same: fields, values, flags."""

from collections.abc import Iterator

from hj212gw.protocol.dataarea import DataArea
from hj212gw.protocol.factors import match_factor
from hj212gw.protocol.faults import Hint, repair
from hj212gw.protocol.spans import show
from hj212gw.protocol.values import VALUE_SUFFIXES, Reading

_FAULTY_FLAGS = frozenset("DB")
_ERROR_CODES = frozenset((-99.0, -100.0, -999.0, -9999.0, -99.9, -999.9))
_DENSITIES = ("/m3", "/L")  # no such quantity is ever below zero
_MOST_RATIO = 10.0  # of a converted value to its own: above, the formula divides by nearly nothing or the unit differs
_OXYGEN = "a19001"
_IDLE_OXYGEN = 19.0  # per cent: near the air's, any converted value is right
# What is never converted to a reference oxygen content: flow, temperature, pressure, humidity, oxygen itself.
_NEVER_CONVERTED = ("a00000", "a010", _OXYGEN, "w", "B0", "S0")
_DUST = frozenset(("a34001", "a34002", "a34004", "a34005"))
_FLUE_PROCESS_ST = "51"
_NOISE_MEDIUM_ST = frozenset(("23", "36"))
_WEATHER = "a010"


def find_area_hints(area: DataArea) -> Iterator[Hint]:
    """Tell what is odd in the order and the separators of a data area's fields."""
    names = [[name for name, _ in group] for group in area.groups]
    order = [name for group in names for name in group]
    if "DataTime" in order[1:] and order[0] not in {"DataTime", "PolId"}:
        yield repair("data_time_order", f"DataTime stands behind {show(order[0].encode())}")
    for group in names:
        codes = dict.fromkeys(name.partition("-")[0] for name in group if "-" in name)
        if len(codes) > 1:
            first, second = list(codes)[:2]
            yield repair("comma_between_factors", f"{show(first.encode())} and {show(second.encode())} in one group")
            return


def find_value_hints(rows: list[Reading]) -> Iterator[Hint]:
    """Tell what is odd in the values of readings: left out, error codes, converted what is never converted."""
    oxygen = next((row.rtd or row.avg for row in rows if row.factor == _OXYGEN), None)
    is_idle = oxygen is not None and oxygen > _IDLE_OXYGEN
    for row in rows:
        yield from _find_texts(row)
        yield from _find_errors(row)
        if not is_idle:
            yield from _find_conversions(row)


def find_st_hint(rows: list[Reading], st: str) -> Iterator[Hint]:
    """Tell an ST that its factors contradict and `find_oddities` lets pass: gas under noise, dust under flue gas."""
    codes = {row.factor for row in rows}
    strangers = codes & _DUST if st == _FLUE_PROCESS_ST else set()
    if st in _NOISE_MEDIUM_ST:
        strangers = {code for code in codes if code[:1] == "a" and code[1:].isdecimal() and code[:4] != _WEATHER}
        strangers -= {"a50001"}  # a noise level
    if strangers:
        yield repair("st", f"ST={show(st.encode())} with {show(' '.join(sorted(strangers)).encode())}")


def _find_texts(row: Reading) -> Iterator[Hint]:
    code = show(row.factor.encode())
    for suffix, text in (row.extra or {}).items():
        if text == "":
            yield repair("empty_value", f"{code}-{show(suffix.encode())} is empty with flag {_flag(row)}")
        elif suffix in VALUE_SUFFIXES:
            yield repair("value_unreadable", f"{code}-{suffix} is {show(text.encode())}")


def _find_errors(row: Reading) -> Iterator[Hint]:
    values = [value for value in (row.rtd, row.min, row.avg, row.max) if value is not None]
    if not values:
        return
    least = min(values)
    is_error = least in _ERROR_CODES or (not any(values) and row.data_flag in _FAULTY_FLAGS)
    if is_error or (least < 0 and _is_density(row.factor)):
        yield repair("error_value", f"{show(row.factor.encode())} is {least:g} with flag {_flag(row)}")


def _find_conversions(row: Reading) -> Iterator[Hint]:
    pairs = ((row.rtd, row.zs_rtd), (row.avg, row.zs_avg), (row.min, row.zs_min), (row.max, row.zs_max))
    for own, converted in pairs:
        if converted is None:
            continue
        is_far = bool(own and converted) and not 1 / _MOST_RATIO <= abs(converted / (own or 1)) <= _MOST_RATIO
        if is_far or row.factor.startswith(_NEVER_CONVERTED):
            yield repair("zs", f"{show(row.factor.encode())} is {own}, converted {converted:g}")
            return


def _is_density(code: str) -> bool:
    match = match_factor(code)
    return match is not None and match.unit.endswith(_DENSITIES)


def _flag(row: Reading) -> str:
    return show(row.data_flag.encode(), 8) if row.data_flag else "none"
