"""Packet to rows of what is no reading: states, run times, alarms, parameters, logs (HJ 212-2017, annex C).

A row is a name and its text under a subject. What the text means is left to whoever reads it: the lists of
codes are open in every edition, and makers add their own.
"""

import re
from collections.abc import Mapping
from datetime import datetime
from types import MappingProxyType
from typing import NamedTuple

from hj212gw.protocol.codes import CommandKind, sender_kind
from hj212gw.protocol.dataarea import FENCE, Group, parse_data_area
from hj212gw.protocol.packets import Packet
from hj212gw.protocol.times import DATA_TIME_DIGITS, parse_data_time
from hj212gw.protocol.values import split_name

STATES = "states"
INFOS = "infos"

# What the rows of each CN are kept as; the clauses are those of the command tables (spec 9.1 to 9.4).
INFO_TABLE_BY_CN: Mapping[str, str] = MappingProxyType(
    {
        "1001": INFOS,  # 2025 C2: hardware serials; 2005 sets the alarm time with this number
        "1011": INFOS,
        "1014": INFOS,  # 2025 C7: the moment a key was made, never the key
        "1021": INFOS,  # 2005: alarm thresholds
        "1031": INFOS,  # 2005
        "1041": INFOS,  # 2005
        "1061": INFOS,
        "1063": INFOS,
        "2021": STATES,
        "2041": STATES,
        "2062": INFOS,  # 2025 C59: the reading of a standard solution, not of the outlet
        "2071": INFOS,  # 2005: alarms
        "2072": INFOS,
        "2081": STATES,  # 2017: boot time; before, statistics at Shanghai
        "2083": INFOS,  # vendor, ST=74: SIM card
        "2093": INFOS,  # vendor: direction of a camera
        "3015": INFOS,
        "3017": INFOS,
        "3018": INFOS,
        "3019": INFOS,
        "3020": INFOS,
    }
)

_SENT_BY_FIELD = frozenset({CommandKind.UPLOAD, CommandKind.NOTICE})
_POL_ID = "PolId"
_POL_ID_FOLDED = "polid"  # 2005 prints PolID as well
_INFO = "Info"
_INFO_CODE = re.compile("[iI][0-9]{5}")  # 13.1; table B.10 prints I33400
_TIMES = ("DataTime", "AlarmTime")  # 2072 has the second one only
_NO_ROW = frozenset({"QN", "DataTime", "InfoId", "BeginTime", "EndTime"})  # the exchange's and a request's
_KEY = re.compile(rb"(?i)newsk[^=;,]*=")  # 2025 C8, from the host alone
_NEW_SECRETS = ("newsk", "newpw")  # whatever a line that is not clean puts in front of them


class Info(NamedTuple):
    """One name of one packet with its text.

    Attributes:
        subject: what it is about: a factor's code, a PolId, an SBn; "" for the data logger itself.
        name: suffix, field name, or field information code (现场端信息编码), such as RS, CTime or i12001.
        nth: 0, or how many of the same subject and name came before in the packet.
        value: text as sent, a log's without its ``//`` fences.
    """

    subject: str
    name: str
    nth: int
    value: str


class Infos(NamedTuple):
    """The rows of one packet.

    Attributes:
        rows: in the order sent.
        data_time: DataTime in UTC, of 2072 AlarmTime; None where absent or no moment.
        data_time_text: the same as sent, "" where absent.
        warnings: slugs of what was odd yet accepted.
    """

    rows: list[Info]
    data_time: datetime | None
    data_time_text: str
    warnings: tuple[str, ...] = ()


_NOTHING = Infos([], None, "")


def parse_infos(packet: Packet) -> Infos:
    """Read the rows of an upload or notice that carries no readings.

    Args:
        packet: of any CN and from anybody.

    Returns:
        No rows for a CN without a table, for an answer, and for a request that a data logger sends back. Keys
        and passwords never become rows. Never fails.
    Source: spec 7.1, 7.2 and 13.1; HJ 212-2017 annex C; HJ 212-2025 annex C (secondary).
    """
    if packet.cn not in INFO_TABLE_BY_CN or sender_kind(packet.cn, packet.edition) not in _SENT_BY_FIELD:
        return _NOTHING
    if _KEY.search(packet.cp):
        return _NOTHING
    area = parse_data_area(packet.cp)
    warnings = list(area.warnings)
    rows = _number(_read_rows(area.groups, warnings))
    text = next((found for name in _TIMES if (found := area.find(name))), "")
    moment = parse_data_time(text)
    if text and moment is None:
        warnings.append("data_time_unreadable")
    elif text and len(text) != DATA_TIME_DIGITS:
        warnings.append("data_time_unusual")
    return Infos(rows, moment, text, tuple(dict.fromkeys(warnings)))


def _read_rows(groups: tuple[Group, ...], warnings: list[str]) -> list[tuple[str, str, str]]:
    """Return (subject, name, value) of all fields; a PolId is the subject of what follows it."""
    rows: list[tuple[str, str, str]] = []
    alone: list[tuple[int, str]] = []  # PolIds that nothing follows, with where they stand
    pol_id = ""
    count_before = 0
    for group in groups:
        factor = ""  # a plain field behind a factor's belongs to it: 101-Ala=1.1,AlarmType=1
        for name, value in group:
            if name.casefold() == _POL_ID_FOLDED:
                if pol_id and count_before == len(rows):
                    alone.append((len(rows), pol_id))
                pol_id, factor, count_before = value, "", len(rows)
            elif name not in _NO_ROW and not _is_secret(name):
                subject, label = _name_row(name, warnings)
                factor = subject or factor
                rows.append((factor or pol_id, label, _strip_fences(value)))
    if pol_id and count_before == len(rows):
        alone.append((len(rows), pol_id))
    # PolIds and nothing else are how a host asks (2005 C.12), so they are no rows by themselves.
    for place, code in reversed(alone) if rows else ():
        rows.insert(place, (code, _POL_ID, code))
    return rows


def _is_secret(name: str) -> bool:
    folded = name.casefold()
    return folded == "pw" or folded.endswith(_NEW_SECRETS)


def _name_row(name: str, warnings: list[str]) -> tuple[str, str]:
    """Split a field's name into subject and name; the subject is "" for a plain field and an information code."""
    factor, suffix = split_name(name, warnings)
    if suffix == _INFO and _INFO_CODE.fullmatch(factor):
        return "", factor
    return (factor, suffix) if suffix else ("", name)


def _strip_fences(value: str) -> str:
    is_log = len(value) >= 2 * len(FENCE) and value.startswith(FENCE) and value.endswith(FENCE)
    return value[len(FENCE) : -len(FENCE)] if is_log else value


def _number(rows: list[tuple[str, str, str]]) -> list[Info]:
    """Count what repeats: CTime=04,CTime=10 are two rows."""
    seen: dict[tuple[str, str], int] = {}
    infos = []
    for subject, name, value in rows:
        nth = seen.get((subject, name), 0)
        seen[subject, name] = nth + 1
        infos.append(Info(subject, name, nth, value))
    return infos
