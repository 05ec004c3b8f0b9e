"""Tests of the registry's cells: text to values and back."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hj212gw.protocol.factors import catalogue_rows
from hj212gw.registry.cells import (
    format_cell,
    format_moment,
    format_name,
    format_number,
    parse_cn,
    parse_codes,
    parse_decimal,
    parse_moment,
    parse_name,
    parse_token,
    parse_unit,
    show_cell,
)

MOMENTS = st.integers(-2_200_000_000_000_000, 7_250_000_000_000_000).map(
    lambda microseconds: datetime.fromtimestamp(0, UTC) + timedelta(microseconds=microseconds)
)
SHORTEST = [
    ("2026-01-01", datetime(2025, 12, 31, 16, tzinfo=UTC)),
    ("2026-01-01T08:00", datetime(2026, 1, 1, tzinfo=UTC)),
    ("2026-01-01T08:00:05", datetime(2026, 1, 1, 0, 0, 5, tzinfo=UTC)),
    ("2026-01-01T08:00:05.25", datetime(2026, 1, 1, 0, 0, 5, 250_000, tzinfo=UTC)),
    ("2026-01-01T00:00:00.000001", datetime(2025, 12, 31, 16, 0, 0, 1, tzinfo=UTC)),
]


@pytest.mark.parametrize(("text", "moment"), SHORTEST)
def test_moment_shortest_form(text, moment):
    """A moment on UTC+8 has one shortest form, which reads back the same."""
    assert parse_moment(text) == moment
    assert format_moment(moment) == text


@given(MOMENTS)
def test_moment_round_trip(moment):
    """Any moment survives being written and read."""
    assert parse_moment(format_moment(moment)) == moment


@pytest.mark.parametrize(
    "text",
    [
        "2026/01/01",
        "2026-1-1",
        "2026-02-30",
        "2026-01-01 08:00",
        "2026-01-01T24:00",
        "2026-01-01T08",
        "2026-01-01T08:00Z",
        "2026-01-01T08:00+08:00",
        "20260101",
        "0226-01-01",
        "２０２６-01-01",
        "soon",
    ],
)
def test_moment_refused(text):
    """Whatever is not one of the two documented forms is refused, never guessed."""
    with pytest.raises(ValueError, match="2026-01-01 or 2026-01-01T08:00"):
        parse_moment(text)


@given(st.text(min_size=1, max_size=40))
def test_name_round_trip(text):
    """A name that can be read comes back from the file it is written to, formula or not."""
    try:
        name = parse_name(text)
    except ValueError:
        return
    written = format_name(name)
    assert parse_name(written) == name
    assert written[0] not in "=+-@\t"


@pytest.mark.parametrize("name", ["=1+1", "+86 877", "-", "@sum", "\tx", "'=x", "''=x"])
def test_name_would_be_formula(name):
    """An apostrophe keeps a spreadsheet from running a name."""
    assert format_name(name) == f"'{name}"
    assert parse_name(f"'{name}") == name


@pytest.mark.parametrize("name", ["'quoted'", "O'Neill", "玉溪", "1+1"])
def test_name_is_left_alone(name):
    """A name that is no formula is written as it is."""
    assert format_name(name) == name
    assert parse_name(name) == name


@pytest.mark.parametrize("text", ["", "x" * 201, "a\nb", "a\x00b", "a\u202eb", "a\u200bb", "\ud800"])
def test_name_refused(text):
    """Names are bounded and hold nothing that cannot be seen."""
    with pytest.raises(ValueError, match="without control characters"):
        parse_name(text)


@pytest.mark.parametrize("text", ["", "a b", "a;b", "a,b", "a=b", "a&b", "数", "a\tb", "x" * 65])
def test_token_refused(text):
    """What stands in a field on the wire holds no separator."""
    with pytest.raises(ValueError, match="without ; , = & and spaces"):
        parse_token(text)


def test_codes_are_kept_in_order():
    """Codes are separated by any spaces and stay in order."""
    assert parse_codes(parse_cn)("2061  2011 ") == ("2061", "2011")
    assert format_cell(("2061", "2011")) == "2061 2011"


def test_shown_cell_is_bounded_and_masked():
    """A message shows little of a long cell and nothing of a secret one."""
    assert len(show_cell("x" * 1000)) < 50
    assert show_cell("hunter2", is_secret=True) == "7 characters (not shown)"
    assert show_cell("") == "nothing"


@pytest.mark.parametrize(
    ("text", "number", "written"),
    [
        ("0", 0.0, "0"),
        ("9.50", 9.5, "9.5"),
        ("-5", -5.0, "-5"),
        ("1e-6", 1e-6, "0.000001"),
        ("100", 100.0, "100"),
        ("102.1612", 102.1612, "102.1612"),
    ],
)
def test_number_shortest_form(text, number, written):
    """Numbers come back as plain decimals, whatever form they had."""
    assert parse_decimal(-1000, 1000)(text) == number
    assert format_cell(number) == written


@given(st.floats(-1e12, 1e12))
def test_number_round_trip(number):
    """Any number that is written reads back the same, as far as cells go."""
    text = format_number(number)
    assert "e" not in text
    if len(text) <= 20:
        assert parse_decimal(-1e12, 1e12)(text) == number


@pytest.mark.parametrize("text", ["", "1,5", "+1", ".5", "1.", "0x10", "NaN", "inf", "１", "1001", "1_0"])
def test_number_refused(text):
    """Only plain decimal numbers in the range are taken."""
    with pytest.raises(ValueError, match="a number, -1000 to 1000"):
        parse_decimal(-1000, 1000)(text)


def test_every_unit_of_the_catalogue_can_be_registered():
    """What the gateway proposes and a person accepts can be exported and imported again."""
    units = {row.unit for row in catalogue_rows() if row.unit}
    assert {parse_unit(unit) for unit in units} == units
    for bad in ("", "=1+1", "mg\nL", "x" * 100):
        with pytest.raises(ValueError, match="a unit of"):
            parse_unit(bad)
