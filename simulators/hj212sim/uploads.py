"""Uploads and answers as bytes, in the shape of each edition, and the answers of the host read back."""

from hashlib import blake2b
from typing import NamedTuple

from hj212gw.clock import from_us
from hj212gw.protocol import (
    CommandKind,
    Edition,
    Packet,
    encode_data_area,
    encode_frame,
    encode_packet,
    encode_readings,
    parse_data_area,
    sender_kind,
)
from hj212gw.protocol.times import format_data_time, format_qn
from hj212sim.readings import Interval, ReadingSource
from hj212sim.schedule import REAL_TIME, US, Rhythm, Upload

_ASKS = {Edition.V2005: 1, Edition.V2017: 5, Edition.V2025: 9}  # Flag: the edition, and an answer is wanted
_ANSWERS = {Edition.V2005: 0, Edition.V2017: 4, Edition.V2025: 8}
_INTERACTION_ST = "91"
_DATA_ANSWER = "9014"
_NOTICES_OF_HOST = ("2012", "2022")
_DIGEST_BYTES = 16


class Profile(NamedTuple):
    """What a data logger is and sends.

    Attributes:
        mn, pw, st: as on the wire.
        edition: the shape of its packets; uploads of 2005 carry no QN.
        factors: codes as it sends them.
        cns: its commands.
        rhythm: their spacing.
    """

    mn: str
    pw: str
    st: str
    edition: Edition
    factors: tuple[str, ...]
    cns: tuple[str, ...]
    rhythm: Rhythm


class Written(NamedTuple):
    """An upload as bytes.

    Attributes:
        frame: to be sent.
        qn: "" in 2005.
        data_time_text: its DataTime.
        digest: BLAKE2b of the data segment, 16 bytes, hexadecimal.
    """

    frame: bytes
    qn: str
    data_time_text: str
    digest: str


class UploadWriter:
    """Writes the uploads of one data logger; the same upload gives the same bytes.

    Args:
        profile: whose uploads.
        seed: of the simulation.
    """

    def __init__(self, profile: Profile, *, seed: int) -> None:
        self.profile = profile
        self._source = ReadingSource(profile.mn, profile.factors, seed=seed)

    def write(self, upload: Upload) -> Written:
        """Write one upload, asking for an answer."""
        profile = self.profile
        interval = Interval(upload.start_secs, upload.secs)
        is_moment = upload.cn == REAL_TIME
        rows = self._source.sample(interval) if is_moment else self._source.summarise(upload.cn, interval)
        data_time_text = format_data_time(from_us(upload.start_secs * US))
        qn = "" if profile.edition is Edition.V2005 else format_qn(from_us(upload.qn_ms * 1000))
        cp = encode_readings(rows, data_time_text)
        segment = encode_packet(_packet(profile, (qn, profile.st, upload.cn), _ASKS[profile.edition], cp))
        digest = blake2b(segment, digest_size=_DIGEST_BYTES).hexdigest()
        return Written(encode_frame(segment), qn, data_time_text, digest)

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
    return parse_data_area(packet.cp).find("CN") == upload.cn


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
