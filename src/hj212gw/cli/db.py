"""`hj212gw db`: migrations, what is applied, and the embedded server's upgrade."""

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from hj212gw.cli import chain, options
from hj212gw.cli.output import Progress, print_data, print_json, say

if TYPE_CHECKING:
    from hj212gw.config import Settings

_db = typer.Typer(help="The database: migrate it, look at it.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add the commands."""
    chain.add_to(_db)
    app.add_typer(_db, name="db")


@_db.command("migrate")
def migrate_command(
    config: options.Config = None,
    dsn: options.Dsn = None,
    dry_run: bool = typer.Option(False, "--dry-run", help="Say what would be applied and apply nothing."),
) -> None:
    """Bring the schema up to this program's version. Forward only; safe to run twice.

    Example: hj212gw db migrate --dsn postgresql://owner@localhost/hj212
    """
    settings = options.load(config, {"database.dsn": dsn})
    names = asyncio.run(_migrate(options.need_dsn(settings), settings, dry_run=dry_run))
    for name in names:
        say(f"{'would apply' if dry_run else 'applied'} {name}")
    if not names:
        say("the schema is up to date")


@_db.command("status")
def status_command(config: options.Config = None, dsn: options.Dsn = None, as_json: options.Json = False) -> None:
    """Say what is applied, which engine runs, and how big it is.

    Example: hj212gw db status --json
    """
    settings = options.load(config, {"database.dsn": dsn})
    status = asyncio.run(_status(options.need_dsn(settings)))
    if as_json:
        print_json(status)
        return
    tables = status.pop("tables")
    status["is_newer"] = "yes: this version is older than the schema" if status["is_newer"] else "no"
    for name, value in status.items():
        print_data(f"{name:<16}{(', '.join(value) or 'none') if isinstance(value, list) else value}")
    for name, size in tables.items():
        print_data(f"{'bytes of':<16}{name:<20}{size:>16,}")


@_db.command("upgrade-embedded")
def upgrade_command(
    config: options.Config = None,
    data_dir: options.DataDir = None,
    old_programs: Path | None = typer.Option(
        None, "--old-programs", help="Folder with initdb and postgres of the old version, where they are not found."
    ),
) -> None:
    """Move the private PostgreSQL of `up` to the newest major version there is; packets are taken all the while.

    Example: hj212gw db upgrade-embedded --data-dir ./data

    A running `up` lets go of its database and takes it back; packets wait in its journal meanwhile. The old directory
    is kept under another name. What fails leaves all as it was; what is cut off goes on when it is started again.
    """
    settings = options.load(config, {"data_dir": data_dir})
    options.run(_upgrade(settings, old_programs))


async def _upgrade(settings: "Settings", old_programs: Path | None) -> None:
    from hj212gw.cli.up import EMBEDDED_FOLDER  # noqa: PLC0415 - slow to import, like asyncpg
    from hj212gw.store.upgrade import EmbeddedUpgrade, UpgradeOptions  # noqa: PLC0415

    upgrade = EmbeddedUpgrade(settings.data_dir / EMBEDDED_FOLDER, UpgradeOptions(old_programs), say)
    done = await upgrade.run()
    if done is not None:
        say(f"PostgreSQL {done.old_major} is now {done.new_major}, {done.rows:,} rows came across")
        say(f"when you are sure, remove {done.kept}")


async def _migrate(dsn: str, settings: "Settings", *, dry_run: bool) -> list[str]:
    from hj212gw.cli.running import make_clock  # noqa: PLC0415 - slow to import, like asyncpg
    from hj212gw.store.migrate import find_pending, migrate  # noqa: PLC0415
    from hj212gw.store.pool import connected  # noqa: PLC0415

    async with connected(dsn, name="hj212gw migrate") as connection:
        pending = await find_pending(connection)
        if dry_run:
            return pending
        with Progress("migrating") as progress:
            return await migrate(
                connection,
                now=make_clock(settings).now(),
                on_step=lambda name: progress.show(pending.index(name) / len(pending), name),
            )


async def _status(dsn: str) -> dict[str, Any]:
    from hj212gw.store.engine import describe_columnstore, read_engine  # noqa: PLC0415 - slow to import
    from hj212gw.store.migrate import read_state  # noqa: PLC0415
    from hj212gw.store.pool import connected  # noqa: PLC0415

    async with connected(dsn, name="hj212gw status") as connection:
        engine = await read_engine(connection)
        state = await read_state(connection)
        return {
            "server": engine.server,
            "timescaledb": engine.timescaledb or "not installed",
            "columnstore": describe_columnstore(engine),
            "warning": engine.warning or "none",
            "database_bytes": engine.database_bytes,
            "applied": [name for _, name, _ in state.applied],
            "pending": state.pending,
            "is_newer": state.is_newer,
            "tables": engine.table_bytes,
        }
