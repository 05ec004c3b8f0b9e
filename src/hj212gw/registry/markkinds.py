"""The kinds of marks, their states and who may change them how: tables and rules, no input or output.

The kinds are those of table `mark_kinds`, whose effects the calculation applies; a test compares the two.
"""

from typing import NamedTuple

DECLARED, ACCEPTED, REJECTED, VOID = STATES = ("declared", "accepted", "rejected", "void")
SOURCES = ("enterprise", "city", "province", "national")
NATIONAL = SOURCES[-1]
MANUAL = "manual"

ENDED, PROOF = "ended", "proof"  # what else can happen to a mark

# From which states a mark may come into another; what is not here is final.
_EARLIER = {ACCEPTED: (DECLARED,), REJECTED: (DECLARED,), VOID: (DECLARED, ACCEPTED)}
_LOCAL = "local"  # origin of marks made here
_INSTEAD = "declare another mark"


class MarkKind(NamedTuple):
    """A kind of mark.

    Attributes:
        name_zh: as the national platform and the rules for marking call it.
        effect: what it does to the hours it covers, one of `EFFECTS`, which say the default.
        needs_voucher: whether it lapses without a proof by the 10th of the next month.
    """

    name_zh: str
    effect: str
    needs_voucher: bool = False


EFFECTS = {
    "stop": "hours with fewer than 45 running minutes take no part",
    "device": "hours with fewer than 45 minutes free of it are not valid",
    "standard_check": "the first hour of a factor and day takes no part, further ones are not valid",
    "not_responsible": "hours with more than 15 minutes of it take no part",
    "manual": "once accepted, hours count as received and valid at the completed stage",
    "interruption": "explains missing hours, excuses none",
    "none": "none on the rates",
}

KINDS_OF_MARKS = {
    "stop": MarkKind("停运", "stop", needs_voucher=True),
    "device": MarkKind("自动监测设备维护", "device"),
    "maintenance": MarkKind("自动监测设备维护(污染物)", "device"),
    "parameter_maintenance": MarkKind("自动监测设备维护(工况参数)", "device"),
    "cems_maintenance": MarkKind("CEMS维护", "device"),
    "standard_check": MarkKind("自动标样核查", "standard_check"),
    "not_responsible": MarkKind("非排污单位责任造成数据缺失无效: 其他", "not_responsible", needs_voucher=True),
    "force_majeure": MarkKind("非排污单位责任造成数据缺失无效: 不可抗力", "not_responsible", needs_voucher=True),
    "long_stop": MarkKind(
        "非排污单位责任造成数据缺失无效: 长期停运关闭自动监测设备", "not_responsible", needs_voucher=True
    ),
    "manual": MarkKind("手工监测值录入", "manual"),
    "interruption": MarkKind("通讯中断", "interruption"),
    "switch": MarkKind("CEMS主备切换", "none"),
    "treatment": MarkKind("治理设施工况", "none"),
    "production": MarkKind("生产设施工况", "none"),
    "start_up": MarkKind("启动(启炉/启窑)", "none"),
    "shut_down": MarkKind("停运过程(停炉/停窑)", "none"),
    "facility_fault": MarkKind("故障/事故", "none"),
    "furnace_drying": MarkKind("烘炉", "none"),
    "furnace_start_up": MarkKind("启炉", "none"),
    "furnace_shut_down": MarkKind("停炉", "none"),
    "furnace_cooling": MarkKind("停炉降温", "none"),
    "furnace_stop": MarkKind("停运", "stop", needs_voucher=True),
    "furnace_fault": MarkKind("故障", "none"),
    "furnace_accident": MarkKind("事故", "none"),
    "furnace_temperature": MarkKind("炉温异常", "none"),
    "thermocouple_fault": MarkKind("热电偶故障", "none"),
}


def parse_kind(text: str) -> str:
    """Read a kind of mark."""
    if text not in KINDS_OF_MARKS:
        raise ValueError("a kind of mark, such as stop, device or manual (docs/marks.md has all)")
    return text


def earlier_states(state: str) -> tuple[str, ...]:
    """Return the states a mark of this state may have had before."""
    return _EARLIER.get(state, ())


def refuse_state(author: str, state: str, wanted: str, by: str) -> str:
    """Say why a mark cannot come into a state by somebody's word; "" where it can.

    A reviewer is not the author, who may only take back what nobody accepted yet.
    """
    if state not in _EARLIER[wanted]:
        final = "that is final" if state in (REJECTED, VOID) else "it can only become void"
        return f"it is {state}: {final}; {_INSTEAD} where there is more to say"
    if is_same_person(author, by) and not (wanted == VOID and state == DECLARED):
        return f"{by!r} is its author: somebody else has to decide"
    return ""


def refuse_change(source: str, origin: str, state: str) -> str:
    """Say why nothing can be added to a mark, an end or a proof; "" where it can."""
    if origin != _LOCAL:
        return f"it is what {origin} recorded, and stays so"
    if source == NATIONAL:
        return "it is of the national platform and read-only here: import its file again when the platform changed it"
    if state in (REJECTED, VOID):
        return f"it is {state}: that is final; {_INSTEAD} where there is more to say"
    return ""


def is_same_person(name: str, other: str) -> bool:
    """Tell whether two names are one person's: letter case and outer spaces aside."""
    return name.strip().casefold() == other.strip().casefold()


def mark_kind_table() -> str:
    """Render the kinds of marks as a Markdown table."""
    lines = ["| kind | 标记 | effect | voucher |", "| --- | --- | --- | --- |"]
    lines += [
        f"| `{kind}` | {mark.name_zh} | `{mark.effect}` | {'yes' if mark.needs_voucher else ''} |"
        for kind, mark in KINDS_OF_MARKS.items()
    ]
    return "\n".join(lines)


def effect_table() -> str:
    """Render what the effects of marks do by default as a Markdown table."""
    lines = ["| effect | does |", "| --- | --- |"]
    return "\n".join([*lines, *(f"| `{effect}` | {meaning} |" for effect, meaning in EFFECTS.items())])
