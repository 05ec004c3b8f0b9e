"""`hj212gw upstream`: what a higher platform recorded, into the database and beside our figures."""

import asyncio
import sys
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hj212gw.cli import options
from hj212gw.cli.comparison import print_comparison, to_document
from hj212gw.cli.output import Progress, print_json, say

if TYPE_CHECKING:
    from hj212gw.assessment.compare import Comparison
    from hj212gw.assessment.upstream import File, ImportReport

_FAILED = 1
_STDIN = "-"

_upstream = typer.Typer(
    help="Hours, marks and rates as a higher platform recorded them, beside ours.", no_args_is_help=True
)

Name = Annotated[str, typer.Argument(metavar="NAME", help="Name of the platform, such as province.")]
Files = Annotated[
    list[Path],
    typer.Argument(metavar="FILE...", help="hours.csv, marks.csv, rates.csv in any order; the header tells the kind."),
]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(_upstream, name="upstream")


@_upstream.command("import")
def import_command(
    name: Name,
    files: Files,
    dry_run: bool = typer.Option(False, "--dry-run", help="Say what would be done and write nothing."),
    config: options.Config = None,
    dsn: options.Dsn = None,
    as_json: options.Json = False,
) -> None:
    """Bring hours, marks and rates of a higher platform into the database: every line, or none when any is wrong.

    Example: hj212gw upstream import province hours.csv marks.csv rates.csv

    Nothing is replaced: what is there already stays, an hour with a later arrival stands from then on, and rates that
    changed become a newer version.
    """
    wanted = options.need_dsn(_load(config, dsn))
    report = asyncio.run(_import(wanted, _read_name(name), _read_files(files), is_dry_run=dry_run))
    _finish_import(report, as_json=as_json)


@_upstream.command("compare")
def compare_command(
    name: Name,
    from_day: Annotated[str, typer.Option("--from", metavar="DAY", help="First day, such as 2026-03-01.")],
    to_day: Annotated[str, typer.Option("--to", metavar="DAY", help="The day after the last.")],
    outlet: Annotated[list[str] | None, typer.Option("--outlet", help="Only of this outlet; repeat it.")] = None,
    policy: Annotated[str | None, typer.Option("--policy", help="Named policy; the configured one unless set.")] = None,
    config: options.Config = None,
    dsn: options.Dsn = None,
    as_json: options.Json = False,
) -> None:
    """Lay a higher platform's rates beside ours, and find the open settings that make ours theirs.

    Example: hj212gw upstream compare province --from 2026-03-01 --to 2026-04-01

    Ours are computed twice: from what arrived here, and from the platform's own hours and marks. Over these every
    combination of the settings that are not publicly fixed is tried.
    """
    settings = _load(config, dsn, policy)
    days = (_read_day(from_day, "--from"), _read_day(to_day, "--to"))
    if days[0] >= days[1]:
        raise typer.BadParameter("expected a day after that of --from", param_hint="--to")
    found = asyncio.run(_compare(options.need_dsn(settings), settings, _read_name(name), (days, outlet)))
    if as_json:
        print_json(to_document(found))
    else:
        print_comparison(found)
    if not found.rows:
        say(f"no rates of {name} are known of these days: import them with hj212gw upstream import")
        raise typer.Exit(_FAILED)


def _load(config: Path | None, dsn: str | None, policy: str | None = None) -> Any:
    """Read the settings; rates are recorded at the real time, so a clock section is no fault here."""
    return options.load(config, {"database.dsn": dsn, "assessment.policy": policy}, simulated_clock=True)


def _read_day(text: str, option: str) -> date:
    from hj212gw.assessment.upstream import parse_day  # noqa: PLC0415 - asyncpg is slow to import

    try:
        return parse_day(text)
    except ValueError as error:
        raise typer.BadParameter(f"expected {error}, came {text[:80]!r}", param_hint=option) from error


async def _compare(
    dsn: str, settings: Any, name: str, scope: tuple[tuple[date, date], list[str] | None]
) -> "Comparison":
    from hj212gw.assessment.compare import Question, compare  # noqa: PLC0415 - asyncpg is slow to import
    from hj212gw.clock import Clock  # noqa: PLC0415
    from hj212gw.store.upstream import UpstreamStore  # noqa: PLC0415

    days, outlets = scope
    with Progress("compared") as progress:
        question = Question(name, *days, outlets, settings.assessment, Clock().now(), progress.show)
        async with UpstreamStore.open(dsn) as store:
            return await compare(store, question)


def _read_name(text: str) -> str:
    from hj212gw.registry.cells import parse_id  # noqa: PLC0415 - slow to import

    try:
        return parse_id(text)
    except ValueError as error:
        raise typer.BadParameter(f"expected {error}, came {text[:80]!r}", param_hint="NAME") from error


def _read_files(files: list[Path]) -> "list[File]":
    from hj212gw.assessment.upstream import File  # noqa: PLC0415 - asyncpg is slow to import

    for file in files:
        if str(file) != _STDIN and not file.is_file():
            raise typer.BadParameter(f"{file} is no file", param_hint="FILE")
    return [File(str(file), sys.stdin.buffer.read() if str(file) == _STDIN else file) for file in files]


async def _import(dsn: str, name: str, files: "list[File]", *, is_dry_run: bool) -> "ImportReport":
    from hj212gw.assessment.upstream import import_upstream  # noqa: PLC0415 - asyncpg is slow to import
    from hj212gw.clock import Clock  # noqa: PLC0415
    from hj212gw.store.upstream import UpstreamStore  # noqa: PLC0415

    async with UpstreamStore.open(dsn) as store:
        return await import_upstream(store, name, files, Clock().now(), is_dry_run=is_dry_run)


def _finish_import(report: "ImportReport", *, as_json: bool) -> None:
    """Print findings and counts; exit 1 when any line is wrong."""
    counts = report.findings.counts()
    if as_json:
        print_json(
            {
                "ok": not report.has_errors,
                "written": report.is_written,
                **{f"{level}s": count for level, count in counts.items()},
                "findings": [finding._asdict() for finding in report.findings.kept()],
                "read": report.read,
                "new": report.new,
            }
        )
    else:
        for finding in report.findings.kept():
            say(str(finding))
        for level in counts:
            if report.findings.unshown(level):
                say(f"and {report.findings.unshown(level)} {level}s more")
    outcome = "imported" if report.is_written else "nothing was imported"
    say(f"{outcome}: {', '.join(f'{count} {level}s' for level, count in counts.items())}")
    if report.has_errors:
        raise typer.Exit(_FAILED)
    for kind, count in report.new.items():
        say(f"{kind}: {report.read[kind]} lines, {count} new, {report.read[kind] - count} there already")
