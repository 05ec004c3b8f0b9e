"""What data of an outlet goes missing, late or wrong, and what is recorded of it, by name.

A gap begins on one day of one outlet. It cuts the line for a while, spoils hours, corrects them later, or declares a
mark; what becomes of the hours is told by nobody but the plan that all of an outlet's gaps make together (`plan.py`).
Moments at which something arrives lie hours before any cut-off, so that a slow machine does not change what is true;
those at which something is recorded need no margin, and some are the very moment of a cut-off.
"""

import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import partial
from operator import attrgetter, itemgetter
from typing import NamedTuple

from hj212gw.errors import ConfigError
from hj212sim.base_list import FIELDS, Due
from hj212sim.edits import ROW, Edit, Edits

HOUR_SECS = 3600
DAY_SECS = 86_400
BAD_FLAGS = "FMDCTB"  # HJ 212-2017 table 8
STOP = "stop"
_MINUTE = 60
_NOON = 12 * HOUR_SECS
# Times of day, in hours, at which something may arrive late: between them lie noon and midnight, when days are closed.
_CALM = ((0.5, 8.0), (12.5, 20.0))
_APART_SECS = 5 * HOUR_SECS  # between an hour and its correction
_DRY = Edit(scale=0.0)
_GOOD = Edit(scale=1.02)


class When(StrEnum):
    """When something comes or is recorded, as seen from the cut-offs of its day."""

    SAME_DAY = "same_day"
    NEXT_MORNING = "next_morning"
    LATE = "late"  # after the immediate cut-off
    CLOSED = "closed"  # after the closing
    NEVER = "never"


class Cutoffs(NamedTuple):
    """When the stages of a day stop taking data (assessment.md, section 5).

    Attributes:
        completed_days: how many days after the day its completed stage ends; the immediate one ends at the next noon.
    """

    completed_days: int = 10

    def immediate(self, day_secs: int) -> int:
        """The last second that counts, as all times here since 1970 UTC; `day_secs` is the day's first moment."""
        return day_secs + DAY_SECS + _NOON

    def closing(self, day_secs: int) -> int:
        """The first second that does not count any more."""
        return day_secs + (1 + self.completed_days) * DAY_SECS


class Site(NamedTuple):
    """An outlet as gaps see it.

    Attributes:
        outlet: its id.
        is_water: whether an hour without flow is worth nothing.
        codes: all that its data logger sends.
        due: what the base list has of it.
        flow: code of its flow, "" without one.
    """

    outlet: str
    is_water: bool
    codes: tuple[str, ...]
    due: tuple[Due, ...]
    flow: str


class Outage(NamedTuple):
    """A time in which nothing is sent; the hour data of it is sent at `back_secs`, None for never."""

    from_secs: int
    to_secs: int
    back_secs: int | None


class Spell(NamedTuple):
    """A time whose hour data is spoiled, wherever more than a quarter of an hour is."""

    from_secs: int
    to_secs: int
    edits: Edits


class Correction(NamedTuple):
    """An hour of one factor that is sent again with something else."""

    hour_secs: int
    at_secs: int
    code: str
    before: Edit
    after: Edit


class Mark(NamedTuple):
    """What is declared of a time: kinds as in `mark_kinds`, `factor` of the catalogue or *.

    `voided_secs` is when it was found false, None where it stands.
    """

    factor: str
    kind: str
    from_secs: int
    to_secs: int
    recorded_secs: int
    voided_secs: int | None = None


@dataclass(slots=True)
class Story:
    """All that happens at one outlet."""

    outages: list[Outage] = field(default_factory=list)
    spells: list[Spell] = field(default_factory=list)
    corrections: list[Correction] = field(default_factory=list)
    marks: list[Mark] = field(default_factory=list)


class Scene(NamedTuple):
    """Where and when a gap happens.

    Attributes:
        site: the outlet.
        day_secs: first moment of the day.
        cutoffs: when its stages end.
        rng: of this gap alone.
        story: what it adds to.
    """

    site: Site
    day_secs: int
    cutoffs: Cutoffs
    rng: random.Random
    story: Story

    def draw(self, first_hour: float, last_hour: float) -> int:
        """Draw a whole minute between two times of the day; hours may go beyond 24."""
        minutes = self.rng.randrange(int(first_hour * 60), int(last_hour * 60) + 1)
        return self.day_secs + minutes * _MINUTE

    def draw_arrival(self, when: When, earliest_secs: int) -> int | None:
        """Draw a moment at which something late arrives, far from any cut-off; None for never."""
        if when is When.SAME_DAY:
            return self._calm(earliest_secs)
        if when is When.NEXT_MORNING:
            return self.draw(24 + 5, 24 + 8)
        if when is When.LATE:
            return self.draw(24 + 15, 24 + 20)
        closed_hour = 24 * (1 + self.cutoffs.completed_days)
        return self.draw(closed_hour + 3, closed_hour + 8) if when is When.CLOSED else None

    def draw_record(self, when: When) -> int:
        """Draw a moment at which something is recorded; the last that counts and the first that does not are likely."""
        immediate, closing = self.cutoffs.immediate(self.day_secs), self.cutoffs.closing(self.day_secs)
        if when is When.LATE:
            return self.rng.choice((immediate + 1, self.draw(24 + 13, 24 + 20), closing - 1))
        if when is When.CLOSED:
            return self.rng.choice((closing, closing + self.rng.randrange(DAY_SECS // 2)))
        return self.rng.choice((self.draw(20, 24 + 12), immediate))

    def _calm(self, earliest_secs: int) -> int:
        hour = (earliest_secs - self.day_secs) / HOUR_SECS
        for first, last in (*_CALM, *((24 + low, 24 + high) for low, high in _CALM)):
            if hour < last:
                return max(earliest_secs, self.draw(first, min(first + 0.5, last)))
        raise ValueError(f"the day after begins too late for {earliest_secs}")


class Gap(NamedTuple):
    """One kind of gap.

    Attributes:
        slug: its name on the command line and in the truth.
        happen: adds what it does to a scene's story.
        needs_water: whether it only means something to an outlet of wastewater that tells its flow.
    """

    slug: str
    happen: Callable[[Scene], None]
    needs_water: bool = False

    def fits(self, site: Site) -> bool:
        """Tell whether it may happen at an outlet."""
        return not self.needs_water or (site.is_water and bool(site.flow))


def _cut_off(when: When, scene: Scene) -> None:
    is_short = when is When.SAME_DAY
    from_secs = scene.draw(1, 10) if is_short else scene.draw(6, 18)
    to_secs = from_secs + scene.rng.randrange(2 * 60, (5 if is_short else 8) * 60) * _MINUTE
    scene.story.outages.append(Outage(from_secs, to_secs, scene.draw_arrival(when, to_secs)))


def _flag(scene: Scene) -> None:
    from_secs, to_secs = _draw_hours(scene, last=23)
    codes = scene.rng.choice((scene.site.codes, (_draw_due(scene).code,)))
    edit = Edit(scene.rng.choice(BAD_FLAGS))
    scene.story.spells.append(Spell(from_secs, to_secs, dict.fromkeys(codes, edit)))


def _leave_out(scene: Scene) -> None:
    due = _draw_due(scene, fields=2)
    lack = scene.rng.choice(FIELDS[: due.fields])
    from_secs, to_secs = _draw_hours(scene, last=23)
    scene.story.spells.append(Spell(from_secs, to_secs, {due.code: Edit(lacks=frozenset((lack,)))}))


def _stop(when: When, scene: Scene, *, is_void: bool = False) -> None:
    from_secs = scene.draw(0, 14)
    to_secs = from_secs + scene.rng.randrange(3 * 60, 18 * 60) * _MINUTE
    silent, flagged = Edit(lacks=frozenset((ROW,))), Edit("F")
    shows = [dict.fromkeys(scene.site.codes, edit) for edit in (silent, flagged)]
    if scene.site.flow:
        shows.append({scene.site.flow: _DRY})
    scene.story.spells.append(Spell(from_secs, to_secs, scene.rng.choice(shows)))
    if when is not When.NEVER:
        _declare(scene, Mark("*", STOP, from_secs, to_secs, scene.draw_record(when)), is_void=is_void)


def _fail(when: When, scene: Scene, *, is_void: bool = False) -> None:
    """Let one analyser fail: it shows nothing, a bad flag, or what seems to be good."""
    due = _draw_due(scene)
    from_secs = scene.draw(0, 14)
    to_secs = from_secs + scene.rng.randrange(2 * 60, 8 * 60) * _MINUTE
    edit = scene.rng.choice((Edit(lacks=frozenset((ROW,))), Edit(scene.rng.choice(BAD_FLAGS)), None))
    if edit is not None:
        scene.story.spells.append(Spell(from_secs, to_secs, {due.code: edit}))
    if when is When.NEVER:
        return
    mark = Mark(due.factor, "device", from_secs, to_secs, scene.draw_record(when))
    if scene.rng.random() < 0.5:  # noqa: PLR2004 - one in two is declared in two parts that overlap
        middle = from_secs + (to_secs - from_secs) // (2 * _MINUTE) * _MINUTE
        _declare(scene, mark._replace(from_secs=middle - 10 * _MINUTE), is_void=is_void)
        mark = mark._replace(to_secs=middle)
    _declare(scene, mark, is_void=is_void)


def _correct(when: When, scene: Scene, *, is_good_at_last: bool, is_flow: bool = False) -> None:
    from_secs, to_secs = _draw_hours(scene, last=13)
    at_secs = scene.draw_arrival(when, to_secs + _APART_SECS)
    assert at_secs is not None
    code, bad = (scene.site.flow, _DRY) if is_flow else (_draw_due(scene).code, Edit(scene.rng.choice(BAD_FLAGS)))
    before, after = (bad, _GOOD) if is_good_at_last else (Edit(), bad)
    for hour_secs in range(from_secs, to_secs, HOUR_SECS):
        scene.story.corrections.append(Correction(hour_secs, at_secs, code, before, after))


def _declare(scene: Scene, mark: Mark, *, is_void: bool) -> None:
    if is_void:
        mark = mark._replace(voided_secs=mark.recorded_secs + scene.rng.randrange(1, 30) * HOUR_SECS)
    scene.story.marks.append(mark)


def _draw_hours(scene: Scene, *, last: int) -> tuple[int, int]:
    """Draw one to four whole hours of the day that end before an hour of it."""
    count = scene.rng.randint(1, 4)
    from_secs = scene.day_secs + scene.rng.randrange(last - count + 1) * HOUR_SECS
    return from_secs, from_secs + count * HOUR_SECS


def _draw_due(scene: Scene, *, fields: int = 1) -> Due:
    return scene.rng.choice([due for due in scene.site.due if due.fields >= fields])


GAPS = (
    Gap("outage_same_day", partial(_cut_off, When.SAME_DAY)),
    Gap("outage_next_morning", partial(_cut_off, When.NEXT_MORNING)),
    Gap("outage_late", partial(_cut_off, When.LATE)),
    Gap("outage_closed", partial(_cut_off, When.CLOSED)),
    Gap("outage_lost", partial(_cut_off, When.NEVER)),
    Gap("flagged", _flag),
    Gap("fields_missing", _leave_out),
    Gap("stop_recorded", partial(_stop, When.NEXT_MORNING)),
    Gap("stop_recorded_late", partial(_stop, When.LATE)),
    Gap("stop_recorded_closed", partial(_stop, When.CLOSED)),
    Gap("stop_unrecorded", partial(_stop, When.NEVER)),
    Gap("stop_void", partial(_stop, When.NEXT_MORNING, is_void=True)),
    Gap("analyser_marked", partial(_fail, When.NEXT_MORNING)),
    Gap("analyser_marked_late", partial(_fail, When.LATE)),
    Gap("analyser_marked_closed", partial(_fail, When.CLOSED)),
    Gap("analyser_unmarked", partial(_fail, When.NEVER)),
    Gap("analyser_void", partial(_fail, When.NEXT_MORNING, is_void=True)),
    Gap("to_bad", partial(_correct, When.SAME_DAY, is_good_at_last=False)),
    Gap("to_bad_late", partial(_correct, When.LATE, is_good_at_last=False)),
    Gap("to_bad_closed", partial(_correct, When.CLOSED, is_good_at_last=False)),
    Gap("to_good", partial(_correct, When.SAME_DAY, is_good_at_last=True)),
    Gap("to_good_late", partial(_correct, When.LATE, is_good_at_last=True)),
    Gap("to_good_closed", partial(_correct, When.CLOSED, is_good_at_last=True)),
    Gap("to_dry_late", partial(_correct, When.LATE, is_good_at_last=False, is_flow=True), needs_water=True),
    Gap("to_dry_closed", partial(_correct, When.CLOSED, is_good_at_last=False, is_flow=True), needs_water=True),
    Gap("from_dry_late", partial(_correct, When.LATE, is_good_at_last=True, is_flow=True), needs_water=True),
    Gap("from_dry_closed", partial(_correct, When.CLOSED, is_good_at_last=True, is_flow=True), needs_water=True),
)
_BY_SLUG = {gap.slug: gap for gap in GAPS}


def find_gaps(slugs: Iterable[str]) -> tuple[Gap, ...]:
    """Look kinds of gaps up by name, in the order of the list.

    Raises:
        ConfigError: there is none of a name.
    """
    wanted = set(slugs)
    unknown = sorted(wanted - set(_BY_SLUG))
    if unknown:
        raise ConfigError(f"--gap {unknown[0]}: expected one of {' '.join(_BY_SLUG)}")
    return tuple(gap for gap in GAPS if gap.slug in wanted)


def draw_gaps(
    sites: Sequence[Site], days: Sequence[int], rate: float, gaps: Sequence[Gap], *, seed: int
) -> dict[str, list[tuple[int, Gap]]]:
    """Choose where which gap begins; day by day the kinds go round: each is there before the first is there twice.

    Args:
        sites: outlets; where no kind fits nothing happens.
        days: first moments.
        rate: gaps an outlet has a day, on average.
        gaps: kinds, at least one.
        seed: the same seed and arguments give the same choice.

    Returns:
        By outlet the days and kinds, in order of days.
    """
    rng = random.Random(f"{seed}/gaps")
    places = [(site, day) for site in sorted(sites, key=attrgetter("outlet")) for day in days]
    whole, rest = divmod(round(rate * len(places)), len(places)) if places else (0, 0)
    chosen = places * whole + rng.sample(places, rest)
    rng.shuffle(chosen)
    waiting = rng.sample(gaps, len(gaps))
    found: dict[str, list[tuple[int, Gap]]] = {site.outlet: [] for site in sites}
    for site, day in sorted(chosen, key=itemgetter(1)):
        gap = next((gap for gap in waiting if gap.fits(site)), None)
        if gap is not None:
            waiting.remove(gap)
            waiting.append(gap)
            found[site.outlet].append((day, gap))
    return {outlet: sorted(rows, key=itemgetter(0)) for outlet, rows in found.items()}
