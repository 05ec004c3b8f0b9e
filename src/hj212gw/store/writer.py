"""One transaction a batch: rows and journal position together, so that a crash replays into nothing.

Plain COPY first. A batch that meets a duplicate key, or a row the database refuses, goes the careful way
of `upsert.py`, in a transaction of its own.
"""

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID

from hj212gw.errors import PositionMoved, StoreUnavailable
from hj212gw.store.copyrows import COPY_COLUMNS, COPY_HEADER, COPY_TRAILER, encode_copy_packet
from hj212gw.store.digests import count_days
from hj212gw.store.infos import store_infos
from hj212gw.store.migrate import check_schema
from hj212gw.store.pool import (
    CONNECTION_ERRORS,
    DECOMPRESSION_LIMIT,
    GATEWAY_ROLE,
    REFUSALS,
    Connection,
    connect,
    is_refusal,
    lift_decompression_limit,
    sort_error,
)
from hj212gw.store.proposals import note_proposals
from hj212gw.store.queries import load_query
from hj212gw.store.rows import (
    ODD_COLUMNS,
    QUARANTINED,
    REJECT_COLUMNS,
    UNREGISTERED,
    Activity,
    Batch,
    DirtyRow,
    Outcome,
    PacketRow,
    PacketRows,
)
from hj212gw.store.suspicions import note_suspicions
from hj212gw.store.upsert import Counts, copy_rows, upsert_packets

if TYPE_CHECKING:
    from collections.abc import Iterable


REGISTRY_CHANNEL = "hj212_registry"

# Design section 3: a packet without QN counts as a repeat within this time.
REPEAT_WINDOW = timedelta(minutes=5)


class Writer:
    """Stores the batches of one journal over one connection.

    Args:
        dsn: where to.
        journal: UUID of the journal that is drained.
        statement_timeout_secs: longest a statement may take.

    Two connections: one stores, the other numbers the data loggers of the next batch meanwhile and hears when
    the registry changes. One drain owns them.

    Attributes:
        registry_changed: set when the registry did; the drain resets it.
    """

    def __init__(self, dsn: str, journal: UUID, *, statement_timeout_secs: float = 60.0) -> None:
        self._dsn = dsn
        self._journal = journal
        self._statement_timeout_secs = statement_timeout_secs
        self._storing: Connection | None = None
        self._numbering: Connection | None = None
        self._unanswered: tuple[int, Outcome] | None = None
        self.registry_changed = False

    @property
    def connection(self) -> Connection:
        """The connection that stores, for what the drain does between batches.

        Raises:
            StoreUnavailable: it is not open, or was lost.
        """
        return _open_one(self._storing)

    @property
    def numbering(self) -> Connection:
        """The connection for short queries while a batch is being stored.

        Raises:
            StoreUnavailable: it is not open, or was lost.
        """
        return _open_one(self._numbering)

    async def open(self, now: datetime) -> int:
        """Connect, check the schema and return the journal's position in the database.

        Raises:
            StoreUnavailable: try again.
            SchemaMismatch: migrate first.
        """
        await self.close()
        self._storing = await self._connect("hj212gw drain")
        self._numbering = await self._connect("hj212gw drain, loggers")
        try:
            await check_schema(self._storing)
            await self._numbering.add_listener(REGISTRY_CHANNEL, self._hear)
            position: int = await self._storing.fetchval(load_query("open_journal"), self._journal, now)
        except CONNECTION_ERRORS as error:
            raise StoreUnavailable(str(sort_error(error))) from error
        return position

    async def close(self) -> None:
        """Close the connections, at once where the database does not answer."""
        connections = (self._storing, self._numbering)
        self._storing = self._numbering = None
        for connection in connections:
            if connection is None:
                continue
            try:
                await connection.close(timeout=2)
            except CONNECTION_ERRORS:
                connection.terminate()

    async def _connect(self, name: str) -> Connection:
        return await connect(
            self._dsn, name=name, role=GATEWAY_ROLE, statement_timeout_secs=self._statement_timeout_secs
        )

    def _hear(self, *_: object) -> None:
        self.registry_changed = True

    async def write(self, batch: Batch) -> Outcome:
        """Store a batch and move the position, all or nothing.

        A batch that would unpack too much of TimescaleDB's columnstore goes in parts; the position moves with the
        last. What went before a crash is then met again as repeats.

        Raises:
            PositionMoved: the position in the database is not `batch.after`.
            StoreUnavailable: the position is not known to have moved; open again and go on from the one found.
        """
        connection = self.connection
        try:
            try:
                outcome = await self._write_whole(connection, batch)
            except DECOMPRESSION_LIMIT:
                outcome = await self._write_parts(connection, batch)
        except CONNECTION_ERRORS as error:
            raise StoreUnavailable(str(sort_error(error))) from error
        self._unanswered = None
        return outcome

    async def note_idle(self, position: int, drained_through: datetime, activity: list[Activity]) -> None:
        """Tell the database that nothing that arrived before `drained_through` is waiting, and who was heard.

        Raises:
            StoreUnavailable: try again.
        """
        try:
            connection = self.connection
            await connection.execute(load_query("drained_idle"), self._journal, position, drained_through)
            if activity:
                await _note_activity(connection, activity)
        except CONNECTION_ERRORS as error:
            raise StoreUnavailable(str(sort_error(error))) from error

    async def _copy(self, connection: Connection, batch: Batch) -> Outcome:
        await self._move(connection, batch)
        packets, repeated = await _drop_recent_repeats(connection, batch.packets)
        if packets:
            await _copy_encoded(
                connection, "packets", [encode_copy_packet(rows.packet) for rows in packets], PacketRow._fields
            )
        readings = await _copy_readings(connection, packets)
        await store_infos(connection, packets)
        odd = [row for rows in packets for row in rows.odd_rows()]
        if odd:
            await copy_rows(connection, "odd_readings", odd, ODD_COLUMNS)
        await _write_rest(connection, batch, {rows.dirty for rows in packets if rows.dirty})
        await self._note_archived(connection, [rows.packet for rows in packets], [row[0] for row in batch.rejects])
        apart = sum(rows.packet.state == QUARANTINED for rows in packets)
        return Outcome(
            path="copy",
            stored=len(packets) - apart,
            repeated=repeated,
            quarantined=apart,
            held=sum(rows.packet.state == UNREGISTERED for rows in packets),
            readings=readings,
            odd=len(odd),
            rejects=len(batch.rejects),
        )

    async def _upsert(self, connection: Connection, batch: Batch) -> Outcome:
        await self._move(connection, batch)
        packets, repeated = await _drop_recent_repeats(connection, batch.packets)
        counts = await upsert_packets(connection, packets) if packets else Counts()
        await _write_rest(connection, batch, counts.dirty)
        rejects = [*(row[0] for row in batch.rejects), *counts.refused]
        await self._note_archived(connection, counts.archived, rejects)
        return _outcome(counts._replace(repeated=counts.repeated + repeated), len(batch.rejects))

    def take_unanswered(self, position: int) -> Outcome | None:
        """Tell, once, what the last batch came to whose COMMIT was not answered, if it is the one that moved to here.

        Args:
            position: found in the database when it was opened again.
        """
        upto, outcome = self._unanswered or (None, None)
        self._unanswered = None
        return outcome if upto == position else None

    async def _write_whole(self, connection: Connection, batch: Batch) -> Outcome:
        try:
            async with connection.transaction():
                outcome = await self._copy(connection, batch)
                self._unanswered = batch.upto, outcome  # until COMMIT is answered
            return outcome
        except REFUSALS as error:
            if not is_refusal(error):
                raise
        async with connection.transaction():
            outcome = await self._upsert(connection, batch)
            self._unanswered = batch.upto, outcome
        return outcome

    async def _write_parts(self, connection: Connection, batch: Batch) -> Outcome:
        """Store halves of halves, each with its own transaction, and then what is left of the batch."""
        counts = await self._write_part(connection, batch, batch.packets)
        async with connection.transaction():
            rest = await self._upsert(connection, batch._replace(packets=[]))
        return _outcome(counts, rest.rejects)

    async def _write_part(self, connection: Connection, batch: Batch, packets: list[PacketRows]) -> Counts:
        try:
            async with connection.transaction():
                if len(packets) == 1:
                    await lift_decompression_limit(connection)
                held = await connection.fetchval(load_query("hold_position"), self._journal, batch.after)
                self._refuse_moved(held, batch)
                fresh, repeated = await _drop_recent_repeats(connection, packets)
                counts = await upsert_packets(connection, fresh) if fresh else Counts()
                await touch_dirty(connection, counts.dirty)
                await self._note_archived(connection, counts.archived, counts.refused)
                return counts._replace(repeated=counts.repeated + repeated)
        except DECOMPRESSION_LIMIT:
            if len(packets) == 1:
                raise
        middle = len(packets) // 2
        left = await self._write_part(connection, batch, packets[:middle])
        return left.plus(await self._write_part(connection, batch, packets[middle:]))

    async def _note_archived(
        self, connection: Connection, packets: "Iterable[PacketRow]", rejects: "Iterable[datetime]"
    ) -> None:
        """Count the rows written by day of arrival, for the daily digests."""
        counts = count_days(((packet.received_at, packet.qn_at) for packet in packets), rejects)
        if counts:
            columns = map(list, zip(*counts.values(), strict=True))
            await connection.execute(load_query("note_archived"), self._journal, list(counts), *columns)

    async def _move(self, connection: Connection, batch: Batch) -> None:
        moved = await connection.fetchval(
            load_query("move_position"), self._journal, batch.after, batch.upto, batch.drained_through
        )
        self._refuse_moved(moved, batch)

    def _refuse_moved(self, found: int | None, batch: Batch) -> None:
        if found is None:
            message = f"journal {self._journal} is not at {batch.after} in the database: another drain moved it"
            raise PositionMoved(message)


def _outcome(counts: Counts, rejects: int) -> Outcome:
    return Outcome(
        path="upsert",
        stored=counts.stored,
        repeated=counts.repeated,
        quarantined=counts.quarantined,
        held=counts.held,
        readings=counts.readings,
        odd=counts.odd,
        replaced=counts.replaced,
        rejects=rejects,
        conflicts=counts.conflicts,
    )


async def _copy_readings(connection: Connection, packets: list[PacketRows]) -> int:
    """Copy the readings, encoded before, table by table; return how many they are.

    In one piece: from an iterator asyncpg waits for room on the line, where no timeout of its reaches it and a cut
    leaves an exception that nobody retrieves. A `bytes` it would take for the name of a file.
    """
    count = 0
    for table in sorted({rows.table for rows in packets if rows.table}):
        mine = [rows for rows in packets if rows.table == table]
        await _copy_encoded(connection, table, [rows.encoded for rows in mine], COPY_COLUMNS)
        count += sum(rows.reading_count for rows in mine)
    return count


async def _copy_encoded(connection: Connection, table: str, rows: list[bytes], columns: tuple[str, ...]) -> None:
    # In one piece: from an iterator asyncpg hangs on a line that went silent, and a cut leaves a fault behind.
    source: Any = memoryview(b"".join([COPY_HEADER, *rows, COPY_TRAILER]))
    await connection.copy_to_table(table, schema_name="hj212", source=source, columns=columns, format="binary")


def _open_one(connection: "Connection | None") -> Connection:
    if connection is None or connection.is_closed():
        raise StoreUnavailable("the connection to the database is closed")
    return connection


async def _drop_recent_repeats(connection: Connection, packets: list[PacketRows]) -> tuple[list[PacketRows], int]:
    """Drop packets without QN that came within five minutes before, in this batch or the slot before theirs."""
    without = [rows.packet for rows in packets if not rows.has_qn]
    if not without:
        return packets, 0
    found = await connection.fetch(
        load_query("find_recent_repeats"),
        [packet.qn_at - REPEAT_WINDOW for packet in without],
        [packet.digest for packet in without],
    )
    last: dict[bytes, datetime] = {row["digest"]: row["received_at"] for row in found}
    kept = []
    for rows in packets:
        packet = rows.packet
        if not rows.has_qn:
            before = last.get(packet.digest)
            if before is not None and timedelta(0) <= packet.received_at - before < REPEAT_WINDOW:
                continue
            last[packet.digest] = packet.received_at
        kept.append(rows)
    return kept, len(packets) - len(kept)


async def _write_rest(connection: Connection, batch: Batch, dirty: "Iterable[DirtyRow]") -> None:
    """Write what a batch carries beside its packets."""
    if batch.rejects:
        await copy_rows(connection, "rejects", batch.rejects, REJECT_COLUMNS)
    if batch.proposals:
        await note_proposals(connection, batch.proposals)
    if batch.suspicions:
        await note_suspicions(connection, batch.suspicions)
    await touch_dirty(connection, dirty)
    if batch.activity:
        await _note_activity(connection, batch.activity)


async def touch_dirty(connection: Connection, dirty: "Iterable[DirtyRow]") -> None:
    """Mark days for the aggregator."""
    rows = sorted(dirty)
    if rows:
        await connection.execute(load_query("touch_dirty"), *map(list, zip(*rows, strict=True)))


async def _note_activity(connection: Connection, activity: list[Activity]) -> None:
    await connection.execute(load_query("note_activity"), *map(list, zip(*activity, strict=True)))
