"""What is true of the hours of a fleet with gaps, told by its plan alone.

Nothing of the program under test is used here: minutes are counted one by one, versions of an hour are gone through in
the order of their arrivals, and each rule of assessment.md, section 3, is a line.
"""

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any, NamedTuple

from hj212sim.base_list import FIELDS, Due
from hj212sim.edits import MEAN, ROW, Edit
from hj212sim.gaps import HOUR_SECS, STOP, Mark
from hj212sim.plan import OutletPlan, Run, day_of
from hj212sim.readings import NORMAL
from hj212sim.schedule import US

STAGES = ("immediate", "completed")
LOCAL = timezone(timedelta(hours=8))
_MINUTE = 60
_VALID_MINUTES = 45
_VOUCHER_DAY = 11  # of the next month: a voucher that is not there by its beginning is late


class Verdict(NamedTuple):
    """What is true of one factor of an outlet in one hour at one stage.

    Attributes:
        due: whether it counts at all.
        received: whether its mean had come by the stage's cut-off; False where it is not due.
        valid: whether it is received and worth something.
        fields: how many of the values due had come.
    """

    due: bool
    received: bool
    valid: bool
    fields: int


def judge(plan: OutletPlan, due: Due, hour_secs: int, stage: str) -> Verdict:
    """Tell what is true of an hour of one line of the base list."""
    until_us = _until_us(plan.run, hour_secs, stage)
    known = [mark for mark in plan.marks if mark.recorded_secs * US <= until_us and mark.voided_secs is None]
    waits = stage != STAGES[0]  # the immediate stage is final before vouchers are due
    stops = [mark for mark in known if mark.kind == STOP and not (waits and _has_lapsed(hour_secs, plan.run))]
    stopped_minutes = _count_minutes(stops, hour_secs)
    if stopped_minutes and 60 - stopped_minutes < _VALID_MINUTES:
        return Verdict(due=False, received=False, valid=False, fields=0)
    edit = _newest(plan, due.code, hour_secs, until_us)
    if edit is None:
        return Verdict(due=True, received=False, valid=False, fields=0)
    flow = _newest(plan, plan.site.flow, hour_secs, until_us)
    is_dry = plan.site.is_water and flow is not None and flow.is_zero and MEAN not in flow.lacks
    devices = [mark for mark in known if mark.kind != STOP and mark.factor in ("*", due.factor)]
    is_clean = 60 - _count_minutes(devices, hour_secs) >= _VALID_MINUTES
    received = MEAN not in edit.lacks
    valid = received and edit.flag == NORMAL and is_clean and not is_dry
    return Verdict(True, received, valid, sum(name not in edit.lacks for name in FIELDS[: due.fields]))


def find_exceptions(plan: OutletPlan) -> Iterator[tuple[int, Due, str, Verdict]]:
    """Yield what is not due, received and valid with all its values: hour, factor, stage and verdict."""
    for hour in plan.run.hours():
        if hour not in plan.hours and plan.sendings(hour) and not _is_marked(plan, hour):
            continue
        for due in plan.site.due:
            for stage in STAGES:
                verdict = judge(plan, due, hour, stage)
                if verdict != Verdict(True, True, True, due.fields):
                    yield hour, due, stage, verdict


def write_gap_truth(plans: Sequence[OutletPlan], path: Path) -> Path:
    """Write what is true of a fleet's hours, as JSON lines.

    The first line tells from and to (the hours that count begin in it and are over), the cut-offs, and how many gaps
    there are of each kind. Then a line for each gap: gap, outlet, day. Then a line for each group that is not due,
    received and valid with all its values: outlet, factor (of the catalogue), hour (its beginning), stage, due,
    received, valid, fields. Of whatever has no line all is well. Times are those of UTC+8.

    Args:
        plans: of the outlets, at least one; all of one run.
        path: replaced.

    Raises:
        OSError: it cannot be written.
    """
    run = plans[0].run
    kinds = Counter(slug for plan in plans for _, slug in plan.gaps)
    head = {
        "from": show_time(run.first_secs),
        "to": show_time(run.to_secs()),
        "immediate_cutoff_hours": 12,
        "completed_days": run.cutoffs.completed_days,
        "outlets": len(plans),
        "gaps": dict(sorted(kinds.items())),
    }
    with path.open("w", encoding="utf-8") as file:
        file.writelines(f"{json.dumps(line)}\n" for line in (head, *_tell(plans)))
    return path


def show_time(secs: int) -> str:
    """Write a moment as files do: local, without an offset."""
    return datetime.fromtimestamp(secs, LOCAL).replace(tzinfo=None).isoformat()


def _tell(plans: Sequence[OutletPlan]) -> Iterator[dict[str, Any]]:
    for plan in plans:
        for day, slug in plan.gaps:
            yield {"gap": slug, "outlet": plan.site.outlet, "day": show_time(day)[:10]}
    for plan in plans:
        for hour, due, stage, verdict in find_exceptions(plan):
            group = {"outlet": plan.site.outlet, "factor": due.factor, "hour": show_time(hour), "stage": stage}
            yield group | verdict._asdict()


def _until_us(run: Run, hour_secs: int, stage: str) -> int:
    """Return the last moment at which the stage of an hour takes data and marks."""
    day = day_of(hour_secs)
    return run.cutoffs.immediate(day) * US if stage == STAGES[0] else run.cutoffs.closing(day) * US - 1


def _newest(plan: OutletPlan, code: str, hour_secs: int, until_us: int) -> Edit | None:
    """Return what was last heard of a factor's hour by a moment; None where nothing was."""
    newest = None
    for sending in plan.sendings(hour_secs):
        edit = sending.edits.get(code, Edit())
        if sending.at_us <= until_us and ROW not in edit.lacks:
            newest = edit
    return newest if code in plan.site.codes else None


def _count_minutes(marks: list[Mark], hour_secs: int) -> int:
    minutes = range(hour_secs, hour_secs + HOUR_SECS, _MINUTE)
    return sum(any(mark.from_secs <= minute < mark.to_secs for mark in marks) for minute in minutes)


def _is_marked(plan: OutletPlan, hour_secs: int) -> bool:
    return any(mark.from_secs < hour_secs + HOUR_SECS and mark.to_secs > hour_secs for mark in plan.marks)


def _has_lapsed(hour_secs: int, run: Run) -> bool:
    """Tell whether the voucher of an hour's stop, which none of these marks has, was due by the end of the run."""
    hour = datetime.fromtimestamp(hour_secs, LOCAL)
    following = (hour.replace(day=1) + timedelta(days=31)).replace(
        day=_VOUCHER_DAY, hour=0, minute=0, second=0, microsecond=0
    )
    return following.astimezone(UTC).timestamp() * US <= run.end_us
