"""What is wrong with a span that was refused at the door: told from its bytes alone."""

import re

from hj212gw.errors import PacketError
from hj212gw.protocol.cipher import BLOCK_BYTES
from hj212gw.protocol.crc import crc_text
from hj212gw.protocol.faults import Hint, repair
from hj212gw.protocol.packets import parse_packet
from hj212gw.protocol.shape import CRC_DIGITS, HEAD_BYTES, HEADER

_ODD_BYTES = 4  # of the first block that no text has, at least, to call it encrypted
_SHOWN = 60
_SHORT_LENGTH = re.compile(rb"##[0-9]{0,5} ?[A-Z]{2}=")
_NATURAL_END = re.compile(rb"&&([0-9A-Fa-f]{4})[\r\n]*\Z")
# PW, NewPW and NewSK (1014), however they are written, up to the end of the field.
_SECRET = re.compile(rb"(?i)((?:PW|NewSK)[^0-9A-Za-z;]{0,8})[^;]*?(?=;|CP=|\Z)")
_MN = re.compile(rb"MN=([!-%'-+\--:<-~]{1,64})(?=[;,&]|\Z)")
_HEX = re.compile(rb"[0-9A-Fa-f]{4}")
_COMMA_BETWEEN = re.compile(rb"=[^;]*,[ ]*[A-Za-z]{2,4}=")
# Section 17, row 3: constants that stand in published packets for a CRC.
_PLACEHOLDERS = frozenset((b"0000", b"FFFF", b"1234", b"B381", b"2800", b"4980", b"23AD", b"XXXX", b"CCCC"))
# ； ＝ ， ＆ in UTF-8 and in GBK.
_FULL_WIDTH = {"；": b"\xa3\xbb", "＝": b"\xa3\xbd", "，": b"\xa3\xac", "＆": b"\xa3\xa6"}
_FOREIGN = (
    (re.compile(rb"[\x00-\xff]{2}\x00\x00\x00[\x01-\xff]"), "looks like Modbus/TCP"),
    (re.compile(rb"(?i)\s*(?:at[+\r]|\+\+\+|ok\r|no carrier|ring\r|\+[a-z]+:)"), "looks like a modem's text"),
    (re.compile(rb"(?i)(?:get|post|head|options) /"), "looks like HTTP"),
    (re.compile(rb"\x16\x03"), "looks like TLS"),
)


def show(raw: bytes, most: int = _SHOWN) -> str:
    """Show bytes as evidence: secrets masked, printable ASCII, at most `most` characters of the beginning."""
    text = _mask(raw)
    return text if len(text) <= most else f"{text[: most - 3]}..."


def _mask(raw: bytes) -> str:
    return ascii(_SECRET.sub(rb"\1******", raw))[2:-1]


def find_mn(raw: bytes) -> str:
    """Return the MN a span names, "" where it names none that is printable."""
    match = _MN.search(raw)
    return match[1].decode("ascii") if match else ""


def find_full_width(raw: bytes) -> str:
    """Return the full-width punctuation that stands in bytes, as UTF-8, or as GBK where they are no UTF-8."""
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        return "".join(mark for mark, pair in _FULL_WIDTH.items() if pair in raw)
    return "".join(mark for mark in _FULL_WIDTH if mark in text)


def is_encrypted(raw: bytes) -> bool:
    """Tell whether a data area looks encrypted: bytes no text begins with, or the printed form (16.1)."""
    _, opening, cp = raw.partition(b"CP=&&")
    if not opening or cp.startswith(b"{0x"):
        return bool(opening)
    odd = [byte for byte in cp[:BLOCK_BYTES] if not 0x20 <= byte < 0x7F]  # noqa: PLR2004 - printable ASCII
    return len(odd) >= _ODD_BYTES and not cp.startswith(b"DataTime")


def diagnose_span(raw: bytes, reason: str) -> Hint | None:
    """Tell what is wrong with a span that no dialect makes a frame.

    Args:
        raw: the span.
        reason: why it was refused, a reason of `frames.Discard` or of a `PacketError`.

    Returns:
        None where it is not the data logger's fault.
    """
    if is_encrypted(raw):
        return Hint("key", "sm4", f"the data area looks encrypted and no key fits: {show(raw.partition(b'CP=&&')[2])}")
    if not HEADER.match(raw) and _SHORT_LENGTH.match(raw):
        return repair("length_digits", f"the frame begins {show(raw[:12])}")
    find = _BY_REASON.get(reason)
    if find is None:
        return None
    if not HEADER.match(raw) and reason != "incomplete":
        return _diagnose_noise(raw)
    marks = "" if reason == "crc" else find_full_width(raw)
    return repair("full_width", f"{marks} in {len(raw)} bytes") if marks else find(raw)


def _diagnose_noise(raw: bytes) -> Hint:
    kind = next((name for pattern, name in _FOREIGN if pattern.match(raw)), "")
    # A piece of a packet may begin inside a password.
    content = "" if b"=" in raw else f": {show(raw, 40)}"
    return repair("noise", f"{len(raw)} bytes {kind}".rstrip() + content)


def _diagnose_crc(raw: bytes) -> Hint:
    stop = HEAD_BYTES + int(raw[2:HEAD_BYTES])
    segment, crc = raw[HEAD_BYTES:stop], raw[stop : stop + CRC_DIGITS]
    right = crc_text(segment).decode()
    if not _HEX.fullmatch(crc):
        return repair("crc_not_text", f"CRC {show(crc)}, {right} is right")
    slug = "crc_placeholder" if crc.upper() in _PLACEHOLDERS else "crc"
    return repair(slug, f"CRC {show(crc)}, {right} is right for {len(segment)} bytes")


def _diagnose_length(raw: bytes) -> Hint:
    end = _NATURAL_END.search(raw)
    declared = raw[2:HEAD_BYTES].decode("latin-1")
    if end is None:
        return repair("length", f"length {declared}, and no end of a data segment there")
    segment = raw[HEAD_BYTES : end.start() + 2]
    verdict = "right" if end[1].upper() == crc_text(segment) else "wrong too"
    return repair("length", f"length {declared}, the data segment has {len(segment)} bytes; its CRC is {verdict}")


def _diagnose_cut(raw: bytes) -> Hint:
    if _NATURAL_END.search(raw):
        return _diagnose_length(raw)
    return repair("cut_off", f"length {show(raw[2:HEAD_BYTES])}, {len(raw)} bytes came")


def _diagnose_header(raw: bytes) -> Hint:
    header, _, _ = raw.partition(b"CP=")
    if _COMMA_BETWEEN.search(header):
        return repair("missing_semicolon", "a comma stands between header fields where ; belongs")
    try:
        parse_packet(raw[HEAD_BYTES : HEAD_BYTES + int(raw[2:HEAD_BYTES])])
    except PacketError as error:
        return repair("header", show(str(error).encode(), 120))
    return repair("header", "this version reads it")


def _diagnose_closing(raw: bytes) -> Hint:
    return repair("closing_missing", f"the data segment ends {_mask(raw)[-24:]}")


def _diagnose_size(raw: bytes) -> Hint:
    return repair("too_long", f"length {show(raw[2:HEAD_BYTES])} is over the limit of the settings")


_BY_REASON = {
    "noise": _diagnose_noise,
    "crc": _diagnose_crc,
    "length": _diagnose_length,
    "incomplete": _diagnose_cut,
    "header": _diagnose_header,
    "trailer": _diagnose_closing,
    "too_long": _diagnose_size,
}
