"""Tests of what only the code tables know to be odd."""

import pytest
from tests.strategies import MN

from hj212gw.protocol import parse_packet, parse_readings
from hj212gw.protocol.oddities import find_oddities


def oddities(header: str, cp: str, *, is_upload: bool = True) -> tuple[str, ...]:
    """Find the oddities of a packet."""
    packet = parse_packet(f"QN=20260301080000123;{header};PW=123456;MN={MN};Flag=5;CP=&&{cp}&&".encode())
    return find_oddities(packet, parse_readings(packet.cp) if is_upload else None)


@pytest.mark.parametrize(
    ("header", "cp"),
    [
        ("ST=32;CN=2011", "DataTime=20260301080007;w01018-Rtd=1;011-Rtd=1"),
        ("ST=31;CN=2051", "DataTime=20260301081000;a34013-Min=1,a34013-Avg=2,a34013-Max=3,LA-Data=40"),
        ("ST=32;CN=2061", "DataTime=20260301080000;w01018-ZsMin=1,w01018-ZsAvg=1,w01018-Min=3"),
        ("ST=32;CN=2031", "DataTime=20260301000000;w01018-Avg=1"),
        ("ST=A0;CN=9015", ""),
        ("ST=23;CN=2011", "DataTime=x;LA-Rtd=1"),
    ],
)
def test_what_an_edition_foresees_is_not_odd(header: str, cp: str) -> None:
    """Codes of any edition, aligned periods, noise anywhere."""
    assert oddities(header, cp) == ()


@pytest.mark.parametrize(
    ("header", "cp", "slug"),
    [
        ("ST=32;CN=2000", "DataTime=20260301080000", "cn_unknown"),
        ("ST=32;CN=9021", "", "cn_unknown"),
        ("ST=32;CN=8888", "", "cn_unknown"),
        ("ST=80;CN=2011", "", "st_unknown"),
        ("ST=101;CN=2011", "", "st_unknown"),
        ("ST=31;CN=2011", "DataTime=20260301080000;zzz99-Rtd=1", "factor_unknown"),
        ("ST=32;CN=2011", "DataTime=20260301080000;a34013-Rtd=1", "factor_of_other_medium"),
        ("ST=31;CN=2011", "DataTime=20260301080000;w01018-Rtd=1", "factor_of_other_medium"),
        ("ST=31;CN=2051", "DataTime=20260301081001;a34013-Avg=1", "data_time_unaligned"),
        ("ST=31;CN=2061", "DataTime=20260301081000;a34013-Avg=1", "data_time_unaligned"),
        ("ST=31;CN=2031", "DataTime=20260301080000;a34013-Avg=1", "data_time_unaligned"),
        ("ST=31;CN=2011", "DataTime=20260301080000;QN=1;a34013-Rtd=1", "qn_in_data_area"),
        ("ST=31;CN=2061", "DataTime=20260301080000;a34013-Min=1,a34013-Avg=3,a34013-Max=2", "statistics_disordered"),
        ("ST=31;CN=2061", "DataTime=20260301080000;a34013-ZsMin=3,a34013-ZsMax=2", "statistics_disordered"),
    ],
)
def test_an_oddity_has_its_slug(header: str, cp: str, slug: str) -> None:
    """Accepted all the same, and named for whoever looks."""
    assert oddities(header, cp) == (slug,)


def test_a_packet_without_readings_is_judged_by_its_header() -> None:
    """QN inside CP is right in answers of 2005."""
    assert oddities("ST=32;CN=1011", "QN=20260301080000123;SystemTime=20260301080000", is_upload=False) == ()
