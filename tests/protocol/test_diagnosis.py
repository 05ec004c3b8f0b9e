"""Diagnosis: every fault of section 17 is named, and what is right is let alone."""

from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.strategies import data_areas

from hj212gw.errors import PacketError
from hj212gw.protocol import Discard, Frame, FrameBuffer, crc_text, encode_frame, parse_packet
from hj212gw.protocol.codes import is_known_st
from hj212gw.protocol.crc import modbus_crc16
from hj212gw.protocol.diagnosis import MAX_EVIDENCE, InForce, diagnose_packet, diagnose_reject, mark_reused
from hj212gw.protocol.factors import find_factor
from hj212gw.protocol.faults import HARMLESS_ROWS, REPAIR_BY_WARNING, REPAIRS, fault_table
from hj212gw.protocol.tables import read_table
from hj212gw.protocol.times import format_data_time, format_qn, parse_qn
from hj212gw.telemetry import REJECT_REASONS

AT = datetime(2026, 3, 1, 0, 0, 5, tzinfo=UTC)  # 08:00:05 on the wire
MN = "010000A8900016F000169DC0"
PW = "hush42"
HEADER = f"QN=20260301080004000;ST=32;CN=2011;PW={PW};MN={MN};Flag=5;"
AREA = "DataTime=20260301080000;w01018-Rtd=35.5,w01018-Flag=N"
ROWS_OF_STATE = {40}  # told from two packets: tests/gateway/test_proposals.py


def segment(area=AREA, **changes):
    """A data segment; a header field of None is left out."""
    fields = dict(field.split("=") for field in HEADER.rstrip(";").split(";")) | changes
    text = "".join(f"{name}={value};" for name, value in fields.items() if value is not None)
    return f"{text}CP=&&{area}&&".encode()


def gas(area, **changes):
    """A data segment of a flue gas outlet."""
    return segment(f"DataTime=20260301080000;{area}", **{"ST": "31", **changes})


def minute(data_time, **changes):
    """A data segment of minute data."""
    area = f"DataTime={data_time};w01018-Min=1,w01018-Avg=2,w01018-Max=3,w01018-Flag=N"
    return segment(area, **{"CN": "2051", **changes})


def framed(body, crc=None, length=None, end=b"\r\n"):
    """A frame with whatever CRC and length."""
    return b"##%04d%b%b%b" % (len(body) if length is None else length, body, crc or crc_text(body), end)


def modbus(body, *, swapped=False):
    """The CRC of a wrong algorithm."""
    crc = b"%04X" % modbus_crc16(body)
    return crc[2:] + crc[:2] if swapped else crc


def diagnose(raw, *, at=AT, in_force=None, warnings=()):
    """Feed bytes as a session does and diagnose every frame and discard; what and value of the proposals."""
    return {(found.what, found.value) for found in propose(raw, at=at, in_force=in_force, warnings=warnings)}


def propose(raw, *, at=AT, in_force=None, warnings=()):
    """Feed bytes as a session does and diagnose every frame and discard."""
    buffer = FrameBuffer()
    found = []
    for event in [*buffer.feed(raw), *buffer.close()]:
        found += diagnose_event(event, at, in_force or InForce(), warnings)
    for proposal in found:
        assert_clean(proposal)
    return found


def diagnose_event(event, at, in_force, warnings):
    """Diagnose what one span became."""
    reason = event.reason if isinstance(event, Discard) else ""
    if isinstance(event, Frame):
        try:
            packet = parse_packet(event.segment)
        except PacketError as error:
            reason = error.reason
        else:
            noticed = (*event.warnings, *packet.warnings, *warnings)
            return diagnose_packet(packet, event.segment, noticed, at, in_force)
    rejected = diagnose_reject(event.raw, reason)
    return [rejected] if rejected else []


class Row(NamedTuple):
    """One fault of section 17 as bytes, and what is proposed."""

    number: int
    raw: bytes
    expected: set


def repair(*slugs):
    """Proposals to the maker."""
    return {("repair", slug) for slug in slugs}


GOOD = encode_frame(segment())
ZEROES = next(body for n in range(9999) if crc_text(body := segment(f"{AREA};w01001-Rtd={n}")) == b"0000")
SHORT = next(body for n in range(9999) if crc_text(body := segment(f"{AREA};w01001-Rtd={n}"))[:1] == b"0")
LONG = segment(";".join([AREA, *(f"w01018-Rtd={n}.25" for n in range(90))]))
CHINESE = segment(f"{AREA};i11001-Info=//正常//")
FAULTS = [
    Row(1, framed(segment(), modbus(segment())), {("dialect", "crc_modbus")}),
    Row(1, framed(segment(), modbus(segment()).lower()), {("dialect", "crc_modbus")}),
    Row(2, framed(segment(), modbus(segment(), swapped=True)), {("dialect", "crc_modbus_swapped")}),
    Row(3, framed(segment(), b"8D31"), repair("crc")),
    Row(3, framed(segment(), b"FFFF"), repair("crc_placeholder")),
    Row(4, framed(segment(), crc_text(segment()).lower()), repair("crc_lower_case")),
    Row(5, framed(SHORT, crc_text(SHORT).lstrip(b"0")), {("dialect", "crc_short")}),
    Row(5, framed(segment(), b"\xa1\x02"), repair("crc_not_text")),
    Row(6, framed(ZEROES), set()),
    Row(7, framed(segment(), length=len(segment()) - 1), repair("length")),
    Row(7, framed(segment(), length=271), repair("length")),
    Row(7, framed(CHINESE, length=len(CHINESE.decode())), {("dialect", "length_characters")}),
    Row(8, b"##" + GOOD[3:], repair("length_digits")),
    Row(9, framed(LONG), repair("too_long")),
    Row(9, framed(segment("x" * 5000)), repair("too_long")),
    Row(10, framed(segment(), end=b""), repair("no_crlf")),
    Row(10, framed(segment(), end=b"\n"), repair("lf_only")),
    Row(11, GOOD + framed(segment(QN="20260301080005000")), set()),
    Row(11, GOOD[:90], repair("cut_off")),
    Row(12, bytes.fromhex("0E0F00000006010400000064") + GOOD, repair("noise")),
    Row(12, b"AT+CSQ\r" + GOOD, repair("noise")),
    Row(12, "【2020-08-28 19:10:34:044】".encode() + GOOD, repair("noise")),
    Row(13, framed(segment()[:-2]), {("dialect", "closing_missing")}),
    Row(14, framed(segment().replace(b"&&", b"&")), {("dialect", "single_ampersand")}),
    Row(15, framed(segment(QN=None)), repair("qn_missing")),
    Row(15, framed(segment(QN=None, Flag=None)), repair("qn_missing")),
    Row(16, framed(segment(QN="1617957600465")), repair("qn_malformed")),
    Row(16, framed(segment(QN="20260301080004")), repair("qn_malformed")),
    Row(16, framed(segment(QN="202603010800040009")), repair("qn_malformed")),
    Row(17, framed(segment(QN=None).replace(b"PW=", b"QN=20260301080004000;PW=")), repair("field_order")),
    Row(17, framed(segment(f"QN=20260301080004000;{AREA}", QN=None)), repair("qn_in_data_area")),
    Row(18, framed(segment(Flag=None)), repair("flag_missing")),
    Row(18, framed(segment().replace(b"Flag=", b"FLAG=")), repair("field_case")),
    Row(18, framed(segment(Flag="7")), repair("part_numbers")),
    Row(19, framed(segment(Flag=None, PNO="0002", PNUM="0002")), repair("field_order", "part_bit", "flag_missing")),
    Row(20, framed(segment(PW=None)), repair("pw")),
    Row(20, framed(segment(PW="")), repair("pw")),
    Row(20, framed(segment(PW="BF470F88957588DE902D1A52")), repair("pw")),
    Row(20, framed(segment(PW=None).replace(b"Flag", f"PW={PW};Flag".encode())), repair("field_order")),
    Row(21, framed(segment(MN="000101")), repair("mn")),
    Row(21, framed(segment(MN="411420sibo0606-1")), repair("mn")),
    Row(21, framed(segment(MN="")), repair("mn_empty")),
    Row(22, framed(gas("a21026-Rtd=35.5", ST="32")), repair("st")),
    Row(22, framed(gas("a34001-Rtd=123000", ST="51")), repair("st")),
    Row(22, framed(gas("a34001-Rtd=123000", ST="23")), repair("st")),
    Row(22, framed(segment(ST="101")), repair("st")),
    Row(22, framed(segment(ST="80")), repair("st")),
    Row(23, framed(segment("", CN="9014")), repair("answer_st")),
    Row(24, framed(segment("DataTime=20260301080000000;w01018-Rtd=1")), repair("data_time_digits")),
    Row(24, framed(segment("w01018-Rtd=1;DataTime=20260301080000")), repair("data_time_order")),
    Row(24, framed(segment("DataTime=0103202608000;w01018-Rtd=1")), repair("data_time")),
    Row(25, framed(minute("20260301080002", QN="20260301080003042")), {("time_label", "sent")}),
    Row(
        25,
        framed(
            segment(
                "DataTime=20260301080000;w01018-Min=1,w01018-Avg=1,w01018-Max=1",
                CN="2051",
                QN="20260301080000042",
            )
        ),
        {("time_label", "sent")},
    ),
    Row(26, framed(segment("DataTime=20400101191000;w01018-Rtd=1", QN="20400101191000000")), {("clock", "440000000")}),
    Row(27, framed(segment("DataTime=20260228081600;w01018-Rtd=1")), repair("old_as_real_time")),
    Row(28, framed(segment().replace(b";MN=", b";,MN=")), repair("stray_character")),
    Row(28, framed(segment().replace(b"5;CP", b"5CP")), repair("missing_semicolon")),
    Row(28, framed(segment("DataTime=20260301080000;w01018-Rtd =1")), repair("space_in_key")),
    Row(28, framed(segment().replace(b";ST=", b",ST=")), repair("missing_semicolon")),
    Row(29, framed(segment(AREA + ";")), set()),
    Row(30, framed(segment("DataTime=20260301080000;w01018-Rtd=1,w01001-Rtd=7")), repair("comma_between_factors")),
    Row(31, framed(segment(f"{AREA};Flag=N")), repair("factor_missing")),
    Row(31, framed(segment(f"{AREA};LA-td=1")), repair("suffix_unknown")),
    Row(31, framed(segment(f"{AREA};w01001-rtd=7")), repair("suffix_case")),
    Row(31, framed(segment(f"{AREA};w01001-Rtd=7,w01001-Flag=d")), repair("flag_unknown")),
    Row(31, framed(segment("DataTime=20260301080000;W01018-Rtd=7")), {("rename", "W01018 w01018")}),
    Row(32, framed(gas("a21026-ValidNum=7,a21026-Rtd=1")), repair("suffix_unknown")),
    Row(32, framed(gas("af0001-Rtd=1")), repair("factor_unknown")),
    Row(32, framed(gas("o31104-Rtd=80")), {("rename", "o31104 a05024")}),
    Row(33, framed(gas("a01006-Rtd=,a01006-Flag=N")), repair("empty_value")),
    Row(33, framed(gas("a01013-Rtd=-0.3,a01013-SampleTime=,")), repair("empty_value")),
    Row(34, framed(gas("a21026-Rtd=-100,a21026-Flag=B")), repair("error_value")),
    Row(34, framed(gas("a21026-Rtd=0.000,a21026-Flag=D")), repair("error_value")),
    Row(34, framed(gas("a24088-Rtd=-0.9,a24088-Flag=N")), repair("error_value")),
    Row(34, framed(gas("a24088-Min=1,a24088-Avg=9,a24088-Max=3")), repair("statistics_disordered")),
    Row(35, framed(gas("a21026-Rtd=NaN")), repair("value_unreadable")),
    Row(35, framed(gas("a21026-Rtd=-")), repair("value_unreadable")),
    Row(36, framed(gas("").replace(b";&&", ";i11001-Info=//正常//&&".encode("gbk"))), repair("text_gbk")),
    Row(37, framed("DataTime＝20260301080000；w01018-Rtd＝1".join(segment("|").decode().split("|")).encode()),
        repair("full_width")),
    Row(37, framed(segment().decode().replace(";CN", "；CN").encode()), repair("full_width")),
    Row(38, framed(gas("a01012-Rtd=85,a01012-ZsRtd=85")), repair("zs")),
    Row(38, framed(gas("a21026-Rtd=3.5,a21026-ZsRtd=350")), repair("zs")),
    Row(39, GOOD, set()),
]  # fmt: skip


@pytest.mark.parametrize("row", FAULTS, ids=lambda row: f"{row.number}-{'-'.join(sorted(v for _, v in row.expected))}")
def test_fault_of_section_17_is_named(row):
    """With the setting that helps, or as the maker's to mend."""
    assert row.expected <= diagnose(row.raw)
    if not row.expected:
        assert diagnose(row.raw) == set()
        assert row.number in HARMLESS_ROWS


def test_all_40_rows_are_here():
    """Each row of section 17 has bytes above, or is told from two packets."""
    assert {row.number for row in FAULTS} | ROWS_OF_STATE == set(range(1, 41))
    harmless = {number for number in HARMLESS_ROWS if all(not row.expected for row in FAULTS if row.number == number)}
    assert harmless == set(HARMLESS_ROWS) - {11}


any_bytes = st.one_of(
    st.binary(max_size=200),
    st.sampled_from([row.raw for row in FAULTS]),
    st.tuples(st.sampled_from([row.raw for row in FAULTS]), st.integers(0, 250), st.binary(max_size=6)).map(
        lambda parts: parts[0][: parts[1]] + parts[2] + parts[0][parts[1] :]
    ),
)
reasons = st.sampled_from([*REJECT_REASONS, "unstorable"])


@given(any_bytes, reasons)
def test_any_span_is_diagnosed(raw, reason):
    """Whatever bytes and whatever reason, with a proposal that fits a row of the table."""
    proposal = diagnose_reject(raw, reason)
    if proposal:
        assert_clean(proposal)


@given(data_areas, st.sampled_from(["2011", "2051", "2061", "2031", "2081", "9014"]), st.binary(max_size=8))
def test_any_packet_is_diagnosed(cp, cn, tail):
    """Whatever is in its data area, each proposal once."""
    raw = segment("", CN=cn)[:-2] + cp + tail + b"&&"
    packet = parse_packet(raw)
    found = diagnose_packet(packet, raw, packet.warnings, AT)
    assert len({proposal[:5] for proposal in found}) == len(found)
    for proposal in found:
        assert_clean(proposal)


moments = st.one_of(
    st.sampled_from(["00010101000000", "00010101080000", "99991231235959", "20260301080000", "20260301075959"]),
    st.datetimes(datetime(1, 1, 1), datetime(9999, 12, 31)).map(lambda moment: f"{moment:%4Y%m%d%H%M%S}"),  # noqa: DTZ001
    st.integers(-200_000, 200_000).map(lambda secs: format_data_time(AT + timedelta(seconds=secs))),
)


@given(moments, moments, st.sampled_from(["2011", "2051", "2061", "2031", "2111"]), st.sampled_from([None, 1, 10, 30]))
def test_any_moments_are_diagnosed(data_time, qn, cn, interval):
    """Of any clock, from the year 1 to the year 9999."""
    raw = minute(data_time, CN=cn, QN=f"{qn}999")
    for label in ("start", "end", "sent"):
        propose(framed(raw), in_force=InForce(label, interval))


@pytest.mark.parametrize(
    "raw",
    [
        framed(segment().replace(b"PW=", b"PW:"))[:60],
        framed(segment().replace(b";CP", b";CP;CP")),
        framed(segment("x", CN="1072", ST="91")[:-2] + b";NewPW=hush42&&", b"0001"),
        framed(b"ST=32;PW=hush42&&", b"8D31"),
        b"##0012PW=hush42",
        b"##9PW=hush42;CP=&&&&0000\r\n",
        framed(segment(PW=f"{PW};MN=1;{PW}=")),
        b"PW hush42 and more",
    ],
)
def test_password_is_never_evidence(raw):
    """However it is written, wherever the span was cut."""
    for reason in REJECT_REASONS:
        found = diagnose_reject(raw, reason)
        assert not found or PW not in "".join(found)


@pytest.mark.parametrize("warning", sorted(REPAIR_BY_WARNING))
def test_warning_is_a_fault_of_the_table(warning):
    """Whatever gives it: frame, packet, readings, admission."""
    assert REPAIR_BY_WARNING[warning] in REPAIRS
    packet = parse_packet(segment())
    assert ("repair", REPAIR_BY_WARNING[warning]) in {
        found[3:5] for found in diagnose_packet(packet, segment(), (warning,), AT)
    }


def test_dialect_in_use_is_not_proposed_again():
    """Its warning stands at the packet for ever; an unknown logger is to be registered."""
    assert diagnose(GOOD, warnings=("crc_modbus", "closing_missing")) == set()
    (found,) = propose(GOOD, warnings=("unknown_mn",))
    assert found[:5] == (MN, "", "", "register", "")


def test_proposals_say_whose_they_are():
    """Of the header for a data logger as a whole, of the data area by ST and CN, of units for every CN."""
    raw = framed(gas("a34004-Rtd =35,a34004-Flag=N", MN="4201003"))
    assert {found[:5] for found in propose(raw)} == {
        ("4201003", "", "", "repair", "mn"),
        ("4201003", "31", "2011", "repair", "space_in_key"),
        ("4201003", "", "", "unit", "a34004 a34004 ng/m3 1000"),
    }
    assert propose(b"##99QN=\r\n")[0][:3] == ("", "", "")


def test_encrypted_packet_needs_a_key():
    """As bytes and printed; text in another encoding is none."""
    cipher = bytes.fromhex("E43E159ACFAB242CB53155FB8B9281A1")
    head, _, _ = segment(Flag="9").partition(b"DataTime")
    assert diagnose(framed(head + cipher + b"ag=N&&", b"2200")) == {("key", "sm4")}
    printed = b"{" + b",".join(b"0x%02X" % byte for byte in cipher) + b"}"
    assert diagnose(framed(head + printed + b"&&", b"2200")) == {("key", "sm4")}
    chinese = segment("站点名称=清水河;DataTime=20260301080000").decode().encode("gbk")
    assert diagnose(framed(chinese, b"2201")) == {("key", "sm4")}  # nobody can tell: a person looks
    assert diagnose(framed(segment().decode().encode(), b"2201")) == repair("crc")


@pytest.mark.parametrize(
    ("raw", "reason", "slug"),
    [
        (GOOD[:6] + GOOD[7:], "incomplete", "length"),
        (b"##01", "incomplete", "cut_off"),
        (b"##0040ST=32&&xx", "length", "length"),
        (GOOD, "header", "header"),
        (b"##0009ST=32;CP=", "header", "header"),
        (b"##0011ST=32;CP=&&1234\r\n", "trailer", "closing_missing"),
        (b"\x0e\x0f\0\0\0\6\1\4\0\0\0\x64", "noise", "noise"),
        (b"GET / HTTP/1.1\r\n", "noise", "noise"),
        (b"d=16;a34001-Rtd=29;&&84C1", "noise", "noise"),
    ],
)
def test_span_is_named(raw, reason, slug):
    """Beside the rows of section 17."""
    assert diagnose_reject(raw, reason)[3:5] == ("repair", slug)


def test_full_width_in_gbk():
    """Where the bytes are no UTF-8."""
    raw = segment("DataTime=20260301080000|w01018-Rtd=1").replace(b"|", "；".encode("gbk"))
    assert ("repair", "full_width") in diagnose(framed(raw))


STATISTICS = [
    # CN, DataTime, sent at, interval of minute data, label in force, what is proposed
    ("2051", "080000", "081003", 10, "start", None),
    ("2051", "080000", "081003", None, "start", None),
    ("2051", "080000", "081003", 10, "end", "start"),
    ("2051", "080000", "081003", None, "end", None),
    ("2051", "080000", "080003", 10, "start", "end"),
    ("2051", "080000", "080003", None, "start", "end"),
    ("2051", "080000", "080203", 10, "start", "end"),
    ("2051", "080000", "080203", None, "start", None),
    ("2051", "080000", "080203", 10, "end", None),
    ("2051", "080000", "080003", 10, "sent", None),
    ("2051", "080100", "080103", 10, "start", "sent"),
    ("2051", "080100", "080103", 1, "start", "end"),
    ("2051", "080017", "080018", 10, "start", "sent"),
    ("2051", "080017", "080018", 10, "sent", None),
    ("2051", "080017", "081018", 10, "start", None),
    ("2051", "080000", "082503", 10, "end", None),
    ("2051", "080000", "075930", 10, "start", "end"),
    ("2051", "081000", "080003", 10, "start", None),
    ("2111", "080000", "080003", None, "start", "end"),
    ("2111", "080000", "080503", None, "sent", "start"),
    ("2061", "080000", "090103", None, "start", None),
    ("2061", "080000", "080103", None, "start", "end"),
    ("2061", "080000", "090103", None, "end", "start"),
    ("2061", "075959", "080103", None, "start", "end"),
    ("2061", "075959", "093103", None, "start", None),
    ("2031", "000000", "000103", None, "start", "end"),
    ("2031", "000000", "080103", None, "end", None),
    ("2011", "080000", "080003", None, "start", None),
]


@pytest.mark.parametrize(("cn", "data_time", "sent", "interval", "label", "expected"), STATISTICS)
def test_label_is_told_by_lag(cn, data_time, sent, interval, label, expected):
    """From a live packet, whatever its clock."""
    sent_at = datetime.strptime(f"20260301{sent}+0800", "%Y%m%d%H%M%S%z").astimezone(UTC)
    raw = framed(minute(f"20260301{data_time}", CN=cn, QN=format_qn(sent_at)))
    found = diagnose(raw, at=sent_at + timedelta(seconds=50), in_force=InForce(label, interval))
    assert {value for what, value in found if what == "time_label"} == ({expected} if expected else set())


def test_label_is_not_told_by_late_packets():
    """What was kept during an outage, what is marked as sent again, what has no time."""
    late = framed(minute("20260301080000", QN="20260301080003000"))
    assert diagnose(late, at=AT + timedelta(minutes=3)) == set()
    assert diagnose(framed(minute("20260301080000", QN="20260301080003000", RF="1"))) == set()
    assert {what for what, _ in diagnose(framed(minute("x")))} == {"repair"}
    assert {what for what, _ in diagnose(framed(segment("", CN="2051")))} == set()


def test_label_without_qn_is_told_by_arrival():
    """2005's uploads have none."""
    assert ("time_label", "end") in diagnose(framed(minute("20260301080000", QN=None, Flag=None)))


@pytest.mark.parametrize(
    ("behind", "expected", "is_certain"),
    [
        (timedelta(minutes=4), set(), None),
        (timedelta(hours=2), {("clock", "-7200")}, False),
        (timedelta(days=500), {("clock", "-43000000")}, True),
        (-timedelta(minutes=1), set(), None),
        (-timedelta(minutes=3), {("clock", "180")}, True),
    ],
)
def test_clock_is_told_by_qn(behind, expected, is_certain):
    """One that is behind may be an outage's packet; one that is ahead or years off is not."""
    qn_at = AT - behind
    raw = framed(segment(f"DataTime={format_data_time(qn_at)};w01018-Rtd=1", QN=format_qn(qn_at)))
    found = [proposal for proposal in propose(raw) if proposal.what == "clock"]
    assert {proposal[3:5] for proposal in found} == expected
    assert [proposal.is_certain for proposal in found] == [is_certain] * len(expected)


UNITS = [
    # ST, code, value, flag, what is proposed
    ("32", "011", "35.5", "N", "011 w01018 mg/L 1"),
    ("32", "B01", "35.5", "N", "B01 w00000 L/s 1"),
    ("32", "020", "0.0004", "N", "020 w20111 ug/L 1000"),
    ("32", "020", "40", "N", "020 w20111 ug/L 1"),
    ("32", "020", "0", "N", None),
    ("32", "020", "0.0004", "D", None),
    ("32", "041", "0.0004", "N", "041 w20089 ng/L 1000000"),
    ("32", "041", "0.05", "N", None),
    ("32", "w20111", "0.4", "N", None),
    ("32", "w20111", "0.0004", "N", "w20111 w20111 ug/L 1000"),
    ("32", "w01018", "0.0004", "N", None),
    ("31", "S02", "12.5", "N", "S02 a01011 m/s 1"),
    ("31", "S02", "90000", "N", None),
    ("31", "S04", "0.0001", "N", "S04 a01017 kPa 1000"),
    ("31", "S08", "-0.0002", "N", "S08 a01013 kPa 1000"),
    ("31", "S08", "-0.2", "N", "S08 a01013 kPa 1"),
    ("31", "a01013", "-0.2", "N", None),
    ("31", "a01013", "-230", "N", "a01013 a01013 kPa 0.001"),
    ("31", "10", "2.5", "N", "10 a21001 ng/m3 1000000"),
    ("22", "a21001", "25", "N", "a21001 a21001 ng/m3 1000"),
    ("22", "a21026", "12", "N", "a21026 a21026 mg/m3 0.001"),
    ("31", "a21026", "12", "N", None),
    ("22", "a01006", "1013.2", "N", "a01006 a01006 kPa 0.1"),
    ("22", "a01006", "101.3", "N", None),
    ("22", "a34004", "35", "N", "a34004 a34004 ng/m3 1000"),
    ("22", "a34004", "0.035", "N", "a34004 a34004 ng/m3 1000000"),
    ("22", "a34004", "35000", "N", None),
    ("31", "a00000", "90000", "N", "a00000 a00000 m3/s 0.000277777777777778"),
    ("31", "99", "3", "N", None),
    ("31", "16", "3", "N", "16 16 mg/m3 1"),
    ("32", "011", "x", "N", None),
]


@pytest.mark.parametrize(("system", "code", "value", "flag", "expected"), UNITS)
def test_unit_is_told_by_size(system, code, value, flag, expected):
    """Where one unit fits and the others do not; a 2005 code without a trap keeps its unit."""
    area = f"DataTime=20260301080000;{code}-Rtd={value},{code}-Flag={flag}"
    raw = framed(segment(area, ST=system))
    assert [value for what, value in diagnose(raw) if what == "unit"] == ([expected] if expected else [])
    assert not {what for what, _ in diagnose(raw, in_force=InForce(units=frozenset([code])))} & {"unit", "rename"}


@pytest.mark.parametrize(
    ("system", "code", "expected"),
    [("32", "W01018", "w01018"), ("52", "E10103", "e10103"), ("39", "LMX", "LMx"), ("39", "a50001", "LA")],
)
def test_code_that_is_nearly_right_is_renamed(system, code, expected):
    """Letter case, and what vendors call a factor; a missing digit is not guessed."""
    raw = framed(segment(f"DataTime=20260301080000;{code}-Rtd=35", ST=system))
    assert ("rename", f"{code} {expected}") in diagnose(raw)
    short = framed(segment(f"DataTime=20260301080000;{code[:-1]}-Rtd=35", ST=system))
    assert not {what for what, _ in diagnose(short)} & {"rename"}


def test_typical_values_are_of_the_catalogue():
    """Each factor is in it, each range is one, and each scale leads out of the range of another unit."""
    for factor, system, low, high, scales, basis in read_table("typical"):
        assert find_factor(factor).unit, factor
        assert system == "" or is_known_st(system)
        assert 0 < float(low) < float(high)
        assert basis.startswith("practice: ")
        for pair in filter(None, scales.split(";")):
            scale, unit = pair.split(" ")
            assert float(scale) > 0
            assert unit != find_factor(factor).unit


@pytest.mark.parametrize(
    "area",
    [
        "a01012-Rtd=-12,a01012-Flag=N",
        "a21026-Rtd=0,a21026-Flag=N",
        "a19001-Rtd=20.8;a21026-Rtd=1.5,a21026-ZsRtd=90",
        "a21026-Rtd=10,a21026-ZsRtd=14",
        "a21026-Rtd=0,a21026-ZsRtd=0",
        "a21026-EFlag=A1,a21026-Rtd=10",
        "a21026-Cou=10",
    ],
)
def test_ordinary_values_are_no_faults(area):
    """Frost, nothing to measure, air in an idle flue, a device's own flag."""
    assert diagnose(framed(gas(area))) == set()


def test_flag_that_is_odd_or_absent_is_shown():
    """In the evidence of an error value."""
    (odd, *_) = propose(framed(gas("a21026-Rtd=-100")))
    assert odd.evidence == "a21026 is -100 with flag none"


def test_weather_belongs_to_noise_too():
    """And a dust monitor's noise level is one."""
    area = "a01001-Rtd=20,a01001-Flag=N;a50001-Rtd=55;LA-Rtd=55.5"
    assert ("repair", "st") not in diagnose(framed(gas(area, ST="23")))
    assert ("repair", "st") in diagnose(framed(gas(f"{area};a21026-Rtd=3", ST="23")))


def test_answers_and_first_packets_need_no_mn():
    """2005's 9014 has none, and 2025's 1001 an empty one."""
    assert diagnose(framed(segment("CN=2011", QN=None, ST="91", CN="9014", PW=None, MN=None, Flag=None))) == set()
    assert ("repair", "mn_empty") not in diagnose(framed(segment("i23005-Info=1", CN="1001", MN="", Flag="9")))


def test_table_has_a_line_a_fault():
    """For the documentation."""
    assert len(fault_table().splitlines()) == len(REPAIRS) + 2
    assert {fault.row for fault in REPAIRS.values()} <= set(range(41)) - {6, 29, 39}


def test_key_that_is_gone_is_asked_for():
    """A packet that was kept while its key was known."""
    assert ("key", "sm4") in diagnose(GOOD, warnings=("key_missing",))


def test_password_in_mn_is_masked():
    """A ; that is missing makes it a part of MN."""
    raw = framed(segment(PW=None).replace(b";Flag", f"PW={PW};Flag".encode()))
    assert {found.mn for found in propose(raw)} == {f"{MN}PW=******"}
    assert {found.mn for found in propose(raw[:-6] + modbus(raw[6:-6]) + b"\r\n")} == {f"{MN}PW=******"}


def test_new_key_is_never_evidence():
    """1014 carries one."""
    raw = segment("SKCreateTime=20260301080000;NewSK=hush42hush42hush".encode("gbk").decode() + "|", CN="1014")
    raw = raw.replace(b"|", ";x=正".encode("gbk"))
    (found,) = [proposal for proposal in propose(framed(raw)) if proposal.value == "text_gbk"]
    assert "NewSK=******" in found.evidence


def test_what_one_packet_proves():
    """The end and the moment of sending; not the start, which a late packet looks like."""
    for lag, label, is_certain in (("080003", "start", True), ("081003", "end", False)):
        raw = framed(minute("20260301080000", QN=f"20260301{lag}000"))
        at = parse_qn(f"20260301{lag}000")
        (found,) = propose(raw, at=at, in_force=InForce(label, 10))
        assert found.is_certain == is_certain


def test_qn_used_twice_is_named():
    """By the one who saw both packets (section 17, row 40)."""
    found = mark_reused(parse_packet(segment()))
    assert found == (MN, "32", "2011", "repair", "qn_reused", "QN 20260301080004000 came twice")


def test_upload_of_2005_needs_no_qn():
    """Nor Flag: its samples have neither. With a Flag, or with codes of 2017, it is no upload of 2005."""
    area = "DataTime=20260301080000;011-Rtd=35.5,011-Flag=N"
    assert diagnose(framed(segment(area, QN=None, Flag=None))) == {("unit", "011 w01018 mg/L 1")}
    assert ("repair", "qn_missing") in diagnose(framed(segment(area, QN=None)))


def test_minute_data_out_of_step_is_named():
    """DataTime that is neither a period's nor the moment of sending."""
    assert diagnose(framed(minute("20260301075517"))) == repair("data_time_unaligned")


def assert_clean(proposal):
    """It fits a row of the table, and holds no password."""
    assert PW not in "".join(proposal)
    assert len(proposal.evidence) <= MAX_EVIDENCE
    assert "".join(proposal).isprintable()
    assert proposal.what != "repair" or proposal.value in REPAIRS
