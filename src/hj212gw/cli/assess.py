"""`hj212gw assess`: transmission and validity rates of any range, from the database or from files."""

import asyncio
import signal
from collections.abc import Sequence
from datetime import date, datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hj212gw.cli import options
from hj212gw.cli.output import Progress, plain_text, print_data, print_json, print_table, say

if TYPE_CHECKING:
    from hj212gw.assessment.assess import Question
    from hj212gw.assessment.reports import Bound, Figure, Report, Spread
    from hj212gw.config import Settings

_FAILED = 1
_SECTION = "assessment"
_LOCAL, _UPSTREAM = "local", "upstream:"
_ROLE = "hj212_aggregator"
_STATEMENT_SECS = 3600.0
_COLUMNS = ("level", "id", "name", "from", "stage", "T %", "V %", "TV %", "passed", "due", "valid", "left out", "note")
_LOST_COLUMNS = ("outlet", "factor", "hour", "stage", "state", "reason")
_NAMED = 5
_RANGE_COLUMNS = ("level", "id", "from", "stage", "TV %", "lowest %", "by", "highest %", "by ")


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
CsvFile = Annotated[Path | None, typer.Option("--csv", metavar="FILE", help="Write the figures as CSV.")]
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
    _check_outputs(csv_file, xlsx_file)
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


def _check_outputs(csv_file: Path | None, xlsx_file: Path | None) -> None:
    """Refuse before anything is computed what cannot be written afterwards."""
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

    if csv_file is not None:
        with csv_file.open("w", encoding="utf-8", newline="") as stream:
            say(f"{csv_file}: {write_csv(report, stream)} rows")
    if xlsx_file is not None:
        _write_workbook(report, xlsx_file)
    if as_json:
        print_json(to_document(report))
    elif csv_file is None and xlsx_file is None:
        _print(report)


def _write_workbook(report: "Report", target: Path) -> None:
    from hj212gw.assessment.workbook import workbook_name, write_workbook  # noqa: PLC0415 - slow to import

    path = target / workbook_name(report) if target.is_dir() else target
    write_workbook(path, report)
    say(f"{path}: {len(report.figures)} figures")


def _print(report: "Report") -> None:
    """Print tables to stdout, and what they are of to stderr."""
    from hj212gw.assessment.documents import to_lost  # noqa: PLC0415 - slow to import

    whose = "local arrivals, an estimate" if report.is_estimate else report.arrivals
    say(
        f"{report.from_day} to {report.to_day}, the last day not included; {whose}; policy {report.policy.name}, "
        f"at least {float(report.policy.threshold):g} %"
    )
    if report.uncounted:
        say(_name_uncounted(report.uncounted))
    print_table(_COLUMNS, [_to_cells(report, figure) for figure in report.figures])
    if report.spreads is not None:
        print_data("")
        print_table(_RANGE_COLUMNS, [_to_range(report, spread) for spread in report.spreads])
        say(_warn_of_lowest(report))
    if report.lost_hours is not None:
        print_data("")
        print_table(_LOST_COLUMNS, [tuple(to_lost(lost).values()) for lost in report.lost_hours])


def _name_uncounted(uncounted: Sequence[tuple[str, str]]) -> str:
    """Say what of the base list has no part in the figures, some by name."""
    named = ", ".join(f"{plain_text(outlet)} {plain_text(factor)}" for outlet, factor in uncounted[:_NAMED])
    more = f" and {len(uncounted) - _NAMED} more" if len(uncounted) > _NAMED else ""
    return f"listed and not counted (setting uncounted_factors): {named}{more}"


def _to_cells(report: "Report", figure: "Figure") -> tuple[Any, ...]:
    from hj212gw.assessment.rates import show_percent  # noqa: PLC0415 - slow to import

    rounding = report.settings["rounding"]
    rate = figure.rate
    passed = None if rate.passed is None else "yes" if rate.passed else "no"
    note = figure.no_rate_reason or ("provisional" if figure.provisional else "")
    name = plain_text(figure.name) if figure.name != figure.id else ""
    return (
        figure.level,
        plain_text(figure.id),
        name,
        figure.period_start,
        figure.stage,
        *(show_percent(value, rounding) for value in (rate.transmission, rate.validity, rate.effective)),
        passed,
        figure.counts.expected_groups,
        figure.counts.valid_groups,
        figure.counts.groups_not_taking_part,
        note,
    )


def _to_range(report: "Report", spread: "Spread") -> tuple[Any, ...]:
    from hj212gw.assessment.rates import show_percent  # noqa: PLC0415 - slow to import

    rounding = report.settings["rounding"]
    bounds = [
        cell
        for bound in (spread.lowest, spread.highest)
        for cell in (show_percent(bound.effective if bound else None, rounding), _show_changes(report, bound))
    ]
    return (
        spread.level,
        plain_text(spread.id),
        spread.period_start,
        spread.stage,
        show_percent(spread.configured, rounding),
        *bounds,
    )


def _show_changes(report: "Report", bound: "Bound | None") -> str:
    """Name the settings of a bound that are not as configured."""
    used = {**report.settings, "v_denominator": report.policy.v_denominator, "t_unit": report.policy.t_unit}
    configured = {name: ",".join(value) if isinstance(value, list) else value for name, value in used.items()}
    changes = {} if bound is None else {n: v for n, v in bound.settings.items() if v != configured[n]}
    return " ".join(f"{name}={value}" for name, value in changes.items())


def _warn_of_lowest(report: "Report") -> str:
    """Say how many figures pass as configured and would not by the lowest."""
    threshold = report.policy.threshold
    short = [
        spread
        for spread in report.spreads or ()
        if spread.configured is not None
        and spread.lowest is not None
        and spread.lowest.effective * 100 < threshold <= spread.configured * 100
    ]
    return f"{len(short)} figures pass as configured and would not by the lowest"
