"""One connection of a load run: keeps its window full or its times, takes answers, and comes back when it is cut."""

import asyncio
import math
import time
from dataclasses import dataclass
from typing import cast

from hj212gw.errors import ProtocolError
from hj212gw.protocol import CommandKind, Frame, FrameBuffer, Packet, parse_data_area, parse_packet, sender_kind
from hj212sim.load.frames import Stream
from hj212sim.load.latency import FINE_BITS, place_of
from hj212sim.load.plan import Plan
from hj212sim.load.tally import Tally

_CONNECT_TIMEOUT_SECS = 10.0
_FIRST_WAIT_SECS, _MAX_WAIT_SECS = 0.05, 1.0
_SEND_SHARE = 4  # without a rate, a quarter of the window goes out at a time
_MAX_REST_BYTES = 65_536  # of an answer that does not end
_FINE = (1 << FINE_BITS + 1) - 1


@dataclass(slots=True)
class World:
    """What the connections of one process share.

    Attributes:
        end_at: on the monotonic clock; nothing falls due then or later.
        moved_at: when a packet was last sent for the first time or answered.
        is_over: nothing new is sent.
        is_closed: nothing at all is.
    """

    plan: Plan
    tally: Tally
    end_at: float
    moved_at: float = 0.0
    is_over: bool = False
    is_closed: bool = False


class Line(asyncio.Protocol):
    """A connection and all that follow it.

    Args:
        world: shared.
        stream: its packets.
        limit: most packets it sends.
        due_at: when the first is due, on the monotonic clock; with a rate the others follow at its interval.
    """

    def __init__(self, world: World, stream: Stream, limit: int, due_at: float) -> None:
        self.stream = stream
        self._world = world
        self._limit = limit
        self._due_at = due_at
        self._interval = world.plan.interval_secs
        self._transport: asyncio.Transport | None = None
        self._connecting: asyncio.Task[None] | None = None
        self._wait_secs = _FIRST_WAIT_SECS
        self._rest = b""
        self._is_full = False  # the socket takes no more for now
        self._is_held = False  # something was due that could not go out
        self._is_cut = False

    @property
    def is_done(self) -> bool:
        """Whether it has sent everything it may."""
        return self.stream.sent >= self._limit

    def open(self) -> None:
        """Connect, again and again until it succeeds."""
        if self._connecting is None and not self._world.is_closed:
            self._connecting = asyncio.get_running_loop().create_task(self._connect(wait_secs=0.0))

    def cut(self) -> None:
        """End the connection at once; it comes back by itself."""
        if self._transport is not None:
            self._is_cut = True
            self._transport.abort()

    def close(self) -> None:
        """Hang up for good."""
        if self._connecting is not None:
            self._connecting.cancel()
        if self._transport is not None:
            self._transport.abort()

    def count_unsent(self, now: float) -> int:
        """Tell how many packets fell due and were not sent; 0 without a rate."""
        return self._count_due(now) if self._interval else 0

    def advance(self, now: float) -> None:
        """Send what is due and fits into the window."""
        world, stream = self._world, self.stream
        if self._transport is None or self._is_full or world.is_over:
            self._is_held = True
            return
        room = min(world.plan.window - len(stream.unacked), self._limit - stream.sent)
        if not self._interval:
            least = min(max(1, world.plan.window // _SEND_SHARE), self._limit - stream.sent)
            if now < world.end_at and 0 < least <= room:
                self._send(room, now)
            return
        count = self._count_due(now)
        if (fitting := min(count, room)) > 0:
            due = self._due_at + stream.sent * self._interval
            if not self._is_held:
                world.tally.lags.add(now - due)
            self._send(fitting, due)
        self._is_held = fitting < count

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin: what has no answer goes first, with the QN it had."""
        self._transport = cast("asyncio.Transport", transport)
        self._rest, self._is_full, self._is_cut = b"", False, False
        world, waiting = self._world, len(self.stream.unacked)
        world.tally.connects += 1
        world.tally.connected += 1
        if waiting:
            world.tally.resent += waiting
            self._transport.write(self.stream.repeat())
        self.advance(time.monotonic())

    def data_received(self, data: bytes) -> None:
        """Take answers; the usual one is found by its head, which holds QN and MN."""
        now = time.monotonic()
        stream, tally = self.stream, self._world.tally
        counts, take, stop = tally.latencies.counts, stream.unacked.pop, 6 + stream.answer_bytes
        lines = (self._rest + data).split(b"\r\n")
        self._rest = lines.pop()
        acked = 0
        for line in lines:
            found = take(line[6:stop], None)
            if found is None:
                self._take_odd(line, now)
                continue
            acked += 1
            duration_us = int((now - found[0]) * 1e6)
            counts[duration_us if 0 <= duration_us <= _FINE else place_of(duration_us)] += 1
        if acked:
            self._note_acked(acked, now)
        if len(self._rest) > _MAX_REST_BYTES:
            tally.errors["endless answer"] += 1
            self.cut()
        self.advance(now)

    def pause_writing(self) -> None:
        """The gateway reads more slowly than this sends."""
        self._is_full = True

    def resume_writing(self) -> None:
        """It has caught up."""
        self._is_full = False
        self.advance(time.monotonic())

    def connection_lost(self, exc: Exception | None) -> None:
        """Come back; an end that was not ours is an error."""
        self._transport = None
        tally = self._world.tally
        tally.connected -= 1
        if self._world.is_closed:
            return
        if not self._is_cut:
            tally.errors["closed by the gateway" if exc is None else "connection reset"] += 1
        if self._connecting is None:
            wait_secs = 0.0 if self._is_cut else self._next_wait()
            self._connecting = asyncio.get_running_loop().create_task(self._connect(wait_secs=wait_secs))

    def _count_due(self, now: float) -> int:
        """Tell how many packets are due and not sent."""
        end_at = self._world.end_at
        elapsed = min(now, end_at) - self._due_at
        if elapsed < 0:
            return 0
        # What is due at the very end is not due any more.
        count = int(elapsed / self._interval) + 1 if now < end_at else math.ceil(elapsed / self._interval)
        return max(0, min(count, self._limit) - self.stream.sent)

    def _send(self, count: int, due: float) -> None:
        assert self._transport is not None
        self._transport.write(self.stream.emit(count, due, self._interval))
        self._world.tally.sent += count
        self._world.moved_at = time.monotonic()

    def _note_acked(self, count: int, now: float) -> None:
        self._world.tally.acked += count
        self._world.tally.ended_at = self._world.moved_at = now
        self._wait_secs = _FIRST_WAIT_SECS

    def _take_odd(self, line: bytes, now: float) -> None:
        """Take what is not the usual answer to a packet that waits for one."""
        tally, buffer = self._world.tally, FrameBuffer()
        for event in (*buffer.feed(line + b"\r\n"), *buffer.close()):
            try:
                packet = parse_packet(event.segment) if isinstance(event, Frame) else None
            except ProtocolError:
                packet = None
            if packet is None:
                tally.errors["not a packet"] += 1
            elif packet.cn == "9014":
                self._take_answer(packet, now)
            elif sender_kind(packet.cn, packet.edition) is CommandKind.ANSWER:
                tally.strange_answers += 1
            else:
                tally.requests += 1

    def _take_answer(self, packet: Packet, now: float) -> None:
        qn = packet.qn or parse_data_area(packet.cp).find("QN") or ""
        number = self.stream.find(qn, packet.mn)
        found = None if number is None else self.stream.unacked.pop(self.stream.key_of(number), None)
        if found is not None:
            self._world.tally.latencies.add(now - found[0])
            self._note_acked(1, now)
        elif number is not None:
            self._world.tally.repeated_acks += 1
        else:
            self._world.tally.strange_answers += 1

    async def _connect(self, *, wait_secs: float) -> None:
        plan, errors = self._world.plan, self._world.tally.errors
        loop = asyncio.get_running_loop()
        while self._transport is None:  # a gateway may hang up before this task goes on
            await asyncio.sleep(wait_secs)
            wait_secs = self._next_wait()
            try:
                async with asyncio.timeout(_CONNECT_TIMEOUT_SECS):
                    await loop.create_connection(lambda: self, plan.host, plan.port)
            except TimeoutError:
                errors["connecting took too long"] += 1
            except OSError as error:
                errors[f"cannot connect: {error.strerror or type(error).__name__}"] += 1
        self._connecting = None

    def _next_wait(self) -> float:
        """Return the time to wait before connecting again, and make the next one longer."""
        wait_secs = self._wait_secs
        self._wait_secs = min(2 * wait_secs, _MAX_WAIT_SECS)
        return wait_secs
