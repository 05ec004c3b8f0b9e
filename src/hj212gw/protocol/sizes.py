"""Which unit a value is in, told by its size; and which factor of the catalogue a code stands for.

`tables/typical.csv` holds what is usual, in the catalogue's unit, for the factors whose unit is a known trap (spec
13). It is practice, not a standard's word, and it only proposes: a person confirms the unit with the maker.
"""

from collections.abc import Iterator
from functools import cache
from typing import NamedTuple

from hj212gw.protocol.factors import FactorMatch, Spelling, find_factor, match_factor, unit_changed
from hj212gw.protocol.faults import Hint
from hj212gw.protocol.tables import read_table
from hj212gw.protocol.values import Reading

# Codes of vendors for what the catalogue has under another code (factor tables, edition `field`).
_ALIASES = {"o31104": "a05024", "a21030": "a05024", "a50001": "LA"}
_FINE_FLAGS = frozenset(("N", None))
_SAME = "1"
_ANY_UNIT = "xx"  # of process codes in the catalogue


class Typical(NamedTuple):
    """What is usual of a factor.

    Attributes:
        low, high: bounds of the absolute value, in the catalogue's unit.
        scales: what values come multiplied by that are in another unit, and that unit: (text of the number, unit).
    """

    low: float
    high: float
    scales: tuple[tuple[str, str], ...]

    def holds(self, value: float) -> bool:
        """Tell whether a value is usual, whatever its sign."""
        return self.low <= abs(value) <= self.high


@cache
def _typical() -> dict[tuple[str, str], Typical]:
    """Return what is usual by (factor, ST), ST "" for any."""
    return {
        (factor, st): Typical(float(low), float(high), tuple(_read_scales(scales)))
        for factor, st, low, high, scales, _ in read_table("typical")
    }


def find_typical(factor: str, st: str) -> Typical | None:
    """Return what is usual of a factor of the catalogue under a system code; None for most."""
    return _typical().get((factor, st)) or _typical().get((factor, ""))


def hint_units(row: Reading, st: str) -> Iterator[Hint]:
    """Propose what maps a code as sent to the catalogue: another code, the unit of a 2005 code, a power of ten.

    Args:
        row: one reading; values with a data flag other than N tell nothing.
        st: its system code.

    Yields:
        `rename`/"code factor" and `unit`/"code factor unit scale"; unit is the catalogue's.
    """
    code = row.factor
    match = match_factor(code, st=st)
    alias = find_factor(_ALIASES.get(code, ""))
    if alias:
        yield Hint("rename", f"{code} {alias.code}", f"{code} is sent by vendors for {alias.name_en}")
    if match is None or not code.isascii():
        return
    factor = match.factor
    if match.spelling is Spelling.FOLDED:
        right = factor.code[:4] + code[4:] if factor.code.endswith(_ANY_UNIT) else factor.code
        yield Hint("rename", f"{code} {right}", f"{code} is {factor.name_en} but for its letter case")
    scale = _find_scale(match, row, st)
    if scale and factor.unit:
        evidence = f"{code} came as {_value(row):g}; {factor.code} is in {factor.unit}"
        yield Hint("unit", f"{code} {factor.code} {factor.unit} {scale}", f"{evidence} ({factor.name_en})")


def _find_scale(match: FactorMatch, row: Reading, st: str) -> str:
    """Find what a value has to be multiplied by to be in the catalogue's unit; "" where nothing is to be said."""
    value = _value(row)
    if value is None or row.data_flag not in _FINE_FLAGS:
        return ""
    is_legacy = match.spelling is Spelling.LEGACY
    if is_legacy and not unit_changed(row.factor):
        return _SAME
    typical = find_typical(match.factor.code, st)
    if typical is None:
        return ""
    if typical.holds(value) and not is_legacy:
        return ""
    scales = [_SAME] * is_legacy + [scale for scale, _ in typical.scales]
    fitting = [scale for scale in scales if typical.holds(value * float(scale))]
    return fitting[0] if len(fitting) == 1 else ""


def _value(row: Reading) -> float | None:
    return row.rtd if row.rtd is not None else row.avg


def _read_scales(text: str) -> Iterator[tuple[str, str]]:
    for pair in text.split(";"):
        scale, _, unit = pair.partition(" ")
        if unit:
            yield scale, unit
