"""Tests of rows to data areas."""

from datetime import UTC, datetime

import pytest

from hj212gw.errors import DataAreaError
from hj212gw.protocol import Reading, encode_readings, parse_readings

MOMENT = datetime(2026, 3, 1, tzinfo=UTC)
EMPTY = Reading("w01018", 0, MOMENT, *[None] * 9, None, None)


def test_rows_are_written_as_annex_c_prints_them() -> None:
    """Cou before the statistics, Flag at the end; the order of 2017."""
    rows = [
        EMPTY._replace(min=7.1, avg=7.5, max=7.8, cou=10.5, data_flag="N"),
        EMPTY._replace(factor="w01001", rtd=7.0, zs_rtd=6.5, data_flag="D", extra={"SampleTime": "20260301070000", "EFlag": "A"}),
    ]  # fmt: skip
    assert encode_readings(rows, "20260301080000") == (
        b"DataTime=20260301080000;w01018-Cou=10.5,w01018-Min=7.1,w01018-Avg=7.5,w01018-Max=7.8,w01018-Flag=N;"
        b"w01001-SampleTime=20260301070000,w01001-Rtd=7.0,w01001-ZsRtd=6.5,w01001-Flag=D,w01001-EFlag=A"
    )


@pytest.mark.parametrize(
    ("value", "text"), [(1e-7, b"0.0000001"), (1e22, b"1" + b"0" * 22), (-0.5, b"-0.5"), (3.0, b"3.0")]
)
def test_values_are_never_written_with_an_exponent(value: float, text: bytes) -> None:
    """The wire knows plain decimals only."""
    assert encode_readings([EMPTY._replace(rtd=value)], "") == b"w01018-Rtd=" + text


def test_repeated_factors_are_written_so_that_they_stay_apart() -> None:
    """What repeats comes first in the later row."""
    area = b"DataTime=20260301080000;w01018-Rtd=1;w01018-Rtd=2,w01018-SampleTime=1,w01018-Cou=3"
    rows = parse_readings(area).rows
    area = encode_readings(rows, "20260301080000")
    assert parse_readings(area).rows == rows


@pytest.mark.parametrize(
    "row",
    [
        EMPTY._replace(factor=""),
        EMPTY._replace(factor="LA-Rtd", rtd=1.0),
        EMPTY._replace(factor="a;b", rtd=1.0),
        EMPTY._replace(rtd=float("nan")),
        EMPTY._replace(rtd=float("inf")),
        EMPTY._replace(rtd=1e305),
        EMPTY._replace(data_flag="N;"),
        EMPTY._replace(extra={"Info": "a;b"}),
    ],
)
def test_what_cannot_be_read_back_is_not_written(row: Reading) -> None:
    """A separator, or a value that is no plain decimal."""
    with pytest.raises(DataAreaError) as caught:
        encode_readings([row], "20260301080000")
    assert caught.value.reason == "data_area"
