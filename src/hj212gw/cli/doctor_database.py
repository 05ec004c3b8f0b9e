"""The doctor's look at the database: reachable, the right schema, versions that go together, room to grow."""

import asyncio
import os
import shutil
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from hj212gw.cli.check import GIB, Check, judge_days_left
from hj212gw.clock import Clock
from hj212gw.config import Settings
from hj212gw.errors import ConfigError, SchemaMismatch, StoreError
from hj212gw.store.lock import find_upgrader, is_upgraded, upgrade_folder

if TYPE_CHECKING:
    from hj212gw.store.engine import Engine
    from hj212gw.store.pool import Connection

_SKEW_SECS = 5.0
_LEAST_AHEAD = timedelta(days=14)
_LEAST_DAYS = 30.0

# What to do about a refused connection, by SQLSTATE.
_CONNECT_STEPS = {
    "28P01": "the password is wrong: correct it in database.dsn_file, or with ALTER ROLE … PASSWORD",
    "28000": "the server refuses this login: correct user or password, or admit it in pg_hba.conf",
    "3D000": "make the database with createdb, or correct its name; then run: hj212gw db migrate",
    "42501": "grant this login CONNECT on the database",
    "53300": "the server has no connection left: raise max_connections, or close some",
    "57P03": "the server is starting or stopping: wait, then run doctor again",
}
_OTHER_STEP = "see whether it runs and whether its address is right"

_COLUMNSTORE_STEPS = {
    "apache_licence": "set timescaledb.license = 'timescale', or keep enough disk: old readings stay uncompressed",
    "native_partitions": "nothing has to be done; for the columnstore restore a dump into a database migrated with it",
    "owner_without_login": "ALTER ROLE … LOGIN for the owner of the tables in schema hj212",
    "old_timescaledb": "update TimescaleDB",
    "no_job": "start the gateway, or run: hj212gw db migrate",
}


def check_database(settings: Settings) -> list[Check]:
    """Look at the database the settings name, or at the embedded one while it runs."""
    return asyncio.run(_check(settings))


async def _check(settings: Settings) -> list[Check]:
    if settings.database.dsn is not None:
        return await _check_dsn(settings.database.dsn.get_secret_value(), settings)
    from hj212gw.store.embedded import find_running_dsn  # noqa: PLC0415 - asyncpg, only where it is needed

    folder = settings.data_dir / "postgres"
    if is_upgraded(folder):
        return [_judge_upgrade(folder)]
    dsn = find_running_dsn(folder)
    if dsn is not None:
        return [*await _check_dsn(dsn, settings), *await _check_growth(dsn, folder)]
    if folder.exists():
        return [Check("database", "ok", f"{folder}: its server does not run, `up` starts it")]
    step = "name one with --dsn or database.dsn_file, unless `up` shall start its own"
    return [Check("database", "warning", "none is named", step)]


def _judge_upgrade(directory: Path) -> Check:
    """Tell of the folder for which `up` goes without its database."""
    folder = upgrade_folder(directory)
    pid = find_upgrader(directory)
    if pid is not None:
        found = f"process {pid} upgrades it; packets wait in the journal meanwhile"
        return Check("database", "warning", found, "wait for its end, then run doctor again")
    found = f"{folder} is there: it was let go for an upgrade that is not running; packets wait in the journal"
    step = "run: hj212gw db upgrade-embedded"
    is_empty = os.access(folder, os.R_OK) and not any(folder.iterdir())
    step += f"; or, as it is empty: rmdir {folder}" if is_empty else ", which goes on where it was"
    return Check("database", "failed", found, step)


async def _check_dsn(dsn: str, settings: Settings) -> list[Check]:
    from hj212gw.store.pool import connect  # noqa: PLC0415

    try:
        connection = await connect(dsn, name="hj212gw doctor")
    except (StoreError, ConfigError) as error:
        return [Check("database", "failed", str(error), step_for(error))]
    try:
        return [check async for check in _ask(connection, settings)]
    except StoreError as error:
        return [Check("database", "failed", str(error), _OTHER_STEP)]
    finally:
        await connection.close()


def step_for(error: BaseException) -> str:
    """Name the next step after a refused connection."""
    return _CONNECT_STEPS.get(getattr(error.__cause__, "sqlstate", None) or "", _OTHER_STEP)


async def _ask(connection: "Connection", settings: Settings) -> AsyncIterator[Check]:
    from hj212gw.store.engine import read_clock, read_engine  # noqa: PLC0415

    engine = await read_engine(connection)
    yield Check("database", "ok", f"PostgreSQL {engine.server}")
    theirs = await read_clock(connection)
    yield _judge_clock((theirs - datetime.now(UTC)).total_seconds())
    if engine.timescaledb is not None:
        yield judge_timescaledb(engine)
    schema = await _check_schema(connection)
    yield schema
    if schema.state == "ok":
        if engine.timescaledb is not None:
            yield judge_columnstore(engine)
        yield await _check_partitions(connection, settings)


async def _check_schema(connection: "Connection") -> Check:
    from hj212gw.store.migrate import check_schema, read_state  # noqa: PLC0415

    try:
        await check_schema(connection)
    except SchemaMismatch as error:
        state = await read_state(connection)
        if state.is_newer:
            step = "install the hj212gw that migrated it, or a newer one"
        elif state.pending:
            step = "run: hj212gw db migrate"
        else:
            step = "install the version that made this database, or restore it from a backup"
        return Check("schema", "failed", str(error), step)
    return Check("schema", "ok", "up to date")


def _judge_clock(skew_secs: float) -> Check:
    name = "database clock"
    if abs(skew_secs) > _SKEW_SECS:
        way = "ahead of" if skew_secs > 0 else "behind"
        return Check(name, "warning", f"{abs(skew_secs):.0f} s {way} this machine's", "keep both clocks right by NTP")
    return Check(name, "ok", "agrees with this machine's")


def judge_timescaledb(engine: "Engine") -> Check:
    """Tell whether the extension goes with its server."""
    if engine.warning:
        return Check("timescaledb", "warning", engine.warning, "update the extension's package, then the extension")
    found = f"{engine.timescaledb} goes with PostgreSQL {engine.server}"
    return Check("timescaledb", "ok", f"{found}; {engine.outlook}" if engine.outlook else found)


def judge_columnstore(engine: "Engine") -> Check:
    """Tell whether old readings go into the columnstore."""
    from hj212gw.store.engine import describe_columnstore  # noqa: PLC0415

    found = describe_columnstore(engine)
    step = _COLUMNSTORE_STEPS.get(engine.obstacle, "")
    return Check("columnstore", "warning" if engine.obstacle else "ok", found, step)


async def _check_partitions(connection: "Connection", settings: Settings) -> Check:
    from hj212gw.store.engine import find_missing_partitions, read_partitions_ahead  # noqa: PLC0415

    clock = Clock(settings.clock.epoch, settings.clock.speed, origin=settings.clock.origin)
    ahead = await read_partitions_ahead(connection, clock.now())
    if ahead is None:
        return Check("partitions", "ok", "TimescaleDB makes its chunks as data comes")
    missing = await find_missing_partitions(connection)
    if missing:
        first = missing[0]
        found = f"{len(missing)} noted as made are not there, such as {first.name} of {first.table}"
        return Check("partitions", "failed", found, f"as their owner, one after the other: {first.remedy}")
    found = f"made for {max(ahead, timedelta()).days} days ahead"
    if ahead < _LEAST_AHEAD:
        step = "start the gateway, which makes them each hour, or run: hj212gw db migrate; if it runs, read its log"
        return Check("partitions", "failed" if ahead <= timedelta() else "warning", found, step)
    return Check("partitions", "ok", found)


async def _check_growth(dsn: str, folder: Path) -> list[Check]:
    """Tell how long the embedded server's disk lasts, by what the newest partitions took."""
    from hj212gw.store.engine import read_daily_growth  # noqa: PLC0415
    from hj212gw.store.pool import connected  # noqa: PLC0415

    try:
        async with connected(dsn, name="hj212gw doctor") as connection:
            bytes_a_day = await read_daily_growth(connection, datetime.now(UTC))
    except StoreError:
        return []  # told already
    if not bytes_a_day:
        return []
    detail = f"the database takes {bytes_a_day / GIB:.2f} GiB a day; the disk lasts"
    step = "make room, or set retention.real_time_days and retention.packets_days lower"
    days = shutil.disk_usage(folder).free / bytes_a_day
    return [judge_days_left("database days left", detail, days, _LEAST_DAYS, step)]
