"""Packets kept apart until their data logger is registered, and their release."""

from collections.abc import Awaitable, Callable
from datetime import datetime

from hj212gw import telemetry_gateway
from hj212gw.errors import StoreUnavailable
from hj212gw.store.infos import store_infos
from hj212gw.store.pool import CONNECTION_ERRORS, Connection, lift_decompression_limit, sort_error
from hj212gw.store.queries import load_query
from hj212gw.store.rows import ODD_COLUMNS, QUARANTINED, STORED, UNREGISTERED, PacketRow, PacketRows
from hj212gw.store.upsert import copy_rows, mark_state, store_by_halves, upsert_readings
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
            await lift_decompression_limit(connection)  # they may be older than the columnstore; `limit` bounds it
            held = [PacketRow(*row) for row in await connection.fetch(load_query("claim_held_packets"), now, limit)]
            if not held:
                return 0, 0
            return len(held), sum(await store_by_halves(connection, await make_rows(held), _store, _quarantine))
    except CONNECTION_ERRORS as error:
        raise StoreUnavailable(str(sort_error(error))) from error


async def _store(connection: Connection, packets: list[PacketRows]) -> int:
    """Store the readings of held packets; return how many were written."""
    odd = [row for packet in packets for row in packet.odd_rows()]
    if odd:
        await copy_rows(connection, "odd_readings", odd, ODD_COLUMNS)
    written, _ = await upsert_readings(connection, packets)
    await store_infos(connection, packets)
    await touch_dirty(connection, {packet.dirty for packet in packets if packet.dirty})
    for state in (STORED, QUARANTINED):  # quarantined: it cannot be read any more
        marked = [packet for packet in packets if packet.packet.state == state]
        if marked:
            await mark_state(connection, marked, UNREGISTERED, state)
    return written


async def _quarantine(connection: Connection, packet: PacketRows, _error: Exception) -> int:
    telemetry_gateway.packets_quarantined(1, "rows_refused")
    await mark_state(connection, [packet], UNREGISTERED, QUARANTINED)
    return 0
