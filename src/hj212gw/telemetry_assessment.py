"""Metrics and events of the aggregator: how far it is, and the figures alarms look at."""

from datetime import date, datetime
from typing import NamedTuple

from hj212gw.telemetry import (
    ASSESSMENT_DURATION,
    ASSESSMENT_FAILURES,
    ASSESSMENT_PASSED,
    ASSESSMENT_STALE,
    DAYS_ASSESSED,
    LOGGERS_REGISTERED,
    LOGGERS_SILENT,
    LOGGERS_SKEWED,
    RATE_EFFECTIVE,
    RATE_TARGET,
    error_facts,
    tell,
)


class Gauges(NamedTuple):
    """How the city stands.

    Attributes:
        stale: ranges of days the aggregator has still to compute.
        registered: data loggers of the registry.
        silent: of those, how many were not heard for three of their intervals, an hour at least.
        skewed: of those heard within a day, how many clocks are over a minute off.
        rates: effective rate of the city by period (day, month, year) and stage, of the newest period; a fraction.
        target: the threshold of the default policy as a fraction.
    """

    stale: int
    registered: int
    silent: int
    skewed: int
    rates: dict[tuple[str, str], float]
    target: float


def assessment_failed(error: BaseException) -> None:
    """Count a look that failed; the next one tries again."""
    ASSESSMENT_FAILURES.inc()
    tell("assessment.failed", str(error)[:80], **error_facts(error))


def assessment_passed(now: datetime) -> None:
    """Note that all that was stale is computed."""
    ASSESSMENT_PASSED.set(now.timestamp())


def days_assessed(first_day: date, count: int, secs: float) -> None:
    """Count days of outlets whose figures changed."""
    DAYS_ASSESSED.inc(count)
    ASSESSMENT_DURATION.observe(secs)
    tell("days.assessed", first_day=str(first_day), changed=count, secs=round(secs, 3))


def gauges_read(gauges: Gauges) -> None:
    """Set what alarms look at."""
    ASSESSMENT_STALE.set(gauges.stale)
    LOGGERS_REGISTERED.set(gauges.registered)
    LOGGERS_SILENT.set(gauges.silent)
    LOGGERS_SKEWED.set(gauges.skewed)
    for period, by_stage in RATE_EFFECTIVE.items():
        for stage, gauge in by_stage.items():
            gauge.set(gauges.rates.get((period, stage), float("nan")))
    RATE_TARGET.set(gauges.target)
