"""Readings derived again from the raw archive, after a correction of the registry or of the program.

What stands is only touched where a packet gives something else now; the old value goes to the history. Packets kept
apart as unregistered or as conflicts stay so; quarantined ones are tried again.
"""

import asyncio
from collections.abc import Callable
from typing import NamedTuple

from hj212gw.errors import StoreUnavailable
from hj212gw.gateway.batches import BatchMaker
from hj212gw.store.pool import Connection
from hj212gw.store.replays import (
    Done,
    Range,
    Remade,
    Replay,
    finish_replay,
    open_replay,
    read_packets,
    store_replayed,
)

_TRIES = 5
_WAIT_SECS = 0.2  # after a deadlock with the drain, doubled each time


class Lines(NamedTuple):
    """The two connections of a replay: one reads the archive while the other writes."""

    reading: Connection
    writing: Connection


async def replay(
    lines: Lines,
    maker: BatchMaker,
    wanted: Range,
    *,
    batch_packets: int = 1000,
    on_progress: Callable[[Replay], None] | None = None,
) -> Done:
    """Derive the readings of a range again; a run that was cut off goes on where it was.

    Args:
        lines: to the database.
        maker: makes rows, knowing the registry as it is now.
        wanted: a range of arrivals.
        batch_packets: packets of a transaction.
        on_progress: told after each transaction.

    Returns:
        What was done, earlier parts of the same run included.

    Raises:
        PositionMoved: another process replays the same range.
        StoreUnavailable: try again; what was done stays done.
    """
    run = await open_replay(lines.writing, wanted)
    async for packets in read_packets(lines.reading, wanted, run, batch_packets):
        made = await maker.remake(lines.writing, packets)
        remade = [Remade(packet.state, rows) for packet, rows in zip(packets, made, strict=True)]
        run = await _store(lines.writing, run, remade)
        if on_progress is not None:
            on_progress(run)
    run = await finish_replay(lines.writing, run, wanted.to_at)
    return run.done


async def _store(connection: Connection, run: Replay, packets: list[Remade]) -> Replay:
    for attempt in range(_TRIES - 1):
        try:
            return await store_replayed(connection, run, packets)
        except StoreUnavailable:
            if connection.is_closed():
                raise
            await asyncio.sleep(_WAIT_SECS * 2**attempt)
    return await store_replayed(connection, run, packets)
