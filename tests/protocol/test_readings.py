"""Tests of data areas to rows and back."""

from datetime import UTC, datetime

import pytest
from tests.strategies import NOT_NUMBERS, PLAIN_NUMBERS

from hj212gw.protocol import Reading, parse_data_area, parse_readings
from hj212gw.protocol.readings import read_rows
from hj212gw.protocol.values import OTHER_SUFFIXES, VALUE_SUFFIXES

MOMENT = datetime(2026, 3, 1, tzinfo=UTC)
TIME = "DataTime=20260301080000;"
EMPTY = Reading("w01018", 0, MOMENT, *[None] * 9, None, None)


def read(text: str) -> tuple[list[Reading], tuple[str, ...]]:
    """Read rows and warnings, both ways and twice, which must agree."""
    cp = text.encode()
    readings = parse_readings(cp)
    assert parse_readings(cp) == readings == read_rows(parse_data_area(cp))
    return readings.rows, readings.warnings


def test_every_value_suffix_has_its_place() -> None:
    """Table of suffixes (7.2), converted values included."""
    fields = ",".join(f"w01018-{suffix}={number}.5" for number, suffix in enumerate(VALUE_SUFFIXES))
    rows, warnings = read(f"{TIME}{fields},w01018-Flag=N")
    assert warnings == ()
    assert rows == [
        EMPTY._replace(
            rtd=0.5, min=1.5, avg=2.5, max=3.5, cou=4.5, zs_rtd=5.5, zs_min=6.5, zs_avg=7.5, zs_max=8.5, data_flag="N"
        )
    ]


def test_other_known_suffixes_are_kept_as_text() -> None:
    """Sample times, states, noise data and the names of 2025."""
    fields = ",".join(f"w01018-{suffix}=1" for suffix in sorted(OTHER_SUFFIXES))
    rows, warnings = read(f"{TIME}{fields}")
    assert warnings == ()
    assert rows == [EMPTY._replace(extra=dict.fromkeys(OTHER_SUFFIXES, "1"))]


def test_the_code_is_kept_as_sent() -> None:
    """Neither case nor edition of a code is changed."""
    rows, warnings = read(f"{TIME}W01018-Rtd=1;011-Rtd=2;pms_rules-Rtd=3;清-Rtd=4")
    assert [row.factor for row in rows] == ["W01018", "011", "pms_rules", "清"]
    assert warnings == ()


def test_values_of_a_factor_may_stand_apart() -> None:
    """2005 loggers send ZsRtd as an item of its own, far from its Rtd; Flag may come first."""
    rows, _ = read(f"{TIME}01-ZsRtd=2;02-Rtd=3;01-Flag=N,01-Rtd=1")
    assert [(row.factor, row.nth, row.rtd, row.zs_rtd, row.data_flag) for row in rows] == [
        ("01", 0, 1.0, 2.0, "N"),
        ("02", 0, 3.0, None, None),
    ]


def test_a_repeated_factor_is_another_row() -> None:
    """2017 C.29 sends e01001-Rtd twice; nothing is overwritten."""
    rows, warnings = read(
        f"{TIME}e01001-Rtd=1.1,e01001-Flag=N;e01001-Rtd=2.2,e01001-Flag=D;e01001-Rtd=3.3,e01001-Avg=4"
    )
    assert [(row.nth, row.rtd, row.avg, row.data_flag) for row in rows] == [
        (0, 1.1, None, "N"),
        (1, 2.2, None, "D"),
        (2, 3.3, 4.0, None),
    ]
    assert warnings == ()


def test_a_repeat_of_an_unreadable_value_is_another_row_too() -> None:
    """The text that was kept is not overwritten either."""
    rows, _ = read(f"{TIME}w01018-Rtd=-;w01018-Rtd=1;w01018-SampleTime=1;w01018-SampleTime=2")
    assert [(row.nth, row.rtd, row.extra) for row in rows] == [
        (0, None, {"Rtd": "-"}),
        (1, 1.0, {"SampleTime": "1"}),
        (2, None, {"SampleTime": "2"}),
    ]


@pytest.mark.parametrize("text", PLAIN_NUMBERS)
def test_a_plain_decimal_is_a_value(text: str) -> None:
    """Any number of digits on either side of the point."""
    rows, warnings = read(f"{TIME}w01018-Rtd={text},w01018-Flag=N")
    assert rows == [EMPTY._replace(rtd=float(text), data_flag="N")]
    assert warnings == ()


@pytest.mark.parametrize("text", [text for text in NOT_NUMBERS if "," not in text])
def test_anything_else_is_no_value_and_is_kept(text: str) -> None:
    """NULL with a warning, never 0 and never a lost row, though Flag says N."""
    rows, warnings = read(f"{TIME}w01018-Rtd={text},w01018-Flag=N;w21003-Rtd=1")
    assert rows == [
        EMPTY._replace(data_flag="N", extra={"Rtd": text}),
        EMPTY._replace(factor="w21003", rtd=1.0),
    ]
    assert warnings == ("value_unreadable",)


def test_many_long_values_are_read_as_few_are() -> None:
    """The limit of 300 characters is each value's own."""
    text = TIME + ";".join(f"w{i:05d}-Rtd=123456789012.{i:08d}" for i in range(40))
    rows, warnings = read(text)
    assert len(rows) == 40
    assert rows[39].rtd == 123456789012.00000039
    assert warnings == ()


def test_an_absent_flag_is_not_n() -> None:
    """Flag is optional in 2005 and often missing."""
    assert read(f"{TIME}w01018-Rtd=1")[0] == [EMPTY._replace(rtd=1.0)]


@pytest.mark.parametrize("flag", list("NFMSDCTBP0123"))
def test_the_flags_of_all_editions_are_known(flag: str) -> None:
    """Letters of 2017, and 2005's for sources and air stations."""
    assert read(f"{TIME}w01018-Rtd=1,w01018-Flag={flag}") == ([EMPTY._replace(rtd=1.0, data_flag=flag)], ())


@pytest.mark.parametrize("flag", ["d", "m", "", "NN", "X", "清"])
def test_other_flags_are_kept_as_sent_with_a_warning(flag: str) -> None:
    """Lower case is not folded: that is a setting per data logger."""
    assert read(f"{TIME}w01018-Rtd=1,w01018-Flag={flag}") == (
        [EMPTY._replace(rtd=1.0, data_flag=flag)],
        ("flag_unknown",),
    )


def test_an_unknown_suffix_is_kept_with_a_warning() -> None:
    """Vendors add ValidNum, ZsFlag, Ia; some write LA-td or LA-Rtd-Rtd."""
    rows, warnings = read(f"{TIME}w01018-ValidNum=10,w01018-td=1,w01018-Rtd-Rtd=2,w01018-=3")
    assert rows == [EMPTY._replace(extra={"ValidNum": "10", "td": "1", "Rtd-Rtd": "2"})]
    assert warnings == ("suffix_unknown",)


@pytest.mark.parametrize(
    ("suffix", "column"), [("rtd", "rtd"), ("min", "min"), ("ZSAVG", "zs_avg"), ("flag", "data_flag")]
)
def test_a_suffix_in_other_letter_case_is_taken_with_a_warning(suffix: str, column: str) -> None:
    """Shanghai stations send `-min`."""
    text = "N" if column == "data_flag" else "1"
    rows, warnings = read(f"{TIME}w01018-{suffix}={text}")
    assert rows == [EMPTY._replace(**{column: text if column == "data_flag" else 1.0})]
    assert warnings == ("suffix_case",)


@pytest.mark.parametrize("field", ["Flag=N", "Rtd=1", "-Rtd=1", "-=1"])
def test_a_suffix_without_a_factor_is_told(field: str) -> None:
    """There is no telling whose it was."""
    assert read(f"{TIME}w01018-Rtd=1;{field}") == ([EMPTY._replace(rtd=1.0)], ("factor_missing",))


def test_plain_fields_are_no_readings() -> None:
    """PolId, QN, RestartTime."""
    assert read(f"{TIME}PolId=w01018;QN=20260301080000123;RestartTime=20260301080000") == ([], ())


@pytest.mark.parametrize(
    ("text", "moment", "warning"),
    [
        ("DataTime=20260301080000123;", MOMENT.replace(microsecond=123000), ("data_time_unusual",)),
        ("DataTime=2026030108000050;", MOMENT.replace(microsecond=500000), ("data_time_unusual",)),
        ("DataTime=20261301080000;", None, ("data_time_unreadable",)),
        ("DataTime=2026-03-01;", None, ("data_time_unreadable",)),
        ("DataTime=;", None, ("data_time_missing",)),
        ("", None, ("data_time_missing",)),
    ],
)
def test_an_odd_data_time_costs_no_row(text: str, moment: datetime | None, warning: tuple[str, ...]) -> None:
    """The rows stay, and the text stays with the packet."""
    assert read(f"{text}w01018-Rtd=1") == ([EMPTY._replace(rtd=1.0, data_time=moment)], warning)
    expected = text.partition("=")[2].rstrip(";")
    assert parse_readings(f"{text}w01018-Rtd=1".encode()).data_time_text == expected


@pytest.mark.parametrize("text", ["", "BeginTime=20260301080000;EndTime=20260301090000"])
def test_a_request_has_no_readings_and_misses_nothing(text: str) -> None:
    """Only rows need a DataTime."""
    assert read(text) == ([], ())


@pytest.mark.parametrize("end", ["", ";", ";;", ",", ",;"])
def test_separators_at_the_end_change_nothing(end: str) -> None:
    """The standards' own examples end in a semicolon."""
    assert read(f"{TIME}w01018-Rtd=1,w01018-Flag=N{end}") == ([EMPTY._replace(rtd=1.0, data_flag="N")], ())


def test_only_flags_and_only_one_value_are_read() -> None:
    """The smallest shapes there are."""
    assert read(f"{TIME}w01018-Flag=F") == ([EMPTY._replace(data_flag="F")], ())
    assert read(f"w01018-Rtd=1;{TIME}") == ([EMPTY._replace(rtd=1.0)], ())


def test_the_first_of_two_data_times_counts() -> None:
    """A second one is kept in the packet and changes nothing."""
    rows, _ = read(f"{TIME}DataTime=20270301080000;w01018-Rtd=1")
    assert rows == [EMPTY._replace(rtd=1.0)]


def test_text_in_other_codes_does_not_pass_unseen_in_a_known_shape() -> None:
    """A shape learnt from clean packets is still checked in each packet."""
    for cp in (b"DataTime=20260301080000;w01018-Rtd=1,w01018-Flag=N", b"DataTime=\xff;w01018-Rtd=1,w01018-Flag=N"):
        assert parse_readings(cp) == read_rows(parse_data_area(cp))
