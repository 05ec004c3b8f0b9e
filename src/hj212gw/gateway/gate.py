"""Who is let in and who has to leave: networks, connections of one peer, of one MN and in all.

Of too many connections the one goes that would be missed least: first the oldest that never brought a packet, such as
the half-open ones a mobile network leaves behind. A data logger that is heard is never sent away for a newcomer.
"""

from collections import Counter
from typing import TYPE_CHECKING

from hj212gw.gateway.limits import Shares
from hj212gw.gateway.networks import Access

if TYPE_CHECKING:
    from hj212gw.gateway.session import Session

REFUSED = "refused"
LIMIT = "limit"


class Gate:
    """The connections there are, by what limits them.

    Args:
        access: who may connect.
        shares: how many connections one peer and one MN may have.
        max_sessions: how many there may be in all.
    """

    def __init__(self, access: Access, shares: Shares, max_sessions: int) -> None:
        self._count = 0
        self._by_host: Counter[str] = Counter()
        self._by_mn: dict[str, list[Session]] = {}
        self._unheard: dict[Session, None] = {}  # without a packet so far, the oldest first
        self.replace(access, shares, max_sessions)

    def replace(self, access: Access, shares: Shares, max_sessions: int) -> None:
        """Go on with other limits; connections that are open stay, but for those of networks now shut out."""
        self._access = access
        self._shares = shares
        self._max_sessions = max_sessions

    def admits(self, host: str) -> bool:
        """Tell whether a peer's network may connect."""
        return self._access.admits(host)

    def enter(self, session: "Session") -> str:
        """Note a new connection; return why it has to leave at once, "" where it may stay."""
        self._count += 1
        self._by_host[session.host] += 1
        if not self._access.admits(session.host):
            return REFUSED
        per_peer = self._shares.connections_per_peer
        if per_peer and self._by_host[session.host] > per_peer:
            return LIMIT
        if self._count > self._max_sessions and not self._send_away():
            return LIMIT
        self._unheard[session] = None
        return ""

    def leave(self, session: "Session") -> None:
        """Note a connection's end."""
        self._count -= 1
        self._unheard.pop(session, None)
        self._by_host[session.host] -= 1
        if not self._by_host[session.host]:
            del self._by_host[session.host]
        for mn in session.mns:
            speakers = self._by_mn.get(mn)
            if speakers is not None and session in speakers:
                speakers.remove(session)
                if not speakers:
                    del self._by_mn[mn]

    def speak(self, session: "Session", mn: str) -> None:
        """Note the first packet of an MN on a connection; of too many connections of the MN the stalest is closed."""
        self._unheard.pop(session, None)
        if not mn:
            return
        speakers = self._by_mn.setdefault(mn, [])
        speakers.append(session)
        most = self._shares.connections_per_mn
        if most and len(speakers) > most:
            stalest = min(speakers, key=lambda speaker: speaker.heard_at)
            if stalest is not session:
                speakers.remove(stalest)
                stalest.close(LIMIT)

    def _send_away(self) -> bool:
        """Close the oldest connection that never brought a packet; False where each did."""
        if not self._unheard:
            return False
        oldest = next(iter(self._unheard))
        del self._unheard[oldest]
        oldest.abort(LIMIT)
        return True
