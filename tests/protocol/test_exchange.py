"""Tests of what is answered, to the byte (spec 8.2)."""

import pytest

from hj212gw.protocol import (
    CrcKind,
    Dialect,
    Edition,
    FrameBuffer,
    encode_answer,
    encode_frame,
    encode_frame_as,
    encode_packet,
    find_answer,
    parse_data_area,
    parse_packet,
)

MN17 = "010000A8900016F000169DC0"
MN05 = "88888880000001"


def answer_to(header: str, cp: str = "") -> bytes | None:
    """Return the data segment of the answer to a packet, None where it is owed none."""
    packet = parse_packet(f"{header};CP=&&{cp}&&".encode())
    cn = find_answer(packet)
    if cn is None:
        return None
    frame = encode_answer(packet, cn)
    (event,) = FrameBuffer().feed(frame)
    assert frame == encode_frame(event.segment)
    assert find_answer(parse_packet(event.segment)) is None
    return event.segment


def test_2017_upload_that_asks_gets_9014_with_its_qn_in_the_header() -> None:
    """As in annex C of 2017."""
    header = f"QN=20160801085857223;ST=32;CN=2011;PW=123456;MN={MN17};Flag=5"
    assert answer_to(header) == f"QN=20160801085857223;ST=91;CN=9014;PW=123456;MN={MN17};Flag=4;CP=&&&&".encode()


def test_2017_part_gets_9014_of_its_own() -> None:
    """Each part has its own QN and is answered alone."""
    header = f"QN=20160801085857535;ST=32;CN=2061;PW=123456;MN={MN17};Flag=7;PNUM=2;PNO=2"
    assert answer_to(header) == f"QN=20160801085857535;ST=91;CN=9014;PW=123456;MN={MN17};Flag=4;CP=&&&&".encode()


def test_2025_upload_gets_9014_with_flag_8() -> None:
    """As 2017 with the version bits of 2025."""
    header = f"QN=20240429114224393;ST=31;CN=2051;PW=123456;MN={MN17};Flag=9"
    assert answer_to(header) == f"QN=20240429114224393;ST=91;CN=9014;PW=123456;MN={MN17};Flag=8;CP=&&&&".encode()


@pytest.mark.parametrize(("flag", "answered"), [(13, 8), (255, 8), (15, 8)])
def test_a_version_above_the_newest_is_answered_as_the_newest(flag: int, answered: int) -> None:
    """Bits nobody has defined are not sent back."""
    header = f"QN=20240429114224393;ST=31;CN=2051;PW=123456;MN={MN17};Flag={flag}"
    assert f";Flag={answered};".encode() in (answer_to(header) or b"")


def test_surface_water_is_answered_in_its_own_shape() -> None:
    """Flag=9 with ST=21 is 2017's shape with the sender's version bits."""
    header = "QN=20260706103512345;ST=21;CN=2011;PW=123456;MN=A110000_0001;Flag=9"
    assert answer_to(header) == b"QN=20260706103512345;ST=91;CN=9014;PW=123456;MN=A110000_0001;Flag=8;CP=&&&&"


def test_2005_upload_gets_9014_without_pw_mn_and_flag() -> None:
    """The QN and the CN stand inside CP (annex C.6)."""
    header = f"ST=32;CN=2051;QN=20040516010101001;PW=123456;MN={MN05};Flag=1"
    assert answer_to(header) == b"ST=91;CN=9014;CP=&&QN=20040516010101001;CN=2051&&"


def test_2005_part_gets_9014_with_its_numbers() -> None:
    """PNO and PNUM stand inside CP too."""
    header = f"QN=20040516010101001;PNUM=2;PNO=1;ST=32;CN=2051;PW=123456;MN={MN05};Flag=3"
    assert answer_to(header) == b"ST=91;CN=9014;CP=&&QN=20040516010101001;CN=2051;PNO=1;PNUM=2&&"


def test_2005_upload_without_qn_that_asks_gets_9014_without_qn() -> None:
    """There is nothing to repeat, and a data logger that waits must not wait for ever."""
    assert answer_to(f"ST=32;CN=2011;PW=123456;MN={MN05};Flag=1") == b"ST=91;CN=9014;CP=&&CN=2011&&"


def test_2005_notice_gets_9013_with_its_qn_in_cp() -> None:
    """An alarm event (2072) is answered although 2005 packets may have no Flag."""
    assert (
        answer_to(f"QN=20040516010101001;ST=32;CN=2072;PW=123456;MN={MN05}", "AlarmTime=20040516010101")
        == f"ST=91;CN=9013;PW=123456;MN={MN05};Flag=0;CP=&&QN=20040516010101001&&".encode()
    )


def test_2005_notice_without_qn_gets_an_empty_9013() -> None:
    """Nothing is invented."""
    answer = answer_to(f"ST=32;CN=2072;PW=123456;MN={MN05}", "AlarmTime=20040516010101")
    assert answer == f"ST=91;CN=9013;PW=123456;MN={MN05};Flag=0;CP=&&&&".encode()


def test_2017_notice_gets_9013() -> None:
    """A time calibration request (1013) is answered with and without the bit."""
    for flag in (4, 5):
        header = f"QN=20160801085857223;ST=32;CN=1013;PW=123456;MN={MN17};Flag={flag}"
        assert answer_to(header) == f"QN=20160801085857223;ST=91;CN=9013;PW=123456;MN={MN17};Flag=4;CP=&&&&".encode()


def test_2017_packet_without_qn_is_answered_without_qn() -> None:
    """2017 demands a QN, and a data logger that leaves it out is answered all the same."""
    answer = answer_to(f"ST=32;CN=2011;PW=123456;MN={MN17};Flag=5")
    assert answer == f"ST=91;CN=9014;PW=123456;MN={MN17};Flag=4;CP=&&&&".encode()


def test_2025_hardware_serials_are_answered_although_mn_is_empty() -> None:
    """1001 comes before the host has given an MN."""
    answer = answer_to("QN=20260301080000001;ST=31;CN=1001;PW=123456;MN=;Flag=9", "i23005-Info=1")
    assert answer == b"QN=20260301080000001;ST=91;CN=9013;PW=123456;MN=;Flag=8;CP=&&&&"


def test_heartbeat_is_answered_by_9013_only_when_it_asks() -> None:
    """9015 is sent with and without the bit."""
    header = f"QN=20260301080000123;ST=31;CN=9015;PW=123456;MN={MN17};Flag="
    assert answer_to(header + "9") == f"QN=20260301080000123;ST=91;CN=9013;PW=123456;MN={MN17};Flag=8;CP=&&&&".encode()
    assert answer_to(header + "8") is None


@pytest.mark.parametrize("cn", ["9011", "9012", "9013", "9014"])
@pytest.mark.parametrize("flag", ["0", "1", "5", "9", "13"])
def test_an_answer_is_never_answered(cn: str, flag: str) -> None:
    """Not even when it asks: two hosts would acknowledge each other for ever."""
    assert answer_to(f"QN=20160801085857223;ST=21;CN={cn};PW=123456;MN={MN17};Flag={flag}") is None


@pytest.mark.parametrize("header", [f"ST=32;CN=2011;PW=123456;MN={MN05}", f"ST=32;CN=2011;PW=1;MN={MN17};Flag=4"])
def test_an_upload_that_does_not_ask_is_owed_nothing(header: str) -> None:
    """Flag absent or its lowest bit clear."""
    assert answer_to(header) is None


def test_a_request_is_the_other_sides_business() -> None:
    """Clock setting (1012) is sent by hosts only."""
    assert answer_to(f"QN=20160801085857223;ST=32;CN=1012;PW=123456;MN={MN17};Flag=5") is None


@pytest.mark.parametrize("kind", list(CrcKind))
def test_an_answer_has_the_crc_its_receiver_knows(kind: CrcKind) -> None:
    """A data logger that makes a Modbus CRC checks for one too."""
    for header in (
        f"QN=20160801085857223;ST=32;CN=2011;PW=123456;MN={MN17};Flag=5",
        f"ST=32;CN=2051;QN=20040516010101001;PW=123456;MN={MN05};Flag=1",
    ):
        packet = parse_packet(f"{header};CP=&&&&".encode())
        frame = encode_answer(packet, "9014", kind)
        segment = encode_answer(packet, "9014")[6:-6]
        assert frame == encode_frame_as(segment, Dialect(crc=kind)) == encode_frame(segment, kind)


HARDWARE = "i23005-Info=6970000000001ABCDEFG1234;i23006-Info=A800200A8C6D"
NEWS_OF_2025 = [  # spec 7.1, 8.4, 8.5, 8.6 and 16
    ("QN=20260301080000123;ST=31;CN=9015;PW=123456;MN={mn};Flag=9", "", "9013"),
    ("QN=20260301080000123;ST=31;CN=2051;PW=123456;MN={mn};Flag=9;RF=1", "DataTime=20260301060000;a34013-Avg=3.4", "9014"),
    ("QN=20260301080000123;ST=31;CN=2061;PW=123456;MN={mn};Flag=11;PNUM=2;PNO=1;RF=1", "DataTime=20260301060000", "9014"),
    ("QN=20260301080000123;ST=31;CN=1001;PW=123456;MN=;Flag=9", HARDWARE, "9013"),
    ("QN=20260301080000123;ST=31;CN=1002;PW=123456;MN={mn};Flag=9", "", None),
    ("QN=20260301080000123;ST=31;CN=1014;PW=123456;MN={mn};Flag=9", "SKCreateTime=20240601085857223;NewSK=abcdef0123456789", "9013"),
]  # fmt: skip


@pytest.mark.parametrize(("header", "cp", "answer"), NEWS_OF_2025)
def test_what_2025_added_is_read_and_written(header: str, cp: str, answer: str | None) -> None:
    """Heartbeat, back-fill, hardware ids, network code and key exchange: parsed, written again, and answered."""
    segment = f"{header.format(mn=MN17)};CP=&&{cp}&&".encode()
    packet = parse_packet(segment)
    assert packet.edition is Edition.V2025
    assert packet.rf == ("RF=1" in header)
    assert encode_packet(packet) == segment
    assert [name for group in parse_data_area(packet.cp).groups for name, _ in group] == [
        item.partition("=")[0] for item in cp.split(";") if item
    ]
    assert find_answer(packet) == answer
