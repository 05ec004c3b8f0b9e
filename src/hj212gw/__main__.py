"""Run with ``python -m hj212gw``; also what the program `hj212gw` calls."""

import os
import signal
import sys
from typing import Final

INTERRUPTED: Final = 130


def main() -> None:
    """Run the command line; Ctrl-C ends it with 130, also while it is still being imported.

    An exception would not do there: it comes out of whatever module is just being read, or is lost in it.
    """
    handler = signal.getsignal(signal.SIGINT)
    if handler is signal.default_int_handler:
        signal.signal(signal.SIGINT, lambda *_: os._exit(INTERRUPTED))
    try:
        from hj212gw import cli  # noqa: PLC0415 - slow to import

        cli.main(lambda: signal.signal(signal.SIGINT, handler))
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)


if __name__ == "__main__":
    main()
