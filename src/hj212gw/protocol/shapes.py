"""Data areas read by their shape: the names and separators that a data logger sends again and again.

A shape that came a few times is understood once: into a regular expression that checks a whole data area and
captures its values in one step, and into a function that puts them into rows. Later packets of the shape cost a third
of the plain way (`bench/codec.py`). Any doubt is left to it.
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from operator import itemgetter
from typing import Any, NamedTuple

from hj212gw.protocol.codes import DataFlag
from hj212gw.protocol.times import DATA_TIME_DIGITS, parse_data_time
from hj212gw.protocol.values import FLAG_SLOT, MAX_NUMBER, SLOTS, Reading, Readings, split_name

_LENGTH_BITS = 5  # values of the same shape differ in length
_MAX_NAME = 64  # characters; a catalogue's are 15
LEARN_AFTER = 16  # packets of a shape: to understand one takes milliseconds, and a flood makes shapes up

_Cells = tuple[int | None, ...]
_Pick = Callable[[tuple[bytes, ...]], tuple[bytes, ...]]
_MakeRows = Callable[[Iterable[float], Iterable[str], datetime], list[Reading]]


@dataclass(frozen=True, slots=True, eq=False)
class Layout:
    """Where the values of a known shape stand; compared by identity, so a look-up costs nothing.

    Attributes:
        rows: (factor, nth, cells) in order; a cell is the place of its value in `Values.numbers`, of its flag in
            `Values.flags` for the last one, or None.
        match: checks a data area and captures DataTime, numbers and flags in the order sent.
        pick_numbers, pick_flags: take them out of what was captured.
        data_time: place of DataTime there.
        make_rows: puts numbers, flags and DataTime into readings.
    """

    rows: tuple[tuple[str, int, _Cells], ...]
    match: Callable[[bytes], re.Match[bytes] | None]
    pick_numbers: _Pick
    pick_flags: _Pick
    data_time: int
    make_rows: _MakeRows


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

    def make_readings(self) -> Readings:
        """Make the rows, as the plain way would."""
        flags = map(_FLAG_TEXTS.__getitem__, self.flags)
        return Readings(self.layout.make_rows(self.numbers, flags, self.data_time), self.data_time_text)


class Shapes:
    """Layouts by shape, bounded: a flood of made-up shapes must not grow the process or keep it busy.

    Args:
        learn_after: packets of a shape before it is understood.
        max_names: most names of all shapes together; beyond it all are forgotten.
    """

    def __init__(self, *, learn_after: int = LEARN_AFTER, max_names: int = 65_536) -> None:
        self._learn_after = learn_after
        self._max_names = max_names
        self._name_count = 0
        self._seen: dict[tuple[bytes, ...], int] = {}
        self._layouts: dict[tuple[bytes, ...], Layout | None] = {}
        self._guesses: dict[tuple[bytes, bytes, int], Layout] = {}

    def __len__(self) -> int:
        return len(self._seen) + len(self._layouts)

    def pick_values(self, cp: bytes) -> Values | None:
        """Pick the values of a data area whose shape is understood, as the function of this name says."""
        if cp.endswith(b";"):
            cp = cp.rstrip(b";")
        # First name, last name and about the length tell most shapes apart; the expression tells for sure.
        sign = (cp[24:35], cp[-14:-1], len(cp) >> _LENGTH_BITS)
        layout = self._guesses.get(sign)
        match = layout.match(cp) if layout is not None else None
        if match is None:
            layout = self._find(cp)
            match = layout.match(cp) if layout is not None else None
            if match is None or layout is None:
                return None
            self._guesses[sign] = layout
        assert layout is not None
        return _take(layout, match.groups())

    def _find(self, cp: bytes) -> Layout | None:
        """Find the layout of a data area's shape, counting it until it is understood."""
        structure = cp.translate(None, _NOT_SEPARATORS)
        tokens = cp.replace(b",", b";").replace(b"=", b";").split(b";")
        shape = (structure, *tokens[::2])
        if shape in self._layouts:
            return self._layouts[shape]
        count = self._seen.get(shape, 0) + 1
        if count == 1:
            self._make_room(len(shape))
        if count < self._learn_after:
            self._seen[shape] = count
            return None
        self._seen.pop(shape, None)
        layout = self._layouts[shape] = _learn(shape)
        return layout

    def _make_room(self, name_count: int) -> None:
        self._name_count += name_count
        if self._name_count > self._max_names:
            self._seen.clear()
            self._layouts.clear()
            self._guesses.clear()
            self._name_count = name_count


_NOT_SEPARATORS = bytes(byte for byte in range(256) if byte not in b"=,;")
_ALTERNATING = re.compile(rb"=(?:[;,]=)*")
_FLAG_TEXTS = {flag.encode(): str(flag) for flag in DataFlag}
_DATA_TIME_VALUE = f"([0-9]{{{DATA_TIME_DIGITS}}})"
_NUMBER_VALUE = f"([-.0-9]{{1,{MAX_NUMBER}}})"  # float() refuses what is no plain decimal of these characters
_FLAG_VALUE = f"([{''.join(DataFlag)}])"

_shapes = Shapes()


def pick_values(cp: bytes) -> Values | None:
    """Pick the values of a data area whose shape is understood.

    Args:
        cp: the data area of an upload that carries readings.

    Returns:
        None where only the plain way can tell: a shape that is new or has other suffixes, a value that is not a plain
        decimal, an unknown flag, an unusual DataTime. A data area that gives values gives no warnings.
    """
    return _shapes.pick_values(cp)


def _take(layout: Layout, groups: tuple[bytes, ...]) -> Values | None:
    try:
        numbers = list(map(float, layout.pick_numbers(groups)))
    except ValueError:
        return None
    text = groups[layout.data_time].decode()
    moment = parse_data_time(text)
    if moment is None:
        return None
    return tuple.__new__(Values, (layout, numbers, layout.pick_flags(groups), moment, text))


def _learn(shape: tuple[bytes, ...]) -> Layout | None:
    """Understand a shape; None when its packets always need the plain way.

    Only shapes of one DataTime and values of factors are understood: each token is then checked when it is
    captured, and what only the plain way understands (log text, GBK) cannot pass unseen.
    """
    structure, *encoded = shape
    if not _ALTERNATING.fullmatch(structure) or not all(map(bytes.isascii, encoded)):
        return None
    names = [name.decode() for name in encoded]
    if len(names) == 1 or names.count("DataTime") != 1 or any(map(_is_odd, names)):
        return None  # DataTime alone gives no reading
    warnings: list[str] = []
    fields = [("DataTime", "") if name == "DataTime" else split_name(name, warnings) for name in names]
    if warnings or any(suffix not in SLOTS and suffix != "Flag" for name, suffix in fields if name != "DataTime"):
        return None
    return _assemble(structure.decode(), names, fields)


def _is_odd(name: str) -> bool:
    return name != name.strip() or "\0" in name or len(name) > _MAX_NAME


def _assemble(structure: str, names: list[str], fields: list[tuple[str, str]]) -> Layout:
    """Build the expression, the pickers and the row maker of a shape."""
    rows: dict[tuple[str, int], list[int | None]] = {}
    latest: dict[str, int] = {}
    numbers: list[int] = []
    flags: list[int] = []
    parts = []
    separators = ["", *structure.replace("=", "")]
    for place, (name, (factor, suffix), separator) in enumerate(zip(names, fields, separators, strict=True)):
        if factor == "DataTime":
            parts.append(f"{separator}DataTime={_DATA_TIME_VALUE}")
            continue
        slot = SLOTS.get(suffix, FLAG_SLOT)
        nth = latest.setdefault(factor, 0)
        if (factor, nth) in rows and rows[factor, nth][slot] is not None:
            latest[factor] = nth = nth + 1
        cells = rows.setdefault((factor, nth), [None] * (FLAG_SLOT + 1))
        places = flags if suffix == "Flag" else numbers
        cells[slot] = len(places)
        places.append(place)
        parts.append(f"{separator}{re.escape(name)}={_FLAG_VALUE if suffix == 'Flag' else _NUMBER_VALUE}")
    layout_rows = tuple((factor, nth, tuple(cells)) for (factor, nth), cells in rows.items())
    return Layout(
        layout_rows,
        re.compile("".join(parts).encode()).fullmatch,
        _picker(numbers),
        _picker(flags),
        names.index("DataTime"),
        _write_maker(layout_rows, len(numbers), len(flags)),
    )


def _picker(places: list[int]) -> _Pick:
    """Make a function that returns what stands at these places, always as a tuple."""
    if len(places) > 1:
        return itemgetter(*places)
    return lambda groups: tuple(groups[place] for place in places)


def _write_maker(rows: tuple[tuple[str, int, _Cells], ...], number_count: int, flag_count: int) -> _MakeRows:
    """Write a function that builds all rows of a packet; as code it takes half the time of picking by place."""
    lines = ["def make_rows(numbers, flags, moment):"]
    lines += [f" {''.join(f'n{place},' for place in range(number_count))} = numbers"] * bool(number_count)
    lines += [f" {''.join(f'f{place},' for place in range(flag_count))} = flags"] * bool(flag_count)
    made = [
        f"new(Reading, ({factor!r}, {nth}, moment, "
        + "".join("None, " if cell is None else f"n{cell}, " for cell in cells[:FLAG_SLOT])
        + ("None" if cells[FLAG_SLOT] is None else f"f{cells[FLAG_SLOT]}")
        + ", None))"
        for factor, nth, cells in rows
    ]
    lines.append(f" return [{', '.join(made)}]")
    scope: dict[str, Any] = {"new": tuple.__new__, "Reading": Reading}
    exec("\n".join(lines), scope)  # noqa: S102 - all that comes from the wire are codes, as string literals
    make_rows: _MakeRows = scope["make_rows"]
    return make_rows
