"""Rows of what is no reading: subjects, names, repeats, and what never becomes a row."""

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.strategies import MN, data_areas, packets

from hj212gw.protocol import CommandKind, Info, Packet, parse_infos, parse_packet, sender_kind
from hj212gw.protocol.codes import GRAIN_BY_CN, commands
from hj212gw.protocol.infos import INFO_TABLE_BY_CN

AT = datetime(2026, 3, 1, tzinfo=UTC)


def packet(cn: str, cp: str, flag: int = 5) -> Packet:
    """Make a packet of a CN with a data area."""
    return parse_packet(f"QN=20260301080000001;ST=32;CN={cn};PW=123456;MN={MN};Flag={flag};CP=&&{cp}&&".encode())


def rows(cn: str, cp: str, flag: int = 5) -> list[tuple[Any, ...]]:
    """Return the rows of a packet as plain tuples."""
    return [tuple(row) for row in parse_infos(packet(cn, cp, flag)).rows]


@pytest.mark.parametrize(
    ("cn", "cp", "expected"),
    [
        ("2021", "DataTime=20260301080000;SB1-RS=1;SB2-RS=0", [("SB1", "RS", 0, "1"), ("SB2", "RS", 0, "0")]),
        ("2041", "DataTime=20260301080000;SB1-RT=1.1", [("SB1", "RT", 0, "1.1")]),
        ("2081", "DataTime=20260301080000;RestartTime=x", [("", "RestartTime", 0, "x")]),
        ("1011", "PolId=w01018;SystemTime=1", [("w01018", "SystemTime", 0, "1")]),
        ("1011", "PolID=w01018;SystemTime=1", [("w01018", "SystemTime", 0, "1")]),
        ("1011", "SystemTime=1;PolId=w01018", [("", "SystemTime", 0, "1"), ("w01018", "PolId", 0, "w01018")]),
        (
            "1011",
            "PolId=101;PolId=102;SystemTime=1;PolId=103",
            [("101", "PolId", 0, "101"), ("102", "SystemTime", 0, "1"), ("103", "PolId", 0, "103")],
        ),
        (
            "3017",
            "PolId=101,CTime=04,CTime=10;PolId=102,CTime=04",
            [("101", "CTime", 0, "04"), ("101", "CTime", 1, "10"), ("102", "CTime", 0, "04")],
        ),
        ("3019", "PolId=w01018;w21003-SN=A", [("w21003", "SN", 0, "A")]),
        ("3020", "PolId=w01018;i11001-Info=//a;b,c//", [("w01018", "i11001", 0, "a;b,c")]),
        ("3020", "i11001-Info=////", [("", "i11001", 0, "")]),
        ("3020", "i11001-Info=//", [("", "i11001", 0, "//")]),
        ("3020", "i12001-Info=1,I33400-Info=80", [("", "i12001", 0, "1"), ("", "I33400", 0, "80")]),
        ("3020", "w01018-Info=1;i1-Info=2", [("w01018", "Info", 0, "1"), ("i1", "Info", 0, "2")]),
        ("2062", "w01018-ResultType=1", [("w01018", "ResultType", 0, "1")]),
        (
            "2072",
            "AlarmTime=1;101-Ala=2,AlarmType=1;102-Ala=3,PolId=9,AlarmType=0;AlarmType=1",
            [
                ("", "AlarmTime", 0, "1"),
                ("101", "Ala", 0, "2"),
                ("101", "AlarmType", 0, "1"),
                ("102", "Ala", 0, "3"),
                ("9", "AlarmType", 0, "0"),
                ("9", "AlarmType", 1, "1"),
            ],
        ),
        ("3015", "DataTime=20260301080000;VaseNo=1;VaseNo=2", [("", "VaseNo", 0, "1"), ("", "VaseNo", 1, "2")]),
        ("2021", "SB1-RS=1;SB1-RS=0;-RS=2;x", [("SB1", "RS", 0, "1"), ("SB1", "RS", 1, "0"), ("", "-RS", 0, "2"), ("", "x", 0, "")]),
        ("1031", "QN=1;AlarmTarget=2", [("", "AlarmTarget", 0, "2")]),
    ],
)  # fmt: skip
def test_rows(cn: str, cp: str, expected: list[tuple[Any, ...]]) -> None:
    """A row per field in the order sent; a PolId, or a factor of the same group, is its subject."""
    assert rows(cn, cp) == expected


@pytest.mark.parametrize(
    ("cn", "cp", "flag"),
    [
        ("1021", "PolId=101;PolId=102", 3),  # 2005 C.12: a host asks for thresholds
        ("3020", "PolId=w01018;InfoId=i11001;BeginTime=20260301000000,EndTime=20260301010000", 5),
        ("2041", "BeginTime=20260301000000;EndTime=20260301010000", 5),
        ("1061", "", 5),
        ("1001", "WarnTime=60", 3),  # a request in 2005
        ("1014", "SKCreateTime=20260301080000,NewSK=0123456789ABCDEF", 9),
        ("1072", "NewPW=654321", 5),
        ("9011", "QnRtn=1", 4),
        ("2011", "DataTime=20260301080000;w01018-Rtd=1", 5),
        ("3031", "PolId=w01018", 5),
    ],
)
def test_no_rows(cn: str, cp: str, flag: int) -> None:
    """Requests, answers, readings and keys give none, nor a moment or a warning."""
    infos = parse_infos(packet(cn, cp, flag))
    assert infos.rows == []
    assert infos.warnings == ()


@pytest.mark.parametrize("name", ["NewSK", "newsk", "NEWSK", "\x17NewSK", "SK=NewSK", "NewSK "])
def test_key_silences_its_packet(name: str) -> None:
    """Beside a key nothing else is told either: only a host sends one."""
    assert rows("1014", f"SKCreateTime=1;{name}=0123456789ABCDEF", 9) == []


@pytest.mark.parametrize("name", ["PW", "NewPW", "newpw", "\x17NewPW", "i1NewPW"])
def test_password_is_no_row(name: str) -> None:
    """What stands beside it is."""
    assert rows("1061", f"{name}=654321;RtdInterval=30") == [("", "RtdInterval", 0, "30")]


@pytest.mark.parametrize(
    ("cp", "moment", "text", "warnings"),
    [
        ("DataTime=20260301080000;SB1-RS=1", AT, "20260301080000", ()),
        ("AlarmTime=20260301080000;101-Ala=1", AT, "20260301080000", ()),
        ("DataTime=20260301080000;AlarmTime=x;101-Ala=1", AT, "20260301080000", ()),
        ("DataTime=2026030108000000;SB1-RS=1", AT, "2026030108000000", ("data_time_unusual",)),
        ("DataTime=20261301080000;SB1-RS=1", None, "20261301080000", ("data_time_unreadable",)),
        ("DataTime=;SB1-RS=1", None, "", ()),
        ("SB1-RS=1", None, "", ()),
        ("SB1-rs =1;SB1-zz=2;a", None, "", ("space_in_key", "value_missing", "suffix_case", "suffix_unknown")),
    ],
)
def test_moment_and_warnings(cp: str, moment: datetime | None, text: str, warnings: tuple[str, ...]) -> None:
    """DataTime, else AlarmTime; its absence is no fault, since many of these packets have none by design."""
    infos = parse_infos(packet("2072", cp))
    assert (infos.data_time, infos.data_time_text) == (moment, text)
    assert set(infos.warnings) == set(warnings)


def test_every_upload_of_the_tables_has_a_table_or_a_grain() -> None:
    """What the field sends as data goes somewhere; the README says why 1013, 2000 and 2082 do not."""
    sent = {
        row.cn
        for row in commands()
        if row.kind in {CommandKind.UPLOAD, CommandKind.NOTICE} and row.direction != "host->field" and row.cn < "9"
    }
    assert sent - set(INFO_TABLE_BY_CN) - set(GRAIN_BY_CN) == {"1013", "2000", "2082"}
    assert not set(INFO_TABLE_BY_CN) & set(GRAIN_BY_CN)


@given(packets(), st.sampled_from(sorted(INFO_TABLE_BY_CN)), data_areas)
def test_total_and_unambiguous(drawn: Packet, cn: str, cp: bytes) -> None:
    """Any packet gives rows whose keys differ, the same ones again, and none that its sender does not own."""
    for given_cn in (cn, drawn.cn):
        given_packet = drawn._replace(cn=given_cn, cp=cp)
        infos = parse_infos(given_packet)
        assert infos == parse_infos(given_packet)
        keys = [row[:3] for row in infos.rows]
        assert len(set(keys)) == len(keys)
        assert all(isinstance(row, Info) and row.name.casefold() not in {"newsk", "pw", "newpw"} for row in infos.rows)
        if infos.rows:
            assert given_cn in INFO_TABLE_BY_CN
            assert sender_kind(given_cn, given_packet.edition) in {CommandKind.UPLOAD, CommandKind.NOTICE}
