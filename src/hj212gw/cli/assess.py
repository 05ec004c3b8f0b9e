"""`hj212gw assess`: transmission and validity rates of any range, from the database or from files."""

import asyncio
import signal
import sys
from collections.abc import Sequence
from datetime import date, datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hj212gw.cli import options
from hj212gw.cli.figures import print_report
from hj212gw.cli.output import Progress, print_json, say

if TYPE_CHECKING:
    from hj212gw.assessment.assess import Question
    from hj212gw.assessment.reports import Report
    from hj212gw.config import Settings

_FAILED = 1
_STDOUT = Path("-")
_SECTION = "assessment"
_LOCAL, _UPSTREAM = "local", "upstream:"
_ROLE = "hj212_aggregator"
_STATEMENT_SECS = 3600.0


class Level(StrEnum):
    """Whose figures."""

    OUTLET = "outlet"
    ENTERPRISE = "enterprise"
    COUNTY = "county"
    CITY = "city"
    ALL = "all"


class Stage(StrEnum):
    """Which stage's figures."""

    IMMEDIATE = "immediate"
    COMPLETED = "completed"
    BOTH = "both"


class Period(StrEnum):
    """Figures of what."""

    DAY = "day"
    MONTH = "month"
    QUARTER = "quarter"
    YEAR = "year"
    TOTAL = "total"


FromCsv = Annotated[
    Path | None,
    typer.Option(
        "--from-csv", metavar="DIR", help="Folder with base_list.csv, hours.csv, marks.csv; no database is needed."
    ),
]
PolicyName = Annotated[str | None, typer.Option("--policy", help="Named policy; national_platform_v2 unless set.")]
Changes = Annotated[
    list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="A setting of the assessment; repeat it.")
]
FromDay = Annotated[
    str | None, typer.Option("--from", metavar="DAY", help="First day; else what base list and hours span.")
]
ToDay = Annotated[str | None, typer.Option("--to", metavar="DAY", help="Day after the last.")]
Now = Annotated[str | None, typer.Option("--now", metavar="TIME", help="Hours that are not over then are not due.")]
WhichPeriod = Annotated[
    Period | None,
    typer.Option("--period", help="Figures of what; total, the whole range, unless the policy has one period."),
]
Arrivals = Annotated[str, typer.Option("--arrivals", metavar="SOURCE", help="local, or upstream:NAME as imported.")]
CsvFile = Annotated[Path | None, typer.Option("--csv", metavar="FILE", help="Write the figures as CSV; - is stdout.")]
XlsxFile = Annotated[
    Path | None, typer.Option("--xlsx", metavar="FILE", help="Write a workbook; in a folder it gets a name of its own.")
]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("assess")(assess)


def assess(
    from_csv: FromCsv = None,
    policy: PolicyName = None,
    changes: Changes = None,
    from_day: FromDay = None,
    to_day: ToDay = None,
    now: Now = None,
    level: Annotated[Level, typer.Option("--level", help="Whose figures.")] = Level.ALL,
    stage: Annotated[Stage, typer.Option("--stage", help="Which stage's figures.")] = Stage.BOTH,
    period: WhichPeriod = None,
    arrivals: Arrivals = "local",
    explain: bool = typer.Option(False, "--explain", help="List the lost hours with their reasons."),
    ranges: bool = typer.Option(False, "--range", help="Lowest and highest figure over the open settings."),
    csv_file: CsvFile = None,
    xlsx_file: XlsxFile = None,
    config: options.Config = None,
    dsn: options.Dsn = None,
    as_json: options.Json = False,
) -> None:
    """Compute transmission and validity rates and say where hours were lost.

    Example: hj212gw assess --from 2026-03-01 --to 2026-04-01 --level city

    Days are those of UTC+8, the day of --to is not included. Nothing is written to the database; figures of local
    arrivals are an estimate of the province's. With --from-csv a figure is checked from files, by the same
    calculation, in a database that is gone afterwards: docs/assessment.md describes the files and the settings.
    """
    arrivals = _read_arrivals(arrivals, from_csv)
    has_vouchers = from_csv is None and arrivals == _LOCAL
    overrides = _overrides(policy, changes or [], dsn, has_vouchers=has_vouchers)
    settings = options.load(config, overrides, simulated_clock=True)
    question = _make_question(
        settings,
        now=None if now is None else options.read_moment(now, "--now"),
        days=_read_days(from_day, to_day),
        picked=(
            _names(Level) if level is Level.ALL else (level.value,),
            _names(Stage) if stage is Stage.BOTH else (stage.value,),
        ),
        period=None if period is None else period.value,
    )
    if xlsx_file is not None:  # a report is whole
        explain, ranges = True, ranges or settings.assessment.period_figure == "pooled"
    question = question._replace(arrivals=arrivals, has_lost_hours=explain, has_ranges=ranges)
    _check_outputs(csv_file, xlsx_file, as_json=as_json)
    report = _compute(settings, from_csv, question)
    _write(report, as_json=as_json, csv_file=csv_file, xlsx_file=xlsx_file)


def _names(kind: type[Level] | type[Stage]) -> tuple[str, ...]:
    """Return all of a kind but the last, which stands for them."""
    return tuple(member.value for member in kind)[:-1]


def _read_arrivals(text: str, from_csv: Path | None) -> str:
    from hj212gw.registry.cells import parse_id  # noqa: PLC0415 - slow to import

    if text == _LOCAL:
        return text
    if from_csv is not None:
        raise typer.BadParameter("files have arrivals of their own: leave it out", param_hint="--arrivals")
    kind, colon, name = text.partition(":")
    try:
        if f"{kind}{colon}" == _UPSTREAM:
            return f"{_UPSTREAM}{parse_id(name)}"
        expected = "a platform's name after upstream:"
    except ValueError as error:
        expected = f"{error} after upstream:"
    message = f"expected local or upstream:NAME, {expected}; came {text[:80]!r}"
    raise typer.BadParameter(message, param_hint="--arrivals")


def _overrides(policy: str | None, changes: list[str], dsn: str | None, *, has_vouchers: bool) -> dict[str, Any]:
    """Say by full name what the options set; marks of files and of a platform have no vouchers, so none lapses."""
    from hj212gw.config_assessment import AssessmentSettings  # noqa: PLC0415 - slow to import

    known = AssessmentSettings.model_fields
    found: dict[str, Any] = {"database.dsn": dsn}
    if not has_vouchers:
        found[f"{_SECTION}.vouchers"] = "ignored"
    for change in changes:
        name, equals, value = change.partition("=")
        name = name.strip().removeprefix(f"{_SECTION}.")
        if not equals or name not in known:
            message = f"expected NAME=VALUE with one of the names {', '.join(known)}; came {change[:80]!r}"
            raise typer.BadParameter(message, param_hint="--set")
        found[f"{_SECTION}.{name}"] = value.strip()
    if policy is not None:
        found[f"{_SECTION}.policy"] = policy
    return found


def _make_question(
    settings: "Settings",
    *,
    now: datetime | None,
    days: tuple[date | None, date | None],
    picked: tuple[Sequence[str], Sequence[str]],
    period: str | None,
) -> "Question":
    from hj212gw.assessment.assess import Question  # noqa: PLC0415 - slow to import, like asyncpg
    from hj212gw.clock import Clock  # noqa: PLC0415

    clock = Clock(settings.clock.epoch, settings.clock.speed, origin=settings.clock.origin)
    levels, stages = picked
    return Question(
        settings.assessment, now or clock.now(), *days, _LOCAL, period, levels, stages, settings.aggregator.city
    )


def _read_days(from_day: str | None, to_day: str | None) -> tuple[date | None, date | None]:
    first, end = _read_day(from_day, "--from"), _read_day(to_day, "--to")
    if first is not None and end is not None and first >= end:
        raise typer.BadParameter(f"--from {first} is not before --to {end}")
    return first, end


def _read_day(text: str | None, option: str) -> date | None:
    try:
        return None if text is None else date.fromisoformat(text)
    except ValueError as error:
        raise typer.BadParameter(f"expected a day such as 2026-03-01, came {text!r:.80}", param_hint=option) from error


def _check_outputs(csv_file: Path | None, xlsx_file: Path | None, *, as_json: bool) -> None:
    """Refuse before anything is computed what cannot be written afterwards."""
    if xlsx_file == _STDOUT:
        raise typer.BadParameter("a workbook is no text: expected a file or a folder", param_hint="--xlsx")
    if csv_file == _STDOUT and as_json:
        raise typer.BadParameter("stdout holds one of them: give --csv a file or leave out --json", param_hint="--csv")
    if csv_file is not None and csv_file.is_dir():
        raise typer.BadParameter(f"expected a file, {csv_file} is a folder", param_hint="--csv")
    for target, option in ((csv_file, "--csv"), (xlsx_file, "--xlsx")):
        if target is not None and not target.absolute().parent.is_dir():
            raise typer.BadParameter(f"{target.absolute().parent} is no folder", param_hint=option)


def _compute(settings: "Settings", folder: Path | None, question: "Question") -> "Report":
    with Progress("assessed") as progress:
        question = question._replace(on_progress=progress.show)
        if folder is None:
            return asyncio.run(_assess_database(options.need_dsn(settings), question))
        signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that the database is gone afterwards
        return asyncio.run(_assess_files(folder, question))


async def _assess_database(dsn: str, question: "Question") -> "Report":
    import hj212gw.assessment.assess as calculation  # noqa: PLC0415 - slow to import, like asyncpg
    from hj212gw.store.migrate import check_schema  # noqa: PLC0415
    from hj212gw.store.pool import CONNECTION_ERRORS, connected, sort_error  # noqa: PLC0415

    async with connected(dsn, name="hj212gw assess", role=_ROLE, statement_timeout_secs=_STATEMENT_SECS) as connection:
        try:
            await check_schema(connection)
            await calculation.check_arrivals(connection, question.arrivals)
            return await calculation.assess(connection, question)
        except CONNECTION_ERRORS as error:
            raise sort_error(error) from error


async def _assess_files(folder: Path, question: "Question") -> "Report":
    from hj212gw.assessment.loading import assess_folder  # noqa: PLC0415 - slow to import, like asyncpg
    from hj212gw.registry.findings import Level as Badness  # noqa: PLC0415

    checked = await assess_folder(folder, question)
    for finding in checked.findings.kept():
        say(str(finding))
    for found in Badness:
        if checked.findings.unshown(found):
            say(f"and {checked.findings.unshown(found)} {found}s more")
    if checked.report is None:
        say(f"nothing was computed: {checked.findings.count(Badness.ERROR)} errors")
        raise typer.Exit(_FAILED)
    return checked.report


def _write(report: "Report", *, as_json: bool, csv_file: Path | None, xlsx_file: Path | None) -> None:
    from hj212gw.assessment.documents import to_document, write_csv  # noqa: PLC0415 - slow to import

    if csv_file == _STDOUT:
        say(f"stdout: {write_csv(report, sys.stdout)} rows")
    elif csv_file is not None:
        with csv_file.open("w", encoding="utf-8", newline="") as stream:
            say(f"{csv_file}: {write_csv(report, stream)} rows")
    if xlsx_file is not None:
        _write_workbook(report, xlsx_file)
    if as_json:
        print_json(to_document(report))
    elif csv_file is None and xlsx_file is None:
        print_report(report)


def _write_workbook(report: "Report", target: Path) -> None:
    from hj212gw.assessment.workbook import workbook_name, write_workbook  # noqa: PLC0415 - slow to import

    path = target / workbook_name(report) if target.is_dir() else target
    write_workbook(path, report)
    say(f"{path}: {len(report.figures)} figures")
