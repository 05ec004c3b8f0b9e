"""The data segment: header fields and the data area behind them (HJ 212-2017, 6.3.2, table 3).

::

    QN=..;ST=..;CN=..;PW=..;MN=..;Flag=..;PNUM=..;PNO=..;RF=1;CP=&&<data area>&&
"""

import re
from typing import NamedTuple

from hj212gw.errors import PacketError
from hj212gw.protocol.editions import INTERACTION_ST, RULES, Edition, edition_of
from hj212gw.protocol.times import parse_qn

MAX_FIELD = 64  # characters of any header value; the standards' longest is 24

_ACK = 1
_PARTS = 2
_MAX_FLAG = 255
_ANSWERS = frozenset(("9011", "9012", "9013", "9014"))

# The order that nearly every packet has; anything else goes through the fields one by one.
_USUAL = re.compile(
    rb"(?:QN=(?:([12][0-9]{7}(?:[01][0-9]|2[0-3])[0-5][0-9][0-5][0-9]{4})|([0-9]{17}));)?"
    rb"ST=([0-9A-Z]{2});CN=([0-8][0-9]{3});PW=([0-9A-Za-z]{6});"
    rb"MN=([0-9A-Za-z]{1,32});(?:Flag=([0-9]{1,2});)?CP=&&"
)
# 2005 sets the parts' bit on every request to say that parts are allowed (5.1).
_USUAL_FLAGS = frozenset((None, 0, 1, 2, 3, 4, 5, 8, 9))
_USUAL_DAYS = frozenset(
    b"%02d%02d" % (month, day)
    for month, days in enumerate((31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31), 1)
    for day in range(1, days + 1)
)
_NAMES = {name.casefold(): name for name in ("QN", "ST", "CN", "PW", "MN", "Flag", "PNUM", "PNO", "RF")}
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,31}")
_OPENING = b"CP=&&"
_CLOSING = b"&&"
_MN_WIDTHS = (24, 14)
_MN_UNUSUAL = ("mn_unusual",)
_PRINTABLE = re.compile(r"[ -~]*")
_STRAY = " ,"  # met round header fields (section 17, 28)
_QN_RTN = {"PW": 3, "MN": 4, "ST": 5, "Flag": 6, "PNUM": 6, "PNO": 6, "QN": 7, "CN": 8}  # table 7
_UNKNOWN_ERROR = 100


class Packet(NamedTuple):
    """A parsed data segment; text as sent, the data area still raw.

    Attributes:
        qn: request number, "" where the packet has none (2005 uploads).
        st: system code, usually two characters.
        cn: command code, four digits.
        pw: password as sent; a secret.
        mn: data logger id; "" in answers of 2005 and in 1001 of 2025.
        flag: 0 to 255, None where absent.
        pnum: parts of the upload, None where absent.
        pno: this part's number from 1, None where absent.
        rf: whether the packet is marked as sent again (2025).
        cp: bytes between ``CP=&&`` and the closing ``&&``.
        extra: header fields no edition knows, in order.
        edition: by Flag's version bits.
        warnings: slugs of what was odd yet accepted.
    """

    qn: str
    st: str
    cn: str
    pw: str
    mn: str
    flag: int | None
    pnum: int | None
    pno: int | None
    rf: bool
    cp: bytes
    extra: tuple[tuple[str, str], ...]
    edition: Edition
    warnings: tuple[str, ...]

    @property
    def wants_answer(self) -> bool:
        """Whether Flag's lowest bit asks for an answer (A in 2017, D in 2025)."""
        return self.flag is not None and bool(self.flag & _ACK)

    @property
    def has_parts(self) -> bool:
        """Whether Flag says that PNUM and PNO may follow."""
        return self.flag is not None and bool(self.flag & _PARTS)

    def __str__(self) -> str:
        """Print short and without the password."""
        return f"Packet(qn={self.qn!r} st={self.st!r} cn={self.cn!r} mn={self.mn!r} flag={self.flag})"


def parse_packet(segment: bytes) -> Packet:
    """Read one data segment into a packet.

    Args:
        segment: bytes between length and CRC; header ASCII, the data area any bytes.

    Returns:
        The packet; `cp` is still raw.

    Raises:
        PacketError: a field is missing, repeated or malformed; answer with its `qn_rtn`.
    Source: HJ 212-2017, 6.3.2, table 3; HJ/T 212-2005, 6.3; HJ 212-2025, 6.3.3 (secondary).
    """
    match = _USUAL.match(segment)
    if match is None or not segment.endswith(_CLOSING, match.end()):
        return _parse_odd(segment)
    qn, odd_qn, st, cn, pw, mn, flag = match.groups()
    number = None if flag is None else int(flag)
    if number not in _USUAL_FLAGS or odd_qn or (qn and qn[4:8] not in _USUAL_DAYS):
        return _parse_odd(segment)
    st_text, mn_text = st.decode(), mn.decode()
    warnings = () if len(mn) in _MN_WIDTHS else _MN_UNUSUAL
    edition = edition_of(number, st_text, mn_text)
    qn_text, cp = qn.decode() if qn else "", segment[match.end() : -2]
    # A named tuple's own constructor takes twice the time.
    fields = (qn_text, st_text, cn.decode(), pw.decode(), mn_text, number, None, None, False, cp, (), edition, warnings)
    return tuple.__new__(Packet, fields)


def encode_packet(packet: Packet) -> bytes:
    """Write a packet as a data segment, fields in the order of HJ 212-2017 table 3.

    Fields that are empty or None are left out, but for MN, which 2025's 1001 sends empty.

    Raises:
        PacketError: a value cannot stand in a header, or would not be read back.
    """
    fields = [("QN", packet.qn)] if packet.qn else []
    fields += [("ST", packet.st), ("CN", packet.cn)]
    fields += [("PW", packet.pw)] if packet.pw else []
    fields += [("MN", packet.mn)] if packet.mn or packet.cn not in _ANSWERS else []
    numbers = (("Flag", packet.flag), ("PNUM", packet.pnum), ("PNO", packet.pno))
    fields += [(name, str(value)) for name, value in numbers if value is not None]
    fields += [("RF", "1")] if packet.rf else []
    for name, value in (*fields, *packet.extra):
        _check_writable(name, value)
    for name, _ in packet.extra:
        if name.casefold() in _NAMES or name.casefold() == "cp":
            raise _error(name, f"{name} is no unknown field", 0)
    fields += packet.extra
    header = ";".join(f"{name}={value}" for name, value in fields)
    return b"%b;CP=&&%b&&" % (header.encode("ascii"), packet.cp)


def _check_writable(name: str, value: str) -> None:
    is_plain = _NAME.fullmatch(name) and _PRINTABLE.fullmatch(value) and len(value) <= MAX_FIELD
    if not is_plain or ";" in value or "CP=&&" in f"{name}={value}" or value != value.strip(_STRAY):
        shown = "" if name == "PW" else f": {value[:MAX_FIELD]!a}"
        raise _error(name, f"{name} cannot be written{shown}", 0)
    _check(name, value, 0, [])


def _error(name: str, message: str, offset: int) -> PacketError:
    return PacketError(message, reason="header", qn_rtn=_QN_RTN.get(name, _UNKNOWN_ERROR), offset=offset)


def _parse_odd(segment: bytes) -> Packet:
    """Read a segment field by field: any order, unknown fields, odd widths."""
    warnings: list[str] = []
    header, cp = _split_segment(segment, warnings)
    fields, extra = _split_header(header, warnings)
    for name, (value, offset) in fields.items():
        _check(name, value, offset, warnings)
    values = {name: value for name, (value, _) in fields.items()}
    for name in ("ST", "CN", "MN"):
        # 9014 has no MN in 2005 (annex C.6).
        if name not in values and not (name == "MN" and values["CN"] in _ANSWERS):
            raise _error(name, f"the header has no {name}", len(header))
    flag, pnum, pno = (int(values[name]) if name in values else None for name in ("Flag", "PNUM", "PNO"))
    st, mn = values["ST"], values.get("MN", "")
    packet = Packet(
        qn=values.get("QN", ""),
        st=st,
        cn=values["CN"],
        pw=values.get("PW", ""),
        mn=mn,
        flag=flag,
        pnum=pnum,
        pno=pno,
        rf=values.get("RF") == "1",
        cp=cp,
        extra=extra,
        edition=edition_of(flag, st, mn),
        warnings=(),
    )
    warnings += _odd_combinations(packet, values)
    return packet._replace(warnings=tuple(dict.fromkeys(warnings)))


def _split_segment(segment: bytes, warnings: list[str]) -> tuple[bytes, bytes]:
    """Split a segment into header text and data area at the first ``CP=&&``."""
    cut = segment.find(_OPENING)
    if cut < 0 or not segment.endswith(_CLOSING, cut + len(_OPENING)):
        raise _error("CP", "CP is &&...&& at the end of a data segment, none found", max(cut, 0))
    header = segment[:cut].rstrip()
    if len(header) < cut:
        warnings.append("stray_character")
    if not header.endswith(b";"):
        warnings.append("missing_semicolon")
    return header, segment[cut + len(_OPENING) : -len(_CLOSING)]


def _split_header(header: bytes, warnings: list[str]) -> tuple[dict[str, tuple[str, int]], tuple[tuple[str, str], ...]]:
    """Split header text into known fields, each with its offset, and the others in order."""
    known: dict[str, tuple[str, int]] = {}
    extra: list[tuple[str, str]] = []
    offset = 0
    for part in header.split(b";"):
        text = part.decode("latin-1")
        if text.strip(_STRAY):
            name, value = _read_field(text, offset, warnings)
            field = _NAMES.get(name.casefold())
            if field is None:
                extra.append((name, value))
                warnings.append("field_unknown")
            elif field in known:
                raise _error(field, f"the header has {field} twice", offset)
            else:
                known[field] = (value, offset)
                warnings += ["field_case"] if field != name else []
        elif text:
            warnings.append("stray_character")
        offset += len(part) + 1
    return known, tuple(extra)


def _read_field(text: str, offset: int, warnings: list[str]) -> tuple[str, str]:
    name, separator, value = text.strip(_STRAY).partition("=")
    name, value = name.strip(), value.strip()
    if not separator or not _NAME.fullmatch(name):
        raise _error("", f"a header field is NAME=value, got {name[:MAX_FIELD]!a}", offset)
    if len(value) > MAX_FIELD or not _PRINTABLE.fullmatch(value):
        message = f"{name} has at most {MAX_FIELD} printable ASCII characters, got {len(value)}"
        raise _error(name, message, offset)
    if text != f"{name}={value}":
        warnings.append("stray_character")
    return name, value


def _check(name: str, value: str, offset: int, warnings: list[str]) -> None:
    """Check one header field's value."""
    rule = _RULES.get(name)
    if rule is None:
        return
    usual, accepted, slug = rule
    if not accepted.fullmatch(value):
        shown = "of a wrong shape" if name == "PW" else ascii(value)
        raise _error(name, f"{name} is {usual.pattern}, got a value {shown}", offset)
    if name == "Flag" and int(value) > _MAX_FLAG:
        raise _error(name, f"Flag is 0 to {_MAX_FLAG}, got {value}", offset)
    if not usual.fullmatch(value) or (name == "QN" and parse_qn(value) is None):
        warnings.append(slug)


_DIGITS = re.compile("[0-9]{1,4}")
_ANY = re.compile("[ -~]*")
# What each field should look like, what is accepted all the same (section 17), and the warning between.
_RULES = {
    "QN": (re.compile("[0-9]{17}"), re.compile("[0-9]{0,20}"), "qn_malformed"),
    "ST": (re.compile("[0-9A-Z]{2}"), re.compile("[0-9A-Za-z]{1,8}"), "st_unusual"),
    "CN": (re.compile("[0-9]{4}"), re.compile("[0-9]{4}"), ""),
    "PW": (re.compile("[ -~]{6}"), _ANY, "pw_unusual"),
    "MN": (re.compile("[0-9A-Za-z]{14}|[0-9A-Za-z]{24}|"), _ANY, "mn_unusual"),
    "Flag": (re.compile("[0-9]{1,3}"), re.compile("[0-9]{1,3}"), ""),
    "PNUM": (_DIGITS, _DIGITS, ""),
    "PNO": (_DIGITS, _DIGITS, ""),
    "RF": (re.compile("1"), _ANY, "rf_unusual"),
}


def _odd_combinations(packet: Packet, values: dict[str, str]) -> list[str]:
    """Return warnings about fields that do not go together."""
    is_answer = packet.cn in _ANSWERS
    pnum, pno = packet.pnum, packet.pno
    has_numbers = pnum is not None or pno is not None
    is_in_order = pnum is not None and pno is not None and 1 <= pno <= pnum
    widest = 10 ** RULES[packet.edition].part_digits
    checks = (
        ("pw_missing", "PW" not in values and not is_answer),
        ("mn_empty", values.get("MN") == ""),
        ("part_numbers_missing", packet.has_parts and packet.edition is not Edition.V2005 and not has_numbers),
        ("part_bit_missing", has_numbers and not packet.has_parts),
        ("part_number_unusual", has_numbers and (not is_in_order or (pnum or 0) >= widest)),
        # Two hosts that answer each other's answers would never end (8.2).
        ("answer_unusual", is_answer and (packet.st != INTERACTION_ST or packet.wants_answer)),
    )
    return [slug for slug, holds in checks if holds]
