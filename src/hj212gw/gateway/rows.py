"""Journal record to database rows: a pure function of the frame, its arrival and the registry's verdict."""

import re
from collections.abc import Callable
from datetime import UTC, datetime
from hashlib import blake2b
from typing import Any, NamedTuple

from hj212gw.gateway.inforows import CNS_WITH_INFOS, make_infos, make_part
from hj212gw.gateway.moments import is_plausible, qn_number
from hj212gw.gateway.notes import RIVAL, SUSPICIONS, Note
from hj212gw.protocol import Packet, open_frame, parse_packet, parse_readings, pick_values
from hj212gw.protocol.codes import GRAIN_BY_CN
from hj212gw.protocol.dialects import SLUGS, Key, find_mn, make_dialect
from hj212gw.protocol.shape import CRC_DIGITS, HEAD_BYTES
from hj212gw.protocol.times import WIRE_ZONE, local_day, parse_qn
from hj212gw.store.copyrows import encode_copy_rows, encode_copy_values
from hj212gw.store.rows import (
    QUARANTINED,
    READING_TABLES,
    STORED,
    UNREGISTERED,
    DirtyRow,
    PacketRow,
    PacketRows,
    ReadingHead,
)

DIGEST_BYTES = 16
KEY_MISSING = "key_missing"
TEXT_TOO_LONG = "text_too_long"
ROWS_FAILED = "rows_failed"

_PLAIN = Note()
_new = tuple.__new__  # a named tuple's own constructor takes twice the time
_MAX_KEY = 200  # characters of a text in an index, whose row PostgreSQL bounds to 2704 bytes
_LONG_TOKEN = re.compile(rb"[^;,=]{%d}" % (_MAX_KEY + 1))
_SLOT_SECS = 300  # arrival slot of a packet without a readable QN
# What `packets` is partitioned over: the years 2000 to 2099 of the wire, with what UTC needs beside them.
_FIRST_QN = datetime(2000, 1, 1, tzinfo=WIRE_ZONE).astimezone(UTC)
_LAST_QN = datetime(2099, 12, 31, 23, 59, 59, tzinfo=WIRE_ZONE).astimezone(UTC)
_CP, _EMPTY_CP = b"CP=", b"CP=&&&&"
_TABLE_BY_CN = {cn: READING_TABLES[grain] for cn, grain in GRAIN_BY_CN.items()}


class Arrival(NamedTuple):
    """A kept frame with how it came.

    Attributes:
        frame: whole, checked.
        received_at: aware, UTC.
        peer: host:port.
        key_id: of the key its data area is encrypted with, "" for plain.
        packet: parsed from the frame; its data area is empty while `is_sealed`.
        segment: the frame's data segment, plain and in the standard's shape.
        sent: the same as it came, cipher text included.
        warnings: of the frame.
        is_rival: another live connection spoke for the MN before.
        is_sealed: the key it is encrypted with is not known any more.
    """

    frame: bytes
    received_at: datetime
    peer: str
    key_id: str
    packet: Packet
    segment: bytes
    sent: bytes
    warnings: tuple[str, ...]
    is_rival: bool = False
    is_sealed: bool = False


KeyOf = Callable[[str, str, datetime], Key | None]  # by MN, key id and arrival


def read_arrival(
    frame: bytes, received_at: datetime, peer: str, note: Note = _PLAIN, key_of: KeyOf | None = None
) -> Arrival:
    """Read a kept frame again.

    Args:
        frame: as it came.
        received_at: when.
        peer: from whom.
        note: what the journal notes of it.
        key_of: finds the key that an encrypted frame names; one that is not found leaves it sealed.

    Raises:
        ProtocolError: the frame was kept by a version that accepted what this one does not.
    """
    key_id, marks = note
    is_rival = RIVAL in marks
    if not key_id and len(marks) == is_rival:
        opened = open_frame(frame)
        packet = parse_packet(opened.segment)
        segment = opened.segment
        return _new(Arrival, (frame, received_at, peer, "", packet, segment, segment, opened.warnings, is_rival, False))
    key = key_of(find_mn(frame, HEAD_BYTES) or "", key_id, received_at) if key_id and key_of else None
    suspicions = tuple(mark for mark in marks if mark in SUSPICIONS)
    if key_id and key is None:
        sent = frame[HEAD_BYTES:].rstrip(b"\r\n")[:-CRC_DIGITS]
        segment = sent.partition(_CP)[0] + _EMPTY_CP
        warnings = (KEY_MISSING, *suspicions)
        packet = parse_packet(segment)
        return Arrival(frame, received_at, peer, key_id, packet, segment, sent, warnings, is_rival, is_sealed=True)
    opened = open_frame(frame, make_dialect([mark for mark in marks if mark in SLUGS], [key] if key else ()))
    packet = parse_packet(opened.segment)
    sent = opened.sent or opened.segment
    warnings = (*opened.warnings, *suspicions)
    return Arrival(frame, received_at, peer, key_id, packet, opened.segment, sent, warnings, is_rival)


def make_rows(arrival: Arrival, *, logger_id: int | None, more_warnings: tuple[str, ...] = ()) -> PacketRows:
    """Make the rows of one packet.

    Args:
        arrival: the packet as it came.
        logger_id: number of its data logger; None holds it back without readings.
        more_warnings: what admission noticed.
    """
    if logger_id is not None and arrival.packet.pnum is None and not arrival.is_sealed:
        usual = _make_usual(arrival, logger_id, more_warnings)
        if usual is not None:
            return usual
    packet = arrival.packet
    qn_at, has_qn = _place(packet.qn, arrival.received_at)
    warnings = more_warnings
    table = None if arrival.is_sealed else _TABLE_BY_CN.get(packet.cn)
    fields: dict[str, Any] = {}
    if table is not None and logger_id is not None:
        fields, found = _make_readings(arrival, table, logger_id)
        warnings += found
    elif packet.cn in CNS_WITH_INFOS and logger_id is not None:
        fields, found = make_infos(packet, arrival.received_at, logger_id)
        warnings += found
    if packet.pnum is not None and logger_id is not None and not arrival.is_sealed:
        fields["part"] = make_part(packet, arrival.received_at)
    state = _state(arrival, logger_id)
    if fields and _has_long_key(packet, fields):
        # The database would refuse the batch and try its packets one by one; a flood of them would stop the drain.
        fields, state, warnings = {}, QUARANTINED, (*warnings, TEXT_TOO_LONG)
    row = _make_packet(arrival, qn_at, state, warnings)
    return PacketRows(row, has_qn, is_rival=arrival.is_rival, **fields)


def make_apart(arrival: Arrival, more_warnings: tuple[str, ...] = ()) -> PacketRows:
    """Make the row of a packet whose rows a fault of the program prevents: kept whole, without readings."""
    qn_at, has_qn = _place(arrival.packet.qn, arrival.received_at)
    row = _make_packet(arrival, qn_at, QUARANTINED, (*more_warnings, ROWS_FAILED))
    return PacketRows(row, has_qn, is_rival=arrival.is_rival)


def _has_long_key(packet: Packet, fields: dict[str, Any]) -> bool:
    """Tell whether a text that would stand in an index is too long for one."""
    if not _LONG_TOKEN.search(packet.cp):
        return False
    texts = [text for info in fields.get("infos", ()) for text in (info.subject, info.name)]
    if "cp" in fields:
        texts += [row.factor for row in parse_readings(packet.cp).rows]
    part = fields.get("part")
    texts += [part.data_time_text] if part else []
    return any(len(text) > _MAX_KEY for text in texts)


def _make_usual(arrival: Arrival, logger_id: int, more_warnings: tuple[str, ...]) -> PacketRows | None:
    """Make the rows of a packet with readings of a known shape and a plausible time; None for any other."""
    packet, received_at = arrival.packet, arrival.received_at
    table = _TABLE_BY_CN.get(packet.cn)
    values = pick_values(packet.cp) if table is not None else None
    if values is None or not is_plausible(values.data_time, received_at):
        return None
    qn_at, has_qn = _place(packet.qn, received_at)
    row = _make_packet(arrival, qn_at, STORED, more_warnings)
    head = _new(ReadingHead, (logger_id, packet.st, packet.cn, received_at, qn_number(packet.qn)))
    moment = values.data_time
    count = len(values.layout.rows)
    dirty = _new(DirtyRow, (logger_id, packet.cn, local_day(moment)))
    encoded = encode_copy_values(head, values)
    fields = (row, has_qn, table, head, packet.cp, count, moment, dirty, encoded, "", (), None, arrival.is_rival)
    return _new(PacketRows, fields)


def _make_packet(arrival: Arrival, qn_at: datetime, state: str, warnings: tuple[str, ...]) -> PacketRow:
    """Make the row of `packets`; `warnings` are those beside the frame's and the packet's own."""
    packet = arrival.packet
    if arrival.warnings or packet.warnings:
        warnings = (*arrival.warnings, *packet.warnings, *warnings)
    fields = (
        qn_at,
        blake2b(arrival.sent, digest_size=DIGEST_BYTES).digest(),
        arrival.received_at,
        packet.mn,
        packet.st,
        packet.cn,
        packet.qn or None,
        packet.pnum,
        packet.pno,
        packet.flag,
        packet.edition,
        arrival.peer,
        state,
        list(dict.fromkeys(warnings)) if warnings else None,
        arrival.key_id or None,
        arrival.frame,
    )
    return _new(PacketRow, fields)


def _state(arrival: Arrival, logger_id: int | None) -> str:
    if logger_id is None:
        return UNREGISTERED
    return QUARANTINED if arrival.is_sealed else STORED


def _make_readings(arrival: Arrival, table: str, logger_id: int) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Make the fields of PacketRows that hold readings, and the warnings they give."""
    packet = arrival.packet
    head = ReadingHead(logger_id, packet.st, packet.cn, arrival.received_at, qn_number(packet.qn))
    values = pick_values(packet.cp)
    moment: datetime | None
    if values is not None:
        warnings: tuple[str, ...] = ()
        moment, count = values.data_time, len(values.layout.rows)
    else:
        readings = parse_readings(packet.cp)
        warnings, count = readings.warnings, len(readings.rows)
        moment = readings.rows[0].data_time if count else None
    if not count:
        return {}, ()
    fields = {"head": head, "cp": packet.cp, "reading_count": count}
    if moment is None or not is_plausible(moment, arrival.received_at):
        return fields, (*warnings, "data_time_odd") if moment else warnings
    fields["table"] = table
    fields["data_time"] = moment
    fields["dirty"] = DirtyRow(logger_id, packet.cn, local_day(moment))
    fields["encoded"] = encode_copy_values(head, values) if values else encode_copy_rows(head, readings.rows)
    return fields, warnings


def _place(qn: str, received_at: datetime) -> tuple[datetime, bool]:
    """Tell the moment a packet's identity lives in: QN's own, independent of arrival, where it has one."""
    moment = parse_qn(qn) if qn else None
    if moment is not None and _FIRST_QN <= moment <= _LAST_QN:
        return moment, True
    slot = int(received_at.timestamp()) // _SLOT_SECS * _SLOT_SECS
    return datetime.fromtimestamp(slot, UTC), False
