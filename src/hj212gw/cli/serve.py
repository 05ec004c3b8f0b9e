"""`hj212gw serve`: the gateway alone, beside a database that is run elsewhere."""

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from hj212gw.cli import options
from hj212gw.cli.notifying import announced
from hj212gw.cli.output import say

if TYPE_CHECKING:
    from hj212gw.config import Settings


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("serve")(serve)


def serve(
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
    worker: options.Worker = None,
) -> None:
    """Run the gateway; the database may come and go. Migrate it first: hj212gw db migrate.

    Example: hj212gw serve --config /etc/hj212gw.toml
    """
    if worker is not None:
        _work()
        return
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
    options.run(_run(settings, options.need_dsn(settings), given, ready_file))


async def _run(settings: "Settings", dsn: str, given: options.Given, ready_file: Path | None) -> None:
    from hj212gw.cli import running, workers  # noqa: PLC0415 - asyncpg and the gateway are slow to import

    stopped = asyncio.ensure_future(running.wait_for_stop())
    async with AsyncExitStack() as stack:
        accepts_unknown = settings.gateway.unknown_mn == "accept"
        service = workers.run_service(settings, dsn, given, accepts_unknown=accepts_unknown)
        started = await stack.enter_async_context(service)
        say(f"gateway   {started.gateway}{f' and, with TLS, {started.tls}' if started.tls else ''}")
        say(f"http      http://{started.http}/metrics /healthz /readyz")
        if ready_file is not None:
            running.write_ready_file(ready_file, started)
        async with announced(f"listening on {started.gateway}"):
            reason = await stopped
        say(f"stopping on {reason}")


def _work() -> None:
    """Be a worker: everything else is told by the supervisor that started us."""
    from hj212gw.cli import workers  # noqa: PLC0415

    workers.work()
