"""HJ 212 without input or output: bytes to frames to packets to readings, and back."""

from hj212gw.protocol.assembly import Part, find_part
from hj212gw.protocol.cipher import is_encrypted_command, looks_encrypted, parse_key
from hj212gw.protocol.codes import CommandKind, sender_kind
from hj212gw.protocol.crc import check_crc, crc16, crc_text
from hj212gw.protocol.dataarea import DataArea, encode_data_area, parse_data_area
from hj212gw.protocol.dialects import (
    CrcKind,
    Dialect,
    DialectOf,
    Key,
    Opened,
    find_dialect,
    make_dialect,
    open_frame,
)
from hj212gw.protocol.editions import Edition
from hj212gw.protocol.exchange import encode_answer, find_answer
from hj212gw.protocol.frames import Discard, Frame, FrameBuffer
from hj212gw.protocol.infos import Info, Infos, parse_infos
from hj212gw.protocol.outgoing import encode_frame, encode_frame_as
from hj212gw.protocol.packets import Packet, encode_packet, parse_packet
from hj212gw.protocol.readings import parse_readings
from hj212gw.protocol.shapes import Layout, Values, pick_values
from hj212gw.protocol.uploads import encode_readings
from hj212gw.protocol.values import Reading, Readings

__all__ = [
    "CommandKind",
    "CrcKind",
    "DataArea",
    "Dialect",
    "DialectOf",
    "Discard",
    "Edition",
    "Frame",
    "FrameBuffer",
    "Info",
    "Infos",
    "Key",
    "Layout",
    "Opened",
    "Packet",
    "Part",
    "Reading",
    "Readings",
    "Values",
    "check_crc",
    "crc16",
    "crc_text",
    "encode_answer",
    "encode_data_area",
    "encode_frame",
    "encode_frame_as",
    "encode_packet",
    "encode_readings",
    "find_answer",
    "find_dialect",
    "find_part",
    "is_encrypted_command",
    "looks_encrypted",
    "make_dialect",
    "open_frame",
    "parse_data_area",
    "parse_infos",
    "parse_key",
    "parse_packet",
    "parse_readings",
    "pick_values",
    "sender_kind",
]
