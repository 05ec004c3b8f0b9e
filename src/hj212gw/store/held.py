"""Packets kept apart until their data logger is registered, and their release."""

from collections.abc import Awaitable, Callable
from datetime import datetime

from hj212gw.store.pool import CONNECTION_ERRORS, Connection, sort_error
from hj212gw.store.queries import load_query
from hj212gw.store.rows import ODD_COLUMNS, PacketRow, PacketRows
from hj212gw.store.upsert import copy_rows, upsert_readings
from hj212gw.store.writer import touch_dirty

MakeRows = Callable[[list[PacketRow]], Awaitable[list[PacketRows]]]


async def release_held(connection: Connection, make_rows: MakeRows, *, now: datetime, limit: int) -> tuple[int, int]:
    """Store the readings of held packets whose data logger is registered now, with their own arrival.

    Args:
        connection: the drain's.
        make_rows: derives the rows of held packets again.
        now: decides who is registered.
        limit: at most this many packets in the transaction.

    Returns:
        Packets released and readings written; (0, 0) when none is left.

    Raises:
        StoreUnavailable: nothing was released; try again.
    """
    try:
        async with connection.transaction():
            held = [PacketRow(*row) for row in await connection.fetch(load_query("claim_held_packets"), now, limit)]
            if not held:
                return 0, 0
            rows = await make_rows(held)
            odd = [row for packet in rows for row in packet.odd_rows()]
            if odd:
                await copy_rows(connection, "odd_readings", odd, ODD_COLUMNS)
            written, _ = await upsert_readings(connection, rows)
            await touch_dirty(connection, {packet.dirty for packet in rows if packet.dirty})
            await connection.execute(
                load_query("mark_released"), [row.qn_at for row in held], [row.digest for row in held]
            )
            return len(held), written
    except CONNECTION_ERRORS as error:
        raise sort_error(error) from error
