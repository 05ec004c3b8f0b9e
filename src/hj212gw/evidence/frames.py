"""A line of frames.jsonl: does it hold, and which readings does it give?"""

import base64
import binascii
import json
import re
from datetime import datetime
from hashlib import blake2b
from typing import Any, NamedTuple

from hj212gw.errors import PacketError
from hj212gw.evidence.package import parse_moment
from hj212gw.protocol import Frame, FrameBuffer, Packet, parse_packet, parse_readings
from hj212gw.protocol.codes import GRAIN_BY_CN
from hj212gw.protocol.dialects import CIPHER_PRINTED, SLUGS, make_dialect
from hj212gw.store.digests import packet_fingerprint
from hj212gw.store.rows import STORED

VALUES = ("rtd", "min", "avg", "max", "cou", "zs_rtd", "zs_min", "zs_avg", "zs_max")

_MAX_DECLARED = 9999
_DIGEST_BYTES = 16
_HEAD = re.compile(rb"##([0-9]{4})")
_TAIL_BYTES = (3, 4, 5, 6)  # CRC, short or whole, and CR LF where they came
_MAX_QN_DIGITS = 18  # what the readings' column holds
_TEXTS = ("mn", "st", "cn", "peer", "raw", "digest", "fingerprint", "state")
_OPTIONAL_TEXTS = ("qn", "key_id")


class FrameCheck(NamedTuple):
    """What a frame says.

    Attributes:
        problem: what does not hold, "" where all does.
        encrypted: (MN, QN) where a key is needed to read it; None where not.
        readings: a hash of each reading it gives, with its value and QN.
        keys: (DataTime, a hash of the key) of each, where the packet is stored and not kept apart.
    """

    problem: str = ""
    encrypted: tuple[str, str] | None = None
    readings: tuple[int, ...] = ()
    keys: tuple[tuple[datetime, int], ...] = ()


def check_frame(line: bytes) -> FrameCheck:
    """Check one line of frames.jsonl: bytes, CRC, what is written beside them."""
    try:
        document = json.loads(line)
        wrong = [name for name in _TEXTS if not isinstance(document.get(name), str)]
        wrong += [name for name in _OPTIONAL_TEXTS if not isinstance(document.get(name) or "", str)]
        if wrong:
            return FrameCheck(f"{', '.join(wrong)} is missing or no text")
        received_at = parse_moment(document["received_at"])
        raw = base64.b64decode(document["raw"], validate=True)
        key_id = document.get("key_id") or ""
        texts = (document["peer"], key_id, document["mn"], document["cn"], document.get("qn") or "")
        fingerprint = packet_fingerprint(received_at, texts, raw)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError, binascii.Error) as error:
        return FrameCheck(f"it cannot be read: {str(error)[:100]}")
    if fingerprint.hex() != document["fingerprint"]:
        return FrameCheck("its fingerprint is not that of its bytes, arrival, peer, MN, CN and QN")
    warnings = document.get("warnings")
    warnings = warnings if isinstance(warnings, list) else []
    return _check_sealed(document, warnings, raw) if key_id else _check_plain(document, warnings, raw)


def reading_hash(head: tuple[str, str, str, str, int, str], values: dict[str, Any], flag: str, extra: str) -> int:
    """Reduce a reading to 64 bits.

    Args:
        head: mn, st, cn, factor, nth, QN's digits as a number or "".
        values: VALUES and data_time (UTC, ISO); a value is a float or None.
        flag: the data flag, "" for none.
        extra: the rest as JSON, "" for none.

    Raises:
        ValueError: extra is no JSON.
    """
    try:
        rest = json.dumps(json.loads(extra), sort_keys=True) if extra else ""
    except RecursionError as error:
        raise ValueError("extra is nested too deep") from error
    text = repr((*head, values["data_time"], *(values[name] for name in VALUES), flag, rest))
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "big")


def key_hash(head: tuple[str, str, str, str, int], data_time: datetime) -> int:
    """Reduce a reading's key to 64 bits; `head` is mn, st, cn, factor, nth, `data_time` UTC."""
    text = repr((*head, data_time.isoformat()))
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "big")


def plain_qn(qn: str) -> str:
    """Write a QN as the readings have it: a number."""
    return str(int(qn)) if 0 < len(qn) <= _MAX_QN_DIGITS and qn.isascii() and qn.isdigit() else ""


def _check_sealed(document: dict[str, Any], warnings: list[Any], raw: bytes) -> FrameCheck:
    """Check the shape of an encrypted frame: its CRC is that of the plain text, and so is its length."""
    head = _HEAD.match(raw)
    has_length = not {CIPHER_PRINTED, "length_characters"} & {*map(str, warnings)}
    if head is None or (has_length and len(raw) - len(head[0]) - int(head[1]) not in _TAIL_BYTES):
        return FrameCheck("it is no frame: its length is not the one it declares")
    return FrameCheck(encrypted=(document["mn"], plain_qn(document.get("qn") or "")))


def _check_plain(document: dict[str, Any], warnings: list[Any], raw: bytes) -> FrameCheck:
    dialect = make_dialect(slug for slug in SLUGS if slug in warnings)
    buffer = FrameBuffer(lambda _: dialect, max_segment=_MAX_DECLARED)
    events = [*buffer.feed(raw), *buffer.close()]
    frame = events[0]
    if len(events) != 1 or not isinstance(frame, Frame):
        return FrameCheck(f"it is no good frame: {getattr(frame, 'detail', 'bytes stand beside it')}")
    try:
        packet = parse_packet(frame.segment)
    except PacketError as error:
        return FrameCheck(f"its data segment cannot be read: {error}")
    for name in ("mn", "st", "cn", "qn"):
        if (document.get(name) or "") != getattr(packet, name):
            return FrameCheck(f"{name} is not the one in its bytes")
    if blake2b(frame.sent or frame.segment, digest_size=_DIGEST_BYTES).hexdigest() != document["digest"]:
        return FrameCheck("its digest is not that of its data segment")
    readings, keys = _hash_readings(packet)
    return FrameCheck(readings=readings, keys=keys if document["state"] == STORED else ())


def _hash_readings(packet: Packet) -> tuple[tuple[int, ...], tuple[tuple[datetime, int], ...]]:
    if packet.cn not in GRAIN_BY_CN:
        return (), ()
    hashes, keys = [], []
    for row in parse_readings(packet.cp).rows:
        if row.data_time is None:
            continue
        head = (packet.mn, packet.st, packet.cn, row.factor, row.nth, plain_qn(packet.qn))
        values = {**row._asdict(), "data_time": row.data_time.isoformat()}
        extra = "" if row.extra is None else json.dumps(row.extra)
        hashes.append(reading_hash(head, values, row.data_flag or "", extra))
        keys.append((row.data_time, key_hash(head[:5], row.data_time)))
    return tuple(hashes), tuple(keys)
