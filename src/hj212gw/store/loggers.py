"""Data loggers as the gateway needs them: their numbers, who is known, who was found."""

from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple

from hj212gw.store.pool import CONNECTION_ERRORS, Connection, sort_error
from hj212gw.store.queries import load_query

if TYPE_CHECKING:
    from collections.abc import Iterable


class KnownLogger(NamedTuple):
    """A registered data logger; `pw` None means any, `interval_secs` is its real-time interval."""

    mn: str
    pw: str | None
    st: str | None
    interval_secs: int | None


async def read_known_loggers(connection: Connection, now: datetime) -> list[KnownLogger]:
    """Read every data logger that is registered at `now`.

    Raises:
        StoreUnavailable: try again.
    """
    try:
        rows = await connection.fetch(load_query("read_known_loggers"), now)
    except CONNECTION_ERRORS as error:
        raise sort_error(error) from error
    return [KnownLogger(*row) for row in rows]


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
