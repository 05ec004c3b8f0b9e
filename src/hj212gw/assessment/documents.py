"""An assessment as a JSON document and as CSV: exact fractions beside truncated percentages."""

import csv
from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from fractions import Fraction
from typing import Any, TextIO

from hj212gw.assessment.ranges import show_setting
from hj212gw.assessment.rates import Rate, show_percent, validity_of_received
from hj212gw.assessment.reports import Bound, Figure, LostHour, Report, Spread
from hj212gw.config_assessment import AssessmentSettings
from hj212gw.protocol.times import WIRE_ZONE
from hj212gw.registry.cells import format_name

_MEANS = ("mean_of_points", "mean_of_enterprises")
_LOST = ("outlet", "factor", "hour", "stage", "state", "reason")
_RATES = ("transmission", "validity", "effective")


def to_document(report: Report) -> dict[str, Any]:
    """Turn a report into what JSON can hold; what nobody asked for is left out."""
    rounding = report.settings["rounding"]
    document: dict[str, Any] = {
        "from": report.from_day.isoformat(),
        "to": report.to_day.isoformat(),
        "now": show_moment(report.now),
        "city": report.city,
        "arrivals": report.arrivals,
        "estimate": report.is_estimate,
        "policy": {
            **report.policy._asdict(),
            "threshold": show_fraction(report.policy.threshold),
            "periods": list(report.policy.periods),
        },
        "settings": report.settings,
        "rows": [to_row(report, figure) for figure in report.figures],
        "not_counted": [{"outlet": outlet, "factor": factor} for outlet, factor in report.uncounted],
    }
    if report.lost_hours is not None:
        document["lost_hours"] = [to_lost(lost) for lost in report.lost_hours]
    if report.spreads is not None:
        document["range"] = [_to_spread(spread, rounding) for spread in report.spreads]
        document["varied"] = {name: list(values) for name, values in report.varied.items()}
    return document


def to_row(report: Report, figure: Figure) -> dict[str, Any]:
    """Turn a figure into names and values by the names of the specification (assessment.md section 2)."""
    rounding = report.settings["rounding"]
    received = validity_of_received(figure.counts)
    row = {
        "level": figure.level,
        "id": figure.id,
        "name": figure.name,
        "period": figure.period,
        "period_start": figure.period_start.isoformat(),
        "stage": figure.stage,
        "policy": report.policy.name,
        **figure.counts._asdict(),
        **_to_rates(figure.rate, rounding),
        "validity_received": show_fraction(received),
        "validity_received_pct": show_percent(received, rounding),
        "passed": figure.rate.passed,
        "no_rate_reason": figure.no_rate_reason,
        "provisional": figure.provisional,
    }
    for name in _MEANS:
        mean: Rate | None = getattr(figure, name)
        row[name] = None if mean is None else {**_to_rates(mean, rounding), "passed": mean.passed}
    return row


def to_lost(lost: LostHour) -> dict[str, Any]:
    """Turn a lost hour into names and values."""
    return {name: getattr(lost, name) for name in _LOST} | {"hour": show_moment(lost.hour)}


def write_csv(report: Report, stream: TextIO) -> int:
    """Write the figures as CSV with a header, means and ranges flat beside them; return how many there are."""
    rounding = report.settings["rounding"]
    writer = csv.writer(stream, lineterminator="\n")
    count = 0
    for row in _flat_rows(report, rounding):
        if not count:
            writer.writerow(row)
        writer.writerow("" if value is None else _show_cell(value) for value in row.values())
        count += 1
    return count


def show_fraction(fraction: Fraction | None) -> str | None:
    """Write a fraction in lowest terms, `35/36` or `1`; the mean of many may be long, which `str` refuses."""
    if fraction is None:
        return None
    over, under = (format(Decimal(number), "f") for number in fraction.as_integer_ratio())
    return over if under == "1" else f"{over}/{under}"


def show_moment(moment: datetime) -> str:
    """Write a moment on UTC+8."""
    return moment.astimezone(WIRE_ZONE).strftime("%Y-%m-%dT%H:%M:%S").removesuffix(":00")


def _flat_rows(report: Report, rounding: str) -> Iterator[dict[str, Any]]:
    for place, figure in enumerate(report.figures):
        row = to_row(report, figure)
        for name in _MEANS:
            mean = row.pop(name) or {}
            row[f"{name}_effective"] = mean.get("effective")
            row[f"{name}_pct"] = mean.get("effective_pct")
        if report.spreads is not None:
            spread = report.spreads[place]
            for name, bound in (("lowest", spread.lowest), ("highest", spread.highest)):
                row[name] = show_fraction(bound.effective) if bound else None
                row[f"{name}_pct"] = show_percent(bound.effective, rounding) if bound else None
                row[f"{name}_settings"] = show_settings(bound)
        yield {**row, **_to_manner(report), "arrivals": report.arrivals, "estimate": report.is_estimate}


def _to_manner(report: Report) -> dict[str, Any]:
    """Say how the figures of a row were made of its counts: one that is alone has nobody to say it."""
    policy = report.policy
    return {
        **{name: getattr(policy, name) for name in ("t_unit", "v_denominator", "combine")},
        "threshold": f"{float(policy.threshold):.10g}",
        "rollup": report.settings["rollup"],
    }


def name_changes(report: Report) -> str:
    """Write the settings that are not as they are by default in one line; the policy has a place of its own."""
    default = AssessmentSettings().model_dump(mode="json")
    changed = {name: value for name, value in report.settings.items() if name != "policy" and value != default[name]}
    return " ".join(f"{name}={show_setting(value)}" for name, value in changed.items())


def show_settings(bound: Bound | None) -> str:
    """Write the settings of a bound in one line."""
    return " ".join(f"{name}={value}" for name, value in bound.settings.items()) if bound else ""


def _show_cell(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return format_name(value) if isinstance(value, str) else str(value)


def _to_rates(rate: Rate, rounding: str) -> dict[str, str | None]:
    fractions = {name: show_fraction(getattr(rate, name)) for name in _RATES}
    return {**fractions, **{f"{name}_pct": show_percent(getattr(rate, name), rounding) for name in _RATES}}


def _to_spread(spread: Spread, rounding: str) -> dict[str, Any]:
    bounds = {name: _to_bound(getattr(spread, name), rounding) for name in ("lowest", "highest")}
    return {
        "level": spread.level,
        "id": spread.id,
        "name": spread.name,
        "period": spread.period,
        "period_start": spread.period_start.isoformat(),
        "stage": spread.stage,
        "effective": show_fraction(spread.configured),
        "effective_pct": show_percent(spread.configured, rounding),
        **bounds,
    }


def _to_bound(bound: Bound | None, rounding: str) -> dict[str, Any] | None:
    if bound is None:
        return None
    return {
        "effective": show_fraction(bound.effective),
        "effective_pct": show_percent(bound.effective, rounding),
        "settings": bound.settings,
    }
