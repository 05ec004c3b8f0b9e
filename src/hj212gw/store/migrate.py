"""Forward-only migrations: plain SQL files, checksummed, one transaction each, under an advisory lock."""

import hashlib
from importlib import resources
from typing import TYPE_CHECKING, NamedTuple

import asyncpg

from hj212gw.errors import SchemaMismatch, StoreUnavailable
from hj212gw.protocol.factors import catalogue_rows
from hj212gw.store.pool import CONNECTION_ERRORS, Connection, describe, sort_error

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime


_LOCK = "hashtext('hj212.migrate')"


class Migration(NamedTuple):
    """One SQL file: `version` from the digits its name begins with, `checksum` SHA-256 of its text."""

    version: int
    name: str
    sql: str
    checksum: str


class SchemaState(NamedTuple):
    """What is applied and what this program brings.

    Attributes:
        applied: (version, name, applied_at) in order.
        pending: names of the files that are not applied.
        is_newer: the database holds migrations that this program does not know.
    """

    applied: list[tuple[int, str, "datetime"]]
    pending: list[str]
    is_newer: bool


def load_migrations() -> list[Migration]:
    """Read the package's migrations in order of version."""
    folder = resources.files("hj212gw.store") / "sql" / "migrations"
    files = sorted((file for file in folder.iterdir() if file.name.endswith(".sql")), key=lambda file: file.name)
    texts = [(file.name.removesuffix(".sql"), file.read_text(encoding="utf-8")) for file in files]
    return [Migration(int(name[:4]), name, sql, hashlib.sha256(sql.encode()).hexdigest()) for name, sql in texts]


async def migrate(
    connection: Connection, *, now: "datetime", on_step: "Callable[[str], None] | None" = None
) -> list[str]:
    """Bring the schema up to this program's version, the factor catalogue and the partitions with it.

    Args:
        connection: a login that may create schemas and roles.
        now: decides which partitions are made.
        on_step: told the name of each migration before it runs.

    Returns:
        Names of the migrations that were applied now.

    Raises:
        SchemaMismatch: an applied migration is not the one this program knows, or is newer.
        StoreUnavailable: the database failed; what was applied stays applied.
    """
    try:
        await connection.execute(f"SELECT pg_advisory_lock({_LOCK})")
        try:
            return await _migrate_locked(connection, now, on_step)
        finally:
            await connection.execute(f"SELECT pg_advisory_unlock({_LOCK})")
    except CONNECTION_ERRORS as error:
        raise StoreUnavailable(f"the migration stopped: {describe(error)}") from error


async def _migrate_locked(
    connection: Connection, now: "datetime", on_step: "Callable[[str], None] | None"
) -> list[str]:
    await _prepare(connection)
    applied = await _read_applied(connection)
    done = []
    for migration in load_migrations():
        known = applied.pop(migration.version, None)
        if known is not None:
            _compare(migration, known)
            continue
        if on_step:
            on_step(migration.name)
        async with connection.transaction():
            await connection.execute(migration.sql)
            await connection.execute(
                "INSERT INTO hj212.migrations (version, name, checksum) VALUES ($1, $2, $3)",
                migration.version,
                migration.name,
                migration.checksum,
            )
        done.append(migration.name)
    if applied:
        raise _newer(max(applied))
    await _fill_factors(connection)
    await connection.fetchval("SELECT hj212.ensure_partitions($1)", now)
    return done


async def read_state(connection: Connection) -> SchemaState:
    """Tell what is applied and what is pending; a database without our schema has all pending.

    Raises:
        StoreUnavailable: the login may not read it, or the database failed.
    """
    applied = await _read_applied(connection)
    known = load_migrations()
    return SchemaState(
        [(version, row[0], row[2]) for version, row in sorted(applied.items())],
        [migration.name for migration in known if migration.version not in applied],
        bool(set(applied) - {migration.version for migration in known}),
    )


async def find_pending(connection: Connection) -> list[str]:
    """Name what `migrate` would apply.

    Raises:
        SchemaMismatch: it would refuse: an applied migration is not the one this program knows, or is newer.
        StoreUnavailable: the login may not read it, or the database failed.
    """
    applied = await _read_applied(connection)
    pending = []
    for migration in load_migrations():
        known = applied.pop(migration.version, None)
        if known is None:
            pending.append(migration.name)
        else:
            _compare(migration, known)
    if applied:
        raise _newer(max(applied))
    return pending


async def check_schema(connection: Connection) -> None:
    """Refuse a schema that is not the one this program writes.

    Raises:
        SchemaMismatch: with the next step.
        StoreUnavailable: the login may not read it, or the database failed.
    """
    pending = await find_pending(connection)
    if pending:
        raise SchemaMismatch(f"the database lacks migration {pending[0]}: run hj212gw db migrate")


async def _prepare(connection: Connection) -> None:
    """Make room for the list of migrations; take TimescaleDB where the server brings it and no tables are there yet."""
    # Its library's own setting tells that it is preloaded: that list itself only superusers may read.
    usable = await connection.fetchval(
        "SELECT EXISTS (SELECT FROM pg_available_extensions WHERE name = 'timescaledb')"
        " AND EXISTS (SELECT FROM pg_settings WHERE name = 'timescaledb.max_background_workers')"
        " AND NOT EXISTS (SELECT FROM pg_class WHERE oid = to_regclass('hj212.packets') AND relkind = 'p')"
    )
    if usable:
        await connection.execute("CREATE EXTENSION IF NOT EXISTS timescaledb")
    await connection.execute("CREATE SCHEMA IF NOT EXISTS hj212")
    await connection.execute(
        "CREATE TABLE IF NOT EXISTS hj212.migrations ("
        "version integer PRIMARY KEY, name text NOT NULL, checksum text NOT NULL,"
        " applied_at timestamptz NOT NULL DEFAULT now())"
    )


async def _read_applied(connection: Connection) -> dict[int, tuple[str, str, "datetime"]]:
    try:
        rows = await connection.fetch("SELECT version, name, checksum, applied_at FROM hj212.migrations")
    except (asyncpg.UndefinedTableError, asyncpg.InvalidSchemaNameError):
        return {}
    except CONNECTION_ERRORS as error:
        raise sort_error(error) from error
    return {row["version"]: (row["name"], row["checksum"], row["applied_at"]) for row in rows}


async def _fill_factors(connection: Connection) -> None:
    """Bring the factor names up to the catalogue of the package."""
    rows = [tuple(row) for row in catalogue_rows()]
    async with connection.transaction():
        await connection.execute("DELETE FROM hj212.factors")
        await connection.copy_records_to_table(
            "factors",
            schema_name="hj212",
            records=[tuple(value or None for value in row) for row in rows],
            columns=["code", "medium", "name_zh", "name_en", "unit", "unit_cou", "alias_of"],
        )


def _compare(migration: Migration, known: tuple[str, str, "datetime"]) -> None:
    if known[1] != migration.checksum:
        message = (
            f"migration {migration.name} was applied with checksum {known[1][:12]}, this program has "
            f"{migration.checksum[:12]}: install the version that made this database, or restore it"
        )
        raise SchemaMismatch(message)


def _newer(version: int) -> SchemaMismatch:
    message = f"the database holds migration {version:04d}, newer than this program: install the newer version"
    return SchemaMismatch(message)
