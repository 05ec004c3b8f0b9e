"""One data logger with the habits of a real one.

It has one connection and one packet under way: it sends, waits for the 9014, sends the same bytes again when none
comes, and after the last attempt keeps the packet, connects anew and goes on. New data goes first, what was kept
afterwards (HJ 212-2025, 8.2.2, secondary). It loses nothing: when the backlog is full, its schedule waits.
"""

import asyncio
import random
import time
from collections import deque
from typing import NamedTuple, cast

from hj212gw.clock import Clock
from hj212gw.errors import ProtocolError
from hj212gw.protocol import Frame, FrameBuffer, Packet, parse_packet
from hj212sim.plan import PlannedSchedule
from hj212sim.report import Tally, Witnesses
from hj212sim.schedule import US, Schedule, Upload
from hj212sim.uploads import UploadWriter, Written, is_answer_to

_CONNECT_TIMEOUT_SECS = 10.0
_PIECE_SECS = 0.02  # between two parts of a frame that is sent in pieces


class Habits(NamedTuple):
    """How data loggers treat their host; all times are real seconds, whatever the clock.

    Attributes:
        host, port: where they connect.
        timeout_secs: how long to wait for an answer (OverTime).
        resend_count: how often to send again without one (ReCount).
        reconnect_first_secs: wait before the first attempt to connect again; doubles up to
        reconnect_max_secs: the longest wait. An answer makes it short again.
        backlog_limit: packets kept; beyond it the schedule waits.
    """

    host: str
    port: int
    timeout_secs: float = 10.0
    resend_count: int = 3
    reconnect_first_secs: float = 1.0
    reconnect_max_secs: float = 30.0
    backlog_limit: int = 1000


class World:
    """What the data loggers of one run share.

    Args:
        habits: how they treat their host.
        clock: tells when something is due.
        tally: counts what they do.
        witnesses: are told of every packet.
    """

    def __init__(self, habits: Habits, clock: Clock, tally: Tally, witnesses: Witnesses) -> None:
        self.habits = habits
        self.clock = clock
        self.tally = tally
        self.witnesses = witnesses
        self.loop = asyncio.get_running_loop()
        self.rng = random.Random()  # of waits only; packets follow from the seed


class Attempt(NamedTuple):
    """An upload under way.

    Attributes:
        upload: what is sent.
        written: its bytes.
        begun_at: performance counter at the first transmission on this connection.
        transmissions: on this connection.
    """

    upload: Upload
    written: Written
    begun_at: float
    transmissions: int = 1


class DataLogger:
    """Delivers the uploads of one schedule.

    Args:
        writer: turns them into bytes.
        schedule: when they fall due.
        world: shared with the others.
    """

    def __init__(self, writer: UploadWriter, schedule: Schedule | PlannedSchedule, world: World) -> None:
        self.finished = asyncio.Event()
        self._writer = writer
        self._fault = writer.profile.fault
        self._fault_slug = self._fault.fault.slug if self._fault is not None else ""
        self._schedule = schedule
        self._world = world
        self._backlog: deque[Upload] = deque()
        self._attempt: Attempt | None = None
        self._link: Link | None = None
        self._connecting: asyncio.Task[None] | None = None
        self._answer_timer: asyncio.TimerHandle | None = None
        self._due_timer: asyncio.TimerHandle | None = None
        self._wait_secs = world.habits.reconnect_first_secs
        self._is_closed = False

    @property
    def is_refused(self) -> bool:
        """Whether a fault of its own keeps its uploads without an answer, as long as the host has no setting for it."""
        return self._fault is not None and self._fault.is_refused

    @property
    def unsent_count(self) -> int:
        """Uploads that fell due and were never sent; those of a faulty data logger do not count."""
        if self._fault is not None:
            return 0
        return sum(not upload.transmissions for upload in self._backlog)

    def start(self, *, spread_secs: float) -> None:
        """Take up the schedule, and connect at some moment within this time."""
        self._connect_after(self._world.rng.uniform(0.0, spread_secs))
        self._advance()

    def stop(self) -> None:
        """Make nothing more; what was made is still delivered."""
        self._schedule.end_at(0)
        self._advance()

    async def close(self) -> None:
        """Hang up for good."""
        self._is_closed = True
        for timer in (self._answer_timer, self._due_timer):
            if timer is not None:
                timer.cancel()
        if self._connecting is not None:
            self._connecting.cancel()
            await asyncio.gather(self._connecting, return_exceptions=True)
        if self._link is not None:
            link = self._link
            link.abort()
            await link.gone.wait()

    def link_opened(self, link: "Link") -> None:
        """Take a new connection and begin."""
        self._link = link
        self._world.tally.connects += 1
        self._world.tally.connected += 1
        self._advance()

    def link_lost(self, *, is_wanted: bool) -> None:
        """Keep what was under way and connect again."""
        self._link = None
        self._world.tally.connected -= 1
        if self._is_closed:
            return
        self._world.tally.errors += not is_wanted
        self._give_up()
        self._connect_after(0.0 if is_wanted else self._next_wait())
        self._advance()

    def make_buffer(self) -> FrameBuffer:
        """Make what cuts the host's answers out of a connection's bytes."""
        return self._writer.make_buffer()

    def note_noise(self) -> None:
        """Count what came from the host and is no packet."""
        self._world.tally.errors += 1

    def take(self, packet: Packet) -> None:
        """Take a packet of the host: the answer that is awaited, a late one, or a request."""
        attempt = self._attempt
        if attempt is not None and is_answer_to(attempt.upload, attempt.written.qn, packet):
            self._settle(attempt)
        elif self._link is not None:
            for frame in self._writer.reply(packet):
                self._link.send(frame)

    def _settle(self, attempt: Attempt) -> None:
        """An upload is acknowledged: note it and go on."""
        world = self._world
        if self._answer_timer is not None:
            self._answer_timer.cancel()
        self._attempt = None
        self._wait_secs = world.habits.reconnect_first_secs
        world.tally.late += 0 < attempt.upload.deadline_us < world.clock.now_us()
        world.tally.note_acked(attempt.upload, time.perf_counter() - attempt.begun_at, self._fault_slug)
        if world.witnesses.acked is not None:
            world.witnesses.acked.note(self._writer.profile, attempt.upload, attempt.written)
        link = self._link
        if link is not None and attempt.written.draft.echo:
            link.send(attempt.written.draft.echo)
        is_ambiguous = not attempt.written.qn or self._fault is not None
        if attempt.transmissions > 1 and is_ambiguous and link is not None:
            # A second answer is on its way without a QN of its own: the next upload would take it for its own.
            link.hang_up()
        else:
            self._advance()

    def _advance(self) -> None:
        """Do what comes next: new data, then what was kept, else wait until something falls due."""
        if self._attempt is not None or self._is_closed:
            return
        if self._due_timer is not None:
            self._due_timer.cancel()
            self._due_timer = None
        if self._link is None or self._link.is_closing:
            self._keep_due()
        else:
            upload = self._next_upload()
            if upload is not None:
                self._begin(upload)
                return
        due_us = self._schedule.next_due_us
        if due_us is None:
            if not self._backlog:
                self.finished.set()
        elif len(self._backlog) < self._world.habits.backlog_limit:
            wait_secs = (due_us - self._world.clock.now_us()) / US
            self._due_timer = self._world.loop.call_later(
                max(0.0, self._world.clock.real_secs(wait_secs)), self._advance
            )

    def _next_upload(self) -> Upload | None:
        due_us = self._schedule.next_due_us
        if due_us is not None and due_us <= self._world.clock.now_us():
            return self._schedule.take()
        return self._backlog.popleft() if self._backlog else None

    def _keep_due(self) -> None:
        """Without a connection, keep what falls due while there is room."""
        now_us = self._world.clock.now_us()
        room = self._world.habits.backlog_limit - len(self._backlog)
        while room > 0 and (due_us := self._schedule.next_due_us) is not None and due_us <= now_us:
            self._backlog.append(self._schedule.take())
            room -= 1

    def _begin(self, upload: Upload) -> None:
        written = self._writer.write(upload)
        witness = self._world.witnesses.sent
        if witness is not None and not upload.transmissions:
            witness.note(self._writer.profile, upload, written)
        self._transmit(Attempt(upload, written, time.perf_counter()))

    def _transmit(self, attempt: Attempt) -> None:
        assert self._link is not None
        world, upload, draft = self._world, attempt.upload, attempt.written.draft
        world.tally.note_sent(upload, world.clock.now_us(), self._fault_slug)
        upload.transmissions += 1
        self._link.send(attempt.written.frame, draft.pieces)
        if draft.asks:
            self._attempt = attempt
            self._answer_timer = world.loop.call_later(world.habits.timeout_secs, self._miss_answer)
            return
        if draft.hangs_up:
            self._link.hang_up()
        world.loop.call_soon(self._advance)

    def _miss_answer(self) -> None:
        """No answer in time: send again, or hang up after the last attempt."""
        attempt, link = self._attempt, self._link
        assert attempt is not None
        assert link is not None
        if attempt.transmissions <= self._world.habits.resend_count:
            self._transmit(attempt._replace(transmissions=attempt.transmissions + 1))
        else:
            link.abort()

    def _give_up(self) -> None:
        """Keep the upload under way behind the others, so that one that is never answered holds up none."""
        if self._answer_timer is not None:
            self._answer_timer.cancel()
        if self._attempt is None:
            return
        if self.is_refused:
            # It goes on as a real one does, and forgets the oldest when it has no more room.
            if self._schedule.is_over(self._world.clock.now_us()):
                self.finished.set()
            if len(self._backlog) >= self._world.habits.backlog_limit - 1:
                self._backlog.popleft()
        self._backlog.append(self._attempt.upload)
        self._attempt = None

    def _next_wait(self) -> float:
        """Return the time to wait before connecting, with jitter, and make the next one longer."""
        wait_secs = self._wait_secs * self._world.rng.uniform(0.5, 1.0)
        self._wait_secs = min(2.0 * self._wait_secs, self._world.habits.reconnect_max_secs)
        return wait_secs

    def _connect_after(self, wait_secs: float) -> None:
        self._connecting = self._world.loop.create_task(self._connect(wait_secs))

    async def _connect(self, wait_secs: float) -> None:
        habits = self._world.habits
        while True:
            await asyncio.sleep(wait_secs)
            try:
                async with asyncio.timeout(_CONNECT_TIMEOUT_SECS):
                    await self._world.loop.create_connection(lambda: Link(self), habits.host, habits.port)
            except (OSError, TimeoutError):
                self._world.tally.errors += 1
                wait_secs = self._next_wait()
            else:
                return


class Link(asyncio.Protocol):
    """The connection of one data logger: bytes in, packets to it."""

    def __init__(self, logger: DataLogger) -> None:
        self.gone = asyncio.Event()
        self.is_closing = False
        self._logger = logger
        self._buffer = logger.make_buffer()
        self._transport: asyncio.Transport | None = None
        self._is_wanted = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Report in."""
        self._transport = cast("asyncio.Transport", transport)
        self._logger.link_opened(self)

    def data_received(self, data: bytes) -> None:
        """Take bytes as they come."""
        # A host may leave CR LF out: an answer is whole without it.
        for event in (*self._buffer.feed(data), *self._buffer.release()):
            try:
                packet = parse_packet(event.segment) if isinstance(event, Frame) else None
            except ProtocolError:
                packet = None
            if packet is None:
                self._logger.note_noise()
            else:
                self._logger.take(packet)

    def connection_lost(self, exc: Exception | None) -> None:
        """Report the end, once."""
        self.is_closing = True
        self.gone.set()
        self._logger.link_lost(is_wanted=self._is_wanted and exc is None)

    def send(self, frame: bytes, pieces: int = 1) -> None:
        """Send one frame; with one upload under way there is never much to hold.

        Args:
            frame: its bytes.
            pieces: in how many parts they leave, a moment apart.
        """
        size = -(-len(frame) // pieces)
        self._write(frame[:size])
        loop = asyncio.get_running_loop()
        for number in range(1, pieces):
            loop.call_later(number * _PIECE_SECS, self._write, frame[number * size : (number + 1) * size])

    def _write(self, data: bytes) -> None:
        if self._transport is not None and not self.is_closing:
            self._transport.write(data)

    def hang_up(self) -> None:
        """End the connection in order, to begin a fresh one."""
        self._is_wanted = self.is_closing = True
        if self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        """End the connection at once."""
        self.is_closing = True
        if self._transport is not None:
            self._transport.abort()
