"""Cells of the registry's files: text to values and back.

Each `parse_` function takes the text of a cell without outer spaces and raises ValueError with what was expected
there; what came is added, and hidden where it is a secret, by whoever knows the cell.
"""

import ipaddress
import re
import unicodedata
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import TypeVar

from hj212gw.protocol.times import WIRE_ZONE

T = TypeVar("T")

ALL_FACTORS = "*"  # of an outlet
MIN_INTERVALS = (1, 2, 3, 4, 5, 6, 10, 12, 15, 20, 30)  # HJ 212-2017 table 4, MinInterval

_SEPARATORS = ";,=&"  # they end a field or a packet on the wire
_COLUMN_SEPARATORS = {";": "';'", "\t": "a tab", "|": "'|'"}
_ID_LENGTH = 64
_NAME_LENGTH = 200
_SHOWN_LENGTH = 40
_UNIT_LENGTH = 32
_FIELDS = range(1, 9)
_SECRET_BYTES = 16  # SM4, GB/T 32907
_SCALES = (1e-12, 1e12)
_YEARS = range(1900, 2200)
_INVISIBLE = {"Cc", "Cf", "Cs", "Zl", "Zp"}  # Unicode categories
_MOMENT = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}(T[0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,6})?)?)?")
_DECIMAL = re.compile(r"-?[0-9]{1,20}(\.[0-9]{1,20})?([eE][+-]?[0-9]{1,2})?")
_DIGEST = re.compile(r"[0-9A-Fa-f]{64}")
_HEX_SECRET = re.compile(r"[0-9A-Fa-f]{32}")
_CREDIT_CODE = re.compile(r"[0-9A-Z][0-9A-Z-]{0,19}")
# What a spreadsheet would take for a formula, and what already stands behind our apostrophe.
_FORMULA = re.compile(r"'*[=+\-@\t]")


def parse_id(text: str) -> str:
    """Read the id of an enterprise or an outlet, a name of ours."""
    if not 1 <= len(text) <= _ID_LENGTH or not text.isprintable() or " " in text or text[0] in "=+-@":
        raise ValueError(f"1 to {_ID_LENGTH} printable characters, no spaces, none of = + - @ in front")
    return text


def parse_token(text: str) -> str:
    """Read what stands in a field on the wire: MN, PW, ST, the code of a factor."""
    is_token = text.isascii() and text.isprintable() and not set(text) & {*_SEPARATORS, " "}
    if not is_token or not 1 <= len(text) <= _ID_LENGTH:
        raise ValueError(f"1 to {_ID_LENGTH} printable ASCII characters without ; , = & and spaces")
    return text


def parse_code(text: str) -> str:
    """Read an MN or a code that is no secret: what is sent may begin like a formula, and is written like a name."""
    return parse_token(parse_text(text))


def parse_all_or_code(text: str) -> str:
    """Read the code of a factor, or the sign for all of an outlet."""
    return text if text == ALL_FACTORS else parse_code(text)


def parse_fields(text: str) -> int:
    """Read how many values an hour owes; nothing is 1, the mean alone."""
    return parse_number(_FIELDS)(text) if text else 1


def parse_digest(text: str) -> str:
    """Read a SHA-256 and return it in lower case."""
    if not _DIGEST.fullmatch(text):
        raise ValueError("the 64 hexadecimal digits of a SHA-256")
    return text.lower()


def parse_cn(text: str) -> str:
    """Read a command code."""
    if len(text) != 4 or not (text.isascii() and text.isdigit()):  # noqa: PLR2004 - HJ 212-2017 table 3
        raise ValueError("a CN of four digits")
    return text


def parse_name(text: str) -> str:
    """Read free text, an apostrophe before a would-be formula taken off."""
    name = parse_text(text)
    if not 1 <= len(name) <= _NAME_LENGTH or any(map(_is_invisible, name)):
        raise ValueError(f"1 to {_NAME_LENGTH} characters without control characters")
    return name


def parse_text(text: str) -> str:
    """Take off the apostrophe that `format_name` puts before a would-be formula."""
    return text[1:] if text.startswith("'") and _FORMULA.match(text) else text


def format_name(name: str) -> str:
    """Write free text so that no spreadsheet takes it for a formula and `parse_name` gives it back."""
    return f"'{name}" if _FORMULA.match(name) else name


def parse_credit_code(text: str) -> str:
    """Read a unified social credit code, 18 capital letters and digits (GB 32100), or an older number."""
    if not _CREDIT_CODE.fullmatch(text):
        raise ValueError("a credit code of 1 to 20 capital letters and digits")
    return text


def parse_moment(text: str) -> datetime:
    """Read a date, or a date and time, on UTC+8."""
    expected = f"2026-01-01 or 2026-01-01T08:00, {_YEARS[0]} to {_YEARS[-1]}, or nothing"
    if not _MOMENT.fullmatch(text) or int(text[:4]) not in _YEARS:
        raise ValueError(expected)
    try:
        return datetime.fromisoformat(text).replace(tzinfo=WIRE_ZONE).astimezone(UTC)
    except ValueError as error:
        raise ValueError(expected) from error


def format_moment(moment: datetime) -> str:
    """Write a moment on UTC+8 in the shortest form that `parse_moment` reads back the same."""
    local = moment.astimezone(WIRE_ZONE).replace(tzinfo=None)
    if local.microsecond:
        return local.isoformat().rstrip("0")
    if local.second:
        return local.isoformat()
    return local.isoformat(timespec="minutes").removesuffix("T00:00")


def parse_codes(parse: Callable[[str], str]) -> Callable[[str], tuple[str, ...]]:
    """Return a reader of codes separated by spaces, each of which `parse` reads."""

    def _read(text: str) -> tuple[str, ...]:
        try:
            codes = tuple(parse(code) for code in text.split())
        except ValueError as error:
            raise ValueError(f"codes separated by spaces, each {error}") from error
        if len(set(codes)) < len(codes):
            raise ValueError("each code once")
        return codes

    return _read


def parse_one_of(*choices: str) -> Callable[[str], str]:
    """Return a reader of one of a few words."""

    def _read(text: str) -> str:
        if text not in choices:
            raise ValueError(f"one of {', '.join(choices)}")
        return text

    return _read


def parse_number(accepted: range | tuple[int, ...]) -> Callable[[str], int]:
    """Return a reader of a whole number that is one of those accepted."""
    shown = f"{accepted[0]} to {accepted[-1]}" if isinstance(accepted, range) else f"one of {accepted}"

    def _read(text: str) -> int:
        is_number = text.isascii() and text.isdigit() and len(text) <= len(str(accepted[-1]))
        if not is_number or int(text) not in accepted:
            raise ValueError(f"a whole number, {shown}")
        return int(text)

    return _read


def parse_decimal(least: float, most: float) -> Callable[[str], float]:
    """Return a reader of a number from `least` to `most`."""

    def _read(text: str) -> float:
        if not _DECIMAL.fullmatch(text) or not least <= float(text) <= most:
            raise ValueError(f"a number, {format_number(least)} to {format_number(most)}")
        return float(text)

    return _read


def parse_scale(text: str) -> float:
    """Read what a value as sent is multiplied by."""
    if not _DECIMAL.fullmatch(text) or not _SCALES[0] <= float(text) <= _SCALES[1]:
        raise ValueError("a number above 0, such as 1 or 0.001")
    return float(text)


def parse_unit(text: str) -> str:
    """Read a unit, such as mg/L or colour degree; 1 is no dimension."""
    if not 1 <= len(text) <= _UNIT_LENGTH or not text.isprintable() or text != text.strip() or text[0] in "=+-@":
        raise ValueError(f"a unit of 1 to {_UNIT_LENGTH} printable characters, none of = + - @ in front")
    return text


def parse_secret(text: str) -> bytes:
    """Read a key."""
    if _HEX_SECRET.fullmatch(text):
        return bytes.fromhex(text)
    if len(text) == _SECRET_BYTES and text.isascii() and text.isprintable():
        return text.encode()
    raise ValueError(f"a key of {_SECRET_BYTES} ASCII characters or {2 * _SECRET_BYTES} hexadecimal digits")


def parse_network(text: str) -> str:
    """Read a network of addresses and return it in its shortest form."""
    try:
        return str(ipaddress.ip_network(text))
    except ValueError as error:
        raise ValueError("a network such as 10.1.0.0/16 or 2001:db8::/32, or one address") from error


def or_text(parse: Callable[[str], str], default: str) -> Callable[[str], str]:
    """Return a reader that takes an empty cell for a text."""

    def _read(text: str) -> str:
        return parse(text) if text else default

    return _read


def optional(parse: Callable[[str], T]) -> Callable[[str], T | None]:
    """Return a reader that takes an empty cell for None."""

    def _read(text: str) -> T | None:
        return parse(text) if text else None

    return _read


def format_number(number: float) -> str:
    """Write a number in the shortest plain form that reads back the same."""
    text = format(Decimal(repr(number)), "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def format_cell(value: object) -> str:
    """Write a value the way its reader takes it; free text goes through `format_name` first."""
    if value is None:
        return ""
    if isinstance(value, datetime):
        return format_moment(value)
    if isinstance(value, float):
        return format_number(value)
    return " ".join(value) if isinstance(value, tuple) else str(value)


def show_cell(text: str, *, is_secret: bool = False) -> str:
    """Return the text of a cell fit for a message: quoted, bounded, secrets hidden."""
    if not text:
        return "nothing"
    if is_secret:
        return f"{len(text)} characters (not shown)"
    cut = text if len(text) <= _SHOWN_LENGTH else f"{text[:_SHOWN_LENGTH]}…"
    return repr(cut)


def find_separator(header: Sequence[str]) -> str | None:
    """Name what stands between the names of a header that was not split at commas; None where it was."""
    if len(header) != 1:
        return None
    return next((name for char, name in _COLUMN_SEPARATORS.items() if char in header[0]), None)


def _is_invisible(character: str) -> bool:
    return character != "\t" and unicodedata.category(character) in _INVISIBLE
