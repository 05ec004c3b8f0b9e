"""Tests of the data area."""

import pytest

from hj212gw.errors import DataAreaError
from hj212gw.protocol import encode_data_area, parse_data_area


def groups(text: str) -> list[list[tuple[str, str]]]:
    """Parse a data area without warnings into lists."""
    area = parse_data_area(text.encode())
    assert area.warnings == ()
    return [list(group) for group in area.groups]


def test_groups_are_split_by_semicolons_and_fields_by_commas() -> None:
    """Order is kept (6.3.3)."""
    assert groups("DataTime=20160801085857;w01018-Rtd=1.1,w01018-Flag=N;w01001-Rtd=7.1") == [
        [("DataTime", "20160801085857")],
        [("w01018-Rtd", "1.1"), ("w01018-Flag", "N")],
        [("w01001-Rtd", "7.1")],
    ]


def test_keys_may_repeat() -> None:
    """PolId in 2005 C.12, CTime in C.23, e01001-Rtd in 2017 C.29."""
    assert groups("PolId=101;PolId=102") == [[("PolId", "101")], [("PolId", "102")]]
    assert groups("PolId=1,CTime=04,CTime=10") == [[("PolId", "1"), ("CTime", "04"), ("CTime", "10")]]


@pytest.mark.parametrize("text", ["", ";", ";;", ",", " ; ,"])
def test_an_empty_data_area_has_no_groups(text: str) -> None:
    """Separators and blanks alone are nothing."""
    assert groups(text) == []


def test_a_semicolon_at_the_end_is_accepted() -> None:
    """The standards' own examples have it."""
    assert groups("PNO=1;PNUM=1;") == [[("PNO", "1")], [("PNUM", "1")]]


@pytest.mark.parametrize(
    "log",
    ["//清洗管路//", "//a;b,c=d//", "//a//b//", "////", "//http://x//", "//&&1C80##0087QN=//", "//a\x01b;1\x01//", "//=//x//"],
)  # fmt: skip
def test_log_text_keeps_its_separators(log: str) -> None:
    """It is cut out by its // fences before the rest is split."""
    expected = [[("DataTime", "20100301145000")], [("PolId", "w01018")], [("i11001-Info", log), ("i2", "1")]]
    assert groups(f"DataTime=20100301145000;PolId=w01018;i11001-Info={log},i2=1") == expected
    assert groups(f"DataTime=20100301145000;PolId=w01018;i11001-Info={log},i2=1;") == expected


def test_two_logs_are_two_values() -> None:
    """A log ends at the first // before a separator or the end."""
    assert groups("a=//x;y//,b=//z;//;c=1") == [[("a", "//x;y//"), ("b", "//z;//")], [("c", "1")]]


def test_log_text_without_an_end_is_split_like_anything_else() -> None:
    """One that was cut off does not swallow what it cannot own."""
    assert groups("a=//x;b=1,c=2") == [[("a", "//x")], [("b", "1"), ("c", "2")]]


def test_slashes_elsewhere_are_no_fences() -> None:
    """Only a value that begins with // is a log."""
    assert groups("a=http://x;b=y//,c=1/2//3;//d=1//") == [
        [("a", "http://x")],
        [("b", "y//"), ("c", "1/2//3")],
        [("//d", "1//")],
    ]


def test_gbk_text_is_read_with_a_warning() -> None:
    """Some loggers write Chinese in GBK."""
    area = parse_data_area("i11001-Info=//清洗管路//".encode("gbk"))
    assert area.find("i11001-Info") == "//清洗管路//"
    assert area.warnings == ("text_gbk",)


def test_text_in_neither_code_keeps_its_bytes() -> None:
    """They are written as hex, and what surrounds them is read."""
    area = parse_data_area(b"a=1;b=\xff\xfe\x80;c=2")
    assert area.groups == ((("a", "1"),), (("b", "\\xff\\xfe\\x80"),), (("c", "2"),))
    assert area.warnings == ("text_undecodable",)


def test_blanks_round_a_key_are_dropped_with_a_warning() -> None:
    """2017 C.42 prints `i12003-Info =0`, C.25 a blank behind `;`."""
    area = parse_data_area(b"i12003-Info =0; LA-Rtd=50.1")
    assert area.groups == ((("i12003-Info", "0"),), (("LA-Rtd", "50.1"),))
    assert area.warnings == ("space_in_key",)


def test_a_field_without_a_value_is_kept_with_a_warning() -> None:
    """Its value is empty; `=` makes an empty value no oddity here."""
    area = parse_data_area(b"Operation;a=")
    assert area.groups == ((("Operation", ""),), (("a", ""),))
    assert area.warnings == ("value_missing",)


def test_find_returns_the_first_value_or_none() -> None:
    """Whatever group it stands in."""
    area = parse_data_area(b"a=1;b=2,c=3;c=4")
    assert (area.find("c"), area.find("d")) == ("3", None)


def test_groups_are_written_in_utf_8() -> None:
    """Without a semicolon at the end."""
    assert (
        encode_data_area([[("a", "1"), ("b", "")], [("i11001-Info", "//清;洗//")]])
        == "a=1,b=;i11001-Info=//清;洗//".encode()
    )
    assert encode_data_area([]) == encode_data_area([[]]) == b""


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("", "1"), ("a=b", "1"), ("a;b", "1"), ("a,b", "1"), ("a&&", "1"), (" a", "1"), ("a\n", "1"), ("a", "1;2"),
        ("a", "1,2"), ("a", "&&"), ("a", "//cut"), ("a", "//"), ("a", "///"), ("a", "//a//;b//"), ("a", "b=//c"),
        ("a\0", "1"), ("a", "1\0"), ("a", "//x\0//"),
    ],
)  # fmt: skip
def test_what_would_be_read_as_something_else_is_not_written(name: str, value: str) -> None:
    """There is no escaping."""
    with pytest.raises(DataAreaError, match="no separator outside // fences") as caught:
        encode_data_area([[(name, value)]])
    assert caught.value.reason == "data_area"


def test_nul_is_written_as_its_number() -> None:
    """No database keeps it in text, and what no database keeps must not come as far as there."""
    area = parse_data_area(b"DataTime=20260301080000;w01018-Rtd=1\0,a\0b=\0;i11001-Info=//x\0y//")
    assert area.warnings == ("text_undecodable",)
    assert area.groups[1] == (("w01018-Rtd", "1\\x00"), ("a\\x00b", "\\x00"))
    assert area.find("i11001-Info") == "//x\\x00y//"
