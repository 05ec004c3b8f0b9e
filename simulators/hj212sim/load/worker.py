"""One process of a load run: opens its share of the connections, keeps the times, and reports to the parent.

The parent sends ("go", moment), ("stop", 0.0) and ("abandon", 0.0); the worker ("ready", None), ("progress", Progress)
and, last, ("done", Tally). Moments are of the monotonic clock, which the processes of a machine share.
"""

import asyncio
import gc
import math
import resource
import signal
import time
from multiprocessing.connection import Connection
from typing import Any

from hj212sim.load.frames import FrameSource, Stream
from hj212sim.load.line import Line, World
from hj212sim.load.plan import Plan
from hj212sim.load.tally import Issued, Tally
from hj212sim.loops import loop_factory

PROGRESS_SECS = 0.5
_LOOK_SECS = 0.05  # between two looks whether all is done
_LEAST_TICK_SECS = 0.001
_SETTLE_SECS = 0.5  # to connect, before the first packet of a rate is due
_SPARE_FILES = 64
_KIB = 1024


def run_worker(plan: Plan, process: int, parent: Connection) -> None:
    """Run one process from its connections' first packet to their last answer.

    Args:
        plan: of the whole run, placed in time.
        process: its number, from 0.
        parent: the line to the parent, which ends the run when it breaks.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)  # the parent decides
    _allow_files(len(plan.connections_of(process)) + _SPARE_FILES)
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        runner.run(_Worker(plan, process, parent).run())


def _allow_files(count: int) -> None:
    """Raise the number of open files to what is needed, as far as the system lets us."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY:
        count = min(count, hard)
    if soft != resource.RLIM_INFINITY and soft < count:
        resource.setrlimit(resource.RLIMIT_NOFILE, (count, hard))


class _Worker:
    """See `run_worker`."""

    def __init__(self, plan: Plan, process: int, parent: Connection) -> None:
        self._plan = plan
        self._numbers = plan.connections_of(process)
        self._parent = parent
        self._tally = Tally()
        self._world = World(plan, self._tally, 0.0)
        self._lines: list[Line] = []
        self._streams = self._make_streams()
        self._prepared_cpu_secs = time.process_time()
        self._is_abandoned = False

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        began_at = self._wait_for_go()
        if began_at is None:
            return
        loop.add_reader(self._parent.fileno(), self._hear)
        # What there is now stays; what comes is freed by counting, and a collection would be a pause that we measure.
        gc.freeze()
        gc.disable()
        self._begin(began_at)
        tasks = [loop.create_task(task) for task in self._tasks(began_at)]
        try:
            await self._wait_end()
        finally:
            for task in tasks:
                task.cancel()
            ends = await asyncio.gather(*tasks, return_exceptions=True)
            loop.remove_reader(self._parent.fileno())
            self._world.is_over = self._world.is_closed = True
            for line in self._lines:
                line.close()
        for end in ends:
            if isinstance(end, Exception):
                raise end  # a fault of ours, whose run is worth nothing
        self._send("done", self._sum_up())

    def _make_streams(self) -> list[Stream]:
        source = FrameSource(self._plan)
        return [
            Stream(source, [source.make_lane(logger) for logger in self._plan.loggers_of(number)])
            for number in self._numbers
        ]

    def _wait_for_go(self) -> float | None:
        self._send("ready", None)
        try:
            word, moment = self._parent.recv()
        except EOFError:
            return None
        return float(moment) if word == "go" else None

    def _begin(self, began_at: float) -> None:
        plan, world, loop = self._plan, self._world, asyncio.get_running_loop()
        settle_secs = _SETTLE_SECS if plan.interval_secs else 0.0
        self._tally.began_at = world.moved_at = began_at + plan.ramp_secs + settle_secs
        world.end_at = self._tally.began_at + plan.secs if plan.secs is not None else math.inf
        for place, (number, stream) in enumerate(zip(self._numbers, self._streams, strict=True)):
            open_at = began_at + plan.ramp_secs * number / plan.connections
            due_at = self._first_turn_at(began_at) + place * self._gap_secs
            if plan.interval_secs:
                late_secs = max(0.0, open_at + settle_secs - due_at)
                due_at += math.ceil(late_secs / plan.interval_secs) * plan.interval_secs  # a turn of its own again
            line = Line(world, stream, plan.limit_of(number), due_at)
            self._lines.append(line)
            loop.call_later(max(0.0, open_at - time.monotonic()), line.open)

    @property
    def _gap_secs(self) -> float:
        """Seconds between two packets of this process."""
        return self._plan.interval_secs / len(self._numbers)

    def _first_turn_at(self, began_at: float) -> float:
        """Tell when this process begins, so that the processes do not send at the same moments."""
        return began_at + self._gap_secs * self._numbers[0] / self._plan.processes

    def _tasks(self, began_at: float) -> list[Any]:
        tasks = [self._report()]
        if self._plan.ramp_secs:
            tasks.append(self._note_ramp_end())
        if self._plan.interval_secs:
            tasks.append(self._pace(self._first_turn_at(began_at)))
        if self._plan.storm_secs is not None:
            tasks.append(self._storm(self._plan.storm_secs))
        return tasks

    async def _pace(self, first_at: float) -> None:
        """Give each connection its turn when something falls due on it."""
        lines, gap, visited = self._lines, self._gap_secs, 0
        while True:
            now = time.monotonic()
            reached = int((now - first_at) / gap) + 1 if now >= first_at else 0
            for turn in range(max(visited, reached - len(lines)), reached):
                lines[turn % len(lines)].advance(now)
            visited = max(visited, reached)
            await asyncio.sleep(max(_LEAST_TICK_SECS, first_at + visited * gap - time.monotonic()))

    async def _storm(self, secs: float) -> None:
        """Cut all connections at once, in all processes at the same moment."""
        while True:
            await _sleep_until(self._tally.began_at + (self._tally.storms + 1) * secs)
            if self._world.is_over:
                return
            self._tally.storms += 1
            for line in self._lines:
                line.cut()

    async def _report(self) -> None:
        while True:
            self._send("progress", self._tally.progress())
            await asyncio.sleep(PROGRESS_SECS)

    async def _note_ramp_end(self) -> None:
        await _sleep_until(self._tally.began_at)
        self._tally.ramp_sent, self._tally.ramp_acked = self._tally.sent, self._tally.acked

    async def _wait_end(self) -> None:
        """Wait until everything is sent and answered, or nothing moves any more."""
        world, tally = self._world, self._tally
        while not self._is_abandoned:
            now = time.monotonic()
            if now >= world.end_at or all(line.is_done for line in self._lines):
                self._stop()
            if world.is_over and tally.sent == tally.acked:
                return
            # At a rate there are times when nothing is due.
            is_idle = tally.sent == tally.acked and not any(line.count_unsent(now) for line in self._lines)
            if is_idle and self._plan.interval_secs:
                world.moved_at = max(world.moved_at, now)
            elif now - world.moved_at > self._plan.linger_secs:
                tally.is_given_up = True
                self._stop()
                return
            await asyncio.sleep(_LOOK_SECS)

    def _stop(self) -> None:
        """Send nothing new from here on."""
        if not self._world.is_over:
            self._world.is_over = True
            now = time.monotonic()
            self._world.end_at = min(self._world.end_at, now)
            self._tally.unsent = sum(line.count_unsent(now) for line in self._lines)

    def _hear(self) -> None:
        try:
            word, _ = self._parent.recv()
        except (EOFError, OSError):
            word = "abandon"
            asyncio.get_running_loop().remove_reader(self._parent.fileno())
        self._stop()
        self._is_abandoned = self._is_abandoned or word == "abandon"

    def _sum_up(self) -> Tally:
        tally = self._tally
        tally.cpu_secs = time.process_time() - self._prepared_cpu_secs
        tally.memory_bytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _KIB
        tally.issued = [
            Issued(number, stream.sent, tuple(waiting for _, waiting in stream.unacked.values()))
            for number, stream in zip(self._numbers, self._streams, strict=True)
        ]
        return tally

    def _send(self, word: str, content: Any) -> None:
        try:
            self._parent.send((word, content))
        except OSError:
            self._is_abandoned = True  # the parent is gone


async def _sleep_until(moment: float) -> None:
    await asyncio.sleep(max(0.0, moment - time.monotonic()))
