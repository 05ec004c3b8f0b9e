"""Who may use the event loop, and for how long, while some connections send more than the others.

A socket gives up to 256 KB at a time, which is milliseconds of work: forty of them at once would keep everybody waiting
for half a second (`bench/hostile.py`). What is more than a data logger's ordinary packets is taken in slices, a few of
them between two looks at the sockets, in the order the connections came.
"""

import asyncio
from collections import deque
from typing import Protocol

SLICE_BYTES = 4096  # less than a millisecond of ordinary frames
TURN_SECS = 0.002  # of slices between two looks at the sockets
MAX_WAITING = 64  # connections beyond which those that are gone lose their turn: 16 MB at most wait for nobody


class Talker(Protocol):
    """A connection that has more to be read than a slice."""

    def take_turn(self) -> bool:
        """Take one slice; False when nothing is left."""
        ...


class Turns:
    """The connections that wait for their next slice."""

    def __init__(self) -> None:
        self._waiting: deque[Talker] = deque()
        self._loop = asyncio.get_running_loop()

    @property
    def has_room(self) -> bool:
        """Whether connections that have ended since may keep their turn."""
        return len(self._waiting) < MAX_WAITING

    def queue(self, talker: Talker) -> None:
        """Let a connection take its turn after those that wait already; it must not wait yet."""
        if not self._waiting:
            self._loop.call_soon(self._run)
        self._waiting.append(talker)

    def _run(self) -> None:
        """Let each take a slice until the time is over, and go on when the sockets were looked at."""
        until = self._loop.time() + TURN_SECS
        while self._waiting:
            talker = self._waiting.popleft()
            if talker.take_turn():
                self._waiting.append(talker)
            if self._loop.time() >= until:
                break
        if self._waiting:
            self._loop.call_soon(self._run)
