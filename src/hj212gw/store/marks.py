"""Marks and what became of them: rows are added, none is ever changed."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from hj212gw.store.assessment import LOCAL
from hj212gw.store.pool import Connection
from hj212gw.store.queries import load_query


class NewMark(NamedTuple):
    """A mark to be declared; `factor` is `*` for all of the outlet, `to_at` None where it runs on."""

    outlet: str
    factor: str
    kind: str
    from_at: datetime
    to_at: datetime | None
    value: float | None
    note: str | None
    source: str
    author: str
    recorded_at: datetime


class NewEvent(NamedTuple):
    """What becomes of a mark.

    Attributes:
        event: accepted, rejected, void, ended or proof.
        by_whom: a person's name.
        at: when.
        to_at: the end, of `ended` alone.
        proof_sha256: in hexadecimal, of `proof` alone.
        proof_name: how the file was called.
        note: why.
    """

    event: str
    by_whom: str
    at: datetime
    to_at: datetime | None = None
    proof_sha256: str | None = None
    proof_name: str | None = None
    note: str | None = None


class StoredMark(NamedTuple):
    """A mark as it stands.

    Attributes:
        to_at: the end, exclusive; None while it runs on.
        declared_to: the end it was declared with.
        origin: `local`, or `upstream:NAME`.
        state: declared, accepted, rejected or void.
        proof_sha256: of the first proof, in hexadecimal.
        voucher_due: the proof has to be there before; None where none is needed.
    """

    mark_id: int
    outlet: str
    factor: str
    kind: str
    from_at: datetime
    to_at: datetime | None
    declared_to: datetime | None
    value: float | None
    note: str | None
    source: str
    origin: str
    author: str
    recorded_at: datetime
    state: str
    decided_by: str | None
    decided_at: datetime | None
    proof_sha256: str | None
    proof_name: str | None
    proof_at: datetime | None
    voucher_due: datetime | None


class MarkFilter(NamedTuple):
    """Which marks are read; None is any. A range of time finds those that touch it."""

    mark_id: int | None = None
    origin: str | None = LOCAL
    outlet: str | None = None
    state: str | None = None
    from_at: datetime | None = None
    to_at: datetime | None = None


class MarkTable:
    """The marks over the registry's connection; every call stands inside `RegistryStore.change` or `snapshot`.

    Args:
        connection: of a login that may write the registry.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def read(self, wanted: MarkFilter = MarkFilter()) -> list[StoredMark]:  # noqa: B008 - it cannot be changed
        """Read marks, oldest number first."""
        return [StoredMark(*row) for row in await self._connection.fetch(load_query("read_marks"), *wanted)]

    async def add(self, marks: Sequence[NewMark]) -> list[int]:
        """Declare marks; return their numbers."""
        if not marks:
            return []
        rows = await self._connection.fetch(load_query("add_marks"), *map(list, zip(*marks, strict=True)))
        return [row["mark_id"] for row in rows]

    async def add_events(self, events: Sequence[tuple[int, NewEvent]]) -> None:
        """Add events, each to a mark's number, in this order."""
        if events:
            rows = [(mark_id, *event) for mark_id, event in events]
            await self._connection.execute(load_query("add_mark_events"), *map(list, zip(*rows, strict=True)))
