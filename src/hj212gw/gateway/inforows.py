"""Packet to rows of `states`, `infos` and `sub_packets`."""

from datetime import datetime
from typing import Any

from hj212gw.gateway.moments import is_plausible, qn_number
from hj212gw.protocol import Packet, find_part, parse_infos
from hj212gw.protocol.infos import INFO_TABLE_BY_CN
from hj212gw.protocol.times import local_day, parse_data_time
from hj212gw.protocol.values import MAX_NUMBER, PLAIN_DECIMAL
from hj212gw.store.rows import DirtyRow, InfoRow, PartRow

CNS_WITH_INFOS = frozenset(INFO_TABLE_BY_CN)

# What assessment counts beside readings: states, run times, checks with a standard sample.
_COUNTED = frozenset(("2021", "2041", "2062"))


def make_infos(packet: Packet, received_at: datetime, logger_id: int) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Make the fields of PacketRows that hold infos, and the warnings they give.

    Args:
        packet: of one of CNS_WITH_INFOS.
        received_at: stands for a DataTime that is missing or impossible, which then has a warning.
        logger_id: number of its data logger.
    """
    infos = parse_infos(packet)
    if not infos.rows:
        return {}, ()
    warnings, moment = infos.warnings, infos.data_time
    if moment is None:
        moment = received_at
    elif not is_plausible(moment, received_at):
        moment, warnings = received_at, (*warnings, "data_time_odd")
    qn = qn_number(packet.qn)
    head = (moment, received_at, qn, packet.st, packet.cn)
    rows = tuple(
        InfoRow(
            logger_id, info.nth, *head, info.subject, info.name, info.value, _number(info.value), infos.data_time_text
        )
        for info in infos.rows
    )
    fields: dict[str, Any] = {"info_table": INFO_TABLE_BY_CN[packet.cn], "infos": rows}
    if packet.cn in _COUNTED:
        fields["dirty"] = DirtyRow(logger_id, packet.cn, local_day(moment))
    return fields, warnings


def make_part(packet: Packet, received_at: datetime) -> PartRow | None:
    """Make the row that says which part of a split upload a packet is, None where it is none.

    Parts without a plausible DataTime are tied together by the hour of their arrival.
    """
    part = find_part(packet)
    if part is None:
        return None
    moment = parse_data_time(part.data_time_text)
    if moment is None or not is_plausible(moment, received_at):
        moment = received_at.replace(minute=0, second=0, microsecond=0)
    head = (moment, received_at, part.pnum, part.pno)
    return PartRow(*head, part.mn, part.st, part.cn, part.data_time_text, packet.qn or None)


def _number(text: str) -> float | None:
    return float(text) if len(text) <= MAX_NUMBER and PLAIN_DECIMAL.fullmatch(text) else None
