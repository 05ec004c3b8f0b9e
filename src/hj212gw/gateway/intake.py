"""The ordered steps of one packet: accept, journal, durable, answer.

An answer leaves only after the journal's fsync. What waits for the disk is bounded in bytes for each session and for
all of them together; the journal without room holds every session up.
"""

from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING

from hj212gw import telemetry_gateway
from hj212gw.clock import Clock
from hj212gw.errors import JournalError, PacketError
from hj212gw.gateway.gate import REFUSED, Gate
from hj212gw.gateway.limits import MAX_PAUSE_SECS, GatewayLimits, Pace
from hj212gw.gateway.networks import are_near
from hj212gw.gateway.notes import FOREIGN_CERTIFICATE, FOREIGN_PEER, RIVAL, Note
from hj212gw.gateway.turns import Turns
from hj212gw.journal import ACCEPTED, REJECT, Journal, Record
from hj212gw.protocol import Discard, Frame, Packet, encode_answer, find_answer, looks_encrypted, parse_packet
from hj212gw.protocol.codes import GRAIN_BY_CN
from hj212gw.protocol.dialects import SLUGS, CrcKind, DialectOf

if TYPE_CHECKING:
    from hj212gw.gateway.admission import Admission
    from hj212gw.gateway.session import Session

_FIRST_CLASS_GRAINS = ("hour", "day")
_FIRST_CLASS = frozenset(cn for cn, grain in GRAIN_BY_CN.items() if grain in _FIRST_CLASS_GRAINS)
_CRC_SLUGS = frozenset((CrcKind.MODBUS, CrcKind.SWAPPED))
_LOW_SHARE = 4
_MAX_MNS = 1024  # of one session, kept for its idle timeout and to know who speaks for them
_LIVE_SECS = 300.0  # a line that was silent for longer, and for three intervals, does not speak for its MNs any more
_LIVE_INTERVALS = 3


class Intake:
    """Takes frames of all sessions into the journal.

    Args:
        journal: where they are kept.
        admission: knows the loggers' intervals.
        clock: stamps arrivals.
        limits: of memory, connections and rates.
    """

    def __init__(self, journal: Journal, admission: "Admission", clock: Clock, limits: GatewayLimits) -> None:
        self.sessions: set[Session] = set()
        self.on_quiet: Callable[[], None] | None = None
        self.on_noise: Callable[[datetime, str, str, bytes], None] | None = None  # arrival, peer, MN or "", bytes
        self.dialect_of: DialectOf = admission.dialect_of
        self.turns = Turns()
        self._journal = journal
        self._admission = admission
        self._clock = clock
        self._high_water_bytes = limits.high_water_bytes
        self._gate = Gate(limits.access, limits.shares, limits.max_sessions)
        self._pace = Pace(limits.shares)
        self._waiting_bytes = 0
        self._accepted = 0
        self._received = 0
        self._paused: set[Session] = set()
        self._blocked: set[Session] = set()
        self._speakers: dict[str, Session] = {}  # by MN, the live connection that spoke for it first
        self._answered: dict[str, int] = {}
        self._ack_secs: list[float] = []

    @property
    def waiting_bytes(self) -> int:
        """Bytes of accepted frames that are not on disk yet."""
        return self._waiting_bytes

    def replace_limits(self, limits: GatewayLimits) -> None:
        """Go on with other limits; peers of networks that are shut out now are sent away."""
        self._high_water_bytes = limits.high_water_bytes
        self._gate.replace(limits.access, limits.shares, limits.max_sessions)
        self._pace.replace(limits.shares)
        for session in list(self.sessions):
            if not self._gate.admits(session.host):
                session.close(REFUSED)

    def session_opened(self, session: "Session") -> str:
        """Note a new connection; return why it has to leave at once, "" where it may stay."""
        self.sessions.add(session)
        telemetry_gateway.session_opened(session.session_id, session.peer)
        return self._gate.enter(session)

    def session_closed(self, session: "Session", reason: str) -> None:
        """Note a connection's end, once."""
        self.sessions.discard(session)
        self._gate.leave(session)
        self._paused.discard(session)
        self._blocked.discard(session)
        for mn in session.mns:
            if self._speakers.get(mn) is session:
                del self._speakers[mn]
        for event in session.take_leftovers():
            self._give_up(session, event)
        telemetry_gateway.session_closed(
            session.session_id,
            session.peer,
            reason,
            packets=session.packet_count,
            rejects=session.reject_count,
            noise_bytes=session.noise_bytes,
            mns=len(session.mns),
        )
        if not self.sessions and self.on_quiet is not None:
            self.on_quiet()

    def take(self, session: "Session", event: Frame | Discard) -> bool:
        """Take one event; False when the journal has no room and the session must wait with it."""
        if isinstance(event, Discard):
            return self._discard(session, event)
        if not event.key_id and not event.segment.isascii() and looks_encrypted(event.segment):
            # Cipher text has a right CRC once in 256; without its key there is nothing to store.
            detail = "the data area looks encrypted, and no key of this data logger fits"
            return self._discard(session, Discard("crc", detail, event.raw, event.offset))
        try:
            packet = parse_packet(event.segment)
        except PacketError as error:
            detail = f"{error} (QnRtn {error.qn_rtn})"
            return self._discard(session, Discard("header", detail, event.raw, event.offset))
        return self._accept(session, event, packet)

    def resume_blocked(self) -> None:
        """Go on with the sessions that waited for room in the journal."""
        blocked, self._blocked = self._blocked, set()
        for session in blocked:
            session.take_waiting()

    def publish_counts(self) -> None:
        """Move what was counted since the last call to the metrics."""
        telemetry_gateway.frames_received(self._received)
        telemetry_gateway.frames_accepted(self._accepted)
        self._received = self._accepted = 0
        for cn, count in self._answered.items():
            telemetry_gateway.acks_sent(cn, count)
        self._answered.clear()
        telemetry_gateway.acks_observed(self._ack_secs)
        self._ack_secs.clear()

    def _accept(self, session: "Session", frame: Frame, packet: Packet) -> bool:
        cn = find_answer(packet)
        answer = encode_answer(packet, cn, _crc_kind(frame)) if cn is not None else None
        size = len(frame.raw)
        settle = partial(self._settle, session, size, cn, answer, session.heard_at)
        rival = () if self._speakers.get(packet.mn) is session else self._find_rival(session, packet.mn)
        note = self._note(session, frame, packet.mn, rival)
        record = Record(self._clock.now_us(), ACCEPTED, session.peer, note, frame.raw)
        try:
            self._journal.submit(record, settle, low_priority=packet.cn not in _FIRST_CLASS)
        except JournalError:
            # No room, or a disk that failed: the packet waits with its session, which stops reading.
            self._blocked.add(session)
            return False
        self._received += 1
        self._accepted += 1
        session.packet_count += 1
        session.hold(size)
        self._waiting_bytes += size
        if self._waiting_bytes > self._high_water_bytes:
            self._paused.add(session)
            session.pause("shared water")
        if packet.mn not in session.mns and len(session.mns) < _MAX_MNS:
            session.mns.add(packet.mn)
            session.interval_secs = max(session.interval_secs, self._admission.interval_secs(packet.mn))
            self._gate.speak(session, packet.mn)
        if not rival and packet.mn and packet.mn in session.mns:
            self._speakers[packet.mn] = session
        rest_secs = self._pace.spend(packet.mn, session.heard_at)
        if rest_secs:
            session.rest(min(rest_secs, MAX_PAUSE_SECS))
        return True

    def _note(self, session: "Session", frame: Frame, mn: str, rival: tuple[str, ...]) -> str:
        """Return what the journal notes of a packet of an MN."""
        marks = tuple(slug for slug in frame.warnings if slug in SLUGS) if frame.warnings else ()
        marks += rival
        if session.certified_mns is not None and mn.upper() not in session.certified_mns:
            marks += (FOREIGN_CERTIFICATE,)
        return str(Note(frame.key_id, marks)) if marks or frame.key_id else ""

    def _find_rival(self, session: "Session", mn: str) -> tuple[str, ...]:
        """Return marks where another live connection speaks for an MN; none where this one may speak for it."""
        speaker = self._speakers.get(mn)
        if speaker is not None:
            silent_secs = session.heard_at - speaker.heard_at
            if silent_secs < max(_LIVE_SECS, _LIVE_INTERVALS * speaker.interval_secs):
                return (RIVAL,) if are_near(session.host, speaker.host) else (RIVAL, FOREIGN_PEER)
        return ()

    def _settle(self, session: "Session", size: int, cn: str | None, answer: bytes | None, heard_at: float) -> None:
        """A packet is on disk: answer it and let readers go on."""
        session.settle(size, answer)
        self._waiting_bytes -= size
        if cn is not None:
            self._answered[cn] = self._answered.get(cn, 0) + 1
            self._ack_secs.append(session.now() - heard_at)
        if self._paused and self._waiting_bytes * _LOW_SHARE <= self._high_water_bytes:
            paused, self._paused = self._paused, set()
            for waiting in paused:
                waiting.resume("shared water")
        if not self._waiting_bytes and self.on_quiet is not None:
            self.on_quiet()

    def _discard(self, session: "Session", discard: Discard) -> bool:
        """Count a span that is no packet; all but noise is kept with its reason."""
        size = len(discard.raw)
        if discard.reason == "noise":
            self._slow_down(session, size)
            session.noise_bytes += size
            telemetry_gateway.noise_discarded(size, 1)
            if self.on_noise is not None:
                mn = next(iter(session.mns)) if len(session.mns) == 1 else ""
                self.on_noise(self._clock.now(), session.peer, mn, discard.raw)
            return True
        note = f"{discard.reason}\t{discard.detail}"
        record = Record(self._clock.now_us(), REJECT, session.peer, note, discard.raw)
        try:
            is_kept = self._journal.submit(record, _nothing)
        except JournalError:
            self._blocked.add(session)
            return False
        self._slow_down(session, size)
        if not is_kept:
            telemetry_gateway.reject_dropped(discard.reason, size)
        self._received += 1
        session.reject_count += 1
        telemetry_gateway.frame_rejected(discard.reason, session.peer, discard.detail)
        return True

    def _slow_down(self, session: "Session", size: int) -> None:
        """Read a connection slower that brings what is no packet, and close one that brings nothing else."""
        rest_secs = self._pace.spend_reject(session, size, session.heard_at)
        if rest_secs < 0:
            session.close("abuse")
        elif rest_secs:
            session.rest(min(rest_secs, MAX_PAUSE_SECS))

    def _give_up(self, session: "Session", event: Frame | Discard) -> None:
        """Count what was read and found no room until its connection ended; it was not answered."""
        if isinstance(event, Discard) and event.reason == "noise":
            self._discard(session, event)
            return
        reason = event.reason if isinstance(event, Discard) else "other"
        self._received += 1
        session.reject_count += 1
        telemetry_gateway.frame_rejected(
            reason, session.peer, "the connection ended before the journal had room for it"
        )
        telemetry_gateway.reject_dropped(reason, len(event.raw))


def _crc_kind(frame: Frame) -> CrcKind:
    """Return the CRC a frame came with: its answer has the same."""
    kinds = [CrcKind(slug) for slug in frame.warnings if slug in _CRC_SLUGS] if frame.warnings else ()
    return kinds[0] if kinds else CrcKind.STANDARD


def _nothing() -> None:
    """A reject is not answered."""
