"""What is odd about the data loggers that are heard, counted for people to decide on.

Runs beside the drain and must cost next to nothing: a packet without warnings is one look-up, unless the time has
come to look at its kind again. Everything kept is bounded and may be forgotten: what is odd comes again.
"""

from collections.abc import Callable, Iterable
from datetime import datetime, timedelta

from hj212gw import telemetry_gateway
from hj212gw.gateway.rows import Arrival
from hj212gw.protocol.diagnosis import STANDARD, InForce, Proposal, diagnose_packet, diagnose_reject, mark_reused
from hj212gw.protocol.faults import REPAIR_BY_WARNING
from hj212gw.protocol.spans import find_mn
from hj212gw.store.rows import PacketRow, PacketRows, ProposalRow
from hj212gw.telemetry import host_of

InForceOf = Callable[[str, str, str], InForce]  # by MN, ST and CN as sent

LOOK_EVERY = timedelta(minutes=10)
WARNED_EVERY = timedelta(minutes=1)
VOTES = 3  # looks in a row that say the same, where one packet proves nothing
MAX_KEYS = 10_000  # proposals between two batches; kinds of rejects that are told apart
MAX_STREAMS = 50_000  # about 25 MB
LOOKS = 8  # close looks between two batches
REJECT_LOOKS = 16  # likewise; up to a millisecond each

_MAX_WARNED = 16  # sets of warnings of one stream
_MINUTE_CN = "2051"
_MINUTE = timedelta(minutes=1)
_MOST_MINS = 30  # HJ 212-2017 table 4, MinInterval

_Key = tuple[str, str, str, str, str]


class _Turn:
    """When something is looked at again, and how often it was passed over until then."""

    __slots__ = ("due_at", "missed")

    def __init__(self, due_at: datetime) -> None:
        self.due_at = due_at
        self.missed = 0


class _Stream:
    """What is remembered of one MN, ST and CN."""

    __slots__ = ("data_time", "digest", "interval_mins", "is_minute", "look_at", "qn", "vote", "votes", "warned")

    def __init__(self, look_at: datetime, *, is_minute: bool) -> None:
        self.look_at = look_at
        self.is_minute = is_minute
        self.qn: str | None = None
        self.digest = b""
        self.data_time: datetime | None = None
        self.interval_mins: int | None = None  # the least between two DataTimes
        self.warned: dict[tuple[str, ...], _Turn] = {}
        self.vote: _Key | None = None
        self.votes = 0


class ProposalBook:
    """Counts proposals between two batches.

    Args:
        in_force: tells what the registry says of a data logger, for one ST and CN.
        on_reused: told MN, peer, evidence and arrival of a QN that came again with other data.
    """

    def __init__(
        self,
        in_force: InForceOf = lambda _mn, _st, _cn: STANDARD,
        on_reused: Callable[[str, str, str, datetime], None] | None = None,
    ) -> None:
        self._in_force = in_force
        self._on_reused = on_reused
        self._streams: dict[tuple[str, str, str], _Stream] = {}
        self._rejects: dict[tuple[str, str], _Turn] = {}
        self._counted: dict[_Key, ProposalRow] = {}
        self._looks = LOOKS
        self._reject_looks = REJECT_LOOKS

    def take(self) -> tuple[ProposalRow, ...]:
        """Return what was counted since the last call, each proposal once, in the order of their keys."""
        self._looks, self._reject_looks = LOOKS, REJECT_LOOKS
        if not self._counted:
            return ()
        counted, self._counted = self._counted, {}
        return tuple(counted[key] for key in sorted(counted))

    def forget(self) -> None:
        """Drop everything: what was taken may not have been stored, and will be found again."""
        self._streams.clear()
        self._rejects.clear()
        self._counted.clear()

    def note_packets(self, arrivals: Iterable[Arrival], packets: Iterable[PacketRows]) -> None:
        """Note accepted packets with their rows, in the order they came."""
        streams = self._streams
        for arrival, rows in zip(arrivals, packets, strict=True):
            packet = rows.packet
            stream = streams.get(packet[3:6])  # mn, st, cn: one slice is half the time of three names
            qn = packet.qn
            if stream is None:
                stream = self._open(packet)
            elif qn == stream.qn and packet.digest != stream.digest:
                self._note_reused(arrival)
            stream.qn = qn
            stream.digest = packet.digest
            if stream.is_minute:
                _learn_interval(stream, rows.data_time)
            if packet.warnings or packet.received_at >= stream.look_at:
                try:
                    self._look(stream, arrival, packet)
                except Exception as error:  # noqa: BLE001 - what is only for people must not hold up the drain
                    telemetry_gateway.fault_contained("proposals", error)

    def note_reject(self, received_at: datetime, peer: str, reason: str, raw: bytes) -> None:
        """Note a span that was refused; noise is one too, and names its data logger only by what it is told."""
        self._note_span(received_at, find_mn(raw), peer, reason, raw)

    def note_noise(self, received_at: datetime, peer: str, mn: str, raw: bytes) -> None:
        """Note bytes between frames, of the data logger whose connection it is, "" where it is not known."""
        self._note_span(received_at, mn, peer, "noise", raw)

    def _note_span(self, received_at: datetime, mn: str, peer: str, reason: str, raw: bytes) -> None:
        turn = self._take_turn(mn or host_of(peer), reason, received_at)
        if turn is None:
            return
        try:
            proposal = diagnose_reject(raw, reason)
        except Exception as error:  # noqa: BLE001 - what is only for people must not hold up the drain
            telemetry_gateway.fault_contained("proposals", error)
            return
        if proposal is not None:
            self._count(proposal._replace(mn=proposal.mn or mn), received_at, 1 + turn.missed)
        turn.missed = 0

    def _open(self, packet: PacketRow) -> _Stream:
        if len(self._streams) >= MAX_STREAMS:
            self._streams.clear()
        stream = _Stream(packet.received_at, is_minute=packet.cn == _MINUTE_CN)
        self._streams[packet.mn, packet.st, packet.cn] = stream
        return stream

    def _take_turn(self, whose: str, reason: str, received_at: datetime) -> _Turn | None:
        """Return the turn of a kind of reject when it has come; else count it as passed over."""
        if len(self._rejects) >= MAX_KEYS:
            self._rejects.clear()
        turn = self._rejects.setdefault((whose, reason), _Turn(received_at))
        if received_at < turn.due_at or not self._reject_looks:
            turn.missed += 1
            return None
        self._reject_looks -= 1
        turn.due_at = received_at + WARNED_EVERY
        return turn

    def _note_reused(self, arrival: Arrival) -> None:
        """Note two packets in a row with one QN and different data; parts and what is marked as sent again may."""
        packet = arrival.packet
        if packet.qn and packet.pno is None and not packet.rf:
            proposal = mark_reused(packet)
            self._count(proposal, arrival.received_at, 1)
            if self._on_reused is not None:
                self._on_reused(packet.mn, arrival.peer, proposal.evidence, arrival.received_at)

    def _look(self, stream: _Stream, arrival: Arrival, packet: PacketRow) -> None:
        """Look at a packet closely when its time has come, or that of its warnings."""
        received_at = packet.received_at
        is_due = received_at >= stream.look_at
        turn = None
        if packet.warnings:
            turn = _find_turn(stream, tuple(packet.warnings), received_at)
            is_warned = received_at >= turn.due_at
            if not self._looks or not (is_due or is_warned):
                turn.missed += 1
                return
            turn.due_at = received_at + WARNED_EVERY
        if not self._looks:
            return
        self._looks -= 1
        in_force = self._in_force(packet.mn, packet.st, packet.cn)
        if in_force.interval_mins is None and stream.interval_mins:
            in_force = in_force._replace(interval_mins=stream.interval_mins)
        found = diagnose_packet(arrival.packet, arrival.sent, packet.warnings or (), received_at, in_force)
        missed = _take_missed(turn)
        for proposal in found:
            if proposal.is_certain:
                is_marked = missed and _is_marked(proposal, packet.warnings or ())
                self._count(proposal, received_at, 1 + missed if is_marked else 1)
        if is_due:
            stream.look_at = received_at + LOOK_EVERY
            self._vote(stream, found, received_at)

    def _vote(self, stream: _Stream, found: list[Proposal], received_at: datetime) -> None:
        """Count a proposal that one packet does not prove once looks in a row agree on it."""
        proposal = next((proposal for proposal in found if not proposal.is_certain), None)
        key = proposal and proposal[:5]
        stream.votes = stream.votes + 1 if key == stream.vote else 1
        stream.vote = key
        if proposal is not None and stream.votes >= VOTES:
            self._count(proposal, received_at, 1)

    def _count(self, proposal: Proposal, received_at: datetime, times: int) -> None:
        key = proposal[:5]
        before = self._counted.get(key)
        if before is None and len(self._counted) >= MAX_KEYS:
            telemetry_gateway.proposals_dropped(times)
            return
        first_at = received_at
        if before is not None:
            times += before.times
            first_at = min(before.first_seen_at, received_at)
            received_at = max(before.last_seen_at, received_at)
        self._counted[key] = ProposalRow(*proposal, times, first_at, received_at)


def _learn_interval(stream: _Stream, data_time: datetime | None) -> None:
    """Learn the period of minute data from its DataTimes, the least between two in a row."""
    if data_time is None:
        return
    if stream.data_time is not None:
        step = data_time - stream.data_time
        mins = step // _MINUTE
        if 0 < mins <= _MOST_MINS and not step % _MINUTE and mins < (stream.interval_mins or _MOST_MINS + 1):
            stream.interval_mins = mins
    stream.data_time = data_time


def _find_turn(stream: _Stream, warnings: tuple[str, ...], received_at: datetime) -> _Turn:
    turn = stream.warned.get(warnings)
    if turn is None:
        if len(stream.warned) >= _MAX_WARNED:
            stream.warned.clear()
        turn = stream.warned[warnings] = _Turn(received_at)
    return turn


def _take_missed(turn: _Turn | None) -> int:
    if turn is None:
        return 0
    missed, turn.missed = turn.missed, 0
    return missed


def _is_marked(proposal: Proposal, warnings: Iterable[str]) -> bool:
    """Tell whether a proposal is what the warnings say, so that it held for the packets passed over too."""
    if proposal.what == "register":
        return True
    return proposal.what == "repair" and any(REPAIR_BY_WARNING.get(slug) == proposal.value for slug in warnings)
