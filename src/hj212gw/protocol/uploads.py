"""Reading rows to the data area of an upload (HJ 212-2017, 6.3.3 and annex C)."""

from collections.abc import Iterable
from decimal import Decimal
from typing import Any

from hj212gw.errors import DataAreaError
from hj212gw.protocol.dataarea import Group, encode_data_area
from hj212gw.protocol.values import MAX_NUMBER, PLAIN_DECIMAL, VALUE_SUFFIXES, Extra, Reading

_FIRST_VALUE = Reading._fields.index("rtd")
# Annex C of 2017 writes the time first, Cou before the statistics, converted values behind, then the flags.
_WRITTEN = ("SampleTime", "Rtd", "ZsRtd", "Cou", "Min", "Avg", "Max", "ZsMin", "ZsAvg", "ZsMax", "Flag")


def encode_readings(rows: Iterable[Reading], data_time_text: str) -> bytes:
    """Write readings as the data area of an upload, a group per reading.

    Args:
        rows: their `data_time` is not looked at; `nth` follows from the order.
        data_time_text: DataTime as it is to be sent; left out when empty.

    Returns:
        What `parse_readings` reads back as the same rows; numbers are plain decimals, never 1e-05.

    Raises:
        DataAreaError: a code, a flag or a text holds a separator, or a value is not finite or too long.
    Source: HJ 212-2017, 6.3.3 and annex C.16 to C.19.
    """
    groups: list[Group] = [(("DataTime", data_time_text),)] if data_time_text else []
    before: dict[str, Extra] = {}
    for row in rows:
        texts = _texts(row)
        earlier = before.get(row.factor, {})
        # What repeats comes first: it is what tells the reader that another reading of the factor begins.
        names = sorted(texts, key=lambda suffix: suffix not in earlier)
        groups.append(tuple((f"{row.factor}-{suffix}", texts[suffix]) for suffix in names))
        before[row.factor] = texts
    return encode_data_area(groups)


def _texts(row: Reading) -> Extra:
    """Return a reading's texts by suffix, in the order they are written."""
    if not row.factor or "-" in row.factor:
        raise DataAreaError(f"a factor's code is not empty and has no -, got {row.factor!a}", reason="data_area")
    values: tuple[Any, ...] = row[_FIRST_VALUE : _FIRST_VALUE + len(VALUE_SUFFIXES)]
    pairs = zip(VALUE_SUFFIXES, values, strict=True)
    texts = {suffix: _plain(value) for suffix, value in pairs if value is not None}
    if row.data_flag is not None:
        texts["Flag"] = row.data_flag
    texts |= row.extra or {}
    return {suffix: texts[suffix] for suffix in dict.fromkeys((*_WRITTEN, *texts)) if suffix in texts}


def _plain(value: float) -> str:
    text = repr(value)
    if "e" in text:
        text = format(Decimal(text), "f")
    if not PLAIN_DECIMAL.fullmatch(text) or len(text) > MAX_NUMBER:
        raise DataAreaError(f"a value prints as at most {MAX_NUMBER} digits, got {value}", reason="data_area")
    return text
