"""What `hj212gw assess` prints: tables to stdout, and what they are of to stderr."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from hj212gw.cli.output import plain_text, print_data, print_table, say

if TYPE_CHECKING:
    from hj212gw.assessment.reports import Bound, Figure, Report, Spread

_COLUMNS = (
    "level",
    "id",
    "name",
    "from",
    "stage",
    "T %",
    "V %",
    "TV %",
    "S/G %",
    "passed",
    "due",
    "valid",
    "left out",
    "note",
)
_LOST_COLUMNS = ("outlet", "factor", "hour", "stage", "state", "reason")
_RANGE_COLUMNS = ("level", "id", "from", "stage", "TV %", "lowest %", "by", "highest %", "by ")
_NAMED = 5


def print_report(report: "Report") -> None:
    """Print tables to stdout, and what they are of to stderr."""
    from hj212gw.assessment.documents import name_changes, to_lost  # noqa: PLC0415 - slow to import

    whose = "local arrivals, an estimate" if report.is_estimate else report.arrivals
    policy = report.policy
    made = " ".join(f"{name}={getattr(policy, name)}" for name in ("t_unit", "v_denominator", "combine"))
    say(
        f"{report.from_day} to {report.to_day}, the last day not included; {whose}; policy {policy.name} ({made}), "
        f"at least {float(policy.threshold):g} %"
    )
    if changes := name_changes(report):
        say(f"changed settings: {plain_text(changes)}")
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
    from hj212gw.assessment.rates import show_percent, validity_of_received  # noqa: PLC0415 - slow to import

    rounding = report.settings["rounding"]
    rate, received = figure.rate, validity_of_received(figure.counts)
    passed = None if rate.passed is None else "yes" if rate.passed else "no"
    note = figure.no_rate_reason or ("provisional" if figure.provisional else "")
    name = plain_text(figure.name) if figure.name != figure.id else ""
    return (
        figure.level,
        plain_text(figure.id),
        name,
        figure.period_start,
        figure.stage,
        *(show_percent(value, rounding) for value in (rate.transmission, rate.validity, rate.effective, received)),
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
    from hj212gw.assessment.ranges import show_setting  # noqa: PLC0415 - slow to import

    used = {**report.settings, "v_denominator": report.policy.v_denominator, "t_unit": report.policy.t_unit}
    configured = {name: show_setting(value) for name, value in used.items()}
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
