"""Diagnosis: every fault of section 17 is named, and what is right is let alone."""

import re
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import pytest

from hj212gw.errors import PacketError
from hj212gw.protocol import Discard, Frame, FrameBuffer, crc_text, encode_frame, parse_packet
from hj212gw.protocol.crc import modbus_crc16
from hj212gw.protocol.diagnosis import MAX_EVIDENCE, InForce, diagnose_packet, diagnose_reject
from hj212gw.protocol.dialects import SLUGS
from hj212gw.protocol.faults import HARMLESS_ROWS, REPAIR_BY_WARNING, REPAIRS

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
        assert PW not in "".join(proposal)
        assert len(proposal.evidence) <= MAX_EVIDENCE
        assert "".join(proposal).isprintable()
        assert proposal.what != "repair" or proposal.value in REPAIRS
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


@pytest.mark.parametrize("row", FAULTS, ids=lambda row: f"{row.number}-{'-'.join(v for _, v in row.expected)}")
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
