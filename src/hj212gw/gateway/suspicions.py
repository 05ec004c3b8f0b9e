"""What makes one suspicious of who sends for an MN, counted with the batches.

Nothing is refused for it (design, promise 6): the packets are acknowledged and stored, and these rows say where to
look. A packet without warnings costs one comparison.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import Final

from hj212gw import telemetry_access
from hj212gw.gateway.notes import FOREIGN_CERTIFICATE, FOREIGN_PEER
from hj212gw.protocol.shape import HEAD_BYTES
from hj212gw.protocol.spans import show
from hj212gw.store.rows import PacketRow, PacketRows, SuspicionRow
from hj212gw.telemetry import host_of

WRONG_PW: Final = "wrong_pw"
REPLAYED_QN: Final = "replayed_qn"
MAX_KEYS: Final = 1000  # different ones between two batches

_SHOWN = 120
_WHAT_BY_WARNING = {
    "wrong_password": WRONG_PW,
    FOREIGN_PEER: FOREIGN_PEER,
    FOREIGN_CERTIFICATE: FOREIGN_CERTIFICATE,
}
_AREA = b"CP="


class SuspicionBook:
    """Counts suspicions between two batches."""

    def __init__(self) -> None:
        self._counted: dict[tuple[str, str, str], SuspicionRow] = {}

    def take(self) -> tuple[SuspicionRow, ...]:
        """Return what was counted since the last call, each key once, in the order of the keys."""
        if not self._counted:
            return ()
        counted, self._counted = self._counted, {}
        return tuple(counted[key] for key in sorted(counted))

    def forget(self) -> None:
        """Drop everything: what was taken may not have been stored, and is found again with its packets."""
        self._counted.clear()

    def note_packets(self, packets: Iterable[PacketRows]) -> None:
        """Note what the warnings of packets say."""
        for rows in packets:
            packet = rows.packet
            if packet.warnings:
                for warning in packet.warnings:
                    what = _WHAT_BY_WARNING.get(warning)
                    if what is not None:
                        self._note_packet(what, packet)

    def note_reused(self, mn: str, peer: str, evidence: str, at: datetime) -> None:
        """Note a QN that came again with other data."""
        self._note((mn, REPLAYED_QN, host_of(peer)), evidence, at)

    def _note_packet(self, what: str, packet: PacketRow) -> None:
        header = packet.raw[HEAD_BYTES:].partition(_AREA)[0]
        self._note((packet.mn, what, host_of(packet.peer)), show(header, _SHOWN), packet.received_at)

    def _note(self, key: tuple[str, str, str], evidence: str, at: datetime) -> None:
        mn, what, host = key
        if not mn.isprintable():
            mn = ascii(mn)[1:-1]  # a text no database column takes must not hold up the batch
            key = (mn, what, host)
        telemetry_access.suspicion_noted(what, mn, host, evidence)
        before = self._counted.get(key)
        if before is not None:
            first, last = min(before.first_seen_at, at), max(before.last_seen_at, at)
            self._counted[key] = SuspicionRow(*key, evidence, before.times + 1, first, last)
        elif len(self._counted) < MAX_KEYS:
            self._counted[key] = SuspicionRow(*key, evidence, 1, at, at)
        else:
            telemetry_access.suspicions_dropped(1)
