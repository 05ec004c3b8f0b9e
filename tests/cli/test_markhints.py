"""What is said of marks that were just written."""

import asyncpg

from hj212gw.cli.markhints import read_hints
from hj212gw.config import Settings
from hj212gw.registry.cells import parse_moment
from hj212gw.store.migrate import migrate
from hj212gw.store.registry import RegistryStore

NOW = parse_moment("2026-03-20")


async def test_database_that_goes_away_is_a_line(postgres_dsn):
    """The marks were written, so that the command has done what was asked; where none were, nothing is read."""
    admin = await asyncpg.connect(postgres_dsn)
    await migrate(admin, now=NOW)
    async with RegistryStore.open(postgres_dsn) as store:
        assert await read_hints(store, Settings(), [1], NOW) == []
        await admin.fetch(
            "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        (line,) = await read_hints(store, Settings(), [1], NOW)
        assert line.startswith("whether it counts is not known: ")
        assert await read_hints(store, Settings(), [], NOW) == []
    await admin.close()
