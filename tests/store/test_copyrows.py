"""Both ways of writing reading rows for COPY give the same bytes, and PostgreSQL reads what was meant."""

import io
from datetime import UTC, datetime

import asyncpg
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.strategies import learn

from hj212gw.protocol import parse_readings
from hj212gw.store.copyrows import (
    COPY_HEADER,
    COPY_TRAILER,
    encode_copy_packet,
    encode_copy_rows,
    encode_copy_values,
)
from hj212gw.store.migrate import migrate
from hj212gw.store.rows import PacketRow, ReadingHead

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


PACKET = PacketRow(
    datetime(2026, 3, 1, 4, 0, 0, 1000, tzinfo=UTC), bytes(range(16)), datetime(2026, 3, 1, 4, tzinfo=UTC), "MN1", "32",
    "2061", "20260301120000001", 2, 1, 7, "2017", "10.0.0.1:5", "stored", ["too_long", "昆明"], "key-1", b"##\x00\xff",
)  # fmt: skip


@pytest.mark.parametrize(
    "packet",
    [
        PACKET,
        PACKET._replace(qn=None, pnum=None, pno=None, flag=None, warnings=None, key_id=None),
        PACKET._replace(warnings=[], raw=b"", peer="", mn="昆明", qn_at=datetime(1999, 12, 31, 16, tzinfo=UTC)),
    ],
)
async def test_packet_is_read_as_it_was_written(postgres_dsn, packet):
    """PostgreSQL takes the row and gives every value back."""
    connection = await asyncpg.connect(postgres_dsn)
    await migrate(connection, now=HEAD.received_at)
    source = b"".join((COPY_HEADER, encode_copy_packet(packet), COPY_TRAILER))
    await connection.copy_to_table(
        "packets", schema_name="hj212", source=io.BytesIO(source), columns=PacketRow._fields, format="binary"
    )
    columns = ", ".join(PacketRow._fields)
    assert tuple(await connection.fetchrow(f"SELECT {columns} FROM hj212.packets")) == packet
    await connection.close()


@pytest.mark.parametrize("field", ["mn", "peer", "qn"])
def test_text_that_postgresql_does_not_take_is_encoded_all_the_same(field):
    """The server refuses it, and the careful way finds the packet; what is no UTF-8 is refused here."""
    assert b"\0" in encode_copy_packet(PACKET._replace(**{field: "a\0b"}))
    with pytest.raises(UnicodeEncodeError):
        encode_copy_packet(PACKET._replace(**{field: "\ud800"}))
