"""`hj212gw registry`: CSV files in and out, and a check that writes nothing."""

import asyncio
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hj212gw.cli import options, proposals
from hj212gw.cli.output import print_json, say

if TYPE_CHECKING:
    from hj212gw.registry import InputFile, Report

_FAILED = 1
_STDIN = "-"

_registry = typer.Typer(
    help="Who is watched: enterprises, outlets and data loggers, as CSV files.", no_args_is_help=True
)

Files = Annotated[
    list[Path],
    typer.Argument(
        metavar="FILE...",
        help="CSV files, UTF-8, of any kinds in any order; - is stdin. The header tells the kind.",
    ),
]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    proposals.register(_registry)
    app.add_typer(_registry, name="registry")


@_registry.command("import")
def import_command(
    files: Files,
    dry_run: bool = typer.Option(False, "--dry-run", help="Say what would be done and write nothing."),
    config: options.Config = None,
    dsn: options.Dsn = None,
    as_json: options.Json = False,
) -> None:
    """Bring CSV files into the registry: every row, or none when any line is wrong.

    Example: hj212gw registry import enterprises.csv outlets.csv data_loggers.csv

    A row with the id and valid_from of a row that is there replaces it; a row that is there already, or that no file
    names, stays as it is. Importing twice changes nothing.
    """
    wanted = options.need_dsn(_load(config, dsn))
    inputs = _read_inputs(files)
    report = asyncio.run(_check(wanted, inputs) if dry_run else _import(wanted, inputs))
    _finish(report, "imported" if report.is_written else "nothing was imported", as_json=as_json)


@_registry.command("check")
def check_command(
    files: Files, config: options.Config = None, dsn: options.Dsn = None, as_json: options.Json = False
) -> None:
    """Check CSV files as an import would, against the database too when one is named; write nothing.

    Example: hj212gw registry check config/registry/*.csv
    """
    named = _load(config, dsn).database.dsn
    wanted = named and named.get_secret_value()
    report = asyncio.run(_check(wanted, _read_inputs(files)))
    _finish(report, "checked" if wanted else "checked without a database", as_json=as_json)


@_registry.command("export")
def export_command(
    directory: Annotated[Path, typer.Argument(metavar="DIR", file_okay=False, help="Made when missing.")],
    config: options.Config = None,
    dsn: options.Dsn = None,
    as_json: options.Json = False,
) -> None:
    """Write the registry as CSV files that an import takes back; files of these names are replaced.

    Example: hj212gw registry export backup/registry

    data_loggers.csv holds passwords: only its owner may read it. Data loggers that the gateway found and nobody
    registered are left out.
    """
    written = asyncio.run(_export(options.need_dsn(_load(config, dsn)), directory))
    for path, count in written.items():
        say(f"{path}: {count} rows")
    if as_json:
        print_json({"files": [{"file": str(path), "rows": count} for path, count in written.items()]})


def _load(config: Path | None, dsn: str | None) -> Any:
    """Read the settings; rows are recorded at the real time, so a clock section is no fault here."""
    return options.load(config, {"database.dsn": dsn}, simulated_clock=True)


def _read_inputs(files: list[Path]) -> "list[InputFile]":
    from hj212gw.registry import InputFile  # noqa: PLC0415 - asyncpg is slow to import

    try:
        return [
            InputFile(str(file), sys.stdin.buffer.read() if str(file) == _STDIN else file.read_bytes())
            for file in files
        ]
    except OSError as error:
        message = f"{error.filename} cannot be read: {error.strerror}"
        raise typer.BadParameter(message, param_hint="FILE") from error


async def _import(dsn: str, inputs: "list[InputFile]") -> "Report":
    from hj212gw.clock import Clock  # noqa: PLC0415 - slow to import, like asyncpg
    from hj212gw.registry import import_files  # noqa: PLC0415
    from hj212gw.store.registry import RegistryStore  # noqa: PLC0415

    async with RegistryStore.open(dsn) as store:
        return await import_files(store, inputs, Clock())


async def _check(dsn: str | None, inputs: "list[InputFile]") -> "Report":
    from hj212gw.registry import check_files  # noqa: PLC0415 - slow to import
    from hj212gw.store.registry import RegistryStore  # noqa: PLC0415

    if dsn is None:
        return await check_files(None, inputs)
    async with RegistryStore.open(dsn) as store:
        return await check_files(store, inputs)


async def _export(dsn: str, directory: Path) -> dict[Path, int]:
    from hj212gw.registry import export_registry  # noqa: PLC0415 - slow to import
    from hj212gw.store.registry import RegistryStore  # noqa: PLC0415

    async with RegistryStore.open(dsn) as store:
        return await export_registry(store, directory)


def _finish(report: "Report", outcome: str, *, as_json: bool) -> None:
    """Print findings and counts; exit 1 when any line is wrong."""
    if as_json:
        print_json(_to_document(report))
    counts = report.findings.counts()
    if not as_json:
        for finding in report.findings.kept():
            say(str(finding))
        for level in counts:
            if report.findings.unshown(level):
                say(f"and {report.findings.unshown(level)} {level}s more")
    say(f"{outcome}: {', '.join(f'{count} {level}s' for level, count in counts.items())}")
    if report.has_errors:
        raise typer.Exit(_FAILED)
    for name, change in report.changes.items():
        found = f", {change.registered} found ones registered" if change.registered else ""
        say(f"{name}: {change.new} new, {change.replaced} replaced, {change.unchanged} unchanged{found}")


def _to_document(report: "Report") -> dict[str, Any]:
    return {
        "ok": not report.has_errors,
        "written": report.is_written,
        **{f"{level}s": count for level, count in report.findings.counts().items()},
        "findings": [finding._asdict() for finding in report.findings.kept()],
        "changes": {
            name: {field: getattr(change, field) for field in ("new", "replaced", "unchanged", "registered")}
            for name, change in report.changes.items()
        },
    }
