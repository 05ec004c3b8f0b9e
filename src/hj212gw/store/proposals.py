"""The table of proposals: counted with the batches, decided by people."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import NamedTuple

from hj212gw.store.pool import CONNECTION_ERRORS, Connection, connected, sort_error
from hj212gw.store.queries import load_query
from hj212gw.store.registry import RegistryStore
from hj212gw.store.rows import ProposalRow

ACCEPTED = "accepted"
DISMISSED = "dismissed"

_APPLICATION = "hj212gw proposals"


class SeenProposal(NamedTuple):
    """A row of the view `v_proposals`."""

    mn: str
    st: str
    cn: str
    outlet: str | None
    what: str
    value: str
    evidence: str
    times: int
    first_seen_at: datetime
    last_seen_at: datetime
    state: str


class Wanted(NamedTuple):
    """Which proposals are decided: those of one data logger that say the same; `st` and `cn` None for any."""

    mn: str
    what: str
    value: str
    st: str | None = None
    cn: str | None = None


async def note_proposals(connection: Connection, proposals: Sequence[ProposalRow]) -> None:
    """Count proposals, inside the caller's transaction; what was decided stays decided.

    Args:
        connection: a transaction is open on it.
        proposals: one or more, each key once, in the order of the keys.

    Raises:
        asyncpg.PostgresError: the database failed.
    """
    await connection.execute(load_query("upsert_proposals"), *map(list, zip(*proposals, strict=True)))


async def read_time_labels(connection: Connection, now: datetime) -> dict[tuple[str, str, str], str]:
    """Read the time labels in force at `now`, by MN, ST ("" for any) and CN.

    Raises:
        StoreUnavailable: try again.
    """
    try:
        rows = await connection.fetch(load_query("read_time_labels"), now)
    except CONNECTION_ERRORS as error:
        raise sort_error(error) from error
    return {(row["mn"], row["st"], row["cn"]): row["label"] for row in rows}


class ProposalStore:
    """The proposals, and the registry that an accepted one goes into, over one connection.

    Args:
        connection: of a login that may write the registry; nobody else uses it meanwhile.

    Attributes:
        registry: the tables of the registry over the same connection; its `change` holds the transaction.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.registry = RegistryStore(connection)

    @classmethod
    @asynccontextmanager
    async def open(cls, dsn: str) -> "AsyncIterator[ProposalStore]":
        """Connect, and close again at the end.

        Raises:
            ConfigError: the DSN cannot be read.
            StoreUnavailable: no connection.
        """
        async with connected(dsn, name=_APPLICATION) as connection:
            yield cls(connection)

    async def read(self, mn: str | None, what: str | None, *, decided: bool) -> list[SeenProposal]:
        """Read proposals, those of all data loggers or of every kind where None.

        Raises:
            StoreUnavailable: try again.
        """
        try:
            rows = await self._connection.fetch(load_query("read_proposals"), mn, what, decided)
        except CONNECTION_ERRORS as error:
            raise sort_error(error) from error
        return [SeenProposal(*row) for row in rows]

    async def decide(self, wanted: Wanted, state: str, now: datetime, by: str) -> list[tuple[str, str]]:
        """Mark proposals as decided, inside `registry.change`; return ST and CN of each, none where none is meant."""
        rows = await self._connection.fetch(load_query("decide_proposals"), *wanted, state, now, by)
        return sorted((row["st"], row["cn"]) for row in rows)
