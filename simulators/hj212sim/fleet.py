"""Many data loggers on one event loop: a run from its first packet to its report."""

import asyncio
from collections.abc import Iterable
from typing import Any, NamedTuple

from hj212gw.clock import Clock, to_us
from hj212sim.logger import DataLogger, Habits, World
from hj212sim.plan import PlannedSchedule
from hj212sim.report import Tally, Witnesses
from hj212sim.schedule import US, Schedule
from hj212sim.uploads import Profile, UploadWriter

_SPREAD_SECS = 0.001  # between two data loggers that connect at the start


class Span(NamedTuple):
    """What a run makes, and how long it waits for answers in the end.

    Attributes:
        seed: of all values.
        start_us: the first packet is due then or later, microseconds since 1970 UTC.
        secs: only what falls due within so many seconds of the clock is made; None for no end.
        packets: only so many packets of each data logger are made; None for no end.
        linger_secs: at the end, real seconds without a single acknowledgement after which what is left counts as
            lost; None to wait for ever.
    """

    seed: int
    start_us: int
    secs: float | None = None
    packets: int | None = None
    linger_secs: float | None = 30.0


class Fleet:
    """Runs data loggers; to be made inside a running event loop.

    Args:
        profiles: one a data logger.
        span: what they send.
        habits: how they treat their host.
        clock: tells when something is due.
        witnesses: files that are told of every packet.
    """

    def __init__(
        self,
        profiles: Iterable[Profile],
        span: Span,
        habits: Habits,
        clock: Clock,
        witnesses: Witnesses | None = None,
    ) -> None:
        self.tally = Tally()
        self._span = span
        self._clock = clock
        self._world = World(habits, clock, self.tally, witnesses or Witnesses())
        self._end_us = 0
        self._loggers = [self._make_logger(profile) for profile in profiles]
        self._stopped = asyncio.Event()
        self._abandoned = asyncio.Event()

    def __len__(self) -> int:
        return len(self._loggers)

    @property
    def is_stopping(self) -> bool:
        """Whether no more packets are made."""
        return self._stopped.is_set()

    def stop(self) -> None:
        """Make no more packets and wait for the answers still due; a second call does not wait for them."""
        if self._stopped.is_set():
            self._abandoned.set()
            return
        self._stopped.set()
        for logger in self._loggers:
            logger.stop()

    async def run(self) -> dict[str, Any]:
        """Run to the end and return the report; `is_complete` tells what it means."""
        begun_at = self._world.loop.time()
        waits = [
            asyncio.create_task(wait)
            for wait in (self._wait_finished(), self._wait_end(), self._stopped.wait(), self._abandoned.wait())
        ]
        finished, _, _, abandoned = waits
        try:
            for logger in self._loggers:
                logger.start(spread_secs=len(self._loggers) * _SPREAD_SECS)
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            await self._linger({finished, abandoned})
        finally:
            for task in waits:
                task.cancel()
            await asyncio.gather(*waits, return_exceptions=True)
            await asyncio.gather(*(logger.close() for logger in self._loggers))
        unsent = sum(logger.unsent_count for logger in self._loggers)
        return self.tally.report(unsent=unsent, secs=self._world.loop.time() - begun_at)

    def _make_logger(self, profile: Profile) -> DataLogger:
        span = self._span
        schedule = Schedule(profile.cns, profile.rhythm, start_us=span.start_us)
        if span.secs is not None:
            schedule.end_at(span.start_us + int(span.secs * US))
            self._end_us = span.start_us + int(span.secs * US)
        if span.packets is not None:
            self._end_us = max(self._end_us, schedule.end_after(span.packets))
        planned = schedule if profile.plan is None else PlannedSchedule(schedule, profile.plan)
        return DataLogger(UploadWriter(profile, seed=span.seed), planned, self._world)

    async def _wait_finished(self) -> None:
        for logger in self._loggers:
            await logger.finished.wait()

    async def _wait_end(self) -> None:
        """Wait until the clock has passed the last moment at which a packet may fall due."""
        if not self._end_us:
            await self._abandoned.wait()
        while (left_us := self._end_us - to_us(self._clock.now())) > 0:
            await self._clock.sleep(left_us / US)

    async def _linger(self, ends: set[asyncio.Task[Any]]) -> None:
        """Wait for the answers still due, as long as any come."""
        while not any(task.done() for task in ends):
            before = self.tally.acked.total()
            done, _ = await asyncio.wait(ends, timeout=self._span.linger_secs, return_when=asyncio.FIRST_COMPLETED)
            if not done and self.tally.acked.total() == before:
                return


def is_complete(report: dict[str, Any]) -> bool:
    """Tell whether everything that fell due was sent and acknowledged in time, faulty data loggers aside."""
    return not report["unacked"] and not report["unsent"] and not report["late"]
