"""Records, and how a group of them is written as one blob.

A group is every record that shares one fsync. Its blob, little endian::

    count u32
    count x ( received_at_us i64, kind u8, peer_size u32, note_size u32, body_size u32 )
    count x ( peer, note, body )                          texts are UTF-8, lone surrogates allowed

The heads stand together so that one `iter_unpack` reads them all. The checksum is CRC-32 over the row's
numbers and the blob, so that a blob under the wrong sequence number is as visible as a flipped bit.
"""

import struct
from collections.abc import Sequence
from typing import Final, NamedTuple
from uuid import UUID
from zlib import crc32

ACCEPTED: Final = 0
REJECT: Final = 1

_COUNT: Final = struct.Struct("<I")
_HEAD: Final = struct.Struct("<qBIII")
_NUMBERS: Final = struct.Struct("<qqqqqqq")
_GIL_KEEPING_BYTES: Final = 5120  # zlib.crc32 lets go of the GIL above this, and taking it back can cost 5 ms
HEAD_BYTES: Final = _HEAD.size


class Record(NamedTuple):
    """One thing received.

    `received_at_us` counts microseconds since 1970 UTC; `kind` is `ACCEPTED` or `REJECT`; `note` holds a key's
    id, a reject's reason and detail, or nothing; `body` is the frame as it came.
    """

    received_at_us: int
    kind: int
    peer: str
    note: str
    body: bytes


class Position(NamedTuple):
    """A place to resume: the last group handed over, `seq` 0 before the first."""

    journal: UUID
    seq: int


class Group(NamedTuple):
    """Records that became durable together; `byte_count` is the size of their blob."""

    seq: int
    records: list[Record]
    byte_count: int


class Row(NamedTuple):
    """A group as a segment stores it; the totals count from the segment's first group to this one."""

    seq: int
    oldest_us: int
    newest_us: int
    records: int
    records_total: int
    bytes_total: int
    rejects_total: int
    crc: int
    body: bytes


def encode_group(records: Sequence[Record]) -> bytes:
    """Write records as one blob."""
    pack = _HEAD.pack
    heads = [_COUNT.pack(len(records))]
    texts: list[bytes] = []
    for received_at_us, kind, peer, note, body in records:
        peer_bytes = peer.encode("utf-8", "surrogatepass")
        note_bytes = note.encode("utf-8", "surrogatepass")
        heads.append(pack(received_at_us, kind, len(peer_bytes), len(note_bytes), len(body)))
        texts += (peer_bytes, note_bytes, body)
    return b"".join(heads + texts)


def decode_group(blob: bytes) -> list[Record]:
    """Read back the records of a blob whose checksum was right."""
    (count,) = _COUNT.unpack_from(blob)
    at = _COUNT.size + count * _HEAD.size
    records = []
    for received_at_us, kind, peer_size, note_size, body_size in _HEAD.iter_unpack(blob[_COUNT.size : at]):
        note_at = at + peer_size
        body_at = note_at + note_size
        peer = blob[at:note_at].decode("utf-8", "surrogatepass")
        note = blob[note_at:body_at].decode("utf-8", "surrogatepass") if note_size else ""
        at = body_at + body_size
        records.append(Record(received_at_us, kind, peer, note, blob[body_at:at]))
    return records


def rejected_bytes(records: Sequence[Record]) -> int:
    """Count the bytes that rejects take in a group."""
    return sum(
        HEAD_BYTES + len(record.peer) + len(record.note) + len(record.body)
        for record in records
        if record.kind == REJECT
    )


def checksum(row: Row) -> int:
    """Compute the checksum a row must carry."""
    crc = crc32(_NUMBERS.pack(*row[:7]))
    view = memoryview(row.body)
    for start in range(0, len(view), _GIL_KEEPING_BYTES):
        crc = crc32(view[start : start + _GIL_KEEPING_BYTES], crc)
    return crc


def is_sound(row: Row) -> bool:
    """Tell whether a row read from a file is the one that was written.

    A flipped bit may also have changed the type of a column.
    """
    if not isinstance(row.body, bytes):
        return False
    try:
        return checksum(row) == row.crc
    except struct.error:
        return False
