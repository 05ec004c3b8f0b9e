"""`hj212gw mark`: what people declare of an outlet's hours, their word on it, and its proofs."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hj212gw.cli import options
from hj212gw.cli.markhints import read_hints, say_hints
from hj212gw.cli.marklines import COLUMNS, show_voucher, to_cells, to_document
from hj212gw.cli.output import print_json, print_table, say

if TYPE_CHECKING:
    from hj212gw.config import Settings
    from hj212gw.registry.marks import Word
    from hj212gw.registry.proofs import Proof
    from hj212gw.store.marks import MarkFilter, StoredMark
    from hj212gw.store.registry import RegistryStore

_mark = typer.Typer(
    help="Marks: stops, device faults, checks, losses that are nobody's fault, manual values. See docs/marks.md.",
    no_args_is_help=True,
)

MarkId = Annotated[int, typer.Argument(metavar="ID", min=1, help="Number of the mark, as listed.")]
By = Annotated[str | None, typer.Option("--by", help="Who says so; the login's name unless given.")]
Note = Annotated[str | None, typer.Option("--note", help="Why.")]
ProofFile = Annotated[Path, typer.Argument(metavar="FILE", help="Any file; a copy is kept in DATA_DIR/proofs.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(_mark, name="mark")


@_mark.command("add")
def add_command(
    outlet: Annotated[str, typer.Argument(metavar="OUTLET", help="As in the registry.")],
    kind: Annotated[str, typer.Argument(metavar="KIND", help="stop, device, standard_check, manual, ...")],
    start: Annotated[
        str, typer.Option("--from", metavar="TIME", help="First moment, UTC+8, such as 2026-03-01T14:05.")
    ],
    end: Annotated[
        str | None, typer.Option("--to", metavar="TIME", help="End, exclusive; without it the mark runs on.")
    ] = None,
    factor: Annotated[str, typer.Option("--factor", help="Code of a factor; * for all of the outlet.")] = "*",
    value: Annotated[float | None, typer.Option("--value", help="Of a manual value.")] = None,
    note: Note = None,
    source: Annotated[str, typer.Option("--source", help="enterprise, city or province.")] = "enterprise",
    author: Annotated[str | None, typer.Option("--author", help="Who declares; the login's name unless given.")] = None,
    proof: Annotated[
        Path | None, typer.Option("--proof", metavar="FILE", help="Kept by its SHA-256, with a copy.")
    ] = None,
    data_dir: options.DataDir = None,
    config: options.Config = None,
    dsn: options.Dsn = None,
    as_json: options.Json = False,
) -> None:
    """Declare a mark.

    Example: hj212gw mark add yx-paper-boiler maintenance --factor a21026 --from 2026-03-01T14:05 --to 2026-03-01T14:34

    Intervals are half-open: what a platform shows as 14:05 to 14:33 ends at 14:34 here. The outlet and the factor have
    to be on the base list for all the time.
    """
    from hj212gw.registry.cells import format_cell, format_moment, format_name  # noqa: PLC0415 - slow to import

    settings = _load(config, dsn, data_dir)
    _check_choices(kind, source)
    cells = {"outlet": outlet, "factor": factor, "kind": kind, "source": source, "value": format_cell(value)}
    cells["from"] = format_moment(options.read_moment(start, "--from"))
    cells["to"] = "" if end is None else format_moment(options.read_moment(end, "--to"))
    cells["note"] = "" if note is None else format_name(note)
    word = _speak(author, "--author")
    kept = None if proof is None else _keep(proof, settings, "--proof")
    mark, hints = asyncio.run(_declare(settings, cells, word, kept))
    _tell(mark, "declared", hints, as_json=as_json)


@_mark.command("list")
def list_command(
    outlet: Annotated[str | None, typer.Option("--outlet", help="Only of this outlet.")] = None,
    state: Annotated[str | None, typer.Option("--state", help="declared, accepted, rejected or void.")] = None,
    start: Annotated[
        str | None, typer.Option("--from", metavar="TIME", help="Only what holds after it, UTC+8.")
    ] = None,
    end: Annotated[str | None, typer.Option("--to", metavar="TIME", help="Only what holds before it, UTC+8.")] = None,
    origin: Annotated[str, typer.Option("--origin", help="local, or upstream:NAME.")] = "local",
    config: options.Config = None,
    dsn: options.Dsn = None,
    as_json: options.Json = False,
) -> None:
    """List marks as they stand, with state and voucher.

    Example: hj212gw mark list --outlet yx-paper-boiler --from 2026-03-01 --to 2026-04-01
    """
    from hj212gw.registry.markkinds import STATES  # noqa: PLC0415 - slow to import, like asyncpg
    from hj212gw.store.marks import MarkFilter  # noqa: PLC0415

    settings = _load(config, dsn)
    if state is not None and state not in STATES:
        raise typer.BadParameter(f"expected one of {', '.join(STATES)}, came {state[:80]!r}", param_hint="--state")
    moments = [
        None if text is None else options.read_moment(text, option)
        for text, option in ((start, "--from"), (end, "--to"))
    ]
    wanted = MarkFilter(None, origin, outlet, state, *moments)
    marks = asyncio.run(_with_store(settings, lambda store: _read(store, wanted)))
    now = _now()
    if as_json:
        print_json([to_document(mark, now) for mark in marks])
        return
    print_table(COLUMNS, [to_cells(mark, now) for mark in marks])


@_mark.command("accept")
def accept_command(
    mark_id: MarkId,
    by: By = None,
    note: Note = None,
    config: options.Config = None,
    dsn: options.Dsn = None,
    as_json: options.Json = False,
) -> None:
    """Accept a declared mark; its author cannot.

    Example: hj212gw mark accept 17 --by "Li Wei"
    """
    _decide(_load(config, dsn), mark_id, "accepted", (by, note), as_json=as_json)


@_mark.command("reject")
def reject_command(
    mark_id: MarkId,
    by: By = None,
    note: Note = None,
    config: options.Config = None,
    dsn: options.Dsn = None,
    as_json: options.Json = False,
) -> None:
    """Reject a declared mark: it does nothing any more, and that is final. Its author cannot.

    Example: hj212gw mark reject 17 --by "Li Wei" --note "the plant was running"
    """
    _decide(_load(config, dsn), mark_id, "rejected", (by, note), as_json=as_json)


@_mark.command("void")
def void_command(
    mark_id: MarkId,
    by: By = None,
    note: Note = None,
    config: options.Config = None,
    dsn: options.Dsn = None,
    as_json: options.Json = False,
) -> None:
    """Void a mark that turned out to be wrong: from its start on it never was, and rates are computed again.

    Example: hj212gw mark void 17 --by "Li Wei" --note "false: the stack was warm"

    Its author can take a mark back as long as nobody has accepted it.
    """
    _decide(_load(config, dsn), mark_id, "void", (by, note), as_json=as_json)


@_mark.command("end")
def end_command(
    mark_id: MarkId,
    end: Annotated[str, typer.Option("--to", metavar="TIME", help="End, exclusive, UTC+8.")],
    by: By = None,
    config: options.Config = None,
    dsn: options.Dsn = None,
    as_json: options.Json = False,
) -> None:
    """End a mark that runs on.

    Example: hj212gw mark end 17 --to 2026-03-03T08:20
    """
    from hj212gw.registry.marking import end_mark  # noqa: PLC0415 - asyncpg is slow to import

    to_at, word = options.read_moment(end, "--to"), _speak(by, "--by")
    mark = asyncio.run(_with_store(_load(config, dsn), lambda store: end_mark(store, mark_id, to_at, word)))
    _tell(mark, "ended", as_json=as_json)


@_mark.command("prove")
def prove_command(
    mark_id: MarkId,
    file: ProofFile,
    by: By = None,
    data_dir: options.DataDir = None,
    config: options.Config = None,
    dsn: options.Dsn = None,
    as_json: options.Json = False,
) -> None:
    """Add a proof (凭证) to a mark: its SHA-256 and name in the database, a copy in DATA_DIR/proofs.

    Example: hj212gw mark prove 17 stop-report.pdf

    Stops and losses that are not the enterprise's fault need one by the 10th of the next month, and by that of each
    month after for its days: a proof that is too late for the first month saves the later ones.
    """
    from hj212gw.registry.marking import prove_mark  # noqa: PLC0415 - asyncpg is slow to import

    settings = _load(config, dsn, data_dir)
    word = _speak(by, "--by")
    proof = _keep(file, settings, "FILE")
    mark, hints = asyncio.run(_act(settings, lambda store: prove_mark(store, mark_id, proof, word)))
    _tell(mark, f"proved by {proof.sha256}", hints, as_json=as_json)


def _load(config: Path | None, dsn: str | None, data_dir: Path | None = None) -> "Settings":
    """Read the settings; marks are recorded at the real time, so a clock section is no fault here."""
    settings = options.load(config, {"database.dsn": dsn, "data_dir": data_dir}, simulated_clock=True)
    options.need_dsn(settings)
    return settings


def _check_choices(kind: str, source: str) -> None:
    from hj212gw.registry.markkinds import KINDS_OF_MARKS, NATIONAL, SOURCES  # noqa: PLC0415 - slow to import

    if kind not in KINDS_OF_MARKS:
        raise typer.BadParameter(f"expected one of {', '.join(KINDS_OF_MARKS)}, came {kind[:80]!r}", param_hint="KIND")
    if source == NATIONAL:
        message = "national marks come as a file: hj212gw registry import marks.csv"
        raise typer.BadParameter(message, param_hint="--source")
    if source not in SOURCES:
        message = f"expected one of {', '.join(SOURCES[:-1])}, came {source[:80]!r}"
        raise typer.BadParameter(message, param_hint="--source")


def _speak(name: str | None, option: str) -> "Word":
    """Return who says something now."""
    from hj212gw.registry.marks import Word  # noqa: PLC0415 - asyncpg is slow to import

    return Word(_read_text(name or options.name_user(), option), _now())


def _read_text(text: str, option: str) -> str:
    from hj212gw.registry.cells import parse_name  # noqa: PLC0415 - slow to import

    try:
        return parse_name(text.strip())
    except ValueError as error:
        raise typer.BadParameter(f"expected {error}, came {text[:80]!r}", param_hint=option) from error


def _now() -> datetime:
    from hj212gw.clock import Clock  # noqa: PLC0415 - as the others

    return Clock().now()


def _keep(file: Path, settings: "Settings", option: str) -> "Proof":
    """Copy a proof before the database is told of it: what it names is always there."""
    from hj212gw.registry.proofs import FOLDER, keep_proof  # noqa: PLC0415 - slow to import

    folder = settings.data_dir / FOLDER
    is_new = not settings.data_dir.is_dir()
    try:
        proof = keep_proof(file, folder)
    except OSError as error:
        if error.filename is None or Path(error.filename) != file:
            raise
        raise typer.BadParameter(f"{file} cannot be read: {error.strerror}", param_hint=option) from error
    say(f"{file} is kept as {folder / proof.sha256}")
    if is_new:
        say(f"warning: {settings.data_dir} was made for it: name the gateway's own with --data-dir")
    return proof


async def _with_store(settings: "Settings", act: "Callable[[RegistryStore], Awaitable[Any]]") -> Any:
    from hj212gw.store.registry import RegistryStore  # noqa: PLC0415 - asyncpg is slow to import

    async with RegistryStore.open(options.need_dsn(settings)) as store:
        return await act(store)


async def _read(store: "RegistryStore", wanted: "MarkFilter") -> "list[StoredMark]":
    async with store.snapshot():
        return await store.marks.read(wanted)


def _decide(
    settings: "Settings", mark_id: int, state: str, said: tuple[str | None, str | None], *, as_json: bool
) -> None:
    from hj212gw.registry.marking import decide_mark  # noqa: PLC0415 - asyncpg is slow to import

    by, note = said
    word = _speak(by, "--by")
    why = None if note is None else _read_text(note, "--note")
    mark, hints = asyncio.run(_act(settings, lambda store: decide_mark(store, mark_id, state, word, why)))
    _tell(mark, state, hints, as_json=as_json)


async def _declare(
    settings: "Settings", cells: dict[str, str], word: "Word", proof: "Proof | None"
) -> "tuple[StoredMark, list[str]]":
    """Declare a mark; return it with what is unusual about it, and where it does not count."""
    from hj212gw.registry.marking import declare_mark  # noqa: PLC0415 - asyncpg is slow to import

    oddities: list[str] = []

    async def declare(store: "RegistryStore") -> "StoredMark":
        mark, found = await declare_mark(store, cells, word, proof)
        oddities.extend(found)
        return mark

    mark, hints = await _act(settings, declare)
    return mark, [*oddities, *hints]


async def _act(
    settings: "Settings", act: "Callable[[RegistryStore], Awaitable[StoredMark]]"
) -> "tuple[StoredMark, list[str]]":
    """Do something to a mark; return it as it stands, and where it does not count."""

    async def act_and_look(store: "RegistryStore") -> "tuple[StoredMark, list[str]]":
        mark = await act(store)
        return mark, await read_hints(store, settings, [mark.mark_id], _now(), mark.outlet)

    acted: tuple[StoredMark, list[str]] = await _with_store(settings, act_and_look)
    return acted


def _tell(mark: "StoredMark", what: str, hints: Sequence[str] = (), *, as_json: bool) -> None:
    now = _now()
    if as_json:
        print_json(to_document(mark, now))
    voucher = show_voucher(mark, now)
    say(f"mark {mark.mark_id} {what}: {' '.join(map(str, to_cells(mark, now)[1:6]))}".rstrip())
    if voucher.startswith("due"):
        say(f"its voucher is {voucher}: hj212gw mark prove {mark.mark_id} FILE")
    say_hints(hints)
