"""Both ways of writing reading rows for COPY give the same bytes, and PostgreSQL reads what was meant."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.strategies import learn

from hj212gw.protocol import parse_readings
from hj212gw.store.copyrows import encode_copy_rows, encode_copy_values
from hj212gw.store.rows import ReadingHead

HEAD = ReadingHead(7, "32", "2061", datetime(2026, 3, 1, tzinfo=UTC), 20260301120000001)
AREAS = [
    "DataTime=20260301110000;w01018-Rtd=1.5,w01018-Flag=N",
    "DataTime=20260301110000;w01018-Min=1,w01018-Avg=2,w01018-Max=3,w01018-Cou=4,w01018-Flag=N;w01001-Avg=7",
    "DataTime=20260301110000;a21026-ZsAvg=-0.25;a21026-Avg=9,a21026-Flag=D",
    "DataTime=20260301110000;e01001-Rtd=1.1;e01001-Rtd=2.2",
    "w01018-Flag=M;DataTime=20260301110000;",
]


@pytest.mark.parametrize("cp", AREAS)
@pytest.mark.parametrize("head", [HEAD, HEAD._replace(qn=None, st="101")])
def test_both_ways_agree(cp, head):
    """The one struct call a packet writes the same rows as the one a reading."""
    values = learn(cp.encode())
    assert values is not None
    assert encode_copy_values(head, values) == encode_copy_rows(head, parse_readings(cp.encode()).rows)


SUFFIXES = ("Rtd", "Min", "Avg", "Max", "Cou", "ZsRtd", "ZsMin", "ZsAvg", "ZsMax")
ITEM = st.tuples(
    st.sampled_from(["w01018", "a21026", "LA", "e01001"]),
    st.sampled_from(SUFFIXES),
    st.decimals(-99999, 99999, places=3).map(str),
)


@given(st.lists(ITEM, min_size=1, max_size=12), st.booleans())
def test_both_ways_agree_on_any_shape(items, has_flag):
    """Whatever the order, the gaps and the repetitions."""
    fields = [f"{factor}-{suffix}={value}" for factor, suffix, value in items]
    fields += ["w01018-Flag=N"] if has_flag else []
    cp = ("DataTime=20260301110000;" + ";".join(fields)).encode()
    values = learn(cp)
    assert values is not None
    assert encode_copy_values(HEAD, values) == encode_copy_rows(HEAD, parse_readings(cp).rows)


def test_no_readings_are_no_bytes():
    """A packet without readings writes nothing."""
    assert encode_copy_rows(HEAD, []) == b""
