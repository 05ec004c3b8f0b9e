"""What only the code tables can tell to be odd in a packet: for people who look at one, never on the hot path."""

import re
from datetime import datetime

from hj212gw.protocol.codes import GRAIN_BY_CN, CommandKind, find_commands, is_known_st
from hj212gw.protocol.dataarea import parse_data_area
from hj212gw.protocol.factors import match_factor, medium_of_st
from hj212gw.protocol.packets import Packet
from hj212gw.protocol.times import WIRE_ZONE
from hj212gw.protocol.values import Reading, Readings

_EXTENSION_ST = re.compile("[A-Z][0-9]")  # A0 to Z9 are free for extensions (HJ 212-2017, table of system codes)
_NOT_LISTED = (CommandKind.RESERVED, CommandKind.UNSPECIFIED)
_EXCHANGED_MEDIA = frozenset({"water", "gas"})  # noise and weather belong to every kind of site


def find_oddities(packet: Packet, readings: Readings | None) -> tuple[str, ...]:
    """Name what is accepted in a packet and yet no edition foresees.

    Args:
        packet: a parsed packet.
        readings: its readings, None where its CN carries none.

    Returns:
        Slugs, in a fixed order:
        `cn_unknown`, `st_unknown`, `factor_unknown`: in no edition's tables.
        `factor_of_other_medium`: a water factor under a gas ST, or the other way round.
        `data_time_unaligned`: minute data with seconds, hour data with minutes, day data with hours.
        `qn_in_data_area`: an upload whose QN stands inside CP.
        `statistics_disordered`: a mean outside its minimum and maximum.
    """
    rows = readings.rows if readings else []
    factors = [match_factor(row.factor, st=packet.st) for row in rows]
    media = {match.factor.medium for match in factors if match} & _EXCHANGED_MEDIA
    own_medium = medium_of_st(packet.st)
    moments = {row.data_time for row in rows if row.data_time}
    checks = (
        ("cn_unknown", not _is_listed(packet.cn)),
        ("st_unknown", not is_known_st(packet.st) and not _EXTENSION_ST.fullmatch(packet.st)),
        ("factor_unknown", None in factors),
        ("factor_of_other_medium", own_medium in _EXCHANGED_MEDIA and bool(media - {own_medium})),
        ("data_time_unaligned", any(not _is_aligned(moment, packet.cn) for moment in moments)),
        ("qn_in_data_area", bool(rows) and parse_data_area(packet.cp).find("QN") is not None),
        ("statistics_disordered", any(map(_is_disordered, rows))),
    )
    return tuple(slug for slug, holds in checks if holds)


def _is_listed(cn: str) -> bool:
    return any(row.edition != "field" and row.kind not in _NOT_LISTED for row in find_commands(cn))


def _is_aligned(moment: datetime, cn: str) -> bool:
    """Tell whether a period begins where its kind of data begins (14.2)."""
    local = moment.astimezone(WIRE_ZONE)
    grain = GRAIN_BY_CN.get(cn)
    starts = {
        "minute": local.replace(second=0, microsecond=0),
        "hour": local.replace(minute=0, second=0, microsecond=0),
        "day": local.replace(hour=0, minute=0, second=0, microsecond=0),
    }
    return local == starts.get(grain or "", local)


def _is_disordered(row: Reading) -> bool:
    ordered = (
        [value for value in values if value is not None]
        for values in ((row.min, row.avg, row.max), (row.zs_min, row.zs_avg, row.zs_max))
    )
    return any(values != sorted(values) for values in ordered)
