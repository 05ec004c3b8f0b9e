"""Commands on the registry: CSV files in and out, and a check that writes nothing."""

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

from hj212gw.clock import Clock
from hj212gw.config import Settings, load_settings
from hj212gw.errors import ConfigError, Hj212Error, SchemaMismatch, StoreUnavailable
from hj212gw.registry import (
    InputFile,
    Level,
    Report,
    check_files,
    export_registry,
    import_files,
)
from hj212gw.store.registry import RegistryStore

T = TypeVar("T")

_FAILED = 1
_WRONG_SETTINGS = 3
_NO_DATABASE = 4

_registry = typer.Typer(
    help="Who is watched: enterprises, outlets and data loggers, as CSV files.", no_args_is_help=True
)

Files = Annotated[
    list[Path],
    typer.Argument(
        metavar="FILE...",
        exists=True,
        dir_okay=False,
        readable=True,
        allow_dash=True,
        help="CSV files, UTF-8, of any kinds in any order; - is stdin. The header tells the kind.",
    ),
]
Config = Annotated[Path | None, typer.Option("--config", help="TOML file with settings.")]
DsnOption = Annotated[str | None, typer.Option("--dsn", help="The database, as postgresql://user@host:port/name.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document to stdout.")]


def register(app: typer.Typer) -> None:
    """Add the `registry` commands to an application."""
    app.add_typer(_registry, name="registry")


@_registry.command("import")
def import_command(
    files: Files,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be done and write nothing.")] = False,
    config: Config = None,
    dsn: DsnOption = None,
    as_json: JsonOption = False,
) -> None:
    """Bring CSV files into the registry: every row, or none when any line is wrong.

    Example: hj212gw registry import enterprises.csv outlets.csv data_loggers.csv

    A row with the id and valid_from of a row that is there replaces it; a row that is there already, or that no
    file names, stays as it is. Importing twice changes nothing.
    """

    async def run(store: RegistryStore) -> Report:
        return await (check_files(store, inputs) if dry_run else import_files(store, inputs, Clock()))

    settings = _load_settings(config, dsn)
    inputs = _read_inputs(files)
    report = _run(_with_store(settings, run))
    _finish(report, "imported" if report.is_written else "nothing was imported", as_json=as_json)


@_registry.command("check")
def check_command(files: Files, config: Config = None, dsn: DsnOption = None, as_json: JsonOption = False) -> None:
    """Check CSV files as an import would, against the database too when one is named; write nothing.

    Example: hj212gw registry check config/registry/*.csv
    """

    async def run(store: RegistryStore) -> Report:
        return await check_files(store, inputs)

    settings = _load_settings(config, dsn)
    inputs = _read_inputs(files)
    has_database = settings.database.dsn is not None
    report = _run(_with_store(settings, run) if has_database else check_files(None, inputs))
    _finish(report, "checked" if has_database else "checked without a database", as_json=as_json)


@_registry.command("export")
def export_command(
    directory: Annotated[Path, typer.Argument(metavar="DIR", file_okay=False, help="Made when missing.")],
    config: Config = None,
    dsn: DsnOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write the registry as CSV files that an import takes back; files of these names are replaced.

    Example: hj212gw registry export backup/registry

    data_loggers.csv holds passwords: only its owner may read it. Data loggers that the gateway found and nobody
    registered are left out.
    """

    async def run(store: RegistryStore) -> dict[Path, int]:
        return await export_registry(store, directory)

    settings = _load_settings(config, dsn)
    written = _run(_with_store(settings, run))
    for path, count in written.items():
        typer.echo(f"{path}: {count} rows", err=True)
    if as_json:
        typer.echo(json.dumps({"files": [{"file": str(path), "rows": rows} for path, rows in written.items()]}))


def _load_settings(config: Path | None, dsn: str | None) -> Settings:
    """Read the settings; rows are recorded at the real time, so a clock section is no fault here."""
    try:
        return load_settings(config, {"database.dsn": dsn}, simulated_clock=True)
    except ConfigError as error:
        raise _fail(error) from error


def _read_inputs(files: list[Path]) -> list[InputFile]:
    return [InputFile(str(file), sys.stdin.buffer.read() if str(file) == "-" else file.read_bytes()) for file in files]


async def _with_store(settings: Settings, action: Callable[[RegistryStore], Awaitable[T]]) -> T:
    dsn = settings.database.dsn
    if dsn is None:
        raise ConfigError("database.dsn is not set: name the database with --dsn, or in the settings")
    async with RegistryStore.open(dsn.get_secret_value()) as store:
        return await action(store)


def _run(action: Any) -> Any:
    try:
        return asyncio.run(action)
    except (Hj212Error, OSError) as error:
        raise _fail(error) from error


def _fail(error: Exception) -> typer.Exit:
    typer.echo(f"error: {error}", err=True)
    if isinstance(error, ConfigError):
        return typer.Exit(_WRONG_SETTINGS)
    return typer.Exit(_NO_DATABASE if isinstance(error, StoreUnavailable | SchemaMismatch) else _FAILED)


def _finish(report: Report, outcome: str, *, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(_to_document(report)))
    else:
        for finding in report.findings.kept():
            typer.echo(str(finding), err=True)
        for level in Level:
            if report.findings.unshown(level):
                typer.echo(f"and {report.findings.unshown(level)} more of level {level}", err=True)
    counts = ", ".join(f"{report.findings.count(level)} {level}s" for level in Level)
    typer.echo(f"{outcome}: {counts}", err=True)
    if report.has_errors:
        raise typer.Exit(_FAILED)
    for name, change in report.changes.items():
        words = f"{len(change.added) - change.replaced} new, {change.replaced} replaced, {change.unchanged} unchanged"
        found = f", {change.registered} found ones registered" if change.registered else ""
        typer.echo(f"{name}: {words}{found}", err=True)


def _to_document(report: Report) -> dict[str, Any]:
    findings = report.findings
    return {
        "ok": not report.has_errors,
        "written": report.is_written,
        "errors": findings.count(Level.ERROR),
        "warnings": findings.count(Level.WARNING),
        "findings": [finding._asdict() for finding in findings.kept()],
        "changes": {
            name: {
                "new": len(change.added) - change.replaced,
                "replaced": change.replaced,
                "unchanged": change.unchanged,
                "registered": change.registered,
            }
            for name, change in report.changes.items()
        },
    }
