"""Why an hour counts against a rate, in words."""

import sys
from datetime import datetime, timedelta
from functools import lru_cache

from hj212gw.assessment.reports import LostHour
from hj212gw.protocol.times import WIRE_ZONE
from hj212gw.store.assessment import LOCAL, Rules
from hj212gw.store.figures import Loss


def to_lost_hour(loss: Loss, rules: Rules, arrivals: str) -> LostHour:
    """Say of a loss why it is one. There may be a million: what many have in common they share.

    Args:
        loss: a group that counts against a rate.
        rules: by which.
        arrivals: the source; local ones go by the deadline, since they do not tell what was filled in.
    """
    day_start = datetime(loss.day.year, loss.day.month, loss.day.day, tzinfo=WIRE_ZONE)
    hour = _hour_of(day_start, loss.hour)
    share = sys.intern
    return LostHour(
        outlet=share(loss.outlet),
        factor=share(loss.factor),
        hour=hour,
        stage=share(loss.stage),
        state=share(loss.state),
        reason=share(_explain(loss, day_start, rules, arrivals)),
        enterprise=None if loss.enterprise is None else share(loss.enterprise),
        is_dry=loss.is_dry,
    )


def _explain(loss: Loss, day_start: datetime, rules: Rules, arrivals: str) -> str:
    if loss.state == "late":
        return _explain_late(loss, day_start, rules, arrivals)
    if loss.state == "partial":
        return f"{loss.came} of {loss.fields} values came{'' if loss.has_mean else ', the mean did not'}"
    if loss.state == "flag" and not loss.is_dry:
        return f"its data flag is not {' or '.join(rules.good_flags)}"
    return {
        "missing": "nothing came",
        "mark": f"device marks leave less than {rules.values['valid_minutes']} minutes, or a further check lies in it",
        "flag": "no flow, and no stop is recorded",
    }[loss.state]


def _explain_late(loss: Loss, day_start: datetime, rules: Rules, arrivals: str) -> str:
    if loss.stage == "immediate" and rules.is_by_provenance and arrivals != LOCAL:
        return "was filled in later"
    after = rules.immediate_after if loss.stage == "immediate" else rules.completed_after
    cut_off = day_start + timedelta(days=1) + after
    return f"came after the cut-off, {cut_off:%Y-%m-%dT%H:%M}"


@lru_cache(maxsize=1024)
def _hour_of(day_start: datetime, hour: int) -> datetime:
    return day_start + timedelta(hours=hour)
