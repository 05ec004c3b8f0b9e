"""The line between a supervisor and one of its workers: a socket pair, one JSON document or word a line.

The supervisor writes a handover first, then `ask` and `stop`; the worker writes where it listens, once, and a report
for every `ask`. Either end that finds the line closed knows that the other process ended, however it did: that needs
no signal, no file and no name that others could use.
"""

import asyncio
import json
import os
import socket
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final, NamedTuple

from hj212gw.errors import ConfigError
from hj212gw.merging import Snapshot

LINE_LIMIT_BYTES: Final = 1 << 20
ASK: Final = b"ask"
STOP: Final = b"stop"
WORKER_LINE: Final = 0  # the descriptor a worker finds its end at: its standard input

_KILLED = 1


class Handover(NamedTuple):
    """What a worker is told at its start.

    Attributes:
        worker: its number, from 0.
        worker_count: how many there are.
        journals: the directory under which all have their journals.
        config: the settings file, None for none.
        simulated_clock: whether the settings may change the clock.
        overrides: settings that stand above file and environment, by full name.
    """

    worker: int
    worker_count: int
    journals: str
    config: str | None
    simulated_clock: bool
    overrides: dict[str, Any]

    def encode(self) -> bytes:
        """Write the line that tells it."""
        return json.dumps(self._asdict(), default=str).encode() + b"\n"


class Report(NamedTuple):
    """What a worker says of itself; `fault` is why it does not take packets, None when it does."""

    fault: str | None
    snapshot: Snapshot


def read_handover(descriptor: int = WORKER_LINE) -> Handover:
    """Read the first line, before there is an event loop.

    Raises:
        ConfigError: nobody is at the other end, or it is no supervisor.
    """
    line = bytearray()
    while not line.endswith(b"\n"):
        byte = os.read(descriptor, 1)  # what comes behind the line belongs to the event loop
        if not byte or len(line) >= LINE_LIMIT_BYTES:
            raise ConfigError("--worker is for the workers of `serve --workers N`, which tells them what to do")
        line += byte
    try:
        return Handover(**json.loads(line))
    except (ValueError, TypeError) as error:
        raise ConfigError("--worker: what came is no supervisor's handover") from error


class WorkerLine:
    """A worker's end.

    Attributes:
        stopped: why the worker has to stop, once it has to.
    """

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._serving: asyncio.Task[None] | None = None
        self.stopped: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    @classmethod
    async def open(cls, descriptor: int = WORKER_LINE) -> "WorkerLine":
        """Take the line over from where `read_handover` left it."""
        line = socket.socket(fileno=os.dup(descriptor))
        return cls(*await asyncio.open_unix_connection(sock=line, limit=LINE_LIMIT_BYTES))

    def begin(self, address: str, report: Callable[[], Report]) -> None:
        """Say where we listen, and answer from now on."""
        self._write({"ready": address})
        self._serving = asyncio.create_task(self._serve(report))

    def tell(self, report: Report) -> None:
        """Report without being asked; nothing happens when nobody is there."""
        self._write({"fault": report.fault, "snapshot": report.snapshot._asdict()})

    async def close(self) -> None:
        """Hand over what was written and hang up."""
        if self._serving is not None:
            self._serving.cancel()
        self._writer.close()
        with suppress(OSError):
            await self._writer.wait_closed()

    async def _serve(self, report: Callable[[], Report]) -> None:
        while line := await self._read():
            word = line.strip()
            if word == ASK:
                self.tell(report())
            elif word == STOP and not self.stopped.done():
                self.stopped.set_result("the supervisor's word")
        if self.stopped.done():
            os._exit(_KILLED)  # it was in the midst of stopping us and is gone: it was forced, and so are we
        self.stopped.set_result("the supervisor's end")

    async def _read(self) -> bytes:
        try:
            return await self._reader.readline()
        except (OSError, ValueError):
            return b""

    def _write(self, document: dict[str, Any]) -> None:
        if not self._writer.is_closing():
            self._writer.write(json.dumps(document).encode() + b"\n")
