"""What the connections of one process count together, and what is made of it in the end."""

import math
from collections import Counter
from dataclasses import dataclass, field
from typing import NamedTuple

from hj212sim.load.latency import Latencies


class Progress(NamedTuple):
    """Counts while a process runs."""

    sent: int = 0
    acked: int = 0
    resent: int = 0
    errors: int = 0
    connected: int = 0


class Issued(NamedTuple):
    """What one connection came to.

    Attributes:
        connection: its number.
        sent: it sent its packets 0 to `sent` - 1.
        unacked: numbers of those that stayed without an answer.
    """

    connection: int
    sent: int
    unacked: tuple[int, ...]


@dataclass(slots=True)
class Tally:
    """Counts of one process, or merged of all; memory does not grow with the packets.

    Attributes:
        sent, acked: different packets.
        resent: transmissions beyond the first.
        repeated_acks: answers to packets that had theirs.
        strange_answers: answers to what was never sent.
        requests: of the gateway; they are not carried out here.
        connects, connected: connections made; open now.
        errors: by reason.
        storms: cuts of all connections.
        is_given_up: nothing moved any more while something was still due.
        unsent: packets that fell due and were not sent, because windows were full or the line was down.
        began_at, ended_at: on the monotonic clock: the end of the ramp, the last answer after it.
        ramp_sent, ramp_acked: counts at the end of the ramp.
        cpu_secs: of the process, from its first connection on.
        memory_bytes: most it had.
        latencies: from the moment a packet was due to its answer.
        lags: from the moment a packet was due to its transmission, where nothing but this process held it up.
        issued: by connection.
    """

    sent: int = 0
    acked: int = 0
    resent: int = 0
    repeated_acks: int = 0
    strange_answers: int = 0
    requests: int = 0
    connects: int = 0
    connected: int = 0
    storms: int = 0
    unsent: int = 0
    is_given_up: bool = False
    began_at: float = math.inf
    ended_at: float = 0.0
    ramp_sent: int = 0
    ramp_acked: int = 0
    cpu_secs: float = 0.0
    memory_bytes: int = 0
    errors: Counter[str] = field(default_factory=Counter)
    latencies: Latencies = field(default_factory=Latencies)
    lags: Latencies = field(default_factory=Latencies)
    issued: list[Issued] = field(default_factory=list)

    def progress(self) -> Progress:
        """Say how far it is."""
        return Progress(self.sent, self.acked, self.resent, self.errors.total(), self.connected)

    def merge(self, other: "Tally") -> None:
        """Add what another process counted."""
        for name in (
            *("sent", "acked", "resent", "repeated_acks", "strange_answers", "requests", "connects", "connected"),
            *("unsent", "ramp_sent", "ramp_acked", "cpu_secs", "memory_bytes"),
        ):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.storms = max(self.storms, other.storms)
        self.is_given_up = self.is_given_up or other.is_given_up
        self.began_at = min(self.began_at, other.began_at)
        self.ended_at = max(self.ended_at, other.ended_at)
        self.errors += other.errors
        self.latencies.merge(other.latencies.filled())
        self.lags.merge(other.lags.filled())
        self.issued += other.issued
