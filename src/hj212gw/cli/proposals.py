"""`hj212gw registry proposals`, `accept` and `dismiss`: what the gateway would set, and a person's word on it."""

import asyncio
import getpass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hj212gw.cli import options
from hj212gw.cli.output import print_json, print_table, say

if TYPE_CHECKING:
    from datetime import datetime

    from hj212gw.registry.proposals import Accepted, Setting
    from hj212gw.store.proposals import SeenProposal

_Wanted = tuple[str, str, str, str | None, str | None]  # the fields of store.proposals.Wanted, which is slow to import

_COLUMNS = ("mn", "st", "cn", "outlet", "what", "value", "times", "last seen", "state", "evidence")

Mn = Annotated[str, typer.Argument(metavar="MN", help="Data logger as sent.")]
What = Annotated[str, typer.Argument(metavar="WHAT", help="dialect, time_label, unit, rename, repair, clock, ...")]
Value = Annotated[list[str], typer.Argument(metavar="VALUE", help="As listed; several words are joined by spaces.")]
St = Annotated[str | None, typer.Option("--st", help="Only of this ST.")]
Cn = Annotated[str | None, typer.Option("--cn", help="Only of this CN.")]
By = Annotated[str | None, typer.Option("--by", help="Who decides; the login's name unless given.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("proposals")(proposals_command)
    app.command("accept")(accept_command)
    app.command("dismiss")(dismiss_command)


def proposals_command(
    mn: Annotated[str | None, typer.Option("--mn", help="Only of this data logger.")] = None,
    what: Annotated[str | None, typer.Option("--what", help="Only of this kind.")] = None,
    with_decided: Annotated[bool, typer.Option("--all", help="Accepted and dismissed ones too.")] = False,
    config: options.Config = None,
    dsn: options.Dsn = None,
    as_json: options.Json = False,
) -> None:
    """List what the gateway would set for data loggers, and what their makers have to mend.

    Example: hj212gw registry proposals --what dialect
    """
    rows = asyncio.run(_read(_need_dsn(config, dsn), mn, what, with_decided=with_decided))
    if as_json:
        print_json([row._asdict() for row in rows])
        return
    print_table(_COLUMNS, [_to_cells(row) for row in rows])


def accept_command(
    mn: Mn,
    what: What,
    value: Value,
    start: Annotated[
        str | None,
        typer.Option(
            "--from",
            metavar="TIME",
            help="From when it holds, on UTC+8, such as 2026-01-01T08:00; all the time it is registered for.",
        ),
    ] = None,
    st: St = None,
    cn: Cn = None,
    by: By = None,
    config: options.Config = None,
    dsn: options.Dsn = None,
    as_json: options.Json = False,
) -> None:
    """Accept a proposal: write its dated row into the registry.

    Example: hj212gw registry accept 010000A8900016F000169DC0 dialect crc_modbus --by "Li Wei"

    A row that holds the contrary ends when the new one begins, and none holds longer than the data logger is
    registered. What no row can answer (repair, clock, register, key) is told what to do about.
    """
    wanted = (mn, what, " ".join(value), st, cn)
    start_at = None if start is None else options.read_moment(start, "--from")
    accepted = asyncio.run(_accept(_need_dsn(config, dsn), wanted, start_at, by or getpass.getuser()))
    if as_json:
        print_json([_to_document(setting) for setting in accepted.settings])
    for setting in accepted.settings:
        say(f"{setting.table}: {' '.join(map(str, setting.values))} {accepted.period}")


def dismiss_command(
    mn: Mn,
    what: What,
    value: Value,
    st: St = None,
    cn: Cn = None,
    by: By = None,
    config: options.Config = None,
    dsn: options.Dsn = None,
) -> None:
    """Dismiss a proposal: it keeps counting and is listed with --all only. Nothing in the registry changes.

    Example: hj212gw registry dismiss 010000A8900016F000169DC0 repair no_crlf
    """
    wanted = (mn, what, " ".join(value), st, cn)
    count = asyncio.run(_dismiss(_need_dsn(config, dsn), wanted, by or getpass.getuser()))
    say(f"dismissed: {count}")


def _need_dsn(config: Path | None, dsn: str | None) -> str:
    """Return the DSN of the settings; rows are recorded at the real time, so a clock section is no fault here."""
    return options.need_dsn(options.load(config, {"database.dsn": dsn}, simulated_clock=True))


async def _read(dsn: str, mn: str | None, what: str | None, *, with_decided: bool) -> "list[SeenProposal]":
    from hj212gw.store.proposals import ProposalStore  # noqa: PLC0415 - asyncpg is slow to import

    async with ProposalStore.open(dsn) as store:
        return await store.read(mn, what, decided=with_decided)


async def _accept(dsn: str, wanted: _Wanted, start: "datetime | None", by: str) -> "Accepted":
    from hj212gw.clock import Clock  # noqa: PLC0415 - slow to import, like asyncpg
    from hj212gw.registry.proposals import accept_proposal  # noqa: PLC0415
    from hj212gw.store.proposals import ProposalStore, Wanted  # noqa: PLC0415

    async with ProposalStore.open(dsn) as store:
        return await accept_proposal(store, Wanted(*wanted), start, Clock().now(), by)


async def _dismiss(dsn: str, wanted: _Wanted, by: str) -> int:
    from hj212gw.clock import Clock  # noqa: PLC0415 - slow to import, like asyncpg
    from hj212gw.registry.proposals import dismiss_proposal  # noqa: PLC0415
    from hj212gw.store.proposals import ProposalStore, Wanted  # noqa: PLC0415

    async with ProposalStore.open(dsn) as store:
        return await dismiss_proposal(store, Wanted(*wanted), Clock().now(), by)


def _to_document(setting: "Setting") -> dict[str, Any]:
    return {"table": setting.table, **dict(zip(setting.columns, setting.values, strict=True))}


def _to_cells(row: "SeenProposal") -> list[Any]:
    from hj212gw.registry.cells import format_moment  # noqa: PLC0415 - slow to import

    seen = format_moment(row.last_seen_at.replace(microsecond=0))
    return [row.mn, row.st, row.cn, row.outlet, row.what, row.value, row.times, seen, row.state, row.evidence]
