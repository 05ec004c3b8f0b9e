"""System codes, command codes, return codes and data flags of the three editions, and what follows from them.

The lists are open in every edition (可扩充): a code that is not here is no error. The tables of
HJ 212-2025 were not seen; what is known of them is marked in each row's source and sureness.
"""

import enum
from collections.abc import Mapping
from functools import cache
from types import MappingProxyType
from typing import NamedTuple

from hj212gw.protocol.tables import read_table

_ASSUMED_TO_STAY = {"2025": "2017"}  # the 2025 tables were not seen; implementations reuse those of 2017


class CommandKind(enum.StrEnum):
    """What a command is in an exchange (HJ 212-2017, 6.6.5), or why it is none."""

    REQUEST = "request"  # 请求命令: answered by 9011 and 9012
    UPLOAD = "upload"  # 上传命令: answered by 9014 where its Flag asks
    NOTICE = "notice"  # 通知命令: answered by 9013
    ANSWER = "answer"  # 交互命令: never answered
    RESERVED = "reserved"  # 预留命令
    REMOVED = "removed"  # dropped by a later edition
    UNSPECIFIED = "unspecified"  # seen in the field, kind not known


class Direction(enum.StrEnum):
    """Who sends a command: host (上位机) or field (现场机)."""

    TO_FIELD = "host->field"
    TO_HOST = "field->host"
    BOTH = "both"
    NONE = ""


class QnRtn(enum.IntEnum):
    """Answer to a request (请求返回, HJ 212-2017 table 7; 2005 has 1 to 3)."""

    READY = 1
    REFUSED = 2
    WRONG_PW = 3
    WRONG_MN = 4
    WRONG_ST = 5
    WRONG_FLAG = 6
    WRONG_QN = 7
    WRONG_CN = 8
    WRONG_CRC = 9
    UNKNOWN_ERROR = 100


class ExeRtn(enum.IntEnum):
    """Result of an execution (执行结果, HJ 212-2017 table 6; 2005 has 1, 2 and 100)."""

    EXECUTED = 1
    FAILED = 2
    WRONG_CONDITIONS = 3
    TIMEOUT = 4
    BUSY = 5
    SYSTEM_FAULT = 6
    NO_DATA = 100


class DataFlag(enum.StrEnum):
    """A factor's data flag (数据标记, HJ 212-2017 table 8; HJ/T 212-2005 field table); none is not N."""

    NORMAL = "N"
    STOPPED = "F"
    MAINTENANCE = "M"
    SET_BY_HAND = "S"
    FAULT = "D"
    CALIBRATING = "C"
    ABOVE_RANGE = "T"
    NO_COMMUNICATION = "B"  # from 2017 on
    POWER_FAULT = "P"  # 2005, pollution sources
    AIR_CALIBRATION = "0"  # 2005, air stations, as the three below
    AIR_METEOROLOGICAL = "1"
    AIR_ABNORMAL = "2"
    AIR_NORMAL = "3"


class Command(NamedTuple):
    """One row of the command tables (HJ/T 212-2005 6.5; HJ 212-2017 table 9; HJ 212-2025 annex C, secondary).

    Attributes:
        cn: four digits, or a range such as `1002-1010`.
        edition: `2005`, `2017`, `2025`, or `field` for what no edition has.
        direction: who sends it.
        kind: what it is in an exchange.
        name_zh: the table's name.
        name_en: ours.
        cp_fields: what CP carries; empty for an empty CP.
        reply: what is answered.
        note: oddities.
        source: the clause, or where it was seen.
        sureness: `documented`, `documented (secondary)`, `observed` or `unknown`.
    """

    cn: str
    edition: str
    direction: Direction
    kind: CommandKind
    name_zh: str
    name_en: str
    cp_fields: str
    reply: str
    note: str
    source: str
    sureness: str

    @property
    def first(self) -> str:
        """Return the first CN of the row."""
        return self.cn[:4]

    @property
    def last(self) -> str:
        """Return the last CN of the row: the first one unless the row is a range."""
        return self.cn[-4:]


class SystemCode(NamedTuple):
    """One system code, ST (系统编码).

    Attributes:
        st: two characters; a vendor's three-digit one was seen.
        name_zh: the table's name.
        name_en: ours.
        editions: those that list it; 2025 only where a source shows it, 2017's are assumed to stay.
        group: `environment`, `source`, `process`, `interaction`, or `field` for vendors' codes.
        source: the table, or where it was seen.
        note: oddities.
    """

    st: str
    name_zh: str
    name_en: str
    editions: tuple[str, ...]
    group: str
    source: str
    note: str


class CodeMeaning(NamedTuple):
    """What a short code stands for: a data flag, a suffix, a return code or a state.

    Attributes:
        kind: the list it is from, such as `data-flag`, `suffix`, `QnRtn`, `RS` or `i12001`.
        code: as on the wire.
        editions: those that list it, or `field`.
        name_zh: the table's words.
        meaning: ours.
        note: oddities.
        source: the table, or where it was seen.
    """

    kind: str
    code: str
    editions: tuple[str, ...]
    name_zh: str
    meaning: str
    note: str
    source: str


# The grain of each command that carries readings; 6.6 and annex C of 2017, annex C of 2025 (secondary).
GRAIN_BY_CN: Mapping[str, str] = MappingProxyType(
    {
        "2011": "rtd",
        "2013": "rtd",  # 2025 C28: one measurement by an analyser, before any statistic
        "2052": "rtd",  # 2025 C34: one noise measurement, labelled with its start
        "2051": "minute",
        "2111": "minute",  # 2025 C31: 5-minute mean of the furnace temperature
        "2061": "hour",
        "2031": "day",
    }
)
# Not here: 2021 and 2041 are equipment states and run times; 2062 is the reading of a standard solution,
# not of the outlet; 2071 and 2072 are alarms; 2081 is a boot time (statistics at Shanghai before 2017);
# 30xx answer for parameters and logs.

_DATA_FLAGS = frozenset(map(str, DataFlag))
_ASKED_ONLY = frozenset({"9015", "9021"})
_REUSED = frozenset({"1001"})  # 2005: set the alarm time; 2017: reserved; 2025: hardware serials
_EXCHANGED = frozenset({CommandKind.REQUEST, CommandKind.UPLOAD, CommandKind.NOTICE, CommandKind.ANSWER})
_CONDITION_CODES = "p99"
_INTERACTION = "9"  # 9000-9999 (HJ 212-2017, table 9)


@cache
def commands() -> tuple[Command, ...]:
    """Return every row of the command tables, ranges included."""
    return tuple(
        Command(cn, edition, Direction(direction), CommandKind(kind), *rest)
        for cn, edition, direction, kind, *rest in read_table("cn_codes")
    )


def find_commands(cn: str, edition: str | None = None) -> tuple[Command, ...]:
    """Return the rows that speak of a CN, those of ranges included.

    Args:
        cn: four digits; anything else has no row.
        edition: `2005`, `2017`, `2025` or `field`; all four when None.
    """
    return tuple(
        row
        for row in commands()
        if row.first <= cn <= row.last and len(cn) == len(row.first) and edition in {None, row.edition}
    )


def name_of(cn: str, edition: str) -> str:
    """Return the English name of a CN as the field sends it, "" where no row names it.

    Args:
        cn: the command code.
        edition: its own rows are taken first, then those of 2017, 2025, 2005 and the field.
    """
    order = (edition, "2017", "2025", "2005", "field")
    rows = [row for row in find_commands(cn) if row.kind is not CommandKind.RESERVED]
    rows.sort(key=lambda row: (order.index(row.edition), row.direction is Direction.TO_FIELD))
    return rows[0].name_en if rows else ""


def sender_kind(cn: str, edition: str) -> CommandKind:
    """Tell what a packet that comes from the field is, to decide its answer.

    A command counts in every edition, since Flag is no proof of the edition a data logger speaks; only
    1001, whose number has three meanings, goes by the packet's own. In this order:

    - answer, never answered so that two hosts cannot acknowledge each other for ever: 9011 to 9014, and
      each 9xxx (interaction, 交互命令) but the two notices below, known or not;
    - notice, answered by 9013: 1001 of 2025, 1013, 1014, 2072, 9015 and 9021 (`answers_only_when_asked`);
    - upload, answered by 9014 where its Flag asks: what the field sends to the host in any edition;
    - request, kept and not answered: what only the host sends, such as 1000, 1012, 2012 and 3011, met when
      a host is connected by mistake or a data logger sends its own requests back;
    - upload again: any other text. The lists are open, and a data logger that asks must not be left waiting.

    Args:
        cn: the command code, any text.
        edition: `2005`, `2017` or `2025`.
    Source: HJ/T 212-2005 6.5; HJ 212-2017 6.6.5 and table 9; HJ 212-2025 annex C (secondary).
    """
    kind = _sender_kinds()[edition].get(cn)
    if kind is not None:
        return kind
    return CommandKind.ANSWER if cn.startswith(_INTERACTION) else CommandKind.UPLOAD


def answers_only_when_asked(cn: str) -> bool:
    """Tell whether a notice is answered only where its Flag asks; the others always are.

    Heartbeat 9015 (HJ 212-2025 C54, secondary) and login 9021 (field) are sent with and without the bit.
    """
    return cn in _ASKED_ONLY


@cache
def _sender_kinds() -> dict[str, dict[str, CommandKind]]:
    rows: dict[str, list[Command]] = {}
    for row in commands():
        if row.kind in _EXCHANGED:
            rows.setdefault(row.cn, []).append(row)
    return {
        edition: {
            cn: _kind_from_field(own)
            for cn, every in rows.items()
            if (own := [row for row in every if cn not in _REUSED or row.edition == edition])
        }
        for edition in ("2005", "2017", "2025")
    }


def _kind_from_field(rows: list[Command]) -> CommandKind:
    kinds = [row.kind for row in rows if row.direction is not Direction.TO_FIELD]
    return kinds[0] if kinds else CommandKind.REQUEST


@cache
def system_codes() -> tuple[SystemCode, ...]:
    """Return every system code, vendors' included."""
    return tuple(
        SystemCode(st, name_zh, name_en, _split(editions), *rest)
        for st, name_zh, name_en, editions, *rest in read_table("st_codes")
    )


def is_known_st(st: str) -> bool:
    """Tell whether an edition lists a system code; A0 to Z9 are free for extensions and never listed."""
    return st in _listed_st()


@cache
def _listed_st() -> frozenset[str]:
    return frozenset(row.st for row in system_codes() if row.editions)


@cache
def _meanings() -> tuple[CodeMeaning, ...]:
    return tuple(
        CodeMeaning(kind, code, _split(editions), *rest)
        for kind, code, editions, *rest in (*read_table("flags"), *read_table("return_codes"))
    )


def find_meanings(kind: str, edition: str) -> tuple[CodeMeaning, ...]:
    """Return the codes of one list.

    Args:
        kind: `data-flag`, `suffix`, `condition-mark` (2025, values of p99xxx), `QnRtn`, `ExeRtn`, `RS`,
            `AlarmType`, `CalibrationType`, `ResultType`, or a state such as `i12001`.
        edition: `2005`, `2017`, `2025` or `field`. Where a list of 2025 was not seen, 2017's stands.
    """
    rows = [row for row in _meanings() if row.kind == kind]
    own = [row for row in rows if edition in row.editions]
    seen = {row.code for row in own}
    assumed = _ASSUMED_TO_STAY.get(edition)
    return (*own, *(row for row in rows if assumed in row.editions and row.code not in seen))


def data_flags(edition: str) -> tuple[CodeMeaning, ...]:
    """Return an edition's data flags."""
    return find_meanings("data-flag", edition)


def is_known_data_flag(letter: str) -> bool:
    """Tell whether an edition lists a data flag; lower case, as some air stations send it, is not listed."""
    return letter in _DATA_FLAGS


def is_condition_mark(factor: str, value: str) -> bool:
    """Tell whether a value is the mark of a production condition, such as St of p99101 (2025, secondary)."""
    return factor.startswith(_CONDITION_CODES) and value in _condition_marks()


@cache
def _condition_marks() -> frozenset[str]:
    return frozenset(row.code for row in find_meanings("condition-mark", "2025"))


def _split(editions: str) -> tuple[str, ...]:
    return tuple(editions.split(";")) if editions else ()
