"""`hj212gw replay`: derive readings again from the raw archive."""

import asyncio
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any

import typer

from hj212gw.cli import options
from hj212gw.cli.output import Progress, print_json, say
from hj212gw.protocol.times import WIRE_ZONE

if TYPE_CHECKING:
    from datetime import datetime

    from hj212gw.config import Settings
    from hj212gw.store.replays import Done, Range, Replay


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("replay")(replay)


def replay(
    from_at: str = typer.Option(..., "--from", help="Packets that arrived then or later, such as 2026-03-01T00:00."),
    to_at: str = typer.Option(..., "--to", help="Packets that arrived before, such as 2026-03-02T00:00."),
    mn: str | None = typer.Option(None, "--mn", help="Only this data logger's."),
    config: options.Config = None,
    dsn: options.Dsn = None,
    as_json: options.Json = False,
) -> None:
    """Derive readings again from the packets of the archive, after a correction of the registry.

    Example: hj212gw replay --from 2026-03-01 --to 2026-03-02 --mn 010000A8900016F000169DC0

    Times are arrivals, on UTC+8. What gives the same as before stays untouched; where a
    value changes, the old one goes to v_history. A run that was cut off goes on where it was when it is asked for
    again. Data loggers, the gateway and its drain go on meanwhile.
    """
    settings = options.load(config, {"database.dsn": dsn}, simulated_clock=True)
    wanted = (options.read_moment(from_at, "--from"), options.read_moment(to_at, "--to"), mn)
    if wanted[0] >= wanted[1]:
        raise typer.BadParameter(f"--from {from_at} is not before --to {to_at}")
    done = asyncio.run(_replay(options.need_dsn(settings), settings, wanted))
    if as_json:
        print_json(done._asdict())
        return
    say(
        f"{done.packets} packets derived again: {done.written} readings new, {done.replaced} replaced, "
        f"{done.restored} packets out of quarantine, {done.skipped} stay apart"
    )


async def _replay(dsn: str, settings: "Settings", wanted: "tuple[datetime, datetime, str | None]") -> "Done":
    from hj212gw.cli.running import make_clock  # noqa: PLC0415 - asyncpg and the gateway are slow to import
    from hj212gw.gateway.replay import Lines, replay  # noqa: PLC0415
    from hj212gw.store.migrate import check_schema  # noqa: PLC0415
    from hj212gw.store.pool import GATEWAY_ROLE, connected  # noqa: PLC0415
    from hj212gw.store.replays import Range  # noqa: PLC0415

    timeout = settings.database.statement_timeout_secs
    async with AsyncExitStack() as stack:
        connections = []
        for name in ("hj212gw replay, reading", "hj212gw replay"):
            opened = connected(dsn, name=name, role=GATEWAY_ROLE, statement_timeout_secs=timeout)
            connections.append(await stack.enter_async_context(opened))
        lines = Lines(*connections)
        await check_schema(lines.writing)
        maker = await _make_maker(lines.writing, make_clock(settings).now())
        with Progress("replayed") as progress:
            return await replay(
                lines,
                maker,
                Range(*wanted),
                batch_packets=settings.database.batch_packets,
                on_progress=lambda run: progress.show(*_progress(Range(*wanted), run)),
            )


async def _make_maker(connection: Any, now: "datetime") -> Any:
    from hj212gw.gateway.admission import Admission  # noqa: PLC0415 - slow to import
    from hj212gw.gateway.batches import BatchMaker  # noqa: PLC0415
    from hj212gw.store.loggers import read_known_loggers  # noqa: PLC0415

    admission = Admission(accepts_unknown=False, snapshot=None)
    admission.replace(await read_known_loggers(connection, now))
    return BatchMaker(admission)


def _progress(wanted: "Range", run: "Replay") -> tuple[float, str]:
    """Tell how much of the range is done, by arrivals, and the counts."""
    share = (run.position_at - wanted.from_at) / (wanted.to_at - wanted.from_at)
    local = run.position_at.astimezone(WIRE_ZONE)
    return share, f"{local:%Y-%m-%d %H:%M:%S} {run.done.packets} packets, {run.done.replaced} replaced"
