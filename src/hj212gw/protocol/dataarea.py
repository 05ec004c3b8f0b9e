"""The data area: CP as ordered groups of ordered fields (HJ 212-2017, 6.3.3).

Groups are split by ``;``, fields by ``,``, name and value by the first ``=``. There is no escaping:
only log text, fenced by ``//``, may hold the separators. Keys repeat, so nothing here is a dictionary.
"""

import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from hj212gw.errors import DataAreaError

Field = tuple[str, str]
Group = tuple[Field, ...]

FENCE = "//"
_LOG_START = "=" + FENCE
_LOG_END = re.compile(r"//(?=[;,]|\Z)")
_BREAKERS = re.compile(r"[;,]|&&")


class DataArea(NamedTuple):
    """A data area split into groups of (name, value) fields, text as sent.

    Attributes:
        groups: in the order sent; a field without ``=`` has the value "".
        warnings: slugs of what was odd yet accepted.
    """

    groups: tuple[Group, ...]
    warnings: tuple[str, ...] = ()

    def find(self, name: str) -> str | None:
        """Return the first value under `name`, None where there is none."""
        return next((value for group in self.groups for key, value in group if key == name), None)


def parse_data_area(cp: bytes) -> DataArea:
    r"""Split a data area; total: any bytes give groups.

    Args:
        cp: bytes between ``CP=&&`` and the closing ``&&``.

    Returns:
        Groups and warnings. Text is UTF-8, else GBK (warning `text_gbk`), else its bytes are written as
        ``\xNN`` (warning `text_undecodable`); so is NUL, which no database keeps in text.
    """
    warnings: list[str] = []
    text = _decode(cp, warnings)
    parts = _split(text) if _LOG_START in text else (part.split(",") for part in text.split(";"))
    groups = tuple(group for items in parts if (group := _read_group(items, warnings)))
    return DataArea(groups, tuple(dict.fromkeys(warnings)))


def encode_data_area(groups: Iterable[Iterable[Field]]) -> bytes:
    """Write groups as a data area in UTF-8, without a trailing ``;``.

    Raises:
        DataAreaError: a name or a value holds a separator outside a log's ``//`` fences, or would be read
            back as another one.
    """
    return ";".join(",".join(_write_field(*field) for field in group) for group in groups).encode()


def _decode(cp: bytes, warnings: list[str]) -> str:
    if b"\0" in cp:
        warnings.append("text_undecodable")
        cp = cp.replace(b"\0", b"\\x00")
    try:
        return cp.decode()
    except UnicodeDecodeError:
        pass
    try:
        text = cp.decode("gbk")
    except UnicodeDecodeError:
        warnings.append("text_undecodable")
        return cp.decode("ascii", "backslashreplace")
    warnings.append("text_gbk")
    return text


def _split(text: str) -> list[list[str]]:
    """Split text that holds logs into groups of items, each log left in one piece."""
    groups = [[""]]
    done = 0
    for start, end in _find_logs(text):
        _split_plain(text[done:start], groups)
        groups[-1][-1] += text[start:end]
        done = end
    _split_plain(text[done:], groups)
    return groups


def _find_logs(text: str) -> Iterator[tuple[int, int]]:
    """Find where each log's text begins and ends; one that never ends is none (7, 4)."""
    start = text.find(_LOG_START)
    while start >= 0:
        end = _LOG_END.search(text, start + len(_LOG_START))
        if end is None:
            return
        yield start + 1, end.end()
        start = text.find(_LOG_START, end.end())


def _split_plain(text: str, groups: list[list[str]]) -> None:
    """Split text without logs; what comes before its first separator belongs to the last item so far."""
    for index, part in enumerate(text.split(";")):
        if index:
            groups.append([""])
        first, *others = part.split(",")
        groups[-1][-1] += first
        groups[-1] += others


def _read_group(items: list[str], warnings: list[str]) -> Group:
    fields = []
    for item in items:
        if not item.strip():
            continue
        name, separator, value = item.partition("=")
        if not separator:
            warnings.append("value_missing")
        if name != name.strip():
            warnings.append("space_in_key")
        fields.append((name.strip(), value))
    return tuple(fields)


def _write_field(name: str, value: str) -> str:
    if value.startswith(FENCE):
        # The first // before a separator or the end closes a log, so it must be the last one.
        end = _LOG_END.search(value, len(FENCE))
        is_writable = end is not None and end.end() == len(value)
    else:
        is_writable = not _BREAKERS.search(value) and _LOG_START not in value
    if "\0" in name or "\0" in value:
        is_writable = False  # it would be read back as its number
    if not is_writable or not name or name != name.strip() or "=" in name or _BREAKERS.search(name):
        message = f"a field holds no separator outside // fences, got {name[:40]!a}={value[:40]!a}"
        raise DataAreaError(message, reason="data_area")
    return f"{name}={value}"
