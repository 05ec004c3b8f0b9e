"""Readings and packets in PostgreSQL's binary COPY format.

Readings are nine tenths of what is stored. A general encoder looks every value of every row up; here what a
packet's readings share is written once, and a packet of known shape is one `struct` call: 1.5 µs a row from data
area to socket against 2.6 (`bench/store.py`). Row by row is slower than asyncpg; it keeps odd shapes in the stream.
Packets are a row each, most of whose values are the same few texts.
"""

import struct
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from operator import itemgetter
from typing import Any

from hj212gw.protocol import Layout, Reading, Values
from hj212gw.store.rows import PacketRow, ReadingHead, write_extra

COPY_COLUMNS = (
    "logger_id",
    "st",
    "cn",
    "received_at",
    "qn",
    "data_time",
    "factor",
    "nth",
    "rtd",
    "min",
    "avg",
    "max",
    "cou",
    "zs_rtd",
    "zs_min",
    "zs_avg",
    "zs_max",
    "data_flag",
    "extra",
)
COPY_HEADER = b"PGCOPY\n\xff\r\n\0" + b"\0" * 8
COPY_TRAILER = b"\xff\xff"

_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)  # PostgreSQL counts from here
_MICROSECOND = timedelta(microseconds=1)
_NULL = b"\xff\xff\xff\xff"
_DOUBLE_BYTES = 8
_START = struct.Struct("!hii")
_BIGINT = struct.Struct("!iq")
_SIZE = struct.Struct("!i")
_TEXT_OID = 25
_PACKET_START = struct.pack("!h", len(PacketRow._fields))
_DIGEST_SIZE = struct.pack("!i", 16)
_FIRST_VALUE = Reading._fields.index("rtd")
_LAST_VALUE = Reading._fields.index("zs_max")
_CONSTANTS = (_DOUBLE_BYTES, _NULL)  # stand behind a reading's own fields when a row is packed

Pick = Callable[[Any], tuple[Any, ...]]


def encode_copy_rows(head: ReadingHead, readings: list[Reading]) -> bytes:
    """Write one packet's readings as binary rows of COPY_COLUMNS; all have the first one's `data_time`."""
    if not readings:
        return b""
    data_time = readings[0].data_time
    assert data_time is not None
    shared = _encode_shared(head, data_time)
    parts: list[bytes] = []
    for reading in readings:
        pick, pack = _shape(tuple(map(type, reading[_FIRST_VALUE : _LAST_VALUE + 1])))
        parts += (
            shared,
            _text(reading[0]),
            _small(reading[1]),
            pack(*pick(reading + _CONSTANTS)),
            _text(reading[-2]),
            _NULL if reading[-1] is None else _json(reading[-1]),
        )
    return b"".join(parts)


def encode_copy_values(head: ReadingHead, values: Values) -> bytes:
    """Write the readings of a data area of known shape, as `encode_copy_rows` would, by one `struct` call."""
    shared = _encode_shared(head, values.data_time)
    constants, pick, pack = _plan_packet(values.layout, len(shared))
    return pack(*pick([*constants, shared, *values.numbers, *values.flags]))


@lru_cache(maxsize=4096)
def _plan_packet(layout: Layout, shared_bytes: int) -> tuple[tuple[Any, ...], Pick, Callable[..., bytes]]:
    """Plan a whole packet of a shape: the constants, what picks all parts in order, and what packs them.

    A value's place in the pool is behind the constants and the shared part; flags stand behind the numbers.
    """
    constants: list[Any] = [_DOUBLE_BYTES, 1, _NULL]
    constants += [_text(factor) + _small(nth) for factor, nth, _ in layout.rows]
    shared = len(constants)
    first_flag = shared + 1 + sum(cell is not None for *_, cells in layout.rows for cell in cells[:-1])
    places: list[int] = []
    parts = "!"
    for row, (_, _, cells) in enumerate(layout.rows, 3):
        places += [shared, row]
        parts += f"{shared_bytes}s{len(constants[row])}s"
        for cell in cells[:-1]:
            places += [2] if cell is None else [0, shared + 1 + cell]
            parts += "4s" if cell is None else "id"
        flag = cells[-1]
        places += [2, 2] if flag is None else [1, first_flag + flag, 2]
        parts += "4s4s" if flag is None else "i1s4s"
    return tuple(constants), itemgetter(*places), struct.Struct(parts).pack


def encode_copy_packet(packet: PacketRow) -> bytes:
    """Write one packet as a binary row of `PacketRow`'s columns."""
    qn_at, digest, received_at, mn, st, cn, qn, pnum, pno, flag, edition, peer, state, warnings, key_id, raw = packet
    return b"".join(
        (
            _PACKET_START,
            _moment(qn_at),
            _DIGEST_SIZE,
            digest,
            _moment(received_at),
            _text(mn),
            _text(st),
            _text(cn),
            _NULL if qn is None else _long_text(qn),
            _NULL if pnum is None else _small(pnum),
            _NULL if pno is None else _small(pno),
            _NULL if flag is None else _small(flag),
            _text(edition),
            _text(peer),
            _text(state),
            _NULL if warnings is None else _texts(tuple(warnings)),
            _text(key_id),
            _SIZE.pack(len(raw)),
            raw,
        )
    )


def _encode_shared(head: ReadingHead, data_time: datetime) -> bytes:
    return b"".join(
        (
            _START.pack(len(COPY_COLUMNS), 4, head.logger_id),
            _text(head.st),
            _text(head.cn),
            _moment(head.received_at),
            _NULL if head.qn is None else _BIGINT.pack(8, head.qn),
            _moment(data_time),
        )
    )


def _moment(moment: datetime) -> bytes:
    return _BIGINT.pack(8, (moment - _EPOCH) // _MICROSECOND)


def _long_text(text: str) -> bytes:
    """Write text that hardly ever comes twice."""
    data = text.encode()
    return _SIZE.pack(len(data)) + data


@lru_cache(maxsize=1024)
def _texts(texts: tuple[str, ...]) -> bytes:
    """Write an array of text: one dimension, its bounds, then each element."""
    items = b"".join(map(_long_text, texts))
    head = struct.pack("!iiIii", 1, 0, _TEXT_OID, len(texts), 1) if texts else struct.pack("!iiI", 0, 0, _TEXT_OID)
    return _SIZE.pack(len(head) + len(items)) + head + items


@lru_cache(maxsize=65_536)  # as many as there are data loggers, and factors besides
def _text(text: str | None) -> bytes:
    if text is None:
        return _NULL
    data = text.encode()
    return struct.pack("!i", len(data)) + data


@lru_cache(maxsize=256)
def _small(number: int) -> bytes:
    return struct.pack("!ih", 2, number)


def _json(extra: dict[str, str]) -> bytes:
    data = b"\x01" + write_extra(extra).encode()  # version of the type's binary form
    return struct.pack("!i", len(data)) + data


@lru_cache(maxsize=512)
def _shape(kinds: tuple[type, ...]) -> tuple[Pick, Callable[..., bytes]]:
    """Return what picks a row's values and NULLs in order, and what packs them."""
    size_place = len(Reading._fields)
    null_place = size_place + 1
    places: list[int] = []
    layout = "!"
    for index, kind in enumerate(kinds, _FIRST_VALUE):
        is_null = kind is type(None)
        places += [null_place] if is_null else [size_place, index]
        layout += "4s" if is_null else "id"
    return itemgetter(*places), struct.Struct(layout).pack
