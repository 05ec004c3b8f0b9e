"""Tests of the data segment's header."""

import pytest
from tests.strategies import MN

from hj212gw.errors import PacketError
from hj212gw.protocol import Edition, Packet, encode_packet, parse_packet

USUAL = f"QN=20160801085857223;ST=32;CN=2011;PW=123456;MN={MN};Flag=5;CP=&&DataTime=20160801085857&&"


def parse(text: str) -> Packet:
    """Parse a data segment given as text."""
    return parse_packet(text.encode("latin-1"))


def refuse(text: str) -> PacketError:
    """Return the error a data segment gives."""
    with pytest.raises(PacketError) as caught:
        parse(text)
    assert caught.value.reason == "header"
    return caught.value


def test_the_usual_header() -> None:
    """Each field by its name; the data area stays raw."""
    assert parse(USUAL) == Packet(
        qn="20160801085857223", st="32", cn="2011", pw="123456", mn=MN, flag=5, pnum=None, pno=None, rf=False,
        cp=b"DataTime=20160801085857", extra=(), edition=Edition.V2017, warnings=(),
    )  # fmt: skip


def test_fields_are_read_by_name_in_any_order() -> None:
    """2005 prints QN behind CN and PNO before PNUM (annex C.6)."""
    packet = parse("ST=31;CN=2051;PNO=0002;PNUM=0003;QN=20191112091100598;MN=14513567846884;PW=123456;CP=&&&&")
    assert (packet.qn, packet.st, packet.cn, packet.pw, packet.mn) == (
        "20191112091100598", "31", "2051", "123456", "14513567846884",
    )  # fmt: skip
    assert (packet.pnum, packet.pno, packet.edition) == (3, 2, Edition.V2005)


def test_names_inside_the_data_area_are_not_the_headers() -> None:
    """2005 answers carry QN, CN, PNO and PNUM inside CP."""
    packet = parse("ST=91;CN=9014;CP=&&QN=20040516010101001;CN=2051;PNO=1;PNUM=1;&&")
    assert (packet.qn, packet.cn, packet.pno, packet.pnum) == ("", "9014", None, None)
    assert packet.cp == b"QN=20040516010101001;CN=2051;PNO=1;PNUM=1;"


def test_the_data_area_may_hold_any_bytes() -> None:
    """Marks inside are no end: only the last && closes."""
    segment = b"ST=32;CN=3020;PW=123456;MN=88888880000001;CP=&&a=//\xff&&;CP=&&\x00//&&"
    assert parse_packet(segment).cp == b"a=//\xff&&;CP=&&\x00//"


def test_retransmission_and_unknown_fields_are_kept() -> None:
    """RF=1 is a mark of 2025; vendors add fields of their own."""
    packet = parse(f"QN=20260301081500123;ST=31;CN=2051;PW=123456;MN={MN};Flag=9;RF=1;USCC=91A;IMEI=;CP=&&&&")
    assert packet.rf
    assert packet.extra == (("USCC", "91A"), ("IMEI", ""))
    assert packet.edition is Edition.V2025
    assert packet.warnings == ("field_unknown",)


@pytest.mark.parametrize("st", ["A0", "Z9", "91", "00"])
def test_a_system_code_may_hold_letters(st: str) -> None:
    """A0 to Z9 are free for extensions."""
    assert parse(USUAL.replace("ST=32", f"ST={st}")).warnings == ()


@pytest.mark.parametrize("cn", ["2083", "9021", "0000", "8888"])
def test_an_unknown_command_is_no_error(cn: str) -> None:
    """The list is open."""
    packet = parse(USUAL.replace("CN=2011", f"CN={cn}"))
    assert (packet.cn, packet.warnings) == (cn, ())


@pytest.mark.parametrize(
    ("old", "new", "warning"),
    [
        ("QN=20160801085857223", "QN=1617957600465", "qn_malformed"),
        ("QN=20160801085857223", "QN=20160801085857", "qn_malformed"),
        ("QN=20160801085857223", "QN=202411123203230940", "qn_malformed"),
        ("QN=20160801085857223", "QN=20160230085857223", "qn_malformed"),
        ("QN=20160801085857223", "QN=20150229085857223", "qn_malformed"),
        ("QN=20160801085857223", "QN=20160801245857223", "qn_malformed"),
        ("QN=20160801085857223", "QN=", "qn_malformed"),
        ("ST=32", "ST=101", "st_unusual"),
        ("ST=32", "ST=a0", "st_unusual"),
        ("PW=123456", "PW=BF470F88957588DE902D1A52", "pw_unusual"),
        ("PW=123456", "PW=", "pw_unusual"),
        ("PW=123456;", "", "pw_missing"),
        (MN, "18AAH", "mn_unusual"),
        (MN, "aqms-1100-2020110011", "mn_unusual"),
        (MN, "NM100000_0005", "mn_unusual"),
        (MN, MN + "0" * 20, "mn_unusual"),
        (MN, "", "mn_empty"),
        ("Flag=", "FLAG=", "field_case"),
        ("Flag=5", "Flag=7", "part_numbers_missing"),
        ("Flag=5", "Flag=10", "part_numbers_missing"),
        ("Flag=5", "Flag=14", "part_numbers_missing"),
        ("Flag=5", "Flag=5;PNUM=2;PNO=1", "part_bit_missing"),
        ("Flag=5;", "PNUM=2;PNO=1;", "part_bit_missing"),
        ("Flag=5", "Flag=7;PNUM=2;PNO=3", "part_number_unusual"),
        ("Flag=5", "Flag=7;PNUM=2;PNO=0", "part_number_unusual"),
        ("Flag=5", "Flag=7;PNUM=2", "part_number_unusual"),
        ("Flag=5", "Flag=7;PNO=2", "part_number_unusual"),
        ("Flag=5", "Flag=11;PNUM=10;PNO=2", "part_number_unusual"),
        ("Flag=5", "Flag=9;RF=0", "rf_unusual"),
        ("Flag=5", "Flag=9;RF=", "rf_unusual"),
        ("Flag=5;CP", "Flag=5CP", "missing_semicolon"),
        ("Flag=5;CP", "Flag=5; CP", "stray_character"),
        ("MN=", ",MN=", "stray_character"),
        (";MN=", "; MN =", "stray_character"),
        ("ST=32;", "ST=32;,;", "stray_character"),
        ("CN=2011", "CN=9011", "answer_unusual"),
        ("ST=32;CN=2011", "ST=91;CN=9014", "answer_unusual"),
    ],
)
def test_an_oddity_is_accepted_with_a_warning(old: str, new: str, warning: str) -> None:
    """What is met in the field (section 17) is read all the same."""
    assert parse(USUAL.replace(old, new)).warnings == (warning,)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("Flag=5;", ""), ("Flag=5", "Flag=7;PNUM=12;PNO=12"), ("Flag=5", "Flag=3"), ("QN=20160801085857223;", ""),
        ("20160801", "20160229"), ("ST=32;", "ST=32;;"), ("ST=32;CN=2011", "ST=91;CN=9015"),
        ("ST=32;CN=2011;PW=123456;", "ST=91;CN=9012;"), ("Flag=5", "Flag=11;PNUM=9;PNO=9"), ("PW=123456", "PW=a b-#1"),
    ],
)  # fmt: skip
def test_what_is_usual_gives_no_warning(old: str, new: str) -> None:
    """Flag absent is 2005, whose requests all carry Flag=3; parts in order; answers without PW."""
    text = USUAL.replace(old, new)
    text = text.replace("Flag=5", "Flag=4") if "9012" in text else text
    assert parse(text).warnings == ()


@pytest.mark.parametrize(
    ("old", "new", "qn_rtn", "words"),
    [
        ("ST=32;", "", 5, "no ST"),
        ("CN=2011;", "", 8, "no CN"),
        (f"MN={MN};", "", 4, "no MN"),
        ("ST=32", "ST=", 5, "ST is"),
        ("ST=32", "ST=3-2", 5, "ST is"),
        ("CN=2011", "CN=201", 8, "CN is"),
        ("CN=2011", "CN=２０１１".encode().decode("latin-1"), 8, "printable"),
        ("QN=2016", "QN=x016", 7, "QN is"),
        ("Flag=5", "Flag=N", 6, "Flag is"),
        ("Flag=5", "Flag=", 6, "Flag is"),
        ("Flag=5", "Flag=256", 6, "Flag is 0 to 255"),
        ("Flag=5", "Flag=7;PNUM=x", 6, "PNUM is"),
        ("Flag=5", "Flag=7;PNO=00001", 6, "PNO is"),
        (MN, "A" * 65, 4, "at most 64"),
        (MN, "\x07", 4, "printable"),
        ("PW=123456", "PW=123456;PW=123456", 3, "PW twice"),
        ("Flag=5", "Flag=5;FLAG=5", 6, "Flag twice"),
        ("PW=123456", "PW", 100, "NAME=value"),
        ("PW=123456", "=123456", 100, "NAME=value"),
        ("PW=123456", "P W=123456", 100, "NAME=value"),
        ("CP=&&", "CP=&", 100, "CP is"),
        ("CP=&&", "CP=", 100, "CP is"),
        (";CP=&&DataTime=20160801085857&&", "", 100, "CP is"),
        ("&&DataTime=20160801085857&&", "&&DataTime=20160801085857", 100, "CP is"),
        ("&&DataTime=20160801085857&&", "&&&", 100, "CP is"),
        ("&&DataTime=20160801085857&&", "&&", 100, "CP is"),
    ],
)
def test_a_broken_header_is_refused_with_its_return_code(old: str, new: str, qn_rtn: int, words: str) -> None:
    """The error names the field and carries the code of table 7."""
    error = refuse(USUAL.replace(old, new))
    assert error.qn_rtn == qn_rtn
    assert words in str(error)


def test_an_error_names_the_byte_of_its_field() -> None:
    """Counted from the start of the data segment."""
    assert refuse(USUAL.replace("Flag=5", "Flag=x")).offset == USUAL.index("Flag=")
    assert refuse(USUAL.replace("PW=123456", "PW")).offset == USUAL.index("PW")
    assert refuse(USUAL.replace("ST=32", "ST=32;ST=32")).offset == USUAL.index("CN=")
    assert refuse(USUAL.replace("CN=2011;", "")).offset == USUAL.index("CP=") - len("CN=2011;")


def test_a_password_is_never_shown() -> None:
    """Neither in an error nor in a print."""
    long = "secret" * 20
    assert "secret" not in str(refuse(USUAL.replace("PW=123456", f"PW={long}")))
    packet = parse(USUAL.replace("123456", "secret"))
    assert "secret" not in str(packet)
    assert str(packet) == f"Packet(qn='20160801085857223' st='32' cn='2011' mn='{MN}' flag=5)"
    with pytest.raises(PacketError) as caught:
        encode_packet(packet._replace(pw="secret;"))
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("flag", "wants_answer", "has_parts"),
    [(None, False, False), (4, False, False), (5, True, False), (6, False, True), (11, True, True)],
)
def test_the_two_low_bits_of_flag(flag: int | None, wants_answer: bool, has_parts: bool) -> None:
    """The lowest asks for an answer, the next says that parts may follow; swapped letters in 2025 change nothing."""
    packet = parse(USUAL)._replace(flag=flag)
    assert (packet.wants_answer, packet.has_parts) == (wants_answer, has_parts)


def test_a_packet_is_written_in_the_order_of_table_3() -> None:
    """RF stands before CP (2025)."""
    packet = parse(USUAL)._replace(flag=11, pnum=2, pno=1, rf=True, extra=(("USCC", "1"),))
    assert (
        encode_packet(packet)
        == (
            f"QN=20160801085857223;ST=32;CN=2011;PW=123456;MN={MN};Flag=11;PNUM=2;PNO=1;RF=1;USCC=1;"
            "CP=&&DataTime=20160801085857&&"
        ).encode()
    )


def test_empty_fields_are_left_out_but_for_mn() -> None:
    """2025's 1001 has an empty MN; 2005's 9014 has none at all."""
    packet = parse(USUAL)._replace(qn="", pw="", mn="", flag=None, cp=b"")
    assert encode_packet(packet) == b"ST=32;CN=2011;MN=;CP=&&&&"
    assert encode_packet(packet._replace(st="91", cn="9014")) == b"ST=91;CN=9014;CP=&&&&"


@pytest.mark.parametrize(
    ("change", "qn_rtn"),
    [
        ({"mn": "a;b"}, 4), ({"mn": " a"}, 4), ({"mn": "a,"}, 4), ({"mn": "清"}, 4), ({"mn": "a" * 65}, 4),
        ({"mn": "CP=&&"}, 4), ({"pw": "\n"}, 3), ({"cn": "20"}, 8), ({"st": ""}, 5), ({"qn": "abc"}, 7),
        ({"flag": 256}, 6), ({"flag": -1}, 6), ({"pnum": 10000}, 6), ({"extra": (("a b", "1"),)}, 100),
        ({"extra": (("Mn", "1"),)}, 100), ({"extra": (("cp", "1"),)}, 100), ({"extra": (("X", "P;"),)}, 100),
    ],
)  # fmt: skip
def test_what_would_not_be_read_back_is_not_written(change: dict[str, object], qn_rtn: int) -> None:
    """A header has no escaping."""
    with pytest.raises(PacketError) as caught:
        encode_packet(parse(USUAL)._replace(**change))
    assert caught.value.qn_rtn == qn_rtn
