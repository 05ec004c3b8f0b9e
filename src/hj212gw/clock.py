"""The time of day, real or simulated.

A simulated clock lets a month of a city pass in minutes, with arrivals and cut-offs that mean something.
Whoever needs "now" takes a `Clock`; nothing else in the package asks the system for the time of day.
"""

import asyncio
import time
from datetime import UTC, datetime, timedelta

_UNIX_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Clock:
    """The system's clock, or one that began at `epoch` and runs `speed` times as fast.

    A simulated clock is driven by the monotonic clock, so it never jumps and never goes back.

    Args:
        epoch: the simulated time at `origin`; the real time when None. Aware.
        speed: simulated seconds in a real second, above 0.
        origin: the real moment at which `epoch` was or will be; now when None. Processes that share an origin
            agree on the time, and one that restarts goes on where it would have been. Aware.
    """

    def __init__(self, epoch: datetime | None = None, speed: float = 1.0, *, origin: datetime | None = None) -> None:
        if speed <= 0:
            raise ValueError(f"speed must be above 0, got {speed}")
        self.is_simulated = epoch is not None or speed != 1.0
        self._speed = speed
        elapsed_secs = 0.0 if origin is None else (datetime.now(UTC) - origin).total_seconds()
        self._origin_secs = time.monotonic() - elapsed_secs
        self._epoch_us = to_us(epoch if epoch is not None else origin or datetime.now(UTC))

    def now_us(self) -> int:
        """Tell the time in whole microseconds since 1970 UTC."""
        if not self.is_simulated:
            return time.time_ns() // 1000
        return self._epoch_us + int((time.monotonic() - self._origin_secs) * self._speed * 1_000_000)

    def now(self) -> datetime:
        """Tell the time as an aware UTC datetime."""
        return from_us(self.now_us())

    def real_secs(self, secs: float) -> float:
        """Tell how many real seconds so many seconds of this clock take."""
        return secs / self._speed

    async def sleep(self, secs: float) -> None:
        """Wait for so many seconds of this clock; 0 or less only lets others run."""
        await asyncio.sleep(max(0.0, self.real_secs(secs)))

    async def sleep_until(self, moment: datetime) -> None:
        """Wait until this clock shows a moment; one that passed returns at once."""
        await self.sleep((moment - self.now()).total_seconds())


def to_us(moment: datetime) -> int:
    """Turn an aware datetime into whole microseconds since 1970 UTC, exactly."""
    return (moment - _UNIX_EPOCH) // timedelta(microseconds=1)


def from_us(us: int) -> datetime:
    """Turn microseconds since 1970 UTC into an aware UTC datetime, exactly."""
    return _UNIX_EPOCH + timedelta(microseconds=us)
