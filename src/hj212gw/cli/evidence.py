"""`hj212gw evidence`: what is known of an outlet in one file, and its check."""

import asyncio
import re
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hj212gw.cli import options
from hj212gw.cli.output import plain_text, print_data, print_json, say

if TYPE_CHECKING:
    from hj212gw.config import Settings
    from hj212gw.evidence import Exported, Request, Verdict

_FAILED = 1

_evidence = typer.Typer(help="Evidence of an outlet: frames, readings, registry and digests.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(_evidence, name="evidence")


@_evidence.command("export")
def export_command(
    outlet: Annotated[str, typer.Option("--outlet", help="Id of the outlet in the registry.")],
    start: Annotated[str, typer.Option("--from", help="From when, UTC+8, such as 2026-03-01 or 2026-03-01T08:00.")],
    end: Annotated[str, typer.Option("--to", help="Until when, UTC+8; that moment is excluded.")],
    out: Annotated[Path | None, typer.Option("--out", dir_okay=False, help="The file to write.")] = None,
    config: options.Config = None,
    dsn: options.Dsn = None,
    as_json: options.Json = False,
) -> None:
    """Write the frames of an outlet as they came, the readings made of them, the registry and the digests to a ZIP.

    Example: hj212gw evidence export --outlet WS-01 --from 2026-03-01 --to 2026-04-01 --out march.zip

    The frames hold the data loggers' passwords: only the file's owner may read it.
    """
    from hj212gw.evidence import Request  # noqa: PLC0415 - asyncpg is slow to import

    request = Request(outlet, _read_moment(start, "--from"), _read_moment(end, "--to"))
    if request.start >= request.end:
        raise typer.BadParameter("--from should be before --to")
    settings = options.load(config, {"database.dsn": dsn}, simulated_clock=True)
    path = out or Path(_name_file(outlet, start, end))
    exported = asyncio.run(_export(options.need_dsn(settings), settings, request, path))
    _tell_exported(exported, as_json=as_json)


@_evidence.command("verify")
def verify_command(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="What export wrote.")],
    expect: Annotated[
        str | None, typer.Option("--expect", help="SHA-256 of the manifest as it was written down at export.")
    ] = None,
    as_json: options.Json = False,
) -> None:
    """Check a file of evidence by itself: hashes, CRCs, readings against frames, digests. Needs no database.

    Example: hj212gw evidence verify march.zip

    Exit 1 when anything does not hold.
    """
    from hj212gw.evidence import verify_evidence  # noqa: PLC0415 - slow to import

    verdict = verify_evidence(file, expected=options.read_digest(expect, "export printed"))
    if as_json:
        print_json({"ok": verdict.is_good, **verdict._asdict()})
    else:
        _tell_verdict(verdict)
    if not verdict.is_good:
        raise typer.Exit(_FAILED)


def _read_moment(text: str, option: str) -> datetime:
    from hj212gw.registry.cells import parse_moment  # noqa: PLC0415 - slow to import

    try:
        return parse_moment(text)
    except ValueError as error:
        message = f"expected a moment on UTC+8 such as 2026-03-01 or 2026-03-01T08:00, came {text!r}"
        raise typer.BadParameter(message, param_hint=option) from error


def _name_file(outlet: str, start: str, end: str) -> str:
    """Make a file name of what is in it."""
    return re.sub(r"[^\w.-]", "_", f"evidence-{outlet}-{start}-{end}.zip")


async def _export(dsn: str, settings: "Settings", request: "Request", path: Path) -> "Exported":
    from hj212gw.cli.running import make_clock  # noqa: PLC0415 - slow to import
    from hj212gw.evidence import export_evidence  # noqa: PLC0415
    from hj212gw.store.evidence import EvidenceReader  # noqa: PLC0415

    async with EvidenceReader.open(dsn) as reader:
        return await export_evidence(reader, request, path, make_clock(settings))


def _tell_exported(exported: "Exported", *, as_json: bool) -> None:
    if as_json:
        print_json(exported._asdict())
    else:
        print_data(f"{exported.manifest_sha256}  {exported.path}")
    for name, count in exported.rows.items():
        say(f"{name}: {count} rows")
    say(f"{exported.path} holds the passwords inside the frames: only its owner may read it, keep it so")
    say("write the manifest's SHA-256 down elsewhere; check the file with: hj212gw evidence verify")


def _tell_verdict(verdict: "Verdict") -> None:
    manifest: dict[str, Any] = verdict.manifest
    for problem in verdict.problems:
        say(f"wrong: {problem}")
    for note in verdict.notes:
        say(f"note: {note}")
    for name in ("outlet", "from", "to", "exported_at", "exported_by", "program"):
        print_data(f"{name:<16}{plain_text(manifest.get(name))}")
    print_data(f"{'manifest':<16}{verdict.manifest_sha256}")
    print_data("  ".join(f"{name} {count}" for name, count in verdict.counts.items()))
    say("all holds" if verdict.is_good else "NOT all holds")
