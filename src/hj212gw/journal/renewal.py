"""A journal's packets written into a new journal, with an identity and a position of its own.

The way out where two gateways had the same journal: each has moved the other's position, so that packets of both may
have been passed over. The new journal is drained from its beginning; what the database has is found there by its digest
and not stored twice. Rejects have no digest and would be: they are left out, nobody acknowledged them.
"""

import asyncio
from pathlib import Path
from typing import Final, NamedTuple
from uuid import UUID

from hj212gw.errors import JournalFull, JournalUnwritable
from hj212gw.journal.directory import sync_directory
from hj212gw.journal.journal import Journal
from hj212gw.journal.layout import list_journals
from hj212gw.journal.records import ACCEPTED, Record
from hj212gw.journal.settings import JournalObserver, JournalSettings

_AT_A_TIME: Final = 1000
_NO_LIMIT: Final = 1 << 62
_REPAIR_SECS: Final = 0.05


class Renewed(NamedTuple):
    """What a new journal holds, how many rejects it does not, and how many files of the old one were damaged."""

    uuid: UUID
    packets: int
    rejects: int
    damaged: int


async def renew(source: Path, target: Path) -> Renewed:
    """Write a journal's packets, drained or not, into a new journal; the old one keeps all it has.

    Args:
        source: a journal that no process has open.
        target: a directory that is empty or missing. It comes into being at the end, whole.

    Raises:
        JournalUnwritable: one of the directories is not as it should be, or a disk is full or fails.
    """
    unfinished = target.with_name(f"{target.name}.unfinished")
    try:
        _check(source, target, unfinished)
        renewed = await _copy(source, unfinished)
        unfinished.rename(target)
        sync_directory(target.parent)
    except (OSError, JournalFull) as error:
        raise JournalUnwritable(f"journal {source} cannot be renewed: {error}") from error
    return renewed


def _check(source: Path, target: Path, unfinished: Path) -> None:
    journals = list_journals(source)
    if source not in journals:
        inside = f"; there are {', '.join(map(str, journals))}" if journals else ""
        raise JournalUnwritable(f"{source} is no journal{inside}")
    if target.exists() and any(target.iterdir()):
        raise JournalUnwritable(f"{target} is not empty: a new journal needs a directory of its own")
    if unfinished.exists():
        raise JournalUnwritable(f"{unfinished} is left of a renewal that did not end: remove it, or take another name")


async def _copy(source: Path, target: Path) -> Renewed:
    old = Journal.open(JournalSettings(directory=source, reserve_bytes=0))
    try:
        filling = _Filling(target)
        try:
            rejects = await _fill(old, filling)
        finally:
            await filling.journal.close()
    finally:
        await old.close()
    return Renewed(filling.journal.uuid, filling.count, rejects, len(old.damages))


async def _fill(old: Journal, filling: "_Filling") -> int:
    """Write all packets; return how many rejects there were."""
    seq = rejects = 0
    while seq < old.stats().head_seq:
        groups = old.read(seq, _AT_A_TIME)
        if not groups:
            await asyncio.sleep(_REPAIR_SECS)  # a damaged segment is being repaired
            continue
        seq = groups[-1].seq
        records = [record for group in groups for record in group.records]
        packets = [record for record in records if record.kind == ACCEPTED]
        rejects += len(records) - len(packets)
        await filling.write(packets)
    return rejects


class _Filling:
    """The new journal; a disk that fills or fails is an error at once, nobody waits for room."""

    def __init__(self, directory: Path) -> None:
        self.count = 0
        self._durable: asyncio.Future[None] | None = None
        self.journal = Journal.open(
            JournalSettings(directory=directory, max_bytes=_NO_LIMIT, backlog_bytes=_NO_LIMIT, reserve_bytes=0),
            observer=JournalObserver(on_full=self._fail, on_failure=lambda error: self._fail(str(error))),
        )

    async def write(self, records: list[Record]) -> None:
        """Wait until records are durable."""
        if not records:
            return
        self._durable = asyncio.get_running_loop().create_future()
        for record in records[:-1]:
            self.journal.submit(record, _nothing)
        self.journal.submit(records[-1], self._succeed)
        await self._durable
        self.count += len(records)

    def _succeed(self) -> None:
        if self._durable is not None and not self._durable.done():
            self._durable.set_result(None)

    def _fail(self, why: str) -> None:
        if self._durable is not None and not self._durable.done():
            self._durable.set_exception(JournalUnwritable(why))


def _nothing() -> None:
    return None
