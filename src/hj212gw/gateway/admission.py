"""Which data loggers are known, and what each is allowed, from the last registry snapshot.

Nobody is turned away here: an unknown MN or a wrong PW is acknowledged, kept apart or flagged (design,
promise 6). The snapshot is kept beside the journal, so that a start without the database knows it too.
"""

import enum
import hmac
from collections.abc import Iterable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from hj212gw import telemetry_gateway
from hj212gw.clock import Clock
from hj212gw.errors import ConfigError
from hj212gw.gateway.networks import NetworkList
from hj212gw.gateway.snapshots import read_snapshot, write_snapshot
from hj212gw.protocol.dialects import SLUGS, Dialect, Key, make_dialect
from hj212gw.registry.keysfile import KeysFile
from hj212gw.store.loggers import DatedKey, KnownLogger
from hj212gw.telemetry import host_of

_EARLIEST = datetime.min.replace(tzinfo=UTC)


class Verdict(enum.StrEnum):
    """What admission thinks of a packet."""

    KNOWN = "known"
    UNKNOWN_MN = "unknown_mn"
    WRONG_PASSWORD = "wrong_password"  # noqa: S105 - a slug


class _Parlance(NamedTuple):
    """How the data loggers that deviate speak, at a moment.

    Attributes:
        dialects: by MN, without those that speak the standard and have no key.
        keys: by (MN, key id), newest first, in force or not.
        holds_until: when a key begins or ends next.
    """

    dialects: dict[str, Dialect]
    keys: dict[tuple[str, str], list[DatedKey]]
    holds_until: datetime | None


class Admission:
    """The registry's data loggers by MN.

    Args:
        accepts_unknown: whether an unknown MN is registered as found, or its packets are held.
        snapshot: file the last registry is kept in; None keeps none.
        keys_file: keys beside those of the database; None where there is no such file.
        clock: decides which keys are in force.
    """

    def __init__(
        self,
        *,
        accepts_unknown: bool,
        snapshot: Path | None,
        keys_file: KeysFile | None = None,
        clock: Clock | None = None,
    ) -> None:
        self.accepts_unknown = accepts_unknown
        self._snapshot = snapshot
        self._keys_file = keys_file
        self._clock = clock or Clock()
        self._file_keys: dict[str, tuple[DatedKey, ...]] = {}
        self._loggers: dict[str, KnownLogger] = {}
        self._retired: dict[str, KnownLogger] = {}  # not registered now, but with keys that earlier packets need
        self._kept: dict[str, KnownLogger] | None = None  # what the snapshot file holds; None: unknown
        self._parlance = _Parlance({}, {}, None)
        self._networks: dict[str, NetworkList] = {}  # of the data loggers that have some

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

    def min_interval_mins(self, mn: str) -> int:
        """Return the minute interval of a data logger, 0 where it is not known."""
        logger = self._loggers.get(mn)
        return (logger and logger.min_interval_mins) or 0

    def is_foreign(self, mn: str, peer: str) -> bool:
        """Tell whether the registry expects a data logger in networks that a peer, host:port, is not in."""
        networks = self._networks.get(mn)
        return networks is not None and not networks.holds(host_of(peer))

    def dialect_of(self, mn: str) -> Dialect | None:
        """Return how a data logger deviates from the standard now; None where it does not and has no key."""
        return self._parlance.dialects.get(mn)

    def key_of(self, mn: str, key_id: str, at: datetime | None = None) -> Key | None:
        """Return a key of a data logger, also one that is not in force any more.

        Args:
            mn: as kept with the packet.
            key_id: likewise.
            at: the packet's arrival; of several keys of the id the one in force then is taken, else the newest.
        """
        dated = self._parlance.keys.get((mn, key_id))
        if not dated:
            return None
        moment = at or self._clock.now()
        return next((known.key for known in dated if known.holds_at(moment)), dated[0].key)

    def add_found(self, mn: str, st: str) -> None:
        """Take a data logger as known that was registered as found."""
        self._loggers.setdefault(mn, KnownLogger(mn, None, st, None))

    def replace(self, loggers: Iterable[KnownLogger]) -> None:
        """Take the registry as it is now; keep it in the snapshot file when it changed.

        A disk without room keeps the snapshot of before: draining must go on, for it is what makes room.
        """
        known = {logger.mn: logger for logger in loggers}
        self._take(known)
        if self._snapshot is not None and known != self._kept:
            with suppress(OSError):
                write_snapshot(self._snapshot, known.values())
                self._kept = known

    def load_snapshot(self) -> int:
        """Read the snapshot file; return how many data loggers it held, 0 where there is none."""
        known = read_snapshot(self._snapshot) if self._snapshot is not None else None
        if known is None:
            return 0  # a first start, or a file cut short: the database will tell
        self._kept = {logger.mn: logger for logger in known}
        self._take(self._kept)
        return len(self._loggers)

    def load_keys(self) -> None:
        """Read the keys file, at a start.

        Raises:
            ConfigError: it cannot be read, or a line is wrong.
        """
        if self._keys_file is not None:
            self._file_keys = self._keys_file.read()
            self._rebuild()

    def refresh(self) -> None:
        """Follow the keys file and the clock; asked every second. A file that became wrong changes nothing."""
        if self._keys_file is not None and self._keys_file.has_changed():
            try:
                self.load_keys()
            except ConfigError as error:
                telemetry_gateway.keys_refused(error)
        elif self._parlance.holds_until is not None and self._clock.now() >= self._parlance.holds_until:
            self._rebuild()

    def _take(self, known: dict[str, KnownLogger]) -> None:
        self._loggers = {mn: logger for mn, logger in known.items() if logger.is_registered}
        self._retired = {mn: logger for mn, logger in known.items() if not logger.is_registered}
        self._networks = {mn: NetworkList(logger.networks) for mn, logger in self._loggers.items() if logger.networks}
        self._rebuild()

    def _rebuild(self) -> None:
        """Make the dialects anew, once a change, so that asking for one is one look-up."""
        now = self._clock.now()
        dialects: dict[str, Dialect] = {}
        keys: dict[tuple[str, str], list[DatedKey]] = {}
        bounds: list[datetime] = []
        logged = {**self._retired, **self._loggers}
        for mn in {*(mn for mn, logger in logged.items() if logger.dialects or logger.keys), *self._file_keys}:
            logger = logged.get(mn)
            dated = sorted((*self._file_keys.get(mn, ()), *(logger.keys if logger else ())), key=_age, reverse=True)
            for known in dated:
                keys.setdefault((mn, known.key.key_id), []).append(known)
                bounds += [bound for bound in known[1:] if bound is not None and bound > now]
            in_force = [known.key for known in dated if known.holds_at(now)]
            slugs = [slug for slug in (logger.dialects if logger else ()) if slug in SLUGS]  # others: a newer version's
            if slugs or in_force:
                dialects[mn] = make_dialect(slugs, in_force)
        self._parlance = _Parlance(dialects, keys, min(bounds, default=None))


def _age(dated: DatedKey) -> tuple[datetime, str]:
    return dated.valid_from or _EARLIEST, dated.key.key_id
