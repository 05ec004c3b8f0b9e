"""All gaps of one outlet as a plan: which hour data is sent when, how often, and with what in it.

The plan is made before anything is sent. What is true afterwards follows from it (`truth.py`), provided that what it
says was acknowledged before its deadline; whoever sends counts what was not.
"""

import random
from collections import deque
from collections.abc import Iterable
from itertools import pairwise
from typing import NamedTuple

from hj212sim.edits import ROW, Edit, Edits
from hj212sim.gaps import DAY_SECS, HOUR_SECS, Correction, Cutoffs, Gap, Mark, Outage, Scene, Site, Spell, Story
from hj212sim.schedule import HOUR, US, Schedule, Upload

_ZONE_SECS = 8 * HOUR_SECS  # days begin at midnight on UTC+8
_SPOILED_SECS = 15 * 60  # an hour that has more of a spell shows it
_APART_US = 4 * HOUR_SECS * US  # a correction that came closer to what it corrects could overtake it


class Run(NamedTuple):
    """What all plans of a run share.

    Attributes:
        first_secs: the first hour that counts begins then, seconds since 1970 UTC.
        end_us: nothing is sent then or later, and nothing is recorded.
        cutoffs: when stages end.
        seed: of the simulation.
    """

    first_secs: int
    end_us: int
    cutoffs: Cutoffs
    seed: int

    def hours(self) -> range:
        """Every hour that counts and is over at the end, by its first second."""
        return range(self.first_secs, self.end_us // US - HOUR_SECS + 1, HOUR_SECS)

    def to_secs(self) -> int:
        """The end of the last of them."""
        return self.first_secs + len(self.hours()) * HOUR_SECS

    def days(self) -> list[int]:
        """The days of these hours, by their first second."""
        return sorted({day_of(hour) for hour in self.hours()})


class Sending(NamedTuple):
    """One hour as it is sent once.

    Attributes:
        at_us: when, microseconds since 1970 UTC.
        edits: what is changed in it; of a code that is not named nothing is.
        deadline_us: by when it has to be acknowledged for the truth to hold; 0 for any time.
    """

    at_us: int
    edits: Edits
    deadline_us: int


class OutletPlan(NamedTuple):
    """What becomes of an outlet's hours.

    Attributes:
        site: the outlet.
        run: what all plans share.
        hours: every sending of those hours that are not simply sent once, unchanged, when they are over.
        outages: when nothing is sent at all.
        marks: what was declared by the end of the run.
        gaps: day and name of each gap it was made of.
        delay_us: how long after its end an hour is usually sent.
    """

    site: Site
    run: Run
    hours: dict[int, tuple[Sending, ...]]
    outages: tuple[Outage, ...]
    marks: tuple[Mark, ...]
    gaps: tuple[tuple[int, str], ...]
    delay_us: int

    def sendings(self, hour_secs: int) -> tuple[Sending, ...]:
        """Return when and how an hour is sent, in the order of its arrivals."""
        if hour_secs in self.hours:
            return self.hours[hour_secs]
        return _place(self.run, hour_secs, [(self.usual_us(hour_secs), {})])

    def usual_us(self, hour_secs: int) -> int:
        """Tell when an hour is sent if nothing happens."""
        return (hour_secs + HOUR_SECS) * US + self.delay_us

    def is_sent(self, upload: Upload) -> bool:
        """Tell whether what falls due is sent then, being no hour that has a plan of its own."""
        if upload.cn == HOUR and upload.start_secs in self.hours:
            return False
        return not any(outage.from_secs * US <= upload.due_us < outage.to_secs * US for outage in self.outages)


class PlannedSchedule:
    """The uploads of a data logger whose hours follow a plan; of what falls into an outage only those come later.

    Args:
        schedule: what would be sent without the plan; it ends when the plan does.
        plan: of its outlet.
    """

    def __init__(self, schedule: Schedule, plan: OutletPlan) -> None:
        self._schedule = schedule
        self._plan = plan
        planned = [(sending.at_us, hour, sending) for hour, sendings in plan.hours.items() for sending in sendings]
        self._planned = deque(sorted(planned, key=lambda row: row[:2]))
        self._last_qn_ms = 0
        self._head: Upload | None = None
        self._find_head()

    @property
    def next_due_us(self) -> int | None:
        """When the next upload falls due; None when there is none."""
        dues = [self._planned[0][0]] if self._planned else []
        return min((*dues, self._head.due_us) if self._head else dues, default=None)

    def is_over(self, now_us: int) -> bool:
        """Tell whether nothing falls due any more, though what fell due before may not have been taken."""
        return self.next_due_us is None or self._schedule.is_over(now_us)

    def end_at(self, end_us: int) -> None:
        """Let nothing fall due at this moment or later."""
        self._schedule.end_at(end_us)
        self._planned = deque(row for row in self._planned if row[0] < end_us)
        if self._head and self._head.due_us >= end_us:
            self._head = None

    def take(self) -> Upload:
        """Take the upload that falls due next; there must be one."""
        if self._head and (not self._planned or self._head.due_us <= self._planned[0][0]):
            upload = self._head
            if upload.cn == HOUR and upload.start_secs >= self._plan.run.first_secs:
                upload.deadline_us = self._plan.sendings(upload.start_secs)[0].deadline_us
            self._find_head()
        else:
            at_us, hour, sending = self._planned.popleft()
            upload = Upload(HOUR, at_us, hour, HOUR_SECS, at_us // 1000, 0, sending.edits, sending.deadline_us)
        self._last_qn_ms = upload.qn_ms = max(upload.qn_ms, self._last_qn_ms + 1)
        return upload

    def _find_head(self) -> None:
        self._head = None
        while self._head is None and self._schedule.next_due_us is not None:
            upload = self._schedule.take()
            self._head = upload if self._plan.is_sent(upload) else None


def day_of(secs: int) -> int:
    """Return the first second of a moment's day on UTC+8."""
    return (secs + _ZONE_SECS) // DAY_SECS * DAY_SECS - _ZONE_SECS


def make_plan(site: Site, gaps: Iterable[tuple[int, Gap]], run: Run, *, delay_us: int) -> OutletPlan:
    """Let gaps happen at an outlet.

    Args:
        site: the outlet.
        gaps: which begin on which day, by its first second.
        run: what all plans share.
        delay_us: how long after its end an hour is usually sent.
    """
    story, happened = Story(), []
    for number, (day, gap) in enumerate(gaps):
        rng = random.Random(f"{run.seed}/{site.outlet}/{day}/{gap.slug}/{number}")
        gap.happen(Scene(site, day, run.cutoffs, rng, story))
        happened.append((day, gap.slug))
    plan = OutletPlan(site, run, {}, tuple(story.outages), _declared(story, run), tuple(happened), delay_us)
    for hour in run.hours():
        usual: tuple[int, Edits] = (plan.usual_us(hour), {})
        versions = _reach(story.outages, _write(hour, story, plan))
        if versions != [usual]:
            # What is left of it has no factor in it: nothing is sent.
            filled = [row for row in versions if _has_any(row[1], site.codes)]
            plan.hours[hour] = _place(run, hour, filled)
    return plan


def _write(hour: int, story: Story, plan: OutletPlan) -> list[tuple[int, Edits]]:
    """Write the versions of an hour, each at the moment it would be sent without outages."""
    edits: dict[str, Edit] = {}
    for spell in story.spells:
        if _spoils(spell, hour):
            for code, edit in spell.edits.items():
                edits[code] = edits.get(code, Edit()).join(edit)
    mine = sorted((row for row in story.corrections if row.hour_secs == hour), key=_moment)
    for correction in reversed(mine):
        edits[correction.code] = correction.before
    versions: list[tuple[int, Edits]] = [(plan.usual_us(hour), dict(edits))]
    for correction in mine:
        edits[correction.code] = correction.after
        versions.append((correction.at_secs * US, dict(edits)))
    return versions


def _reach(outages: list[Outage], versions: list[tuple[int, Edits]]) -> list[tuple[int, Edits]]:
    """Let versions of an hour arrive as outages allow; what would come close behind another is not sent."""
    arrived: list[tuple[int, Edits]] = []
    for at_us, edits in versions:
        moved_us = _pass_outages(outages, at_us)
        if moved_us is not None and (not arrived or moved_us >= arrived[-1][0] + _APART_US):
            arrived.append((moved_us, edits))
    return arrived


def _pass_outages(outages: list[Outage], at_us: int) -> int | None:
    while True:
        held = [row for row in outages if row.from_secs * US <= at_us < row.to_secs * US]
        if not held:
            return at_us
        # The line is there again when the last of them is over; what one of them lost is lost.
        backs = [row.back_secs for row in held if row.back_secs is not None]
        if len(backs) < len(held):
            return None
        at_us = max(backs) * US


def _place(run: Run, hour: int, versions: list[tuple[int, Edits]]) -> tuple[Sending, ...]:
    """Give versions of an hour, in their order, their deadlines; those after the end of the run are none."""
    day = day_of(hour)
    ends = (run.cutoffs.immediate(day) * US, run.cutoffs.closing(day) * US - 1)
    sent = [(at_us, edits) for at_us, edits in versions if at_us < run.end_us]
    nexts = [after for (_, _), (after, _) in pairwise(sent)]
    return tuple(
        Sending(at_us, edits, min((end for end in (*ends, *nexts[number : number + 1]) if end >= at_us), default=0))
        for number, (at_us, edits) in enumerate(sent)
    )


def _spoils(spell: Spell, hour: int) -> bool:
    return min(spell.to_secs, hour + HOUR_SECS) - max(spell.from_secs, hour) > _SPOILED_SECS


def _has_any(edits: Edits, codes: Iterable[str]) -> bool:
    return any(code not in edits or ROW not in edits[code].lacks for code in codes)


def _moment(correction: Correction) -> int:
    return correction.at_secs


def _declared(story: Story, run: Run) -> tuple[Mark, ...]:
    """Return the marks as they stand at the end of the run, of what is on the base list."""
    marks = []
    for mark in story.marks:
        if mark.recorded_secs * US < run.end_us and mark.to_secs > run.first_secs:
            is_void = mark.voided_secs is not None and mark.voided_secs * US < run.end_us
            voided_secs = mark.voided_secs if is_void else None
            marks.append(mark._replace(from_secs=max(mark.from_secs, run.first_secs), voided_secs=voided_secs))
    return tuple(sorted(marks, key=lambda mark: (mark.from_secs, mark.factor, mark.recorded_secs)))
