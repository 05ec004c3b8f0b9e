"""What systemd is told of a service: that it is ready, still alive, and stopping (sd_notify); nothing elsewhere."""

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress

_US_A_SECOND = 1_000_000
_SIGNS_OF_LIFE = 3  # in the time after which systemd takes a service for dead


def notify(*fields: str, environ: Mapping[str, str] = os.environ) -> bool:
    """Send fields such as `READY=1` to the service manager; False where there is none.

    A manager that does not listen, or not any more, is no reason to fail: it decides by itself what silence means.
    """
    address = environ.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")):
        return False
    if address.startswith("@"):
        address = f"\0{address[1:]}"
    with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as line:
        line.setblocking(False)
        line.connect(address)
        line.send("\n".join(fields).encode())
        return True
    return False


def find_watchdog_secs(environ: Mapping[str, str] = os.environ) -> float | None:
    """Return how long this process may be silent; None where nobody watches it."""
    pid, text = environ.get("WATCHDOG_PID", ""), environ.get("WATCHDOG_USEC", "")
    if not text.isdigit() or int(text) == 0 or pid not in ("", str(os.getpid())):
        return None
    return int(text) / _US_A_SECOND


@asynccontextmanager
async def announced(status: str) -> AsyncIterator[None]:
    """Be a service that is ready for as long as the context lasts, and stopping after it.

    The signs of life come from the event loop: one that hangs sends none, and the manager starts another process.

    Args:
        status: a line for people, such as where it listens.
    """
    notify("READY=1", f"STATUS={status}")
    silence = find_watchdog_secs()
    task = None if silence is None else asyncio.create_task(_live(silence / _SIGNS_OF_LIFE))
    try:
        yield
    finally:
        if task is not None:
            task.cancel()
        notify("STOPPING=1", "STATUS=finishing what was received")


async def _live(every_secs: float) -> None:
    while True:
        notify("WATCHDOG=1")
        await asyncio.sleep(every_secs)
