"""What whoever declares, proves or accepts a mark should hear: on which days it does not count, and why. Pure."""

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime, timedelta
from itertools import pairwise
from typing import Any, NamedTuple

from hj212gw.assessment.markdays import days_of, lapsed_through
from hj212gw.assessment.rules import make_rules
from hj212gw.assessment.stages import completed_through, voucher_due
from hj212gw.assessment.verdicts import MarkFacts, StageEnd, explain_alone, explain_samples
from hj212gw.config_assessment import AssessmentSettings
from hj212gw.protocol.times import start_of
from hj212gw.registry.markkinds import ACCEPTED, DECLARED, MANUAL

_DAY = timedelta(days=1)
_SAMPLED_DAYS = 2  # a manual value touches no more, or is too long


class Basis(NamedTuple):
    """The settings a mark is judged by: how long the completed stage takes after a day, and the others by name."""

    completed_after: timedelta
    values: Mapping[str, Any]


def find_basis(settings: AssessmentSettings, noted: str | None) -> Basis:
    """Return the settings in use: those that were given here, else those the aggregator noted, else the defaults."""
    rules = make_rules(settings)
    if settings.model_fields_set or noted is None:
        return Basis(rules.completed_after, rules.values)
    told = json.loads(noted)
    after = timedelta(seconds=told.get("completed_after_secs", rules.completed_after.total_seconds()))
    return Basis(after, {name: told.get(name, value) for name, value in rules.values.items()})


def find_hints(mark: MarkFacts, samples: Sequence[MarkFacts], basis: Basis, now: datetime) -> Iterator[str]:
    """Yield, of the days on which a mark does not count at the completed stage, which they are and why.

    Args:
        mark: in force. A declared manual value is judged as if it, and those declared beside it, were accepted.
        samples: all manual values of its outlet and factor, itself among them.
        basis: the settings in use.
        now: vouchers that had to be there by now are late.
    """
    explains = mark.effect == "interruption" and basis.values["interruption"] != "excuses"
    if mark.effect == "none" or explains:  # whoever declares it expects nothing else
        return
    days = _turns(mark, basis, now)
    reasons = [_explain(mark, samples, day, basis, now) for day in days]
    kept = [place for place in range(len(days)) if not place or reasons[place] != reasons[place - 1]]
    for place, following in pairwise([*kept, None]):
        assert place is not None
        reason = reasons[place]
        until = days_of(mark)[1] if following is None else days[following] - _DAY
        if reason:
            yield f"does not count{_show_days(mark, days[place], until)}{reason}"


def _turns(mark: MarkFacts, basis: Basis, now: datetime) -> list[date]:
    """Return the days of a mark on which a reason may begin or end, the first one among them."""
    first_day, last_day = days_of(mark)
    closed = completed_through(basis.completed_after, mark.recorded_at, now, needs_vouchers=False)
    turns = {first_day, closed + _DAY, (lapsed_through(mark, now) or first_day - _DAY) + _DAY}
    if mark.effect == MANUAL:
        turns |= {first_day + number * _DAY for number in range(_SAMPLED_DAYS)}
    return sorted(day for day in turns if day >= first_day and (last_day is None or day <= last_day))


def _explain(mark: MarkFacts, samples: Sequence[MarkFacts], day: date, basis: Basis, now: datetime) -> str | None:
    ends_at = start_of(day + _DAY)
    end = StageEnd("completed", ends_at + basis.completed_after)
    if mark.voucher_due is not None:
        mark = mark._replace(voucher_due=voucher_due(day))
    taken = _accept(mark) if mark.effect == MANUAL else mark
    reason = explain_alone(taken, end, basis.values, now=now)
    if reason or mark.effect != MANUAL:
        return reason and f": {reason}"
    of_day = [other for other in samples if other.from_at < ends_at and (other.to_at or ends_at) > ends_at - _DAY]
    beside = [_accept(other) if mark.state == DECLARED else other for other in of_day]
    reason = explain_samples(beside, end, basis.values, now=now)
    return reason and f" so far: {reason}"


def _accept(mark: MarkFacts) -> MarkFacts:
    return mark._replace(state=ACCEPTED) if mark.state == DECLARED else mark


def _show_days(mark: MarkFacts, since: date, until: date | None) -> str:
    """Name some of a mark's days; "" where they are all."""
    if (since, until) == days_of(mark):
        return ""
    if until is None:
        return f" on days from {since} on"
    return f" on {since}" if since == until else f" on days from {since} to {until}"
