"""Several worker processes on one port: started, watched, replaced when they end, asked, and stopped in order.

A worker is a process of the same program with a journal of its own; this process takes no packets. What one of them
left in its journal when it died is drained by its successor, which opens the same journal.
"""

import asyncio
import json
import signal
import socket
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, Final, NamedTuple

from hj212gw import telemetry_gateway
from hj212gw.errors import ConfigError, Hj212Error, JournalError
from hj212gw.gateway.control import ASK, LINE_LIMIT_BYTES, STOP, Handover
from hj212gw.merging import MergedMetrics, Snapshot

WRONG_SETTINGS: Final = 3  # what the program exits with when its settings are wrong

_ASK_SECS = 1.0
_POLL_SECS = 1.0
_RETRY_FIRST_SECS = 0.2
_RETRY_MAX_SECS = 30.0
_CALM_SECS = 60.0  # a worker that lived for longer did not die of its start
_KILL_SECS = 5.0


class WorkerLimits(NamedTuple):
    """How workers are started and stopped.

    Attributes:
        command: makes the command line of a worker, given its number.
        inherited: descriptors they get: the lock that tells when the last of them has gone.
        stop_secs: longest a worker may take to stop before it is killed.
    """

    command: Callable[[int], Sequence[str]]
    inherited: tuple[int, ...]
    stop_secs: float


class Supervisor:
    """Runs one worker a handover.

    Args:
        handovers: what each is told, in order.
        limits: how they are started and stopped.

    Attributes:
        metrics: of all workers and this process together.
    """

    def __init__(self, handovers: Sequence[Handover], limits: WorkerLimits) -> None:
        self.metrics = MergedMetrics()
        self._limits = limits
        self._workers = [_Worker(handover, limits, self.metrics) for handover in handovers]
        self._running: list[asyncio.Task[None]] = []
        self._polling: asyncio.Task[None] | None = None

    @property
    def pids(self) -> list[int | None]:
        """The workers' process ids in their order; None for one that does not run now."""
        return [worker.pid for worker in self._workers]

    async def start(self) -> None:
        """Start all workers and wait until all of them listen.

        Raises:
            ConfigError, Hj212Error: one ended before it did; what it said stands in the log above.
        """
        self._running = [asyncio.create_task(worker.run()) for worker in self._workers]
        await asyncio.gather(*(asyncio.shield(worker.ready) for worker in self._workers))
        self._polling = asyncio.create_task(self._poll())

    async def find_fault(self) -> str | None:
        """Ask all workers; say which of them take no packets and why, None when all do."""
        await self._ask()
        faults = [(worker.index, worker.find_fault()) for worker in self._workers]
        return "; ".join(f"worker {index}: {fault}" for index, fault in faults if fault) or None

    def forward(self, number: int) -> None:
        """Send a signal to all workers that listen."""
        for worker in self._workers:
            worker.signal(number)

    async def stop(self) -> None:
        """Stop all workers in order; one that takes too long is killed, and its journal keeps what is not stored."""
        telemetry_gateway.gateway_stopping("asked")
        if self._polling is not None:
            self._polling.cancel()
        for worker in self._workers:
            worker.stop()
        if self._running:
            _, late = await asyncio.wait(self._running, timeout=self._limits.stop_secs)
            if late:
                self.forward(signal.SIGKILL)
                _, late = await asyncio.wait(late, timeout=_KILL_SECS)
            for task in late:
                task.cancel()
        telemetry_gateway.gateway_stopped()

    async def _poll(self) -> None:
        """Ask now and then, so that little of what a worker counted is lost with it."""
        while True:
            await asyncio.sleep(_POLL_SECS)
            await self._ask()

    async def _ask(self) -> None:
        await asyncio.gather(*(worker.ask() for worker in self._workers))


class _Worker:
    """One worker: the process that plays its part now, and what it last said."""

    def __init__(self, handover: Handover, limits: WorkerLimits, metrics: MergedMetrics) -> None:
        loop = asyncio.get_running_loop()
        self.index = handover.worker
        self.ready: asyncio.Future[None] = loop.create_future()
        self._handover = handover
        self._limits = limits
        self._metrics = metrics
        self._process: asyncio.subprocess.Process | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._answer: asyncio.Future[None] | None = None
        self._stopping = asyncio.Event()
        self._is_listening = False
        self._is_silent = False  # a report was asked for and did not come in time
        self._state: str | None = "it is starting"

    @property
    def pid(self) -> int | None:
        return None if self._process is None else self._process.pid

    def find_fault(self) -> str | None:
        if self._is_listening and self._is_silent:
            return "it does not answer"
        return self._state

    async def run(self) -> None:
        """Keep a process in this place until told to stop."""
        loop = asyncio.get_running_loop()
        delay = _RETRY_FIRST_SECS
        while not self._stopping.is_set():
            began = loop.time()
            pid, how, code = await self._live()
            self._metrics.end(self.index)
            if self._stopping.is_set():
                break
            if not self.ready.done():
                self.ready.set_exception(_explain(self.index, how, code))
                return
            if loop.time() - began > _CALM_SECS:
                delay = _RETRY_FIRST_SECS
            telemetry_gateway.worker_lost(self.index, pid, how, delay)
            self._state = f"it {how}; another is started {delay:g} s later"
            with suppress(TimeoutError):
                async with asyncio.timeout(delay):
                    await self._stopping.wait()
            delay = min(_RETRY_MAX_SECS, delay * 2)

    async def ask(self) -> None:
        """Have a worker report, unless it still owes a report."""
        if not self._is_listening or self._writer is None:
            return
        if self._answer is None:
            self._answer = asyncio.get_running_loop().create_future()
            self._writer.write(ASK + b"\n")
        try:
            async with asyncio.timeout(_ASK_SECS):
                await asyncio.shield(self._answer)
        except TimeoutError:
            self._is_silent = True

    def signal(self, number: int) -> None:
        if self._process is not None and (self._is_listening or number == signal.SIGKILL):
            with suppress(ProcessLookupError):
                self._process.send_signal(number)

    def stop(self) -> None:
        self._stopping.set()
        if self._writer is not None and not self._writer.is_closing():
            self._writer.write(STOP + b"\n")

    async def _live(self) -> tuple[int, str, int]:
        """Start a process and stay with it to its end; return its id, how it ended and its exit code."""
        ours, theirs = socket.socketpair()
        try:
            with theirs:
                self._process = await asyncio.create_subprocess_exec(
                    *self._limits.command(self.index),
                    stdin=theirs.fileno(),
                    pass_fds=self._limits.inherited,
                    start_new_session=True,  # the terminal's Ctrl-C is ours to pass on
                )
        except OSError as error:
            ours.close()
            return 0, f"could not be started: {error}", 1
        process = self._process
        telemetry_gateway.worker_started(self.index, process.pid)
        await self._talk(ours)
        code = await process.wait()
        self._process = None
        return process.pid, _describe(code), code

    async def _talk(self, ours: socket.socket) -> None:
        """Read what a worker says until it hangs up."""
        reader, writer = await asyncio.open_unix_connection(sock=ours, limit=LINE_LIMIT_BYTES)
        self._writer = writer
        try:
            writer.write(self._handover.encode())
            if self._stopping.is_set():
                self.stop()
            with suppress(OSError, ValueError, KeyError, TypeError):  # what is no document ends the conversation
                while line := await reader.readline():
                    self._hear(json.loads(line))
        finally:
            self._is_listening = False
            self._writer = None
            self._settle()
            writer.close()

    def _hear(self, document: dict[str, Any]) -> None:
        if "ready" in document:
            self._is_listening = True
            self._state = None
            if not self.ready.done():
                self.ready.set_result(None)
            return
        self._state = document["fault"]
        self._metrics.note(self.index, Snapshot.parse(document["snapshot"]))
        self._settle()

    def _settle(self) -> None:
        self._is_silent = False
        answer, self._answer = self._answer, None
        if answer is not None and not answer.done():
            answer.set_result(None)


def _describe(code: int) -> str:
    if code >= 0:
        return f"ended with exit code {code}"
    try:
        return f"was ended by {signal.Signals(-code).name}"
    except ValueError:
        return f"was ended by signal {-code}"


def _explain(index: int, how: str, code: int) -> Hj212Error:
    """Make the error of a worker that ended before it listened, of the kind its exit code tells."""
    kind = ConfigError if code == WRONG_SETTINGS else JournalError
    return kind(f"worker {index} {how} before it listened: what it said stands above")
