"""Uploads and answers as bytes, in the shape of each edition, and the answers of the host read back."""

import random
import re
from collections.abc import Callable
from hashlib import blake2b
from typing import NamedTuple

from hj212gw.clock import from_us
from hj212gw.protocol import (
    CommandKind,
    Edition,
    FrameBuffer,
    Packet,
    check_crc,
    encode_data_area,
    encode_frame,
    encode_packet,
    encode_readings,
    parse_data_area,
    sender_kind,
)
from hj212gw.protocol.dataarea import Group
from hj212gw.protocol.dialects import Dialect, Key
from hj212gw.protocol.outgoing import encode_frame_as
from hj212gw.protocol.times import format_data_time, format_qn
from hj212sim.damages import Damage, Draft, write_modbus_crc, write_swapped_crc
from hj212sim.edits import edit_readings
from hj212sim.faults import Assigned
from hj212sim.plan import OutletPlan
from hj212sim.readings import Interval, ReadingSource
from hj212sim.schedule import BOOT, MORE_CNS, REAL_TIME, STATE, US, Rhythm, Upload

_ASKS = {Edition.V2005: 1, Edition.V2017: 5, Edition.V2025: 9}  # Flag: the edition, and an answer is wanted
_ANSWERS = {Edition.V2005: 0, Edition.V2017: 4, Edition.V2025: 8}
_INTERACTION_ST = "91"
_DATA_ANSWER = "9014"
_NOTICES_OF_HOST = ("2012", "2022")
_DIGEST_BYTES = 16
_EQUIPMENT = (1, 2)  # numbers of the treatment equipment at each outlet
_RUNNING_SHARE = 0.95
_DAY_HOURS = 24.0
_HEAD_BYTES, _TAIL_BYTES = 6, 6  # of a frame: ## and length, CRC and CR LF
_HEADER_QN = re.compile(rb"(?:\A|;)QN=([^;]*)")


class Profile(NamedTuple):
    """What a data logger is and sends.

    Attributes:
        mn, pw, st: as on the wire.
        edition: the shape of its packets; uploads of 2005 carry no QN.
        factors: codes as it sends them.
        cns: its commands.
        rhythm: their spacing.
        fault: what it does wrong, None for one that behaves well.
        key: that its data areas are encrypted with, None for plain (2025).
        plan: what becomes of its hour data; None where nothing does.
    """

    mn: str
    pw: str
    st: str
    edition: Edition
    factors: tuple[str, ...]
    cns: tuple[str, ...]
    rhythm: Rhythm
    fault: Assigned | None = None
    key: Key | None = None
    plan: OutletPlan | None = None


class Written(NamedTuple):
    """An upload as bytes.

    Attributes:
        frame: to be sent.
        qn: as its header has it, "" where there is none, as in 2005.
        data_time_text: its DataTime, before any fault.
        digest: BLAKE2b of the data segment as sent, 16 bytes, hexadecimal.
        draft: how it is sent.
    """

    frame: bytes
    qn: str
    data_time_text: str
    digest: str
    draft: Draft


class UploadWriter:
    """Writes the uploads of one data logger; the same upload gives the same bytes.

    Args:
        profile: whose uploads.
        seed: of the simulation.
    """

    def __init__(self, profile: Profile, *, seed: int) -> None:
        self.profile = profile
        self._source = ReadingSource(profile.mn, profile.factors, seed=seed)
        self._seed = seed

    def write(self, upload: Upload) -> Written:
        """Write one upload, asking for an answer."""
        profile = self.profile
        data_time_text = format_data_time(from_us(upload.start_secs * US))
        qn = "" if profile.edition is Edition.V2005 else format_qn(from_us(upload.qn_ms * 1000))
        cp = self._write_area(upload, data_time_text)
        draft = Draft(encode_packet(_packet(profile, (qn, profile.st, upload.cn), _ASKS[profile.edition], cp)))
        if profile.fault is not None:
            draft = profile.fault.apply(draft.segment, f"{self._seed}/{profile.mn}/{upload.qn_ms}")
            qn = _qn_as_sent(draft.segment)
        if profile.key is None:
            frame, sent = draft.encode(), draft.segment
        else:
            frame = encode_frame_as(draft.segment, Dialect(keys=(profile.key,)))
            sent = frame[_HEAD_BYTES:-_TAIL_BYTES]
        digest = blake2b(sent, digest_size=_DIGEST_BYTES).hexdigest()
        return Written(frame, qn, data_time_text, digest, draft)

    def _write_area(self, upload: Upload, data_time_text: str) -> bytes:
        if upload.cn in MORE_CNS:
            rng = random.Random(f"{self._seed}/{self.profile.mn}/{upload.cn}/{upload.start_secs}")
            return encode_data_area([(("DataTime", data_time_text),), *_describe(upload.cn, data_time_text, rng)])
        interval = Interval(upload.start_secs, upload.secs)
        is_moment = upload.cn == REAL_TIME
        rows = self._source.sample(interval) if is_moment else self._source.summarise(upload.cn, interval)
        if upload.edits:
            rows = edit_readings(rows, upload.edits)
        return encode_readings(rows, data_time_text)

    def make_buffer(self) -> FrameBuffer:
        """Make what cuts the host's answers out of the stream, by the CRC this data logger knows."""
        fault = self.profile.fault
        return FrameBuffer(check=_OWN_CHECKS.get(fault.dialect, check_crc) if fault is not None else check_crc)

    def reply(self, packet: Packet) -> list[bytes]:
        """Write what a data logger sends back to a packet of the host: requests are carried out, in name.

        Source: HJ 212-2017, 6.6.5 and annex C: 9011 and 9012 to a request, 9013 to a notice.
        """
        if sender_kind(packet.cn, packet.edition) is CommandKind.ANSWER:
            return []
        if packet.cn in _NOTICES_OF_HOST:
            return [self._answer(packet, "9013", ())]
        return [
            self._answer(packet, "9011", (("QnRtn", "1"),)),
            self._answer(packet, "9012", (("ExeRtn", "1"),)),
        ]

    def _answer(self, packet: Packet, cn: str, fields: tuple[tuple[str, str], ...]) -> bytes:
        edition = self.profile.edition
        if edition is Edition.V2005:
            fields, qn = (("QN", packet.qn), *fields), ""
        else:
            qn = packet.qn
        cp = encode_data_area([(field,) for field in fields])
        head = (qn, _INTERACTION_ST, cn)
        return encode_frame(encode_packet(_packet(self.profile, head, _ANSWERS[edition], cp)))


def is_answer_to(upload: Upload, qn: str, packet: Packet) -> bool:
    """Tell whether a packet of the host is the 9014 that an upload, sent with this QN, waits for.

    Source: HJ 212-2017, 8.1: the QN in the header; HJ/T 212-2005, annex C.6: CN, and the QN if any, in CP.
    """
    if packet.cn != _DATA_ANSWER:
        return False
    if qn:
        return packet.qn == qn
    if packet.edition is not Edition.V2005:
        return not packet.qn  # to a packet of 2017 that had none, by mistake
    return parse_data_area(packet.cp).find("CN") == upload.cn


def _describe(cn: str, data_time_text: str, rng: random.Random) -> list[Group]:
    """Say what an upload without readings says (HJ 212-2017, annex C: 2081 RestartTime, 2021 RS, 2041 RT)."""
    if cn == BOOT:
        return [(("RestartTime", data_time_text),)]
    if cn == STATE:
        return [((f"SB{number}-RS", str(int(rng.random() < _RUNNING_SHARE))),) for number in _EQUIPMENT]
    return [((f"SB{number}-RT", f"{rng.uniform(0.0, _DAY_HOURS):.1f}"),) for number in _EQUIPMENT]


def _qn_as_sent(segment: bytes) -> str:
    found = _HEADER_QN.search(segment.partition(b"CP=&")[0])
    return found[1].decode() if found else ""


def _make_check(damage: Damage) -> Callable[[bytes, bytes], bool]:
    chance = random.Random()  # of which these damages have no need
    return lambda segment, crc: crc.upper() == damage(Draft(segment), chance).crc


_OWN_CHECKS = {"crc_modbus": _make_check(write_modbus_crc), "crc_modbus_swapped": _make_check(write_swapped_crc)}


def _packet(profile: Profile, head: tuple[str, str, str], flag: int, cp: bytes) -> Packet:
    qn, st, cn = head
    return Packet(
        qn=qn,
        st=st,
        cn=cn,
        pw=profile.pw,
        mn=profile.mn,
        flag=flag,
        pnum=None,
        pno=None,
        rf=False,
        cp=cp,
        extra=(),
        edition=profile.edition,
        warnings=(),
    )
