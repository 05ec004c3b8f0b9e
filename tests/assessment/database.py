"""The calculation on a database that many examples share, each of which leaves nothing behind."""

import asyncio

import asyncpg
from tests.assessment.cases import MADE_AT, SOURCE, Store, add_hours, add_loggers_of, add_registry, make_frames

from hj212gw.store.assessment import LOCAL, compute_days
from hj212gw.store.migrate import migrate

UPSTREAM = f"upstream:{SOURCE}"


class Calculator:
    """A database for all examples, a connection, and a loop to use them in."""

    def __init__(self, dsn):
        self.dsn = dsn
        self.runner = asyncio.Runner()
        self.run = self.runner.run

    async def open(self):
        """Connect and migrate."""
        self.connection = await asyncpg.connect(self.dsn, server_settings={"search_path": "hj212, public"})
        await migrate(self.connection, now=MADE_AT)
        self.store = Store(self.dsn)
        await self.store.writer.open(MADE_AT)

    async def close(self):
        """Leave the database."""
        await self.store.writer.close()
        await self.connection.close()

    async def compute(self, scope, rules):
        """Compute days and return the rows by their key."""
        await compute_days(self.connection, scope, rules)
        rows = await self.connection.fetch("SELECT * FROM pg_temp.computed_days")
        keyed = {(row["day"], row["outlet"], row["factor"], row["stage"]): dict(row) for row in rows}
        assert len(keyed) == len(rows)
        return keyed

    async def of_files(self, case, *scopes, rules):
        """Compute a case given as hours of files, in a transaction that leaves nothing."""
        transaction = self.connection.transaction()
        await transaction.start()
        try:
            await add_registry(self.connection, case, UPSTREAM)
            await add_hours(self.connection, case)
            await add_hours(self.connection, case._replace(arrivals=case.arrivals[::2]), "another")
            return [await self.compute(scope._replace(arrivals=UPSTREAM), rules) for scope in scopes]
        finally:
            await transaction.rollback()

    async def of_readings(self, local, *scopes, rules):
        """Compute a case stored by the writer; the registry is undone, the readings are deleted."""
        await self.store.write(make_frames(local), local.parts)
        transaction = self.connection.transaction()
        await transaction.start()
        try:
            await add_registry(self.connection, local.case, LOCAL)
            await add_loggers_of(self.connection, local.layout, local.split_at)
            return [await self.compute(scope, rules) for scope in scopes]
        finally:
            await transaction.rollback()
            await self.connection.execute("DELETE FROM hj212.readings_hour; DELETE FROM hj212.reading_history")
