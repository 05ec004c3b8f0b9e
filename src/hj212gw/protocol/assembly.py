"""Sub-packets (拆分包): which part of which upload a packet is (HJ 212-2017, table 3 and annex C).

A split never goes through the middle of an item, so every part is read and stored alone. What is told here
only serves to notice the parts that did not come.
"""

from typing import NamedTuple

from hj212gw.protocol.codes import CommandKind, sender_kind
from hj212gw.protocol.dataarea import parse_data_area
from hj212gw.protocol.packets import Packet


class Part(NamedTuple):
    """One part of an upload; all but `pno` is the same in each part of it.

    Attributes:
        mn, st, cn: of the packet.
        data_time_text: DataTime as sent, which each part repeats; "" where absent.
        pnum: how many parts the upload has, 2 to 9999.
        pno: this one's number, 1 to `pnum`.
    """

    mn: str
    st: str
    cn: str
    data_time_text: str
    pnum: int
    pno: int


def find_part(packet: Packet) -> Part | None:
    """Tell which part of an upload a packet is.

    Each part has a QN of its own from 2017 on, so QN ties nothing together.

    Returns:
        None where the packet is whole, its numbers make no sense, or it is no upload.
    Source: spec 6; HJ 212-2017 table 3 and annex C; HJ 212-2025 clause 8 (secondary).
    """
    if packet.pnum is None or packet.pno is None or not 1 <= packet.pno <= packet.pnum or packet.pnum == 1:
        return None
    if sender_kind(packet.cn, packet.edition) is not CommandKind.UPLOAD:
        return None
    data_time_text = parse_data_area(packet.cp).find("DataTime") or ""
    return Part(packet.mn, packet.st, packet.cn, data_time_text, packet.pnum, packet.pno)
