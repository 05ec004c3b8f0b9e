"""`hj212gw up`: everything on one machine."""

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from hj212gw.cli import options
from hj212gw.cli.notifying import announced
from hj212gw.cli.output import say
from hj212gw.errors import StoreUnavailable

if TYPE_CHECKING:
    from hj212gw.cli.running import Running
    from hj212gw.config import Settings

EMBEDDED_FOLDER = "postgres"  # in data_dir


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("up")(up)


def up(
    config: options.Config = None,
    data_dir: options.DataDir = None,
    dsn: options.Dsn = None,
    host: options.Host = None,
    port: options.PortNumber = None,
    workers: options.Workers = None,
    http: options.Http = None,
    ready_file: options.ReadyFile = None,
    unknown_mn: options.UnknownMn = None,
    simulated_clock: options.SimulatedClock = False,
    clock_epoch: options.ClockEpoch = None,
    clock_origin: options.ClockOrigin = None,
    clock_speed: options.ClockSpeed = None,
) -> None:
    """Run gateway, aggregator, HTTP and a private PostgreSQL on one machine.

    Example: hj212gw up --data-dir ./data --port 9212
    """
    overrides = {
        "data_dir": data_dir,
        "database.dsn": dsn,
        "gateway.host": host,
        "gateway.port": port,
        "gateway.workers": workers,
        "gateway.unknown_mn": unknown_mn,
        "clock.epoch": clock_epoch,
        "clock.origin": clock_origin,
        "clock.speed": clock_speed,
        **options.split_http(http),
    }
    given = options.Given(config, overrides, simulated_clock)
    settings = options.load(config, overrides, simulated_clock=simulated_clock)
    options.run(_run(settings, given, ready_file))


async def _run(settings: "Settings", given: options.Given, ready_file: Path | None) -> None:
    # asyncpg and the gateway take a third of a second to import: only this command and `serve` pay for it
    from hj212gw.cli import running, workers  # noqa: PLC0415
    from hj212gw.cli.aggregating import run_aggregator  # noqa: PLC0415

    secret = settings.database.dsn
    stopped = asyncio.ensure_future(running.wait_for_stop())
    async with AsyncExitStack() as stack:
        if secret is None:
            dsn = await _start_embedded(settings, stack)
        else:
            dsn = secret.get_secret_value()
        await _migrate(dsn, settings, stack)
        accepts_unknown = settings.gateway.unknown_mn != "hold"
        service = workers.run_service(settings, dsn, given, accepts_unknown=accepts_unknown)
        started = await stack.enter_async_context(service)
        await stack.enter_async_context(run_aggregator(settings, dsn, running.make_clock(settings)))
        _announce(started, settings)
        if ready_file is not None:
            running.write_ready_file(ready_file, started)
        async with announced(f"listening on {started.gateway}"):
            reason = await stopped
        say(f"stopping on {reason}")


async def _start_embedded(settings: "Settings", stack: AsyncExitStack) -> str:
    from hj212gw.cli.embedding import EmbeddedDatabase  # noqa: PLC0415 - only where no DSN is given

    database = EmbeddedDatabase(settings.data_dir / EMBEDDED_FOLDER)
    stack.push_async_callback(database.stop)
    await database.start()
    return database.dsn


async def _migrate(dsn: str, settings: "Settings", stack: AsyncExitStack) -> None:
    """Migrate now, or in the background when the database is away: packets are taken all the same."""
    from hj212gw.cli import running  # noqa: PLC0415

    clock = running.make_clock(settings)
    try:
        await running.migrate_once(dsn, clock)
    except StoreUnavailable as error:
        say(f"{error}; packets are kept in the journal until it is back")
        task = asyncio.create_task(running.migrate_when_possible(dsn, clock))
        stack.callback(task.cancel)


def _announce(started: "Running", settings: "Settings") -> None:
    say(f"gateway   {started.gateway}{f' and, with TLS, {started.tls}' if started.tls else ''}")
    say(f"http      http://{started.http}/metrics /healthz /readyz")
    say(f"database  {options.mask(started.dsn)}")
    say(f"data      {settings.data_dir}")
    say("Ctrl-C stops; nothing acknowledged is lost")
