"""`hj212gw journal`: look into a journal, also while a gateway has it open."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import typer

from hj212gw.cli import options
from hj212gw.cli.output import print_data, print_json, print_table, say
from hj212gw.cli.waiting import Waiting, ask_waiting, measure_waiting
from hj212gw.clock import from_us
from hj212gw.config import Settings, origins_of
from hj212gw.errors import JournalUnwritable
from hj212gw.journal import Finding, JournalReport, SegmentReport, inspect, renew, verify
from hj212gw.journal.layout import list_journals
from hj212gw.protocol.times import WIRE_ZONE

_journal = typer.Typer(help="The journal: packets that wait on disk for the database.", no_args_is_help=True)


class _Limit(NamedTuple):
    """The most bytes of journals, how much of it is taken, and where the settings have it from."""

    max_bytes: int
    used_share: float
    source: str


Directory = Annotated[
    Path | None, typer.Argument(metavar="[DIRECTORY]", help="The journal's directory; else that of the settings.")
]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(_journal, name="journal")


@_journal.command("status")
def status_command(
    directory: Directory = None,
    config: options.Config = None,
    data_dir: options.DataDir = None,
    as_json: options.Json = False,
) -> None:
    """Say what a journal holds, how much of it waits, its limit, and which process has it open; of workers, of each.

    Example: hj212gw journal status ./data/journal --json

    How much waits is asked of the gateway that runs. Without one it is at most what the segments hold that the journal
    has not noted as drained.
    """
    settings = options.load(config, {"data_dir": data_dir})
    base = directory or settings.journal.directory
    report = inspect(base)
    workers = [inspect(path) for path in _list_below(base)]
    asked = ask_waiting(settings, [report, *workers])
    waiting, limit = asked or measure_waiting([report, *workers]), _find_limit(settings, [report, *workers])
    if as_json:
        sums = {"pending": waiting.as_json(), "max_bytes": limit.max_bytes, "used_share": limit.used_share}
        print_json(_describe(report) | sums | {"workers": [_describe(worker) for worker in workers]})
        return
    if not workers:
        _print(report, waiting, limit)
        return
    for each in [report, *workers] if report.segments else workers:
        _print(each)
    _print_sums("all", waiting, limit)


@_journal.command("verify")
def verify_command(
    directory: Directory = None,
    config: options.Config = None,
    data_dir: options.DataDir = None,
    as_json: options.Json = False,
) -> None:
    """Read and check every group of a journal, and of the workers' below it; exit 1 when something is wrong.

    Example: hj212gw journal verify ./data/journal
    """
    base = _find(directory, config, data_dir)
    findings = verify(base) if base in _list(base) or not _list_below(base) else []
    for path in _list_below(base):
        findings += [Finding(f"{path.name}/{name}", slug, detail) for name, slug, detail in verify(path)]
    if as_json:
        print_json([finding._asdict() for finding in findings])
    else:
        for finding in findings:
            print_data(f"{finding.name}: {finding.slug}: {finding.detail}")
        say("all is well" if not findings else f"{len(findings)} findings; nothing was changed")
    if findings:
        raise typer.Exit(1)


@_journal.command("renew")
def renew_command(
    directory: Annotated[Path, typer.Argument(metavar="DIRECTORY", help="A journal that no gateway has open.")],
    new: Annotated[Path, typer.Argument(metavar="NEW", help="An empty directory, or one that is not there yet.")],
) -> None:
    """Write a journal's packets into a new one, which a gateway drains whatever the database has of the old one.

    For a journal that two gateways had. What the database has already is not stored twice; rejects are left out.

    Example: hj212gw journal renew /var/lib/hj212gw/journal /var/lib/hj212gw/journal-2
    """
    renewed = asyncio.run(renew(directory, new))
    say(f"{new} is journal {renewed.uuid} and holds {renewed.packets:,} packets; {renewed.rejects:,} rejects left out")
    if renewed.damaged:
        say(f"{renewed.damaged} damaged files of {directory} were set aside: hj212gw journal verify {directory}")
    say(f"Drain it with journal.directory = {new}, and keep {directory} until it is empty")


def _find(directory: Path | None, config: Path | None, data_dir: Path | None) -> Path:
    if directory is not None:
        return directory
    return options.load(config, {"data_dir": data_dir}).journal.directory


def _find_limit(settings: Settings, reports: Sequence[JournalReport]) -> _Limit:
    source = origins_of(settings).get("journal.max_bytes", "default")
    share = sum(report.file_bytes for report in reports) / settings.journal.max_bytes
    return _Limit(settings.journal.max_bytes, round(share, 4), source)


def _list(base: Path) -> list[Path]:
    try:
        return list_journals(base)
    except OSError as error:
        raise JournalUnwritable(f"{base} is no journal: {error}") from error


def _list_below(base: Path) -> list[Path]:
    """List the journals of workers."""
    return [path for path in _list(base) if path != base]


def _print(report: JournalReport, waiting: Waiting | None = None, limit: _Limit | None = None) -> None:
    print_data(f"journal    {report.directory}")
    print_data(f"uuid       {report.uuid or 'unknown'}")
    print_data(f"opened by  {f'process {report.owner_pid}' if report.owner_pid else 'nobody'}")
    print_data(f"records    {report.records}")
    print_data(f"bytes      {report.file_bytes}")
    _print_sums("", waiting or measure_waiting([report]), limit)
    columns = ("segment", "first", "last", "records", "bytes", "oldest", "newest", "problem")
    print_table(columns, [tuple(_describe_segment(segment).values()) for segment in report.segments])
    for path in report.damaged:
        print_data(f"damaged and set aside: {path}")


def _print_sums(of: str, waiting: Waiting, limit: _Limit | None) -> None:
    indent = f"{of:<4}" if of else ""
    print_data(f"{indent}waiting    {waiting.describe()}")
    if limit:
        used = f"{limit.used_share:.1%} used"
        print_data(f"{indent}limit      {limit.max_bytes} bytes, {used} (journal.max_bytes by {limit.source})")


def _describe(report: JournalReport) -> dict[str, Any]:
    return {
        "directory": str(report.directory),
        "uuid": report.uuid and str(report.uuid),
        "owner_pid": report.owner_pid,
        "records": report.records,
        "file_bytes": report.file_bytes,
        "pending": measure_waiting([report]).as_json(),
        "segments": [_describe_segment(segment) for segment in report.segments],
        "damaged": [str(path) for path in report.damaged],
    }


def _describe_segment(segment: SegmentReport) -> dict[str, Any]:
    return {
        "name": segment.name,
        "first_seq": segment.first_seq,
        "last_seq": segment.last_seq,
        "records": segment.records,
        "file_bytes": segment.file_bytes,
        "oldest": _moment(segment.oldest_us),
        "newest": _moment(segment.newest_us),
        "problem": segment.problem,
    }


def _moment(us: int) -> str | None:
    """Write a moment in local time (UTC+8); None where there is none."""
    return from_us(us).astimezone(WIRE_ZONE).isoformat(timespec="milliseconds") if us else None
