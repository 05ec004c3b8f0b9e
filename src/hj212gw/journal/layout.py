"""Where the journals of a gateway of several processes lie, and which of them nobody fills any more.

One process has its journal in the directory itself. Of several, each has one of its own in `worker-0`, `worker-1` …
below it. A change of their number leaves journals behind: those must be drained all the same.
"""

import re
from pathlib import Path

from hj212gw.journal.directory import IDENTITY_NAME
from hj212gw.journal.segments import list_segments

_NAME = re.compile(r"worker-(0|[1-9][0-9]{0,3})")


def worker_directory(base: Path, index: int) -> Path:
    """Return the directory of a worker's journal; `index` counts from 0."""
    return base / f"worker-{index}"


def list_journals(base: Path) -> list[Path]:
    """List the directories that hold a journal: `base` itself first, then those of workers in their order.

    Raises:
        OSError: a directory cannot be read.
    """
    if not base.is_dir():
        return []
    found = [(int(match[1]), path) for path in base.iterdir() if (match := _NAME.fullmatch(path.name))]
    return [path for path in (base, *(path for _, path in sorted(found))) if _holds_journal(path)]


def find_orphans(base: Path, worker_count: int) -> list[Path]:
    """List the journals that none of so many processes fills.

    Raises:
        OSError: a directory cannot be read.
    """
    filled = [base] if worker_count == 1 else [worker_directory(base, index) for index in range(worker_count)]
    return [path for path in list_journals(base) if path not in filled]


def _holds_journal(path: Path) -> bool:
    return path.is_dir() and ((path / IDENTITY_NAME).exists() or bool(list_segments(path)))
