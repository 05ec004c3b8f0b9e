"""`hj212gw registry`: CSV files in and out, a check that writes nothing, and the replacement of a data logger."""

import asyncio
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hj212gw.cli import options, proposals
from hj212gw.cli.markhints import read_hints, say_hints
from hj212gw.cli.output import Progress, RowCount, print_json, say

if TYPE_CHECKING:
    from hj212gw.config import Settings
    from hj212gw.registry import InputFile, Report, Swap, SwapReport

_FAILED = 1
_STDIN = "-"

_registry = typer.Typer(
    help="Who is watched: enterprises, outlets, data loggers, base list, marks, limits and more, as CSV files.",
    no_args_is_help=True,
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
    names, stays as it is. Importing twice changes nothing. Marks are never replaced: a row is a new mark, or adds what
    became of one since. Times are UTC+8, every end is exclusive: a platform's 14:05 to 14:33 is to=14:34 here.
    """
    settings = _load(config, dsn)
    wanted = options.need_dsn(settings)
    inputs = _read_inputs(files)
    hints: list[str] = []
    if dry_run:
        report = asyncio.run(_check(wanted, inputs))
    else:
        report, hints = asyncio.run(_import(settings, inputs))
    _finish(report, "imported" if report.is_written else "nothing was imported", as_json=as_json)
    say_hints(hints)


@_registry.command("check")
def check_command(
    files: Files, config: options.Config = None, dsn: options.Dsn = None, as_json: options.Json = False
) -> None:
    """Check CSV files as an import would, against the database too when one is named; write nothing.

    Example: hj212gw registry check config/registry/*.csv
    """
    named = _load(config, dsn).database.dsn
    wanted = named.get_secret_value() if named else None
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
    registered are left out, and so are keys (cipher_keys): those are never exported.
    """
    written = asyncio.run(_export(options.need_dsn(_load(config, dsn)), directory))
    for path, count in written.items():
        say(f"{path}: {count} rows")
    say("keys are never exported: keep the files they were imported from")
    if as_json:
        print_json({"files": [{"file": str(path), "rows": count} for path, count in written.items()]})


@_registry.command("replace-logger")
def replace_logger_command(
    old: Annotated[str, typer.Argument(metavar="OLD", help="MN of the data logger that goes.")],
    new: Annotated[str, typer.Argument(metavar="NEW", help="MN of the data logger that comes.")],
    at: Annotated[
        str, typer.Option("--at", metavar="TIME", help="From when, on UTC+8: 2026-03-01 or 2026-03-01T08:30.")
    ],
    pw_file: Annotated[
        Path | None, typer.Option("--pw-file", help="File that holds NEW's password; without it any is taken.")
    ] = None,
    dry_run: bool = typer.Option(False, "--dry-run", help="Say what would be done and write nothing."),
    config: options.Config = None,
    dsn: options.Dsn = None,
    as_json: options.Json = False,
) -> None:
    """Put one data logger in the place of another from a moment on; readings belong to the outlet by DataTime.

    Example: hj212gw registry replace-logger 530402A8900016F000169D04 530402A8900016F000169D05 --at 2026-03-01T08:30

    OLD's row in force at TIME ends there. NEW gets it from TIME on, with outlet, ST, CNs, intervals, factors and
    role, and OLD's channels and units move along. Dialects, time labels and keys do not move: they belong to the
    device and end with OLD; register those of NEW by a file.
    """
    from hj212gw.registry import Swap  # noqa: PLC0415 - asyncpg is slow to import

    swap = Swap(_read_mn(old, "OLD"), _read_mn(new, "NEW"), options.read_moment(at, "--at"), _read_pw(pw_file))
    report = asyncio.run(_replace(options.need_dsn(_load(config, dsn)), swap, is_dry_run=dry_run))
    changes = {name: {"ended": change.ended, "moved": change.moved} for name, change in report.changes.items()}
    if as_json:
        written = {"ok": not report.refusal, "written": report.is_written, "refusal": report.refusal}
        print_json({**written, "changes": changes})
    if report.refusal:
        say(f"nothing was replaced: {report.refusal}")
        raise typer.Exit(_FAILED)
    say("replaced" if report.is_written else "nothing was replaced: a dry run")
    for name, counts in changes.items():
        say(f"{name}: {counts['ended']} ended, {counts['moved']} moved")


def _load(config: Path | None, dsn: str | None) -> "Settings":
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


def _read_mn(text: str, name: str) -> str:
    from hj212gw.registry.cells import parse_token  # noqa: PLC0415 - slow to import

    try:
        return parse_token(text)
    except ValueError as error:
        raise typer.BadParameter(f"expected {error}, came {text[:80]!r}", param_hint=name) from error


def _read_pw(file: Path | None) -> str | None:
    """Read a password from its file; what it holds is never shown."""
    from hj212gw.registry.cells import parse_token  # noqa: PLC0415 - slow to import

    if file is None:
        return None
    try:
        return parse_token(file.read_text(encoding="utf-8").strip())
    except OSError as error:
        raise typer.BadParameter(f"{file} cannot be read: {error.strerror}", param_hint="--pw-file") from error
    except UnicodeDecodeError as error:
        raise typer.BadParameter(f"{file} is not text", param_hint="--pw-file") from error
    except ValueError as error:
        raise typer.BadParameter(f"{file}: expected a password of {error}", param_hint="--pw-file") from error


async def _replace(dsn: str, swap: "Swap", *, is_dry_run: bool) -> "SwapReport":
    from hj212gw.clock import Clock  # noqa: PLC0415 - slow to import, like asyncpg
    from hj212gw.registry import replace_logger  # noqa: PLC0415
    from hj212gw.store.registry import RegistryStore  # noqa: PLC0415

    async with RegistryStore.open(dsn) as store:
        return await replace_logger(store, swap, Clock(), is_dry_run=is_dry_run)


async def _import(settings: "Settings", inputs: "list[InputFile]") -> "tuple[Report, list[str]]":
    """Import files; return also what their marks do not do."""
    from hj212gw.clock import Clock  # noqa: PLC0415 - slow to import, like asyncpg
    from hj212gw.registry import import_files  # noqa: PLC0415
    from hj212gw.store.registry import RegistryStore  # noqa: PLC0415

    lines = sum(file.content.count(b"\n") for file in inputs)
    async with RegistryStore.open(options.need_dsn(settings)) as store:
        with Progress("imported") as progress:
            store.on_rows = RowCount(lines, progress)
            report = await import_files(store, inputs, Clock(), options.name_user())
        written = [*report.marks.numbers, *(number for number, _ in report.marks.continued)]
        return report, await read_hints(store, settings, written if report.is_written else [], Clock().now())


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
    marks = report.marks
    say(f"marks: {len(marks.added)} new, {len(marks.continued)} continued, {marks.unchanged} unchanged")


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
        "marks": {
            "new": len(report.marks.added),
            "continued": len(report.marks.continued),
            "unchanged": report.marks.unchanged,
        },
    }
