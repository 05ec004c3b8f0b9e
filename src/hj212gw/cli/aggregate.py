"""`hj212gw aggregate`: keep the rates of the assessment up to date."""

import asyncio
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Annotated

import typer

from hj212gw.cli import options
from hj212gw.cli.notifying import announced
from hj212gw.cli.output import say

if TYPE_CHECKING:
    from hj212gw.config import Settings


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("aggregate")(aggregate)


def aggregate(
    config: options.Config = None,
    dsn: options.Dsn = None,
    once: Annotated[bool, typer.Option("--once", help="Compute what is stale now, then end.")] = False,
    http: Annotated[str | None, typer.Option("--http", help="host:port of its /metrics, /healthz and /readyz.")] = None,
    simulated_clock: options.SimulatedClock = False,
    clock_epoch: options.ClockEpoch = None,
    clock_origin: options.ClockOrigin = None,
    clock_speed: options.ClockSpeed = None,
) -> None:
    """Compute transmission and validity rates as data and marks come; several may run, one works at a time.

    Example: hj212gw aggregate --dsn postgresql://hj212@db/hj212
    """
    overrides = {
        "database.dsn": dsn,
        "clock.epoch": clock_epoch,
        "clock.origin": clock_origin,
        "clock.speed": clock_speed,
        **{name.replace("http.", "aggregator.http_"): value for name, value in options.split_http(http).items()},
    }
    settings = options.load(config, overrides, simulated_clock=simulated_clock)
    address = options.need_dsn(settings)
    if once:
        say(f"days of outlets whose figures changed: {asyncio.run(_once(settings, address))}")
        return
    options.run(_run(settings, address))


async def _once(settings: "Settings", dsn: str) -> int:
    from hj212gw.cli.aggregating import make_aggregator  # noqa: PLC0415 - slow to import, like asyncpg
    from hj212gw.cli.running import make_clock  # noqa: PLC0415

    return await make_aggregator(settings, dsn, make_clock(settings)).work()


async def _run(settings: "Settings", dsn: str) -> None:
    from hj212gw.cli import running  # noqa: PLC0415 - slow to import, like asyncpg
    from hj212gw.cli.aggregating import run_aggregator  # noqa: PLC0415
    from hj212gw.http import HttpServer, Readiness  # noqa: PLC0415

    stopped = asyncio.ensure_future(running.wait_for_stop())
    async with AsyncExitStack() as stack:
        server = HttpServer(settings.aggregator.http_host, settings.aggregator.http_port, lambda: Readiness(True))
        host, port = await server.start()
        stack.push_async_callback(server.stop)
        await stack.enter_async_context(run_aggregator(settings, dsn, running.make_clock(settings)))
        say(f"http      http://{host}:{port}/metrics /healthz /readyz")
        async with announced(f"computing; /metrics on {host}:{port}"):
            reason = await stopped
        say(f"stopping on {reason}")
