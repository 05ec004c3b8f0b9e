"""Which data loggers are known, from the last registry snapshot.

Nobody is turned away here: an unknown MN or a wrong PW is acknowledged, kept apart or flagged (design,
promise 6). The snapshot is kept beside the journal, so that a start without the database knows it too.
"""

import enum
import hmac
import json
import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from hj212gw.store.loggers import KnownLogger


class Verdict(enum.StrEnum):
    """What admission thinks of a packet."""

    KNOWN = "known"
    UNKNOWN_MN = "unknown_mn"
    WRONG_PASSWORD = "wrong_password"  # noqa: S105 - a slug


class Admission:
    """The registry's data loggers by MN.

    Args:
        accepts_unknown: whether an unknown MN is registered as found, or its packets are held.
        snapshot: file the last registry is kept in; None keeps none.
    """

    def __init__(self, *, accepts_unknown: bool, snapshot: Path | None) -> None:
        self.accepts_unknown = accepts_unknown
        self._snapshot = snapshot
        self._loggers: dict[str, KnownLogger] = {}
        self._kept: dict[str, KnownLogger] | None = None  # what the snapshot file holds; None: unknown

    def judge(self, mn: str, pw: str) -> Verdict:
        """Tell what to think of a packet's MN and PW; the PW is compared in constant time."""
        logger = self._loggers.get(mn)
        if logger is None:
            return Verdict.UNKNOWN_MN
        if logger.pw is None or hmac.compare_digest(logger.pw.encode(), pw.encode()):
            return Verdict.KNOWN
        return Verdict.WRONG_PASSWORD

    def interval_secs(self, mn: str) -> int:
        """Return the real-time interval of a data logger, 0 where it is not known."""
        logger = self._loggers.get(mn)
        return (logger and logger.interval_secs) or 0

    def add_found(self, mn: str, st: str) -> None:
        """Take a data logger as known that was registered as found."""
        self._loggers.setdefault(mn, KnownLogger(mn, None, st, None))

    def replace(self, loggers: Iterable[KnownLogger]) -> None:
        """Take the registry as it is now; keep it in the snapshot file when it changed.

        A disk without room keeps the snapshot of before: draining must go on, for it is what makes room.
        """
        self._loggers = {logger.mn: logger for logger in loggers}
        if self._snapshot is not None and self._loggers != self._kept:
            with suppress(OSError):
                self._write_snapshot(self._snapshot)

    def load_snapshot(self) -> int:
        """Read the snapshot file; return how many data loggers it held, 0 where there is none."""
        if self._snapshot is None:
            return 0
        try:
            rows = json.loads(self._snapshot.read_text())
            self._kept = {row[0]: KnownLogger(*row) for row in rows}
        except (OSError, ValueError, TypeError, LookupError):
            return 0  # a first start, or a file cut short: the database will tell
        self._loggers = dict(self._kept)
        return len(self._loggers)

    def _write_snapshot(self, path: Path) -> None:
        draft = path.with_suffix(".draft")
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            json.dump([list(logger) for logger in self._loggers.values()], file)
        draft.replace(path)
        self._kept = dict(self._loggers)
