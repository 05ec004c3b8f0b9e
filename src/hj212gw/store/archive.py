"""The chain over the raw archive: past days are sealed, sealed days are checked against the tables.

Rows are digested where they lie, an hour of them a query, so that a day of 80 million packets passes without being
moved. A day is sealed when it is over and every live journal has drained past it. What is written to it later (a
journal found again, a dump restored) is sealed by one more entry at the end of the chain.
"""

from collections.abc import AsyncIterator, Callable
from datetime import date, datetime, timedelta
from typing import NamedTuple

import asyncpg

from hj212gw.errors import StoreUnavailable
from hj212gw.protocol.times import local_day, start_of
from hj212gw.store.digests import DAY, FIRST_PREVIOUS, DayDigest, DayHash, Entry, link, qn_bounds
from hj212gw.store.pool import CONNECTION_ERRORS, Connection, sort_error
from hj212gw.store.queries import load_query

# Between the end of a day and its sealing, so that the clocks of several machines may differ.
MARGIN = timedelta(minutes=10)
# A journal that was not heard of for so long is dead and holds nothing up.
JOURNAL_LIFE = timedelta(days=7)
# Digesting an hour of many packets takes longer than any other statement may.
STATEMENT_TIMEOUT_SECS = 3600.0

_STRETCHES = {"packets": timedelta(hours=1), "strays": DAY, "rejects": DAY}


class Seal(NamedTuple):
    """What a run of sealing did.

    Attributes:
        entries: added now.
        waits_for: why days that are over are not sealed, None where all are.
        is_busy: another process was at it; nothing was done.
    """

    entries: list[Entry]
    waits_for: str | None = None
    is_busy: bool = False


async def seal_days(
    connection: Connection,
    now: datetime,
    *,
    through: date | None = None,
    journal_life: timedelta = JOURNAL_LIFE,
    on_sealed: Callable[[Entry], None] | None = None,
) -> Seal:
    """Seal every past day that has rows that no entry covers, the oldest first, a transaction each.

    Args:
        connection: its own for this; a day of many packets takes minutes.
        now: by the gateway's clock.
        through: the last day to seal; None: all that are over.
        journal_life: a journal silent for longer, in real time, is dead.
        on_sealed: told each entry once it is committed.

    Raises:
        StoreUnavailable: what is sealed stays sealed; try again.
    """
    sealed: list[Entry] = []
    try:
        last, waits_for = await _find_last_day(connection, now, journal_life)
        last = last if through is None else min(last, through)
        days = sorted({row["day"] for row in await connection.fetch(load_query("find_open_parts"), last)})
        for day in days:
            added = await _seal_alone(connection, day, now)
            if added is None:
                return Seal(sealed, waits_for, is_busy=True)
            sealed += added
            for entry in added:
                if on_sealed is not None:
                    on_sealed(entry)
    except CONNECTION_ERRORS as error:
        raise StoreUnavailable(str(sort_error(error))) from error
    return Seal(sealed, waits_for)


async def digest_part(connection: Connection, day: date, part: str) -> DayDigest:
    """Digest what the tables hold of a part of a day.

    Raises:
        asyncpg.PostgresError: the database failed.
    """
    total = DayHash(day)
    moment, end, stretch = start_of(day), start_of(day) + DAY, _STRETCHES[part]
    bounds = qn_bounds(day)
    while moment < end:
        for row in await connection.fetch(load_query(f"digest_{part}"), moment, moment + stretch, *bounds):
            total.add(row["minute"], row["rows"], row["digest"], row["oldest_qn_at"])
        moment += stretch
    return total.result()


async def read_entries(connection: Connection, first: int = 1, last: int = 1 << 62) -> AsyncIterator[Entry]:
    """Read entries of the chain in order, inside a transaction.

    Raises:
        asyncpg.PostgresError: the database failed.
    """
    async for row in connection.cursor(load_query("read_chain"), first, last, prefetch=1000):
        yield Entry(*row)


async def _find_last_day(connection: Connection, now: datetime, life: timedelta) -> tuple[date, str | None]:
    """Find the last day that may be sealed, and what holds up the days after it that are over."""
    over = local_day(now - MARGIN) - DAY
    slowest = await connection.fetchrow(load_query("find_drained_through"), life)
    if slowest is None or slowest["drained_through"] >= start_of(over + DAY):
        return over, None
    waits_for = f"journal {slowest['journal']}, drained through {slowest['drained_through'].isoformat()}"
    return local_day(slowest["drained_through"]) - DAY, waits_for


async def _seal_alone(connection: Connection, day: date, now: datetime) -> list[Entry] | None:
    """Seal a day in a transaction of its own; None where another process is at it."""
    try:
        async with connection.transaction(isolation="repeatable_read"):
            if not await connection.fetchval(load_query("lock_chain")):
                return None
            return await _seal_day(connection, day, now)
    except asyncpg.UniqueViolationError:  # it was done after our snapshot and before our lock
        return None


async def _seal_day(connection: Connection, day: date, now: datetime) -> list[Entry]:
    """Add the entries a day lacks, all of one snapshot."""
    head = await connection.fetchrow(load_query("read_chain_head"))
    previous, seq = (Entry(*head).chained, head["seq"]) if head else (FIRST_PREVIOUS, 0)
    added = []
    for row in await connection.fetch(load_query("find_open_parts"), day):
        if row["day"] != day:
            continue
        found = await digest_part(connection, day, row["part"])
        seq += 1
        draft = Entry(
            seq, day, row["part"], found.rows, row["written"], found.oldest_qn_at, found.digest, previous, b"", now
        )
        entry = draft._replace(chained=link(draft))
        await connection.execute(load_query("add_digest"), *entry)
        previous = entry.chained
        added.append(entry)
    return added
