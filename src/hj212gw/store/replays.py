"""Readings derived again from the raw archive: runs that can be cut off and go on, each batch with its position."""

from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from functools import reduce
from typing import Any, NamedTuple

from hj212gw.errors import PositionMoved
from hj212gw.store.infos import store_infos
from hj212gw.store.pool import CONNECTION_ERRORS, Connection, lift_decompression_limit, sort_error
from hj212gw.store.queries import load_query
from hj212gw.store.rows import CONFLICT, ODD_COLUMNS, QUARANTINED, STORED, UNREGISTERED, PacketRow, PacketRows
from hj212gw.store.upsert import copy_rows, mark_state, store_by_halves, upsert_readings
from hj212gw.store.writer import touch_dirty

_SLICE = timedelta(hours=1)  # of arrivals, sorted at a time
_APART = (UNREGISTERED, CONFLICT)


class Range(NamedTuple):
    """What is replayed: packets that arrived in [from_at, to_at), of one MN or of all."""

    from_at: datetime
    to_at: datetime
    mn: str | None = None


class Done(NamedTuple):
    """What a run did.

    Attributes:
        packets: looked at.
        written: readings that were not there before.
        replaced: values that changed; the old ones are in the history.
        restored: quarantined packets that gave readings now.
        skipped: packets kept apart that stay so.
    """

    packets: int = 0
    written: int = 0
    replaced: int = 0
    restored: int = 0
    skipped: int = 0

    def plus(self, other: "Done") -> "Done":
        """Add two counts."""
        return Done(*(mine + its for mine, its in zip(self, other, strict=True)))


class Remade(NamedTuple):
    """A packet derived again; `state` is the one it is stored in."""

    state: str
    rows: PacketRows


class Replay(NamedTuple):
    """A run: its number, arrival and digest of the last packet done, and what was done."""

    replay_id: int
    position_at: datetime
    position_digest: bytes
    done: Done


async def open_replay(connection: Connection, wanted: Range) -> Replay:
    """Take up the run of a range that was cut off, or begin one.

    Raises:
        StoreUnavailable: try again.
    """
    try:
        row = await connection.fetchrow(load_query("open_replay"), *wanted)
    except CONNECTION_ERRORS as error:
        raise sort_error(error) from error
    assert row is not None
    replay_id, position_at, digest, *done = row
    return Replay(replay_id, position_at, digest, Done(*done))


async def read_packets(
    connection: Connection, wanted: Range, replay: Replay, batch_packets: int
) -> AsyncIterator[list[PacketRow]]:
    """Yield the packets behind a run's position in order of arrival, at most so many at a time.

    Args:
        connection: for reading alone: a batch is handed out while its cursor is open.
        wanted: the range.
        replay: whose position counts.
        batch_packets: most packets of a batch.

    Raises:
        StoreUnavailable: try again.
    """
    start = replay.position_at
    try:
        while start < wanted.to_at:
            end = min(start + _SLICE, wanted.to_at)
            parameters = (start, end, replay.position_at, replay.position_digest, wanted.mn)
            async with connection.transaction(isolation="repeatable_read", readonly=True):
                cursor = await connection.cursor(load_query("read_replay_packets"), *parameters)
                while rows := await cursor.fetch(batch_packets):
                    yield [PacketRow(*row) for row in rows]
            start = end
    except CONNECTION_ERRORS as error:
        raise sort_error(error) from error


async def store_replayed(connection: Connection, replay: Replay, packets: list[Remade]) -> Replay:
    """Store what packets give now and move the run on, all or nothing.

    Args:
        connection: for writing.
        replay: where the run stands.
        packets: one or more, in order of arrival.

    Returns:
        Where the run stands now.

    Raises:
        PositionMoved: another process replays the same range.
        StoreUnavailable: nothing was stored; try again.
    """
    try:
        async with connection.transaction():
            await lift_decompression_limit(connection)  # an operator asked for it, and its batches are bounded
            taken = [packet for packet in packets if packet.state not in _APART and packet.rows.packet.state == STORED]
            done = await _store(connection, taken)
            skipped = len(packets) - len(taken)
            done = done._replace(packets=len(packets), skipped=done.skipped + skipped)
            last = packets[-1].rows.packet
            return await _move(connection, replay, (last.received_at, last.digest), done)
    except CONNECTION_ERRORS as error:
        raise sort_error(error) from error


async def finish_replay(connection: Connection, replay: Replay, to_at: datetime) -> Replay:
    """Note that a run has reached its end.

    Raises:
        PositionMoved: another process replays the same range.
        StoreUnavailable: try again.
    """
    try:
        return await _move(connection, replay, (to_at, b""), Done(), is_finished=True)
    except CONNECTION_ERRORS as error:
        raise sort_error(error) from error


async def _store(connection: Connection, packets: list[Remade]) -> Done:
    """Store the readings of packets; one the database refuses stays as it is."""
    return reduce(Done.plus, await store_by_halves(connection, packets, _store_all, _skip)) if packets else Done()


async def _skip(_connection: Connection, _packet: Remade, _error: Exception) -> Done:
    return Done(packets=1, skipped=1)


async def _store_all(connection: Connection, packets: list[Remade]) -> Done:
    every = [packet.rows for packet in packets]
    odd = [row for rows in every for row in rows.odd_rows()]
    if odd:
        await _add_missing_odd(connection, odd)
    written, replaced = await upsert_readings(connection, every)
    if await store_infos(connection, every) or written or replaced:
        await touch_dirty(connection, {rows.dirty for rows in every if rows.dirty})
    restored = [packet.rows for packet in packets if packet.state == QUARANTINED]
    if restored:
        await mark_state(connection, restored, QUARANTINED, STORED)
    return Done(len(packets), written, replaced, len(restored))


async def _add_missing_odd(connection: Connection, odd: list[tuple[Any, ...]]) -> None:
    await connection.execute(load_query("stage_odd_readings"))
    await connection.execute("TRUNCATE staged_odd_readings")
    await copy_rows(connection, "staged_odd_readings", odd, ODD_COLUMNS)
    await connection.execute(load_query("add_missing_odd_readings"))


async def _move(
    connection: Connection, replay: Replay, position: tuple[datetime, bytes], done: Done, *, is_finished: bool = False
) -> Replay:
    before = (replay.replay_id, replay.position_at, replay.position_digest)
    moved = await connection.fetchval(load_query("move_replay"), *before, *position, *done, is_finished)
    if moved is None:
        message = f"replay {replay.replay_id} is not where this process left it: another one replays the same range"
        raise PositionMoved(message)
    return Replay(replay.replay_id, *position, replay.done.plus(done))
