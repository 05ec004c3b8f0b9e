"""`hj212gw db seal` and `db verify`: the chain of digests over the raw archive."""

import asyncio
from datetime import date
from typing import TYPE_CHECKING, Any

import typer

from hj212gw.cli import options
from hj212gw.cli.output import Progress, print_data, print_json, print_table, say

if TYPE_CHECKING:
    from hj212gw.config import Settings
    from hj212gw.store.archive import Seal
    from hj212gw.store.audit import Audit
    from hj212gw.store.digests import Entry

_FAILED = 1


def add_to(group: typer.Typer) -> None:
    """Add the commands to the group `db`."""
    group.command("seal")(seal_command)
    group.command("verify")(verify_command)


def seal_command(
    through: str | None = typer.Option(None, "--through", help="The last day to seal, such as 2026-03-01."),
    config: options.Config = None,
    dsn: options.Dsn = None,
    as_json: options.Json = False,
) -> None:
    """Give past days of the raw archive their digests, as a running gateway does every hour.

    Example: hj212gw db seal --through 2026-03-01

    A day can be sealed once it is over and every live journal has drained past it.
    """
    last = _read_day(through, "--through")
    settings = options.load(config, {"database.dsn": dsn}, simulated_clock=True)
    seal = asyncio.run(_seal(options.need_dsn(settings), settings, last))
    if as_json:
        print_json({"entries": [_show(entry) for entry in seal.entries], "waits_for": seal.waits_for})
    else:
        _print_entries(seal.entries)
    if seal.is_busy:
        say("another process is sealing: try again later")
        raise typer.Exit(_FAILED)
    if seal.waits_for is not None:
        say(f"later days wait for {seal.waits_for}")
    say(f"sealed {len(seal.entries)}")


def verify_command(
    first: str | None = typer.Option(None, "--from", help="The first day of arrival to check, such as 2026-03-01."),
    last: str | None = typer.Option(None, "--to", help="The last day of arrival to check."),
    expect: str | None = typer.Option(None, "--expect", help="A digest that an earlier verify printed."),
    config: options.Config = None,
    dsn: options.Dsn = None,
    as_json: options.Json = False,
) -> None:
    """Compute the digests of sealed days again and check the chain; exit 1 when anything is not what it was.

    Example: hj212gw db verify --from 2026-03-01 --to 2026-03-31

    Prints the newest entry. Keep its digest where the database's owner cannot write, and give it back with --expect:
    a chain that was computed anew does not hold it.
    """
    days = (_read_day(first, "--from") or date.min, _read_day(last, "--to") or date.max)
    if days[0] > days[1]:
        raise typer.BadParameter("--from is after --to")
    digest = options.read_digest(expect, "verify prints")
    expected = None if digest is None else bytes.fromhex(digest)
    settings = options.load(config, {"database.dsn": dsn}, simulated_clock=True)
    audit = asyncio.run(_verify(options.need_dsn(settings), settings, days, expected))
    _finish(audit, as_json=as_json)


def _finish(audit: "Audit", *, as_json: bool) -> None:
    if as_json:
        findings = [{**finding._asdict(), "is_wrong": finding.is_wrong} for finding in audit.findings]
        head = _show(audit.head) if audit.head else None
        print_json({"ok": audit.is_good, "checked": audit.checked, "findings": findings, "newest": head})
    else:
        for finding in audit.findings:
            where = f"{finding.day} {finding.part}: " if finding.day else ""
            say(f"{'wrong' if finding.is_wrong else 'note'}: {where}{finding.kind}: {finding.detail}")
        if audit.head:
            print_data(f"{audit.head.seq} {audit.head.day} {audit.head.chained.hex()}")
    if audit.head is None:
        say("no day is sealed yet")
    say(f"checked {audit.checked} parts of days, {'all as sealed' if audit.is_good else 'NOT all as sealed'}")
    if not audit.is_good:
        raise typer.Exit(_FAILED)


def _read_day(text: str | None, option: str) -> date | None:
    try:
        return None if text is None else date.fromisoformat(text)
    except ValueError as error:
        raise typer.BadParameter(f"expected a day such as 2026-03-01, came {text!r}", param_hint=option) from error


def _show(entry: "Entry") -> dict[str, Any]:
    return {name: value.hex() if isinstance(value, bytes) else value for name, value in entry._asdict().items()}


def _print_entries(entries: "list[Entry]") -> None:
    if entries:
        columns = ("seq", "day", "part", "rows", "digest")
        rows = [(entry.seq, entry.day, entry.part, entry.rows, entry.chained.hex()) for entry in entries]
        print_table(columns, rows)


async def _seal(dsn: str, settings: "Settings", through: date | None) -> "Seal":
    from hj212gw.cli.running import make_clock  # noqa: PLC0415 - slow to import, like asyncpg
    from hj212gw.store.archive import STATEMENT_TIMEOUT_SECS, seal_days  # noqa: PLC0415
    from hj212gw.store.migrate import check_schema  # noqa: PLC0415
    from hj212gw.store.pool import GATEWAY_ROLE, connected  # noqa: PLC0415

    opened = connected(dsn, name="hj212gw seal", role=GATEWAY_ROLE, statement_timeout_secs=STATEMENT_TIMEOUT_SECS)
    async with opened as connection:
        await check_schema(connection)
        return await seal_days(connection, make_clock(settings).now(), through=through)


async def _verify(dsn: str, settings: "Settings", days: tuple[date, date], expected: bytes | None) -> "Audit":
    from hj212gw.cli.running import make_clock  # noqa: PLC0415 - slow to import, like asyncpg
    from hj212gw.store.archive import STATEMENT_TIMEOUT_SECS  # noqa: PLC0415
    from hj212gw.store.audit import AuditRange, audit_chain, kept_since  # noqa: PLC0415
    from hj212gw.store.migrate import check_schema  # noqa: PLC0415
    from hj212gw.store.pool import GATEWAY_ROLE, connected  # noqa: PLC0415

    since = kept_since(make_clock(settings).now(), settings.retention.packets_days)
    opened = connected(dsn, name="hj212gw verify", role=GATEWAY_ROLE, statement_timeout_secs=STATEMENT_TIMEOUT_SECS)
    async with opened as connection:
        await check_schema(connection)
        with Progress("verified") as progress:
            wanted = AuditRange(*days, since, expected)
            return await audit_chain(connection, wanted, on_part=lambda share, day: progress.show(share, str(day)))
