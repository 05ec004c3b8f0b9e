"""What packets bring beside readings, into the database: infos with their history, and parts of split uploads.

One way for both paths of the writer and for released packets: few packets bring any of it, and an upsert needs no
staging table for a few rows.
"""

from collections.abc import Iterable

from hj212gw.store.pool import Connection, count_rows
from hj212gw.store.queries import load_query, load_table_query
from hj212gw.store.rows import InfoRow, PacketRows, PartRow

_Key = tuple[int, str, object, str, str, str, int]


async def store_infos(connection: Connection, packets: Iterable[PacketRows]) -> int:
    """Store the infos and parts of new packets, inside the caller's transaction.

    The value of the newest arrival stands; one that does not is kept in the row's history. Equal values, known
    parts and packets that are stored already change nothing. Where no packet brings any, nothing is sent.

    Returns:
        Infos that are new or whose row changed.
    """
    by_table: dict[str, list[InfoRow]] = {}
    parts: list[PartRow] = []
    for rows in packets:
        if rows.infos:
            by_table.setdefault(rows.info_table, []).extend(rows.infos)
        if rows.part is not None:
            parts.append(rows.part)
    changed = 0
    for table, infos in sorted(by_table.items()):
        for turn in _turns(infos):
            columns = map(list, zip(*turn, strict=True))
            status = await connection.execute(load_table_query("upsert_infos", table), *columns)
            changed += count_rows(status)
    if parts:
        await connection.execute(load_query("store_parts"), *map(list, zip(*parts, strict=True)))
    return changed


def _turns(infos: list[InfoRow]) -> list[list[InfoRow]]:
    """Spread rows over as many statements as a key has values, since one statement takes a key once.

    The rows of a key go in order of arrival; one that says what the one before it says is left out.
    """
    turns: list[list[InfoRow]] = []
    before: dict[_Key, tuple[str, int]] = {}
    for row in sorted(infos, key=lambda row: row.received_at):
        key = (row.logger_id, row.cn, row.data_time, row.subject, row.name, row.st, row.nth)
        value, turn = before.get(key, (None, -1))
        if value == row.value:
            continue
        before[key] = row.value, turn + 1
        if turn + 1 == len(turns):
            turns.append([])
        turns[turn + 1].append(row)
    return turns
