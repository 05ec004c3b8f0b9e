"""The data area: CP as ordered groups of ordered fields (HJ 212-2017, 6.3.3).

Groups are split by ``;``, fields by ``,``, name and value by the first ``=``. There is no escaping:
only log text, fenced by ``//``, may hold the separators. Keys repeat, so nothing here is a dictionary.
"""

import re
from typing import NamedTuple

from hj212gw.errors import DataAreaError

Field = tuple[str, str]
Group = tuple[Field, ...]

_FENCED = re.compile(r"//.*?//(?=[;,]|\Z)", re.DOTALL)
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
        ``\xNN`` (warning `text_undecodable`).
    """
    warnings: list[str] = []
    text = _decode(cp, warnings)
    logs: list[str] = []
    if "//" in text:
        # A log's text is set aside under a mark that no decoded data area can hold by itself.
        text = _FENCED.sub(lambda match: _set_aside(match.group(), logs), text.replace("\0", "\\0"))
    groups = tuple(
        group for part in text.split(";") if (group := _split_group(part, logs, warnings))
    )
    return DataArea(groups, tuple(dict.fromkeys(warnings)))


def encode_data_area(groups: tuple[Group, ...] | list[Group]) -> bytes:
    """Write groups as a data area in UTF-8, without a trailing ``;``.

    Raises:
        DataAreaError: a name or a value holds a separator outside a log's ``//`` fences.
    """
    return ";".join(",".join(_write_field(*field) for field in group) for group in groups).encode()


def _decode(cp: bytes, warnings: list[str]) -> str:
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


def _set_aside(log: str, logs: list[str]) -> str:
    logs.append(log)
    return f"\0{len(logs) - 1}\0"


def _bring_back(value: str, logs: list[str]) -> str:
    pieces = value.split("\0")
    pieces[1::2] = [logs[int(piece)] for piece in pieces[1::2]]
    return "".join(pieces)


def _split_group(part: str, logs: list[str], warnings: list[str]) -> Group:
    fields = []
    for item in part.split(","):
        name, separator, value = item.partition("=")
        if logs and "\0" in item:
            name, value = _bring_back(name, logs), _bring_back(value, logs)
        if not item.strip():
            continue
        if not separator:
            warnings.append("value_missing")
        if name != name.strip():
            warnings.append("space_in_key")
        fields.append((name.strip(), value))
    return tuple(fields)


def _write_field(name: str, value: str) -> str:
    fenced = value.startswith("//") and value.endswith("//") and len(value) >= len("////")
    if not name or "=" in name or _BREAKERS.search(name) or (not fenced and _BREAKERS.search(value)):
        message = f"a field holds no separator outside // fences, got {name[:40]!a}={value[:40]!a}"
        raise DataAreaError(message, reason="data_area")
    return f"{name}={value}"
