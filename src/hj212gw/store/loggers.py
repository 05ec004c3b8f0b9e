"""Data loggers as the gateway needs them: their numbers, who is known and how, who was found."""

from collections import defaultdict
from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple

from hj212gw.protocol.dialects import Key
from hj212gw.store.pool import CONNECTION_ERRORS, Connection, sort_error
from hj212gw.store.queries import load_query

if TYPE_CHECKING:
    from collections.abc import Iterable


class DatedKey(NamedTuple):
    """A key and when it holds; None where a period is open."""

    key: Key
    valid_from: datetime | None
    valid_to: datetime | None

    def holds_at(self, moment: datetime) -> bool:
        """Tell whether the key is in force at a moment."""
        is_late_enough = self.valid_from is None or self.valid_from <= moment
        return is_late_enough and (self.valid_to is None or moment < self.valid_to)


class KnownLogger(NamedTuple):
    """A data logger of the registry.

    Attributes:
        mn: as sent.
        pw: the password expected, None means any; never printed.
        st: its system code, None where not known.
        interval_secs: its real-time interval, None where not known.
        min_interval_mins: its minute interval, None where not known.
        dialects: slugs of the dialects in force.
        keys: all its keys, in force or not.
        is_registered: False for one that is not registered now and is here for its keys only.
        networks: it is expected in, in force now; none: any.
    """

    mn: str
    pw: str | None
    st: str | None
    interval_secs: int | None
    min_interval_mins: int | None = None
    dialects: tuple[str, ...] = ()
    keys: tuple[DatedKey, ...] = ()
    is_registered: bool = True
    networks: tuple[str, ...] = ()

    def __repr__(self) -> str:
        shown = ", ".join(self.dialects) or "standard"
        return f"KnownLogger({self.mn!r}, st={self.st!r}, {shown}, {len(self.keys)} keys not shown)"


async def read_known_loggers(connection: Connection, now: datetime) -> list[KnownLogger]:
    """Read every data logger that is registered at `now`, and those that have keys.

    Raises:
        StoreUnavailable: try again.
    """
    try:
        rows = await connection.fetch(load_query("read_known_loggers"), now)
        keys = await connection.fetch(load_query("read_cipher_keys"))
    except CONNECTION_ERRORS as error:
        raise sort_error(error) from error
    keys_by_mn: dict[str, list[DatedKey]] = defaultdict(list)
    for mn, key_id, secret, *period in keys:
        keys_by_mn[mn].append(DatedKey(Key(key_id, secret), *period))
    known = [
        KnownLogger(
            mn, pw, st, interval, minutes, tuple(dialects), tuple(keys_by_mn.pop(mn, ())), networks=tuple(networks)
        )
        for mn, pw, st, interval, minutes, dialects, networks in rows
    ]
    return known + [
        KnownLogger(mn, None, None, None, keys=tuple(dated), is_registered=False) for mn, dated in keys_by_mn.items()
    ]


async def add_loggers(connection: Connection, mns: "Iterable[str]") -> dict[str, int]:
    """Return the number of each MN, made where there is none.

    Raises:
        StoreUnavailable: try again.
        RowsRefused: an MN cannot be text in the database.
    """
    try:
        rows = await connection.fetch(load_query("add_loggers"), sorted(set(mns)))
    except CONNECTION_ERRORS as error:
        raise sort_error(error) from error
    return {row["mn"]: row["logger_id"] for row in rows}


async def add_found_loggers(connection: Connection, found: "Iterable[tuple[str, str]]") -> None:
    """Register unknown data loggers, (MN, ST), as they were found.

    Raises:
        StoreUnavailable: try again.
    """
    pairs = sorted(dict(found).items())
    try:
        await connection.execute(load_query("add_found_loggers"), [mn for mn, _ in pairs], [st for _, st in pairs])
    except CONNECTION_ERRORS as error:
        raise sort_error(error) from error
