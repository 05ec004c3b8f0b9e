"""The data segment: header fields and the data area behind them (HJ 212-2017, 6.3.2, table 3).

::

    QN=..;ST=..;CN=..;PW=..;MN=..;Flag=..;PNUM=..;PNO=..;RF=1;CP=&&<data area>&&
"""

import re
from typing import NamedTuple

from hj212gw.errors import PacketError
from hj212gw.protocol.editions import Edition, edition_of
from hj212gw.protocol.times import parse_qn

MAX_FIELD = 64  # characters of any header value; the standards' longest is 24

_ACK = 1
_PARTS = 2
_MAX_FLAG = 255
_ANSWERS = frozenset(("9011", "9012", "9013", "9014"))

# The order and widths that nearly every packet has; anything else goes through the fields one by one.
_USUAL = re.compile(
    rb"(?:QN=([0-9]{17});)?ST=([0-9A-Z]{2});CN=([0-9]{4});PW=([0-9A-Za-z]{6});"
    rb"MN=([0-9A-Za-z]{14}|[0-9A-Za-z]{24});(?:Flag=([0-9]{1,2});)?"
    rb"(?:PNUM=([0-9]{1,4});PNO=([0-9]{1,4});)?CP=&&"
)
_NAMES = {name.casefold(): name for name in ("QN", "ST", "CN", "PW", "MN", "Flag", "PNUM", "PNO", "RF")}
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,31}")
_OPENING = re.compile(rb";?\s*CP=&&")
_PRINTABLE = re.compile(r"[!-~]*")
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
    if match is None or not segment.endswith(b"&&") or match.end() > len(segment) - 2:
        return _parse_odd(segment)
    qn, st, cn, pw, mn, flag, pnum, _ = match.groups()
    number = None if flag is None else int(flag)
    if (qn and not b"0101" <= qn[4:8] <= b"1231") or pnum is not None or number in (6, 7, 10, 11):
        return _parse_odd(segment)
    st_text, mn_text = st.decode(), mn.decode()
    return Packet(
        qn.decode() if qn else "",
        st_text,
        cn.decode(),
        pw.decode(),
        mn_text,
        number,
        None,
        None,
        False,
        segment[match.end() : -2],
        (),
        edition_of(number, st_text, mn_text),
        (),
    )


def encode_packet(packet: Packet) -> bytes:
    """Write a packet as a data segment, fields in the order of HJ 212-2017 table 3.

    Fields that are empty or None are left out, but for MN, which 2025's 1001 sends empty.

    Raises:
        PacketError: a value cannot stand in a header.
    """
    fields = [("QN", packet.qn)] if packet.qn else []
    fields += [("ST", packet.st), ("CN", packet.cn)]
    fields += [("PW", packet.pw)] if packet.pw else []
    fields += [("MN", packet.mn)] if packet.mn or packet.cn not in _ANSWERS else []
    numbers = (("Flag", packet.flag), ("PNUM", packet.pnum), ("PNO", packet.pno))
    fields += [(name, str(value)) for name, value in numbers if value is not None]
    fields += [("RF", "1")] if packet.rf else []
    fields += packet.extra
    for name, value in fields:
        if not _NAME.fullmatch(name) or not _PRINTABLE.fullmatch(value) or ";" in value:
            raise _error(name, f"{name} cannot be written: {value[:MAX_FIELD]!a}", 0)
    header = ";".join(f"{name}={value}" for name, value in fields)
    return b"%b;CP=&&%b&&" % (header.encode("ascii"), packet.cp)


def _error(name: str, message: str, offset: int) -> PacketError:
    return PacketError(message, reason="header", qn_rtn=_QN_RTN.get(name, _UNKNOWN_ERROR), offset=offset)


def _parse_odd(segment: bytes) -> Packet:
    """Read a segment field by field: any order, unknown fields, odd widths."""
    opening = _OPENING.search(segment)
    if opening is None or not segment.endswith(b"&&") or opening.end() > len(segment) - 2:
        raise _error("CP", "a data segment ends in CP=&&...&&, none found", len(segment))
    warnings: list[str] = [] if opening.group().startswith(b";") else ["missing_semicolon"]
    fields, extra = _split_header(segment[: opening.start()], warnings)
    values = {name: _checked(name, value, warnings) for name, value in fields.items()}
    for name in ("ST", "CN"):
        if name not in values:
            raise _error(name, f"the header has no {name}", opening.start())
    if "MN" not in values and values["CN"] not in _ANSWERS:
        raise _error("MN", "the header has no MN", opening.start())
    flag, pnum, pno = (int(values[name]) if name in values else None for name in ("Flag", "PNUM", "PNO"))
    st, mn = values["ST"], values.get("MN", "")
    edition = edition_of(flag, st, mn)
    warnings += _odd_combinations(values, edition, flag)
    return Packet(
        qn=values.get("QN", ""),
        st=st,
        cn=values["CN"],
        pw=values.get("PW", ""),
        mn=mn,
        flag=flag,
        pnum=pnum,
        pno=pno,
        rf=values.get("RF") == "1",
        cp=segment[opening.end() : -2],
        extra=tuple(extra),
        edition=edition,
        warnings=tuple(dict.fromkeys(warnings)),
    )


def _split_header(header: bytes, warnings: list[str]) -> tuple[dict[str, str], list[tuple[str, str]]]:
    """Split header text into known fields by name and the others in order."""
    known: dict[str, str] = {}
    extra: list[tuple[str, str]] = []
    offset = 0
    for part in header.split(b";"):
        text = part.decode("latin-1")
        name, separator, value = text.strip(" ,").partition("=")
        if text and not separator and not name:
            warnings.append("stray_character")
        elif text:
            _keep_field(name.strip(), value.strip(), separator, offset, (known, extra, warnings))
            if text != f"{name.strip()}={value.strip()}":
                warnings.append("stray_character")
        offset += len(part) + 1
    return known, extra


def _keep_field(
    name: str,
    value: str,
    separator: str,
    offset: int,
    into: tuple[dict[str, str], list[tuple[str, str]], list[str]],
) -> None:
    known, extra, warnings = into
    if not separator or not _NAME.fullmatch(name):
        raise _error("", f"a header field is NAME=value, got {name[:MAX_FIELD]!a}", offset)
    if len(value) > MAX_FIELD or not _PRINTABLE.fullmatch(value):
        raise _error(
            name,
            f"{name} has at most {MAX_FIELD} printable ASCII characters, got {len(value)}",
            offset,
        )
    field = _NAMES.get(name.casefold())
    if field is None:
        extra.append((name, value))
        warnings.append("field_unknown")
        return
    if field in known:
        raise _error(field, f"the header has {field} twice", offset)
    if field != name:
        warnings.append("field_case")
    known[field] = value


def _checked(name: str, value: str, warnings: list[str]) -> str:
    """Check one known header field's value; return it as it is to be used."""
    rule = _RULES.get(name)
    if rule is not None:
        usual, accepted, slug = rule
        if not accepted.fullmatch(value):
            shown = "of a wrong shape" if name == "PW" else ascii(value)
            raise _error(name, f"{name} is {usual.pattern}, got a value {shown}", 0)
        if not usual.fullmatch(value):
            warnings.append(slug)
    if name == "QN" and "qn_malformed" not in warnings and parse_qn(value) is None:
        warnings.append("qn_malformed")
    if name == "Flag" and int(value) > _MAX_FLAG:
        raise _error(name, f"Flag is 0 to {_MAX_FLAG}, got {value}", 0)
    return value


# What each field should look like, what is accepted all the same (section 17), and the warning between.
_RULES = {
    "QN": (re.compile("[0-9]{17}"), re.compile("[0-9]{0,20}"), "qn_malformed"),
    "ST": (re.compile("[0-9A-Z]{2}"), re.compile("[0-9A-Za-z]{1,8}"), "st_unusual"),
    "CN": (re.compile("[0-9]{4}"), re.compile("[0-9]{4}"), ""),
    "PW": (re.compile("[ -~]{6}"), re.compile("[ -~]*"), "pw_unusual"),
    "MN": (re.compile("[0-9A-Za-z]{14}|[0-9A-Za-z]{24}"), re.compile("[ -~]*"), "mn_unusual"),
    "Flag": (re.compile("[0-9]{1,3}"), re.compile("[0-9]{1,3}"), ""),
    "PNUM": (re.compile("[1-9][0-9]{0,3}"), re.compile("[0-9]{1,4}"), "part_number_unusual"),
    "PNO": (re.compile("[1-9][0-9]{0,3}"), re.compile("[0-9]{1,4}"), "part_number_unusual"),
    "RF": (re.compile("1"), re.compile("[ -~]{0,8}"), "rf_unusual"),
}


def _odd_combinations(values: dict[str, str], edition: Edition, flag: int | None) -> list[str]:
    warnings = []
    if "PW" not in values and values["CN"] not in _ANSWERS:
        warnings.append("pw_missing")
    if values.get("MN") == "":
        warnings.append("mn_empty")
    # 2005 sets the bit on every request to say that parts are allowed (5.1).
    if edition is not Edition.V2005 and flag is not None and flag & _PARTS and "PNO" not in values:
        warnings.append("part_numbers_missing")
    if "PNUM" in values and "PNO" in values and not 1 <= int(values["PNO"]) <= int(values["PNUM"]):
        warnings.append("part_number_unusual")
    return warnings
