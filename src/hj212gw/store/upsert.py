"""The careful way into the database: repeats dropped, replaced values kept, poisonous rows found.

A batch takes it when plain COPY met a duplicate key or a row the database refuses. Everything runs inside
the caller's transaction; a part that fails is rolled back to a savepoint and halved.
"""

from collections.abc import Awaitable, Callable, Iterator
from datetime import datetime, timedelta
from functools import reduce
from operator import itemgetter
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import asyncpg

from hj212gw.store.infos import store_infos
from hj212gw.store.pool import REFUSALS, Connection, count_rows, is_refusal
from hj212gw.store.queries import load_query, load_table_query
from hj212gw.store.rivals import is_in_conflict, mark_conflicts
from hj212gw.store.rows import (
    ODD_COLUMNS,
    QUARANTINED,
    READING_COLUMNS,
    REJECT_COLUMNS,
    UNREGISTERED,
    DirtyRow,
    PacketRow,
    PacketRows,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

_Packet = TypeVar("_Packet")
_Outcome = TypeVar("_Outcome")


# How long after its DataTime a value still counts as sent live, by table (spec 14.1: its own period and a while).
_LIVE = {
    "readings_rtd": timedelta(hours=1),
    "readings_minute": timedelta(hours=1),
    "readings_hour": timedelta(hours=3),
    "readings_day": timedelta(hours=36),
}


_LOGGER_ID = READING_COLUMNS.index("logger_id")
_DATA_TIME = READING_COLUMNS.index("data_time")
_RUN_GAP = timedelta(days=1)


class Counts(NamedTuple):
    """What the careful way did with a run of packets.

    `dirty` and `archived` are what it really wrote, `refused` the arrivals of packets that became rejects.
    """

    stored: int = 0
    repeated: int = 0
    quarantined: int = 0
    held: int = 0
    readings: int = 0
    odd: int = 0
    replaced: int = 0
    conflicts: int = 0
    dirty: frozenset[DirtyRow] = frozenset()
    archived: tuple[PacketRow, ...] = ()
    refused: tuple[datetime, ...] = ()

    def plus(self, other: "Counts") -> "Counts":
        """Add two counts."""
        return Counts(
            self.stored + other.stored,
            self.repeated + other.repeated,
            self.quarantined + other.quarantined,
            self.held + other.held,
            self.readings + other.readings,
            self.odd + other.odd,
            self.replaced + other.replaced,
            self.conflicts + other.conflicts,
            self.dirty | other.dirty,
            self.archived + other.archived,
            self.refused + other.refused,
        )


async def upsert_packets(connection: Connection, packets: list[PacketRows]) -> Counts:
    """Store packets one way or another: new, repeated, or in quarantine.

    Raises:
        asyncpg.PostgresError: the database failed for a reason that is not in the rows.
    """
    return reduce(Counts.plus, await store_by_halves(connection, packets, _upsert_all, _quarantine))


async def store_by_halves(
    connection: Connection,
    packets: list[_Packet],
    store: Callable[[Connection, list[_Packet]], Awaitable[_Outcome]],
    refuse: Callable[[Connection, _Packet, Exception], Awaitable[_Outcome]],
) -> list[_Outcome]:
    """Store packets, all at once where the database takes them; one whose rows it refuses is found by halves.

    Args:
        connection: inside a transaction or not.
        packets: one or more.
        store: stores any number of them, undone where the database refuses one.
        refuse: what to do with one that is refused, and the reason.

    Returns:
        What came of each part, in the order of the packets.

    Raises:
        asyncpg.PostgresError: the database failed for a reason that is not in the rows.
    """
    try:
        async with connection.transaction():
            return [await store(connection, packets)]
    except REFUSALS as error:
        if not is_refusal(error):
            raise
        if len(packets) == 1:
            return [await refuse(connection, packets[0], error)]
    middle = len(packets) // 2
    left = await store_by_halves(connection, packets[:middle], store, refuse)
    return left + await store_by_halves(connection, packets[middle:], store, refuse)


async def copy_rows(
    connection: Connection, table: str, rows: "Iterable[tuple[Any, ...]]", columns: tuple[str, ...]
) -> None:
    """Copy rows into a table of our schema, or a staging table of the session."""
    schema = None if table.startswith("staged_") else "hj212"
    await connection.copy_records_to_table(table, schema_name=schema, records=rows, columns=columns)


async def mark_state(connection: Connection, packets: list[PacketRows], before: str, after: str) -> None:
    """Give packets kept apart another state."""
    keys = [rows.packet for rows in packets]
    await connection.execute(
        load_query("mark_packets"), [key.qn_at for key in keys], [key.digest for key in keys], before, after
    )


async def _upsert_all(connection: Connection, packets: list[PacketRows]) -> Counts:
    fresh = await _store_fresh(connection, packets)
    apart = sum(rows.packet.state == QUARANTINED for rows in fresh)
    counts = Counts(
        stored=len(fresh) - apart,
        repeated=len(packets) - len(fresh),
        quarantined=apart,
        held=sum(rows.packet.state == UNREGISTERED for rows in fresh),
        odd=sum(rows.reading_count for rows in fresh if rows.table is None),
        archived=tuple(rows.packet for rows in fresh),
    )
    odd = [row for rows in fresh for row in rows.odd_rows()]
    if odd:
        await copy_rows(connection, "odd_readings", odd, ODD_COLUMNS)
    await _lock_loggers(connection, fresh)  # all in one order: rivals by themselves could wait in a circle
    written, replaced = await upsert_readings(connection, [rows for rows in fresh if not rows.is_rival])
    rivals = sorted((rows for rows in fresh if rows.is_rival), key=lambda rows: rows.packet.received_at)
    conflicts = []
    for rows in rivals:
        if await _contradicts(connection, rows):
            conflicts.append(rows)
            continue
        more_written, more_replaced = await upsert_readings(connection, [rows])
        written, replaced = written + more_written, replaced + more_replaced
    if conflicts:
        await mark_conflicts(connection, conflicts)
    await store_infos(connection, fresh)
    dirty = frozenset(rows.dirty for rows in fresh if rows.dirty and rows not in conflicts)
    return counts._replace(readings=written, replaced=replaced, conflicts=len(conflicts), dirty=dirty)


async def _contradicts(connection: Connection, rows: PacketRows) -> bool:
    """Tell whether the readings of a rival's packet differ from what another peer sent."""
    if rows.table is None:
        return False
    await _stage(connection, rows.reading_rows())
    return await is_in_conflict(connection, rows)


async def _store_fresh(connection: Connection, packets: list[PacketRows]) -> list[PacketRows]:
    """Store the packets that are not there yet and return them; of repeats in the batch the first counts."""
    first: dict[tuple[Any, bytes], PacketRows] = {}
    for rows in packets:
        first.setdefault((rows.packet.qn_at, rows.packet.digest), rows)
    await connection.execute(load_query("stage_packets"))
    await connection.execute("TRUNCATE staged_packets")
    await copy_rows(connection, "staged_packets", [rows.packet for rows in first.values()], PacketRow._fields)
    keys = await connection.fetch(load_query("store_staged_packets"))
    return [first[key["qn_at"], key["digest"]] for key in keys]


async def upsert_readings(connection: Connection, packets: list[PacketRows]) -> tuple[int, int]:
    """Store the readings of new packets; return how many are new keys and how many values went to history."""
    by_table: dict[str, list[tuple[Any, ...]]] = {}
    for rows in packets:
        if rows.table:
            by_table.setdefault(rows.table, []).extend(rows.reading_rows())
    await _lock_loggers(connection, packets)
    written = replaced = 0
    for table, readings in sorted(by_table.items()):
        for run in _split_runs(readings):
            more_written, more_replaced = await _upsert_run(connection, table, run)
            written, replaced = written + more_written, replaced + more_replaced
    return written, replaced


async def _lock_loggers(connection: Connection, packets: list[PacketRows]) -> None:
    """Keep other transactions from storing readings of the same data loggers until this one ends."""
    loggers = {rows.head.logger_id for rows in packets if rows.table and rows.head}
    await connection.execute(load_query("lock_upserts"), sorted(loggers))


async def _upsert_run(connection: Connection, table: str, readings: list[tuple[Any, ...]]) -> tuple[int, int]:
    span = (readings[0][_DATA_TIME], readings[-1][_DATA_TIME], sorted({row[_LOGGER_ID] for row in readings}))
    await _stage(connection, readings)
    await connection.execute(load_query("rank_staged_readings"))
    known = count_rows(await connection.execute(load_table_query("compare_staged_readings", table), *span))
    replaced = count_rows(await connection.execute(load_table_query("keep_history", table), _LIVE[table], *span))
    await connection.execute(load_table_query("note_earlier_arrival", table))
    await connection.execute(load_table_query("upsert_readings", table))
    return await connection.fetchval(load_query("count_winners")) - known, replaced


def _split_runs(readings: list[tuple[Any, ...]]) -> Iterator[list[tuple[Any, ...]]]:
    """Sort readings by DataTime and part them where a day or more lies between.

    A batch may hold one that is months late; a query over all that lies between would look into every chunk.
    """
    run: list[tuple[Any, ...]] = []
    for row in sorted(readings, key=itemgetter(_DATA_TIME)):
        if run and row[_DATA_TIME] - run[-1][_DATA_TIME] >= _RUN_GAP:
            yield run
            run = []
        run.append(row)
    if run:
        yield run


async def _stage(connection: Connection, readings: list[tuple[Any, ...]]) -> None:
    await connection.execute(load_query("stage_readings"))
    await connection.execute("TRUNCATE staged_readings")
    await copy_rows(connection, "staged_readings", readings, READING_COLUMNS)


async def _quarantine(connection: Connection, rows: PacketRows, error: BaseException) -> Counts:
    """Keep a packet whose rows the database refuses: as a packet without readings, else as a reject."""
    reason = type(error).__name__
    packet = rows.packet._replace(state=QUARANTINED, warnings=[*(rows.packet.warnings or []), reason])
    try:
        async with connection.transaction():
            fresh = await _store_fresh(connection, [rows._replace(packet=packet)])
    except (asyncpg.DataError, asyncpg.IntegrityConstraintViolationError, ValueError, TypeError):
        reject = (packet.received_at, packet.peer, "unstorable", f"the database refuses it: {reason}", packet.raw)
        await copy_rows(connection, "rejects", [reject], REJECT_COLUMNS)
        return Counts(quarantined=1, refused=(packet.received_at,))
    archived = tuple(rows.packet for rows in fresh)
    return Counts(quarantined=len(fresh), repeated=1 - len(fresh), archived=archived)
