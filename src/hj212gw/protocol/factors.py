"""The factor catalogue: codes, names and units (HJ 212-2017 B.1 to B.7, HJ/T 212-2005 annex B).

Units are facts for display, as printed: nothing is converted by them. A 2005 code may share its factor with
a 2017 code and still not its unit (`unit_changed`), and what a data logger really sends must be asked.
"""

import enum
from functools import cache
from typing import NamedTuple

from hj212gw.protocol.tables import read_table

_OTHER = "other"
_MEDIUM_OF_ST = {  # the system codes whose factors are water's, gas's or noise's
    **dict.fromkeys(("21", "24", "26", "32", "33", "34", "52"), "water"),
    **dict.fromkeys(("22", "27", "31", "39", "51"), "gas"),
    **dict.fromkeys(("23", "36"), "noise"),
}
_KEY_MEDIUM = {
    "process-water": "water",
    "process-gas": "gas",
    "water": "water",
    "gas": "gas",
    "noise": "noise",
}
_PROCESS = "eg"  # B.5 and B.7: letter, three digits, then the unit's number, xx in the tables
_PROCESS_LENGTH = 6


class Factor(NamedTuple):
    """One factor.

    Attributes:
        code: of 2017, or of 2005 where 2017 has none; the last two of a process code are `xx`, any unit.
        legacy_code: of 2005, empty where it has none.
        name_zh: the table's name.
        name_en: ours.
        unit: of its values, as 2017 prints it (2005 where 2017 lacks the factor); `1` is no dimension.
        unit_cou: of its Cou, likewise.
        unit_2005: as 2005 prints it, empty where not printed.
        unit_cou_2005: of its Cou by 2005, which counts sewage in t and pollutants in kg.
        medium: water, gas, noise, process-water, process-gas, electricity, production or position.
        format_2017: default data type, such as N5.1; field values have other widths.
        format_2005: likewise.
        format_2025: likewise (secondary).
        editions: those that have it; 2025 only where a source shows it, `field` for what no edition has.
        source: the table, or where it was seen.
        note: oddities.
    """

    code: str
    legacy_code: str
    name_zh: str
    name_en: str
    unit: str
    unit_cou: str
    unit_2005: str
    unit_cou_2005: str
    medium: str
    format_2017: str
    format_2005: str
    format_2025: str
    editions: tuple[str, ...]
    source: str
    note: str


class Spelling(enum.StrEnum):
    """How a data logger wrote a factor's code."""

    EXACT = "exact"
    FOLDED = "folded"  # letter case aside, such as W01018
    LEGACY = "legacy"  # by its 2005 code


class FactorMatch(NamedTuple):
    """A factor found by a code as sent.

    Attributes:
        factor: the factor.
        spelling: how the code was written.
    """

    factor: Factor
    spelling: Spelling

    @property
    def unit(self) -> str:
        """Return the unit that goes with the code as sent: 2005's for a 2005 code."""
        legacy = self.spelling is Spelling.LEGACY and self.factor.unit_2005
        return legacy or self.factor.unit


class UnitChange(NamedTuple):
    """A factor whose unit is not the same in 2005 and 2017.

    Attributes:
        code: of 2017.
        legacy_code: of 2005.
        unit_2005: what 2005 prints.
        unit_2017: what 2017 prints.
    """

    code: str
    legacy_code: str
    unit_2005: str
    unit_2017: str


class CatalogueRow(NamedTuple):
    """One code for a database table of factors, unique by (code, medium).

    Attributes:
        code: as sent; process codes end in `xx`.
        medium: water, gas, noise or other.
        name_zh: the table's name.
        name_en: ours.
        unit: that goes with this code.
        unit_cou: of its Cou, likewise.
        alias_of: for a 2005 code the 2017 code of the factor, or itself where 2017 has none; else empty.
    """

    code: str
    medium: str
    name_zh: str
    name_en: str
    unit: str
    unit_cou: str
    alias_of: str


@cache
def factors() -> tuple[Factor, ...]:
    """Return every row of the factor tables; 2017 prints e701xx and g119xx twice, and so they stand here."""
    return tuple(
        Factor._make([*texts, tuple(editions.split(";")), source, note])
        for *texts, editions, source, note in read_table("factors")
    )


def medium_of_st(st: str) -> str:
    """Return the medium a system code speaks of: water, gas, noise or other."""
    return _MEDIUM_OF_ST.get(st, _OTHER)


def match_factor(code: str, medium: str | None = None, st: str | None = None) -> FactorMatch | None:
    """Find the factor a code as sent stands for, and how it was written.

    The code itself decides, never the edition of its packet: many data loggers send 2017 codes without Flag
    and 2005 codes with Flag 4 or 5. 2017 codes go first, exactly and then letter case aside; a 2005 code
    counts only under its own medium, since three digits are water's and under ST=31 local inventions.

    Args:
        code: as sent.
        medium: water, gas, noise or other; taken from `st` when None.
        st: the packet's system code; unknown when None, and then no 2005 code is found.
    """
    factor = _exact().get(_process_key(code))
    if factor:
        return FactorMatch(factor, Spelling.EXACT)
    factor = _folded().get(_process_key(code.casefold()))
    if factor:
        return FactorMatch(factor, Spelling.FOLDED)
    factor = _legacy().get(code)
    if factor and _KEY_MEDIUM[factor.medium] == (medium or medium_of_st(st or "")):
        return FactorMatch(factor, Spelling.LEGACY)
    return None


def find_factor(code: str, medium: str | None = None, st: str | None = None) -> Factor | None:
    """Find the factor a code as sent stands for, as `match_factor` does, which also knows the unit."""
    match = match_factor(code, medium, st)
    return match and match.factor


def unit_changed(code: str) -> UnitChange | None:
    """Return how the unit of a factor changed from 2005 to 2017, None where it did not.

    Args:
        code: of 2017 or of 2005.
    Source: HJ/T 212-2005 annex B against HJ 212-2017 tables B.1 and B.2.
    """
    return _unit_changes().get(code)


@cache
def catalogue_rows() -> tuple[CatalogueRow, ...]:
    """Return a row per code: every one of the factor tables, then the 2005 codes that differ from 2017's.

    A code printed twice with two meanings (e701xx, g119xx) is one row with both names.
    """
    current = [
        CatalogueRow(
            factor.code,
            _KEY_MEDIUM.get(factor.medium, _OTHER),
            factor.name_zh,
            factor.name_en,
            factor.unit,
            factor.unit_cou,
            factor.code if _is_legacy_only(factor) else "",
        )
        for factor in _by_code().values()
    ]
    legacy = [
        CatalogueRow(
            factor.legacy_code,
            _KEY_MEDIUM[factor.medium],
            factor.name_zh,
            factor.name_en,
            factor.unit_2005 or factor.unit,
            factor.unit_cou_2005 or factor.unit_cou,
            factor.code,
        )
        for factor in _legacy().values()
        if factor.legacy_code != factor.code
    ]
    return (*current, *legacy)


@cache
def _by_code() -> dict[str, Factor]:
    merged: dict[str, Factor] = {}
    for factor in factors():
        earlier = merged.get(factor.code)
        merged[factor.code] = _join(earlier, factor) if earlier else factor
    return merged


def _join(one: Factor, other: Factor) -> Factor:
    """Return one factor for a code with two meanings: both names, and a unit only where they agree."""
    return one._replace(
        name_zh=f"{one.name_zh} / {other.name_zh}",
        name_en=f"{one.name_en} / {other.name_en}",
        unit=one.unit if one.unit == other.unit else "",
        format_2017=one.format_2017 if one.format_2017 == other.format_2017 else "",
        note=other.note,
    )


@cache
def _exact() -> dict[str, Factor]:
    return {code: factor for code, factor in _by_code().items() if not _is_legacy_only(factor)}


@cache
def _folded() -> dict[str, Factor]:
    return {code.casefold(): factor for code, factor in _exact().items()}


@cache
def _legacy() -> dict[str, Factor]:
    return {factor.legacy_code: factor for factor in factors() if factor.legacy_code}


@cache
def _unit_changes() -> dict[str, UnitChange]:
    changes = [
        UnitChange(factor.code, factor.legacy_code, factor.unit_2005, factor.unit)
        for factor in _legacy().values()
        if factor.unit_2005 not in {"", factor.unit}
    ]
    return {code: change for change in changes for code in (change.code, change.legacy_code)}


def _is_legacy_only(factor: Factor) -> bool:
    return factor.editions == ("2005",)


def _process_key(code: str) -> str:
    """Return the table's code of a process code, such as e101xx of e10103; other codes as they are."""
    is_process = len(code) == _PROCESS_LENGTH and code[0] in _PROCESS and code[1:].isdecimal()
    return f"{code[:4]}xx" if is_process else code
