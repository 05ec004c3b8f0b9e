"""What a gateway holds, and how fast one MN and one connection may go on: slowed down first, cut off when abusive.

A rate is a moment, the one at which all that came would have come at the allowed rate (generic cell rate algorithm):
one number is remembered and one compared, whatever the burst.
"""

from typing import TYPE_CHECKING, NamedTuple

from hj212gw.gateway.networks import Access
from hj212gw.gateway.tls import TlsFiles

if TYPE_CHECKING:
    from hj212gw.gateway.session import Session

MAX_PAUSE_SECS = 60.0  # at a time; what was read before decides on the next

_MINUTE_SECS = 60.0
_ABUSE_SECS = 600.0  # ahead of the allowed rate by this, with no good packet in between
_MAX_RATES = 100_000  # MNs whose rate is remembered, about 12 MB; all are forgotten then
_KIB = 1024


class Shares(NamedTuple):
    """How much one data logger or one peer may send; 0 is no limit.

    Attributes:
        packets_per_minute_per_mn: of one MN, over all its connections.
        burst_packets_per_mn: taken at full speed after a quiet time.
        rejects_per_minute: rejects and KiB of noise of one connection, a minute's worth at full speed.
        connections_per_mn: connections that speak for one MN.
        connections_per_peer: connections of one address.
        first_frame_secs: time until the first frame of a connection.
    """

    packets_per_minute_per_mn: int = 0
    burst_packets_per_mn: int = 6000
    rejects_per_minute: int = 0
    connections_per_mn: int = 0
    connections_per_peer: int = 0
    first_frame_secs: float = 0.0


class GatewayLimits(NamedTuple):
    """How the gateway listens and how much it holds.

    Attributes:
        host, port: where to listen; port 0 takes any free one.
        max_segment_bytes: longest data segment accepted.
        idle_timeout_secs: a silent connection is closed after this, or three intervals of its loggers.
        session_high_water_bytes, high_water_bytes: most that waits for the disk, for one and for all.
        max_sessions: connections open at a time; of more the oldest that never sent a packet has to leave.
        backlog: connections the kernel keeps waiting.
        stop_timeout_secs: longest a stop waits for the journal and for the database.
        shares_port: other processes of ours listen on the same ports; the system spreads connections over them.
        access: who may connect.
        shares: how much one data logger or one peer may send.
        tls_host, tls_port: where to listen for TLS; None where not.
        tls: certificate and key of the TLS port.
    """

    host: str
    port: int
    max_segment_bytes: int
    idle_timeout_secs: float
    session_high_water_bytes: int
    high_water_bytes: int
    max_sessions: int
    backlog: int
    stop_timeout_secs: float
    shares_port: bool = False
    access: Access = Access()
    shares: Shares = Shares()
    tls_host: str = ""
    tls_port: int | None = None
    tls: TlsFiles = TlsFiles()


class Pace:
    """The rates of MNs; of a connection's rejects the session itself remembers.

    Args:
        shares: the rates; replaced at run time.
    """

    def __init__(self, shares: Shares) -> None:
        self._rates: dict[str, float] = {}
        self.replace(shares)

    def replace(self, shares: Shares) -> None:
        """Go on with other shares."""
        per_minute = shares.packets_per_minute_per_mn
        self._step_secs = _MINUTE_SECS / per_minute if per_minute else 0.0
        self._burst_secs = self._step_secs * shares.burst_packets_per_mn
        rejects = shares.rejects_per_minute
        self._reject_secs = _MINUTE_SECS / rejects if rejects else 0.0

    def spend(self, mn: str, now: float) -> float:
        """Count a packet of an MN; return how many seconds its connection should rest, 0 as a rule.

        Args:
            mn: as sent.
            now: the event loop's time, seconds.
        """
        step = self._step_secs
        if not step:
            return 0.0
        rates = self._rates
        at = rates.get(mn)
        if at is None:
            if len(rates) >= _MAX_RATES:
                rates.clear()
            at = now
        elif at < now:  # a comparison is a third of what max() takes
            at = now
        rates[mn] = at = at + step
        ahead = at - now - self._burst_secs
        if ahead <= 0.0:
            return 0.0
        return ahead

    def spend_reject(self, session: "Session", size: int, now: float) -> float:
        """Count a reject or a span of noise; return the seconds to rest, below 0 when the session is abusive.

        One that sends good packets in between is only slowed down: its data area may be what is wrong.
        """
        step = self._reject_secs
        if not step:
            return 0.0
        at = max(session.rejects_until, now) + step * (1 + size // _KIB)
        session.rejects_until = at
        ahead = at - now - _MINUTE_SECS
        if ahead > _ABUSE_SECS:
            if session.packet_count == session.forgiven_count:
                return -1.0
            session.forgiven_count = session.packet_count
            session.rejects_until = now + _MINUTE_SECS + MAX_PAUSE_SECS
        return max(0.0, ahead)
