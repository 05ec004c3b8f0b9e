"""Records and the blob of a group."""

from hypothesis import given
from hypothesis import strategies as st

from hj212gw.journal.records import (
    HEAD_BYTES,
    REJECT,
    Record,
    Row,
    checksum,
    decode_group,
    encode_group,
    is_sound,
    rejected_bytes,
)

RECORDS = st.builds(
    Record,
    st.integers(-(1 << 63), (1 << 63) - 1),
    st.integers(0, 255),
    st.text(st.characters(), max_size=30),
    st.text(st.characters(exclude_categories=()), max_size=30),
    st.binary(max_size=200),
)


def make_row(body=b"body", **changes):
    """A row with the right checksum."""
    row = Row(5, 10, 20, 1, 3, 4, 0, 0, body)._replace(**changes)
    return row._replace(crc=checksum(row))


@given(st.lists(RECORDS, max_size=20))
def test_group_comes_back_as_it_was_written(records):
    """Any records survive encoding, lone surrogates in texts included."""
    assert decode_group(encode_group(records)) == records


def test_blob_is_laid_out_as_documented():
    """The format of version 1 does not change unnoticed."""
    blob = encode_group([Record(1, 1, "p", "nn", b"abc"), Record(-1, 0, "", "", b"")])
    heads = "0100000000000000 01 01000000 02000000 03000000" + "ffffffffffffffff 00 00000000 00000000 00000000"
    assert blob == bytes.fromhex("02000000" + heads) + b"pnnabc"


def test_rejected_bytes_counts_rejects_only():
    """Accepted frames take nothing from the share of rejects."""
    records = [Record(0, 0, "p", "", b"x" * 50), Record(0, REJECT, "pp", "n", b"y" * 10)]
    assert rejected_bytes(records) == HEAD_BYTES + 13


@given(st.binary(max_size=20_000))
def test_row_is_sound_as_written(body):
    """A row is sound with blobs of any size."""
    assert is_sound(make_row(body))


@given(st.integers(0, 6), st.integers(0, 62))
def test_row_with_another_number_is_not_sound(column, bit):
    """The checksum covers the numbers of a row, not only its blob."""
    row = make_row()
    changed = Row._make(value ^ (1 << bit) if at == column else value for at, value in enumerate(row))
    assert not is_sound(changed)


def test_row_with_another_body_is_not_sound():
    """A flipped bit in a long blob is seen wherever it is."""
    row = make_row(bytes(12_000))
    for at in (0, 5119, 5120, 11_999):
        body = bytearray(row.body)
        body[at] ^= 1
        assert not is_sound(row._replace(body=bytes(body)))


def test_row_with_another_type_is_not_sound():
    """A flipped bit in the header of an SQLite row turns numbers into other types."""
    row = make_row()
    for changes in ({"seq": None}, {"records": 1.5}, {"oldest_us": b"1"}, {"body": 7}, {"body": None}, {"crc": b""}):
        assert not is_sound(row._replace(**changes))
