"""Parts of split uploads: what ties them together, and what is no part."""

import pytest
from hypothesis import given
from tests.strategies import MN, packets

from hj212gw.protocol import CommandKind, Packet, Part, find_part, parse_packet, sender_kind

TIME = "20260301080000"


def packet(
    *, cn: str = "2061", numbers: str = "Flag=7;PNUM=2;PNO=1", cp: str = f"DataTime={TIME};w01018-Avg=1"
) -> Packet:
    """Make a part."""
    return parse_packet(f"QN=20260301090000001;ST=32;CN={cn};PW=123456;MN={MN};{numbers};CP=&&{cp}&&".encode())


def test_parts_of_an_upload_differ_in_their_number_alone() -> None:
    """Each has a QN of its own, so the rest is what ties them together."""
    first, second = find_part(packet()), find_part(packet(numbers="Flag=7;PNUM=2;PNO=2"))
    assert first == Part(MN, "32", "2061", TIME, 2, 1)
    assert second == Part(MN, "32", "2061", TIME, 2, 2)


@pytest.mark.parametrize(
    "numbers",
    [
        "Flag=5",
        "Flag=7",
        "Flag=7;PNUM=2",
        "Flag=7;PNO=1",
        "Flag=7;PNUM=1;PNO=1",
        "Flag=7;PNUM=0;PNO=0",
        "Flag=7;PNUM=2;PNO=0",
        "Flag=7;PNUM=2;PNO=3",
    ],
)
def test_whole_uploads_and_senseless_numbers_are_no_parts(numbers: str) -> None:
    """PNUM of 1 is a whole upload; a number outside 1 to PNUM says nothing."""
    assert find_part(packet(numbers=numbers)) is None


@pytest.mark.parametrize(
    ("cn", "is_part"), [("2061", True), ("3020", True), ("3012", False), ("9014", False), ("2072", False)]
)
def test_only_uploads_have_parts(cn: str, is_part: bool) -> None:
    """Requests, notices and answers are never missed."""
    assert (find_part(packet(cn=cn)) is not None) == is_part


@pytest.mark.parametrize(("numbers", "pno"), [("PNO=0002;PNUM=0002", 2), ("Flag=3;PNUM=9999;PNO=9999", 9999)])
def test_numbers_count_without_the_bit_and_in_any_width(numbers: str, pno: int) -> None:
    """As data loggers of 2005 send them."""
    part = find_part(packet(numbers=numbers))
    assert part is not None
    assert part.pno == pno


@pytest.mark.parametrize(("cp", "text"), [("w01018-Avg=1", ""), ("DataTime=x;w01018-Avg=1", "x"), ("", "")])
def test_data_time_is_taken_as_sent(cp: str, text: str) -> None:
    """A part without a moment still is one."""
    part = find_part(packet(cp=cp))
    assert part is not None
    assert part.data_time_text == text


@given(packets())
def test_total(drawn: Packet) -> None:
    """Any packet is an upload's part with numbers in order, or none."""
    part = find_part(drawn)
    if part is not None:
        assert 1 <= part.pno <= part.pnum
        assert part.pnum > 1
        assert part[:3] == (drawn.mn, drawn.st, drawn.cn)
        assert sender_kind(drawn.cn, drawn.edition) is CommandKind.UPLOAD
