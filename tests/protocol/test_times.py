"""Tests of wire times."""

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hj212gw.protocol.times import (
    WIRE_ZONE,
    format_data_time,
    format_qn,
    local_day,
    parse_data_time,
    parse_qn,
    start_of,
)

MOMENT = datetime(2026, 3, 1, 0, 15, 7, 123000, UTC)


def test_wire_time_is_eight_hours_ahead_of_utc() -> None:
    """QN and DataTime are Beijing time, whatever the zone of the machine."""
    assert parse_qn("20260301081507123") == MOMENT
    assert parse_data_time("20260301081507") == MOMENT.replace(microsecond=0)


def test_a_local_day_begins_at_16_of_the_day_before_in_utc() -> None:
    """So the last microsecond before belongs to the day before."""
    begin = start_of(date(2026, 3, 1))
    assert begin == datetime(2026, 2, 28, 16, tzinfo=UTC)
    assert local_day(begin) == date(2026, 3, 1)
    assert local_day(begin - timedelta(microseconds=1)) == date(2026, 2, 28)


def test_times_are_written_as_they_are_read() -> None:
    """Writing is the reverse of reading; DataTime has whole seconds."""
    assert format_qn(MOMENT) == "20260301081507123"
    assert format_data_time(MOMENT) == "20260301081507"


@pytest.mark.parametrize(("text", "microsecond"), [("2026030108150750", 500000), ("20260301081507123", 123000)])
def test_digits_behind_the_seconds_are_a_fraction(text: str, microsecond: int) -> None:
    """DataTime of 16 and 17 digits occurs in the field."""
    assert parse_data_time(text) == MOMENT.replace(microsecond=microsecond)


@pytest.mark.parametrize(
    "text",
    ["", "2026030108150", "202603010815071234", "20261301081507", "20260230081507", "20260301241507", "00000000000000",
     "00010101000000", "２０２６０３０１０８１５０７", "2026030108150²", "2026-03-01 081", "x" * 14, "9" * 5000],
)  # fmt: skip
def test_what_is_no_moment_gives_none(text: str) -> None:
    """Nothing is guessed, and nothing is raised."""
    assert parse_data_time(text) is None
    assert parse_qn(text + "123") is None


@pytest.mark.parametrize("text", ["20260301081507", "2026030108150712", "20261301081507123", "2026030108150712x"])
def test_a_qn_has_17_digits_that_are_a_moment(text: str) -> None:
    """A QN of another width is no moment."""
    assert parse_qn(text) is None


@given(
    st.datetimes().map(lambda moment: f"{moment.year:04}{moment:%m%d%H%M%S}")
    | st.text("0123456789", min_size=14, max_size=14)
    | st.builds(
        "2026{:02}{:02}{:02}{:02}{:02}".format, *[st.integers(0, 13), st.integers(0, 32), *[st.integers(0, 61)] * 3]
    )
)
def test_fourteen_digits_are_a_moment_exactly_when_the_calendar_has_it(text: str) -> None:
    """As if each field were read by itself."""
    parts = (text[:4], *(text[i : i + 2] for i in range(4, 14, 2)))
    try:
        expected = datetime(*map(int, parts), tzinfo=WIRE_ZONE).astimezone(UTC)
    except (ValueError, OverflowError):
        expected = None
    assert parse_data_time(text) == expected
