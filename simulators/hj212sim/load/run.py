"""A load run seen from its parent process: starts the others, shows how far they are, and sums them up."""

import multiprocessing
import resource
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from typing import Any

from hj212gw.errors import Hj212Error
from hj212sim.load.plan import Plan
from hj212sim.load.report import make_report
from hj212sim.load.tally import Progress, Tally
from hj212sim.load.worker import PROGRESS_SECS, run_worker

_START_SECS = 120.0  # for processes to build their frames
_LEAD_SECS = 0.1  # between the word to begin and the beginning
_END_SECS = 10.0
_KIB = 1024

Show = Callable[[Progress, float], None]


class LoadFailed(Hj212Error):
    """A process of the generator ended before its time."""

    reason = "load_failed"


class Run:
    """One load run.

    Args:
        plan: placed in time.
        show: is told the counts and the seconds since the beginning, about twice a second.

    Attributes:
        tally: of all processes, once `run` is over.
    """

    def __init__(self, plan: Plan, show: Show) -> None:
        self.tally = Tally()
        self._plan = plan
        self._show = show
        self._processes: list[SpawnProcess] = []
        self._pipes: dict[Connection, Progress] = {}
        self._stops = 0
        self._stops_told = 0

    def run(self) -> dict[str, Any]:
        """Run to the end and return the report; the first SIGINT or SIGTERM ends it in order, the second at once.

        Raises:
            LoadFailed: a process of the generator ended before its time.
        """
        try:
            with self._hearing_signals():
                self._start()
                began_at = time.monotonic() + _LEAD_SECS
                self._tell("go", began_at)
                self._follow(began_at)
        finally:
            self._end()
        own_bytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _KIB
        return make_report(self._plan, self.tally, seconds=time.monotonic() - began_at, own_bytes=own_bytes)

    def _start(self) -> None:
        # A fresh interpreter each: event loops and threads do not survive a fork.
        context = multiprocessing.get_context("spawn")
        for number in range(self._plan.processes):
            ours, theirs = context.Pipe()
            process = context.Process(target=run_worker, args=(self._plan, number, theirs), daemon=True)
            process.start()
            theirs.close()
            self._processes.append(process)
            self._pipes[ours] = Progress()
        for pipe in self._pipes:
            if not pipe.poll(_START_SECS):
                raise LoadFailed(f"a process of the generator was not ready within {_START_SECS:.0f} s")
            self._receive(pipe)

    def _follow(self, began_at: float) -> None:
        """Take what the processes report until each has said that it is done."""
        waiting = set(self._pipes)
        shown_at = 0.0
        while waiting:
            for pipe in wait(list(waiting), timeout=PROGRESS_SECS / 2):
                assert isinstance(pipe, Connection)
                word, content = self._receive(pipe)
                if word == "done":
                    waiting.discard(pipe)
                    self._pipes[pipe] = content.progress()
                    self.tally.merge(content)
                else:
                    self._pipes[pipe] = content
            if self._stops > self._stops_told:
                self._stops_told = self._stops
                self._tell("stop" if self._stops == 1 else "abandon", 0.0)
            now = time.monotonic()
            if now - shown_at >= PROGRESS_SECS:
                shown_at = now
                self._show(Progress(*map(sum, zip(*self._pipes.values(), strict=True))), now - began_at)

    def _receive(self, pipe: Connection) -> tuple[str, Any]:
        try:
            word, content = pipe.recv()
        except (EOFError, OSError) as error:
            raise LoadFailed("a process of the generator ended before its time") from error
        return word, content

    def _tell(self, word: str, moment: float) -> None:
        for pipe in self._pipes:
            try:
                pipe.send((word, moment))
            except OSError:
                continue  # it has ended; whether in order shows in what it sent

    @contextmanager
    def _hearing_signals(self) -> Iterator[None]:
        def stop(_number: int, _frame: Any) -> None:
            self._stops += 1

        before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _end(self) -> None:
        for pipe in self._pipes:
            pipe.close()
        for process in self._processes:
            process.join(_END_SECS)
            if process.is_alive():
                process.kill()
