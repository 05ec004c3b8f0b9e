"""One TCP connection: bytes in, answers out, never more in memory than its water mark.

Many MNs may share a connection and one MN may have several. Reading pauses while too much waits for the disk,
and for as long as the journal has no room.
"""

import asyncio
import socket
from collections import deque
from typing import TYPE_CHECKING, cast

from hj212gw import telemetry_access
from hj212gw.gateway.turns import SLICE_BYTES
from hj212gw.protocol import Discard, Frame, FrameBuffer

if TYPE_CHECKING:
    from hj212gw.gateway.intake import Intake

KEEPALIVE = {"TCP_KEEPIDLE": 60, "TCP_KEEPINTVL": 15, "TCP_KEEPCNT": 4, "TCP_USER_TIMEOUT": 60_000}
TRAILER_WAIT_SECS = 0.2  # for a CR LF that may follow in another segment

_ESTABLISHED = 1  # Linux's TCP state
_LOW_SHARE = 4  # low water is a quarter of high water
_OWN_PAUSES = frozenset(("answers", "end"))  # causes that lie with the data logger


class Session(asyncio.Protocol):
    """One connection of a data logger.

    Args:
        intake: takes what comes, in order.
        session_id: counts connections of the process.
        max_segment: longest data segment accepted, bytes.
        high_water_bytes: most that may wait for the disk before reading pauses.
    """

    def __init__(self, intake: "Intake", session_id: int, *, max_segment: int, high_water_bytes: int) -> None:
        self.session_id = session_id
        self.peer = ""
        self.host = ""
        self.opened_at = 0.0
        self.certified_mns: frozenset[str] | None = None  # in capitals; None: no certificate, or it binds nothing
        self.rejects_until = 0.0
        self.forgiven_count = 0
        self.packet_count = 0
        self.reject_count = 0
        self.noise_bytes = 0
        self.heard_at = 0.0
        self.interval_secs = 0
        self.mns: set[str] = set()
        self._intake = intake
        self._buffer = FrameBuffer(dialect_of=intake.dialect_of, max_segment=max_segment)
        self._high_water_bytes = high_water_bytes
        self._events: deque[Frame | Discard] = deque()
        self._unread = b""  # came and waits for a turn
        self._waiting_bytes = 0
        self._answers: list[bytes] = []
        self._transport: asyncio.Transport | None = None
        self._pauses: set[str] = set()
        self._close_reason = ""
        self._is_lost = False
        self._is_reported = False
        self._trailer_timer: asyncio.TimerHandle | None = None
        self._rest_timer: asyncio.TimerHandle | None = None
        self._loop = asyncio.get_running_loop()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin: tune the socket and report in."""
        self._transport = cast("asyncio.Transport", transport)
        if not self.peer:
            self.name_peer(*(transport.get_extra_info("peername") or ("?", 0))[:2])
        self.heard_at = self.opened_at = self._loop.time()
        _tune(transport.get_extra_info("socket"))
        unwanted = self._intake.session_opened(self)
        if unwanted:
            self.abort(unwanted)

    def name_peer(self, host: str, port: int) -> None:
        """Say whose connection it is, before it is made where a proxy tells."""
        self.host = host
        self.peer = f"{host}:{port}"

    def data_received(self, data: bytes) -> None:
        """Take bytes as they come."""
        self.heard_at = self._loop.time()
        if self._trailer_timer is not None:
            self._trailer_timer.cancel()
            self._trailer_timer = None
        if len(data) <= SLICE_BYTES and not self._unread:
            self._hear(data)
            return
        is_waiting = bool(self._unread)
        self._unread += data
        if not is_waiting:
            self.pause("turn")
            self._intake.turns.queue(self)

    def take_turn(self) -> bool:
        """Take a slice of what came; False when all is taken."""
        piece, self._unread = self._unread[:SLICE_BYTES], self._unread[SLICE_BYTES:]
        self._hear(piece)
        if self._unread:
            return True
        if self._is_lost:
            self._end()
        else:
            self.resume("turn")
        return False

    def eof_received(self) -> bool:
        """Report what is left when the other side has said all; keep the line for answers still due."""
        self._hear(self._unread)
        self._unread = b""
        self._take(self._buffer.close())
        self._close_reason = self._close_reason or "peer"
        self.pause("end")  # for good: there is nothing more to read
        self._loop.call_soon(self._finish_if_done)
        return self.has_waiting or bool(self._events)

    def connection_lost(self, exc: Exception | None) -> None:
        """End: report once, on every path."""
        for timer in (self._trailer_timer, self._rest_timer):
            if timer is not None:
                timer.cancel()
        self._transport = None
        self._close_reason = self._close_reason or ("peer" if exc is None else "reset")
        self._is_lost = True
        if self._unread and self._intake.turns.has_room:
            return  # what came is taken in its turn
        self._unread = b""  # nobody is answered any more; a kernel drops what was not read as well
        self._end()

    def pause_writing(self) -> None:
        """Stop reading from a data logger that does not take its answers."""
        self.pause("answers")

    def resume_writing(self) -> None:
        """Go on when it takes them."""
        self.resume("answers")

    def pause(self, cause: str) -> None:
        """Stop reading for a cause; several may hold at once."""
        if not self._pauses and self._transport is not None and not self._transport.is_closing():
            self._transport.pause_reading()
        self._pauses.add(cause)

    def resume(self, cause: str) -> None:
        """Drop a cause; reading goes on when none is left."""
        if cause not in self._pauses:
            return
        self._pauses.discard(cause)
        if not self._pauses and self._transport is not None and not self._transport.is_closing():
            self.heard_at = self._loop.time()  # it could not be heard before
            self._transport.resume_reading()

    def rest(self, secs: float) -> None:
        """Stop reading for a while: the data logger is faster than it may be."""
        if self._rest_timer is not None:
            self._rest_timer.cancel()
        self._rest_timer = self._loop.call_later(secs, self.resume, "rate")
        if "rate" not in self._pauses:
            telemetry_access.session_rested(self.peer, secs)
        self.pause("rate")

    def take_waiting(self) -> bool:
        """Go on with what could not be taken; False when it still cannot."""
        while self._events:
            if not self._intake.take(self, self._events[0]):
                self.pause("room")
                return False
            self._events.popleft()
        self.resume("room")
        self._finish_if_done()
        return True

    def hold(self, byte_count: int) -> None:
        """Note bytes on their way to the disk."""
        self._waiting_bytes += byte_count
        if self._waiting_bytes > self._high_water_bytes:
            self.pause("water")

    def settle(self, byte_count: int, answer: bytes | None) -> None:
        """Note that a packet is on disk, and send its answer with those of the same commit."""
        self._waiting_bytes -= byte_count
        if answer is not None:
            if not self._answers:
                self._loop.call_soon(self._flush)
            self._answers.append(answer)
        if self._waiting_bytes * _LOW_SHARE <= self._high_water_bytes:
            self.resume("water")
        if self._close_reason:
            self._loop.call_soon(self._finish_if_done)

    def close(self, reason: str) -> None:
        """Close when the answers due are sent."""
        self._close_reason = self._close_reason or reason
        self._flush()
        if self._transport is not None:
            self._transport.close()

    def abort(self, reason: str) -> None:
        """Close at once."""
        self._close_reason = self._close_reason or reason
        if self._transport is not None:
            self._transport.abort()

    def take_leftovers(self) -> list[Frame | Discard]:
        """Return what was read and never taken, at the connection's end."""
        leftovers = list(self._events)
        self._events.clear()
        return leftovers

    def now(self) -> float:
        """Tell the event loop's time, seconds."""
        return self._loop.time()

    @property
    def has_waiting(self) -> bool:
        """Whether packets of this connection are on their way to the disk, or answers to the line."""
        return self._waiting_bytes > 0 or bool(self._answers)

    @property
    def is_held_up(self) -> bool:
        """Whether the gateway does not listen to a data logger that is still there.

        One that takes no answers holds itself up; one that has gone is not heard of while reading is paused.
        """
        if self._transport is None or self._pauses <= _OWN_PAUSES:
            return False
        return _is_established(self._transport.get_extra_info("socket"))

    def _hear(self, data: bytes) -> None:
        self._take(self._buffer.feed(data))
        if self._buffer.awaits_trailer and not self._unread and not self._is_lost:
            self._trailer_timer = self._loop.call_later(TRAILER_WAIT_SECS, self._release)

    def _end(self) -> None:
        """Report the end, once."""
        if self._is_reported:
            return
        self._is_reported = True
        self._take(self._buffer.close())
        self._intake.session_closed(self, self._close_reason)

    def _take(self, events: list[Frame | Discard]) -> None:
        if not events:
            return
        self._events.extend(events)
        self.take_waiting()

    def _release(self) -> None:
        self._trailer_timer = None
        self._take(self._buffer.release())

    def _flush(self) -> None:
        answers, self._answers = self._answers, []
        if answers and self._transport is not None and not self._transport.is_closing():
            self._transport.write(b"".join(answers))

    def _finish_if_done(self) -> None:
        """Close a line the other side has finished with, once nothing is due any more."""
        if self._close_reason and not self._waiting_bytes and not self._events:
            self._flush()
            if self._transport is not None and not self._transport.is_closing():
                self._transport.close()


def _is_established(connection: socket.socket | None) -> bool:
    """Tell whether neither side has ended a connection; where the system does not say, it has not."""
    option = getattr(socket, "TCP_INFO", None)
    if connection is None or option is None:
        return True
    return bool(connection.getsockopt(socket.IPPROTO_TCP, option, 1)[0] == _ESTABLISHED)


def _tune(connection: socket.socket | None) -> None:
    """Find dead lines within two minutes; send answers at once."""
    if connection is None or connection.family not in (socket.AF_INET, socket.AF_INET6):
        return
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for name, value in KEEPALIVE.items():
        option = getattr(socket, name, None)
        if option is not None:
            connection.setsockopt(socket.IPPROTO_TCP, option, value)
