"""What a packet is owed: 9013 for a notice, 9014 for an upload that asks (HJ 212-2017, 6.6.5 and 8.1)."""

from hj212gw.protocol.codes import CommandKind, answers_only_when_asked, sender_kind
from hj212gw.protocol.dataarea import encode_data_area
from hj212gw.protocol.dialects import CrcKind
from hj212gw.protocol.editions import INTERACTION_ST, RULES, Edition
from hj212gw.protocol.outgoing import encode_frame
from hj212gw.protocol.packets import Packet

NOTICE_ANSWER = "9013"
DATA_ANSWER = "9014"

_LOW_BITS = 3  # Flag's two lowest bits; the version stands above them


def find_answer(packet: Packet) -> str | None:
    """Tell the CN of the answer a received packet is owed.

    Returns:
        9013, 9014, or None: an answer is never answered, so that two hosts cannot go on for ever, and a
        request is the other side's business.
    Source: HJ 212-2017, 6.6.5; the heartbeat 9015 is answered when its Flag asks (HJ 212-2025, secondary).
    """
    kind = sender_kind(packet.cn, packet.edition)
    if kind is CommandKind.UPLOAD:
        return DATA_ANSWER if packet.wants_answer else None
    if kind is CommandKind.NOTICE:
        asks = packet.wants_answer or not answers_only_when_asked(packet.cn)
        return NOTICE_ANSWER if asks else None
    return None


def encode_answer(packet: Packet, cn: str, crc: CrcKind = CrcKind.STANDARD) -> bytes:
    """Write the frame that answers a packet in the shape of its edition.

    Args:
        packet: the packet to answer; its PW and MN are echoed.
        cn: 9013 or 9014, from `find_answer`.
        crc: that of the data logger's dialect; it would not know another.
    Source: spec 8.2; HJ/T 212-2005 annex C.6 (the request's QN inside CP, 9014 without PW, MN and Flag);
        HJ 212-2017 annex C (QN in the header, CP empty).
    """
    if not RULES[packet.edition].qn_in_header:
        return encode_frame(_answer_2005(packet, cn).encode("ascii"), crc)
    qn = f"QN={packet.qn};" if packet.qn else ""
    identity = f"PW={packet.pw};MN={packet.mn};Flag={_answer_flag(packet)}"
    return encode_frame(f"{qn}ST={INTERACTION_ST};CN={cn};{identity};CP=&&&&".encode("ascii"), crc)


def _answer_flag(packet: Packet) -> int:
    """Repeat the version bits: the surface-water network writes 2017's shape with Flag 8."""
    newest = RULES[Edition.V2025].answer_flag
    return min((packet.flag or 0) & ~_LOW_BITS, newest)


def _answer_2005(packet: Packet, cn: str) -> str:
    fields = [("QN", packet.qn)] if packet.qn else []
    if cn == NOTICE_ANSWER:
        data_area = encode_data_area([fields]).decode()
        return f"ST={INTERACTION_ST};CN=9013;PW={packet.pw};MN={packet.mn};Flag=0;CP=&&{data_area}&&"
    fields.append(("CN", packet.cn))
    if packet.pno is not None:
        fields.append(("PNO", str(packet.pno)))
    if packet.pnum is not None:
        fields.append(("PNUM", str(packet.pnum)))
    data_area = encode_data_area([field] for field in fields).decode()
    return f"ST={INTERACTION_ST};CN=9014;CP=&&{data_area}&&"
