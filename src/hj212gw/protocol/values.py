"""What a reading is: its row, its suffixes and how its numbers look (HJ 212-2017, 6.3.3 and annex C)."""

import re
from datetime import datetime
from typing import NamedTuple

Extra = dict[str, str]

VALUE_SUFFIXES = ("Rtd", "Min", "Avg", "Max", "Cou", "ZsRtd", "ZsMin", "ZsAvg", "ZsMax")  # 7.2
OTHER_SUFFIXES = frozenset(
    [
        "EFlag",
        "SampleTime",
        "RS",
        "RT",
        "Ala",
        "UpValue",
        "LowValue",
        "Data",
        "DayData",
        "NightData",
        "Info",
        "SN",
        "RawAvg",
        "CompleteTime",
        "SampleType",
        "SampleRd",
        "StandardValue",
        "ResultType",
    ]
)

SLOTS = {suffix: index for index, suffix in enumerate(VALUE_SUFFIXES)}
FLAG_SLOT = len(VALUE_SUFFIXES)
_FOLDED = {name.casefold(): name for name in (*VALUE_SUFFIXES, "Flag", *OTHER_SUFFIXES)}
PLAIN_DECIMAL = re.compile(r"-?(?:[0-9]+\.?[0-9]*|\.[0-9]+)")
MAX_NUMBER = 300  # characters; a float holds 308 digits before the point


class Reading(NamedTuple):
    """One factor of one packet.

    Attributes:
        factor: its code as sent.
        nth: 0, or how many of the same factor and suffix came before in the packet.
        data_time: DataTime in UTC, None where it is no moment.
        rtd, min, avg, max, cou: values as sent, in whatever unit the data logger uses.
        zs_rtd, zs_min, zs_avg, zs_max: converted (折算) values.
        data_flag: the factor's flag as sent, None where absent, which is not the same as N.
        extra: other suffixes and unreadable values by suffix, text as sent; None where there are none.
    """

    factor: str
    nth: int
    data_time: datetime | None
    rtd: float | None
    min: float | None
    avg: float | None
    max: float | None
    cou: float | None
    zs_rtd: float | None
    zs_min: float | None
    zs_avg: float | None
    zs_max: float | None
    data_flag: str | None
    extra: Extra | None


class Readings(NamedTuple):
    """The readings of one packet.

    Attributes:
        rows: in the order their factors first came.
        data_time_text: DataTime as sent, "" where absent.
        warnings: slugs of what was odd yet accepted.
    """

    rows: list[Reading]
    data_time_text: str
    warnings: tuple[str, ...] = ()


def split_name(name: str, warnings: list[str]) -> tuple[str, str]:
    """Split ``code-Suffix`` and note what is odd about it; both are "" for plain fields."""
    factor, separator, suffix = name.partition("-")
    if not separator or not factor:
        if name in SLOTS or name == "Flag" or separator:
            warnings.append("factor_missing")
        return "", ""
    if suffix in SLOTS or suffix == "Flag" or suffix in OTHER_SUFFIXES:
        return factor, suffix
    folded = _FOLDED.get(suffix.casefold())
    warnings.append("suffix_case" if folded else "suffix_unknown")
    return factor, folded or suffix
