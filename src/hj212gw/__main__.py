"""Run with ``python -m hj212gw``."""

from hj212gw.cli import main

if __name__ == "__main__":
    main()
