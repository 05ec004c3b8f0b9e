"""Two live peers that speak for one MN: where their values differ the first stays, the second is kept aside.

A logger that connected anew while its old line still hung sends the same values, or its own corrections, and those
are no conflict; so a packet is compared with what stands, and who brought that is looked up.
"""

from hj212gw.protocol.times import parse_qn
from hj212gw.store.pool import Connection
from hj212gw.store.queries import load_query, load_table_query
from hj212gw.store.rows import CONFLICT, PacketRows
from hj212gw.store.suspicions import MN_CONFLICT, conflicts_as_suspicions, note_suspicions


async def is_in_conflict(connection: Connection, rows: PacketRows) -> bool:
    """Tell whether a rival's packet, whose readings are staged alone, contradicts a value of another peer."""
    assert rows.table is not None
    assert rows.head is not None
    query = load_table_query("find_conflicting_readings", rows.table)
    found = await connection.fetch(query, rows.head.logger_id, rows.data_time)
    if not found:
        return False
    qns = [f"{row['qn']:017d}" for row in found if row["qn"] is not None]
    placed = [(moment, qn) for qn in qns if (moment := parse_qn(qn))]
    if len(placed) < len(found):
        return True  # what stands has no QN to find its peer by
    moments, texts = zip(*placed, strict=True)
    peers = await connection.fetch(load_query("find_peers"), rows.packet.mn, list(moments), list(texts))
    return {row["peer"] for row in peers} != {rows.packet.peer}


async def mark_conflicts(connection: Connection, packets: list[PacketRows]) -> None:
    """Keep stored packets apart as conflicts, with the warning `mn_conflict`."""
    keys = [rows.packet for rows in packets]
    await connection.execute(
        load_query("mark_conflicts"), [key.qn_at for key in keys], [key.digest for key in keys], CONFLICT, MN_CONFLICT
    )
    await note_suspicions(connection, conflicts_as_suspicions(packets))
