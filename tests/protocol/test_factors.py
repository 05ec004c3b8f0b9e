"""Tests of the factor catalogue."""

import csv
from collections import Counter
from importlib.resources import files

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hj212gw.protocol.factors import (
    Factor,
    Spelling,
    UnitChange,
    catalogue_rows,
    factors,
    find_factor,
    match_factor,
    medium_of_st,
    unit_changed,
)

UNIT_CHANGES = [
    ("w20111", "020", "mg/L", "ug/L"),
    ("w20113", "021", "mg/L", "ng/L"),
    ("w20115", "022", "mg/L", "ug/L"),
    ("w20117", "024", "mg/L", "ug/L"),
    ("w20119", "026", "mg/L", "ug/L"),
    ("w20120", "027", "mg/L", "ug/L"),
    ("w20127", "034", "mg/L", "ug/L"),
    ("w20128", "035", "mg/L", "ug/L"),
    ("w20089", "041", "mg/L", "ng/L"),
    ("a01011", "S02", "m3/h", "m/s"),
    ("a01013", "S08", "MPa", "kPa"),
    ("a01017", "S04", "MPa", "kPa"),
    ("a21001", "10", "mg/m3", "ng/m3"),
]


def read_shipped() -> list[list[str]]:
    """Read the shipped table with its header, without the code under test."""
    text = files("hj212gw.protocol.tables").joinpath("factors.csv").read_text(encoding="utf-8")
    return list(csv.reader(text.splitlines()))


def found(code: str, **where: str) -> tuple[str, str] | None:
    """Return code and spelling of what a code as sent stands for."""
    match = match_factor(code, **where)
    return match and (match.factor.code, match.spelling.value)


def catalogue_row(code: str) -> tuple[str, ...]:
    """Return the catalogue's only row of a code, names left out."""
    (row,) = [row for row in catalogue_rows() if row.code == code]
    return row.medium, row.unit, row.unit_cou, row.alias_of


def test_factors_are_every_shipped_row():
    """Each row of the table is there, with its editions split."""
    header, *shipped = read_shipped()
    assert tuple(header) == Factor._fields
    assert shipped == [[";".join(cell) if isinstance(cell, tuple) else cell for cell in row] for row in factors()]


def test_factors_count_by_medium():
    """The tables hold 368 rows, as many of each medium as the standards print."""
    assert Counter(row.medium for row in factors()) == {
        "water": 68,
        "gas": 129,
        "noise": 14,
        "process-water": 90,
        "process-gas": 55,
        "electricity": 7,
        "production": 3,
        "position": 2,
    }


@pytest.mark.parametrize(("edition", "count"), [("2005", 108), ("2017", 341), ("2025", 23), ("field", 14)])
def test_factors_count_by_edition(edition, count):
    """Each edition has as many as its tables; of 2025 only what a source shows."""
    assert sum(edition in row.editions for row in factors()) == count


def test_factors_name_where_each_row_is_from():
    """Every row has a source, a code and both names."""
    assert all(row.source and row.code and row.name_zh and row.name_en for row in factors())


@pytest.mark.parametrize(
    ("code", "where", "expected"),
    [
        ("w01018", {}, ("w01018", "exact")),
        ("w01018", {"st": "31"}, ("w01018", "exact")),
        ("W01018", {"st": "32"}, ("w01018", "folded")),
        ("A21026", {}, ("a21026", "folded")),
        ("LEQ", {"st": "23"}, ("Leq", "folded")),
        ("LA", {"st": "39"}, ("LA", "exact")),
        ("a05024", {"st": "22"}, ("a05024", "exact")),
        ("B00", {"st": "32"}, ("B00", "exact")),
        ("101", {"st": "32"}, ("w21011", "legacy")),
        ("101", {"st": "21"}, ("w21011", "legacy")),
        ("101", {"medium": "water"}, ("w21011", "legacy")),
        ("101", {"st": "31"}, None),
        ("101", {"st": "31", "medium": "water"}, ("w21011", "legacy")),
        ("101", {}, None),
        ("023", {"st": "31"}, None),
        ("801", {"st": "31"}, None),
        ("011", {"st": "32"}, ("w01018", "legacy")),
        ("11", {"st": "31"}, ("a21022", "legacy")),
        ("11", {"st": "32"}, None),
        ("02", {"st": "31"}, ("a21026", "legacy")),
        ("S01", {"st": "31"}, ("a19001", "legacy")),
        ("B01", {"st": "32"}, ("w00000", "legacy")),
        ("B02", {"st": "31"}, ("a00000", "legacy")),
        ("B01", {"st": "31"}, None),
        ("025", {"st": "32"}, ("025", "legacy")),
        ("025", {"st": "31"}, None),
        ("16", {"st": "31"}, ("16", "legacy")),
        ("B03", {"st": "23"}, ("B03", "legacy")),
        ("L50", {"st": "23"}, ("L50", "exact")),
        ("e10103", {"st": "52"}, ("e101xx", "exact")),
        ("E10103", {"st": "52"}, ("e101xx", "folded")),
        ("g21299", {"st": "51"}, ("g212xx", "exact")),
        ("e99999", {"st": "52"}, None),
        ("e101", {"st": "52"}, None),
        ("nothing", {"st": "32"}, None),
        ("", {"st": "32"}, None),
    ],
)
def test_match_factor_reads_the_code_itself(code, where, expected):
    """2017 codes count anywhere and in any case, 2005 codes only under their own medium."""
    assert found(code, **where) == expected


def test_find_factor_gives_the_matched_factor():
    """The short form answers with the factor alone, or None."""
    factor = find_factor("060", st="32")
    assert factor is not None
    assert (factor.code, factor.name_zh) == ("w21003", "氨氮")
    assert find_factor("060", st="31") is None


@given(
    code=st.text(max_size=8) | st.from_regex(r"[a-zA-Z]?[0-9]{2,5}", fullmatch=True),
    system=st.sampled_from(["21", "23", "31", "32", "91", "A0", ""]),
)
def test_match_factor_is_total(code, system):
    """Any text is a factor or none, and what is found is spelt as it says."""
    match = match_factor(code, st=system)
    if match and match.spelling is Spelling.LEGACY:
        assert match.factor.legacy_code == code
    elif match:
        assert match.factor.code.removesuffix("xx") == code.casefold()[:4] or (
            match.factor.code.casefold() == code.casefold()
        )


@pytest.mark.parametrize(("code", "units"), [("e70101", ("A", "mg/L")), ("g11901", ("%", "mg/m3"))])
def test_code_printed_twice_keeps_both_meanings(code, units):
    """The standard prints e701xx and g119xx twice: nobody guesses which, and the unit stays open."""
    printed = [row for row in factors() if row.code == f"{code[:4]}xx"]
    assert tuple(row.unit for row in printed) == units
    factor = find_factor(code)
    assert factor is not None
    assert factor.name_zh == " / ".join(row.name_zh for row in printed)
    assert factor.unit == ""
    assert "DUPLICATE CODE" in factor.note


@pytest.mark.parametrize(
    ("code", "unit"),
    [
        ("020", "mg/L"),
        ("w20111", "ug/L"),
        ("W20111", "ug/L"),
        ("001", "1"),
        ("B01", "L/s"),
        ("550", "count/L"),
        ("025", "mg/L"),
    ],
)
def test_match_unit_goes_with_the_code_as_sent(code, unit):
    """A 2005 code has the unit of 2005; where 2005 prints none, that of 2017."""
    match = match_factor(code, st="32")
    assert match is not None
    assert match.unit == unit


@pytest.mark.parametrize(("code", "legacy_code", "old", "new"), UNIT_CHANGES)
def test_unit_changed_names_both_units(code, legacy_code, old, new):
    """A factor whose unit changed is found by either code."""
    change = UnitChange(code, legacy_code, old, new)
    assert unit_changed(code) == change
    assert unit_changed(legacy_code) == change


def test_unit_changed_knows_exactly_the_printed_changes():
    """Thirteen units changed; trivalent chromium, which 2017 lacks, is none of them."""
    codes = {code for row in factors() for code in (row.code, row.legacy_code) if unit_changed(code)}
    assert codes == {code for row in UNIT_CHANGES for code in row[:2]}
    assert unit_changed("025") is None
    assert unit_changed("w01018") is None


@pytest.mark.parametrize("code", ["a34001", "a34002", "a34004", "a21001", "a05002"])
def test_printed_nanograms_carry_their_warning(code):
    """2017 prints ng/m3 where devices send ug/m3: the unit is as printed, the note says so."""
    factor = find_factor(code)
    assert factor is not None
    assert factor.unit == "ng/m3"
    assert "as printed" in factor.note


@pytest.mark.parametrize(
    ("system", "medium"),
    [
        ("21", "water"),
        ("32", "water"),
        ("52", "water"),
        ("22", "gas"),
        ("31", "gas"),
        ("39", "gas"),
        ("51", "gas"),
        ("23", "noise"),
        ("36", "noise"),
        ("25", "other"),
        ("44", "other"),
        ("91", "other"),
        ("A0", "other"),
        ("", "other"),
    ],
)
def test_medium_of_a_system_code(system, medium):
    """A system code speaks of water, gas, noise or something else."""
    assert medium_of_st(system) == medium


def test_catalogue_has_a_row_per_code():
    """366 codes of their own and 93 of 2005 that are spelt otherwise, no key twice."""
    rows = catalogue_rows()
    assert len(rows) == 459
    assert len({(row.code, row.medium) for row in rows}) == 459
    assert sum(row.alias_of not in {"", row.code} for row in rows) == 93
    codes = {row.code for row in factors()} | {row.legacy_code for row in factors()} - {""}
    assert {row.code for row in rows} == codes
    assert Counter(row.medium for row in rows) == {"water": 205, "gas": 228, "noise": 14, "other": 12}


def test_catalogue_aliases_name_codes_of_the_catalogue():
    """Whatever a 2005 code stands for is in the catalogue under the same medium."""
    by_key = {(row.code, row.medium): row for row in catalogue_rows()}
    for row in catalogue_rows():
        assert not row.alias_of or (row.alias_of, row.medium) in by_key


@pytest.mark.parametrize(
    ("code", "row"),
    [
        ("w01018", ("water", "mg/L", "kg", "")),
        ("011", ("water", "mg/L", "kg", "w01018")),
        ("w20111", ("water", "ug/L", "g", "")),
        ("020", ("water", "mg/L", "kg", "w20111")),
        ("041", ("water", "mg/L", "kg", "w20089")),
        ("w00000", ("water", "L/s", "m3", "")),
        ("B01", ("water", "L/s", "t", "w00000")),
        ("B02", ("gas", "m3/s", "m3", "a00000")),
        ("S02", ("gas", "m3/h", "", "a01011")),
        ("S08", ("gas", "MPa", "", "a01013")),
        ("10", ("gas", "mg/m3", "kg", "a21001")),
        ("550", ("water", "count/L", "", "w02003")),
        ("025", ("water", "mg/L", "kg", "025")),
        ("L50", ("noise", "dB", "", "")),
        ("B03", ("noise", "dB", "", "B03")),
        ("e101xx", ("water", "L/s", "", "")),
        ("e701xx", ("water", "", "", "")),
        ("p99101", ("other", "", "", "")),
        ("a05024", ("gas", "", "", "")),
    ],
)
def test_catalogue_row_has_the_units_of_its_code(code, row):
    """A 2005 code stands as a row of its own, with the units of 2005."""
    assert catalogue_row(code) == row
