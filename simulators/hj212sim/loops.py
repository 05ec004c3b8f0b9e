"""The event loop that simulations run on."""

import asyncio
from collections.abc import Callable


def loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """Return what makes a fast event loop, None where only Python's own is to be had."""
    try:
        import uvloop  # noqa: PLC0415 - it has no build for Windows
    except ImportError:
        return None
    return uvloop.new_event_loop
