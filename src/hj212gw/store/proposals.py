"""The table of proposals: counted with the batches, decided by people."""

from collections.abc import Sequence

from hj212gw.store.pool import Connection
from hj212gw.store.queries import load_query
from hj212gw.store.rows import ProposalRow


async def note_proposals(connection: Connection, proposals: Sequence[ProposalRow]) -> None:
    """Count proposals, inside the caller's transaction; what was decided stays decided.

    Args:
        connection: a transaction is open on it.
        proposals: one or more, each key once, in the order of the keys.

    Raises:
        asyncpg.PostgresError: the database failed.
    """
    await connection.execute(load_query("upsert_proposals"), *map(list, zip(*proposals, strict=True)))
