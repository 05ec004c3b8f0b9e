"""The table of suspicions: counted with the batches, never decided here."""

from collections.abc import Sequence

from hj212gw.store.pool import Connection
from hj212gw.store.queries import load_query
from hj212gw.store.rows import PacketRows, SuspicionRow

MN_CONFLICT = "mn_conflict"


async def note_suspicions(connection: Connection, suspicions: Sequence[SuspicionRow]) -> None:
    """Count suspicions, inside the caller's transaction.

    Args:
        connection: a transaction is open on it.
        suspicions: one or more, each key once, in the order of the keys.

    Raises:
        asyncpg.PostgresError: the database failed.
    """
    await connection.execute(load_query("upsert_suspicions"), *map(list, zip(*suspicions, strict=True)))


def conflicts_as_suspicions(packets: Sequence[PacketRows]) -> list[SuspicionRow]:
    """Return what packets in conflict with another peer's make suspicious, in the order of the keys."""
    counted: dict[tuple[str, str, str], SuspicionRow] = {}
    for rows in packets:
        packet = rows.packet
        key = (packet.mn, MN_CONFLICT, packet.peer.rpartition(":")[0])
        at = packet.received_at
        before = counted.get(key, SuspicionRow(*key, "", 0, at, at))
        evidence = f"QN {packet.qn or 'none'} CN {packet.cn}: its values differ from another live peer's"[:200]
        first, last = min(before.first_seen_at, at), max(before.last_seen_at, at)
        counted[key] = SuspicionRow(*key, evidence, before.times + 1, first, last)
    return [counted[key] for key in sorted(counted)]
