"""Section 3 of assessment.md once more, an hour at a time in sets of minutes: what the calculation in SQL has to equal.

Nothing here is shared with the program but the settings: no masks, no SQL, no function of it. Slow and plain on purpose.
"""

from collections import Counter, defaultdict
from datetime import UTC, date, datetime, timedelta
from typing import NamedTuple

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
MINUTE = timedelta(minutes=1)
MOMENT = timedelta(microseconds=1)
STAGES = ("immediate", "completed")

EFFECTS = {
    "stop": "stop",
    "furnace_stop": "stop",
    "device": "device",
    "cems_maintenance": "device",
    "standard_check": "standard_check",
    "not_responsible": "not_responsible",
    "force_majeure": "not_responsible",
    "interruption": "interruption",
    "manual": "manual",
    "start_up": "none",
}
NEED_VOUCHERS = ("stop", "furnace_stop", "not_responsible", "force_majeure")


class Listed(NamedTuple):
    """A row of the base list; None: open at that end."""

    outlet: str
    factor: str
    fields: int
    from_at: datetime | None
    to_at: datetime | None


class Arrival(NamedTuple):
    """One record of one hour as it came. A later one of the same series replaces it from its arrival on.

    Attributes:
        series: what sent it: an outlet's factor may come from several data loggers.
        planes: numbers of the fields it has, from 1.
        zero: its mean is 0.
    """

    outlet: str
    factor: str
    hour: datetime
    arrived_at: datetime
    planes: frozenset[int]
    has_mean: bool
    flag: str | None = "N"
    is_filled: bool = False
    zero: bool = False
    series: object = 0


class Mark(NamedTuple):
    """A mark with the last of what was decided about it."""

    outlet: str
    factor: str
    kind: str
    from_at: datetime
    to_at: datetime | None
    recorded_at: datetime
    state: str = "declared"
    ended_at: datetime | None = None
    proof_at: datetime | None = None

    @property
    def end(self):
        """Where it ends, None while it runs on."""
        return self.ended_at or self.to_at


class Case(NamedTuple):
    """All there is to judge."""

    media: dict[str, str]
    base: list[Listed]
    arrivals: list[Arrival]
    marks: list[Mark]
    now: datetime
    has_values: bool = True  # a source of files knows no flow of zero

    def __repr__(self):
        """Leave out what came as usual: a case has hundreds of arrivals."""
        usual = Counter((a.outlet, a.factor) for a in self.arrivals if self.is_usual(a))
        odd = [arrival for arrival in self.arrivals if not self.is_usual(arrival)]
        return f"Case(base={self.base}, marks={self.marks}, now={self.now}, odd={odd}, usual={dict(usual)})"

    @staticmethod
    def is_usual(arrival):
        """Tell whether a record came whole and just after its hour."""
        return (
            arrival.planes >= {1, 2, 3}
            and arrival[6:8] == ("N", False)
            and arrival.arrived_at - arrival.hour < 2 * HOUR
        )


class Group(NamedTuple):
    """One factor of one outlet in one hour."""

    state: str  # stopped, excused, checked, due
    got: bool = False
    good: bool = False
    marked: bool = False
    manual: bool = False
    valid: bool = False
    dry: bool = False
    ever: bool = False
    planes: frozenset[int] = frozenset()
    is_refused: bool = False  # its mean came, and counts as if it had not


def start_of(day: date) -> datetime:
    """Midnight of UTC+8."""
    return datetime(day.year, day.month, day.day, tzinfo=UTC) - 8 * HOUR


def day_of(hour: datetime) -> date:
    """Give the local day."""
    return (hour + 8 * HOUR).date()


def cut_off(day: date, stage, settings) -> datetime:
    """The last moment that counts for a day's stage."""
    if stage == "immediate":
        return start_of(day) + DAY + settings.immediate_cutoff_hours * HOUR
    return start_of(day) + DAY + settings.completed_days * DAY - MOMENT


def minutes_in(hour, spans):
    """The minutes of an hour that any of some spans covers."""
    covered = set()
    for from_at, to_at in spans:
        low = max(0, (from_at - hour) // MINUTE)
        high = 60 if to_at is None else min(60, (to_at - hour) // MINUTE)
        covered.update(range(low, high))
    return covered


def voucher_lapsed(mark, day, case, settings):
    """A day's voucher was due by the end of the 10th of the month after it, and is not there or came late."""
    if settings.vouchers == "ignored" or mark.kind not in NEED_VOUCHERS:
        return False
    due = start_of(date(day.year + day.month // 12, day.month % 12 + 1, 11))
    return due <= case.now and (mark.proof_at is None or mark.proof_at >= due)


class Judge:
    """Judges the hours of a case under some settings."""

    def __init__(self, case: Case, settings):
        self.case, self.settings = case, settings
        self.arrivals = defaultdict(list)
        for arrival in case.arrivals:
            self.arrivals[arrival.outlet, arrival.factor, arrival.hour].append(arrival)

    def days(self, from_day, to_day):
        """Judge some days: `{(day, outlet, factor, stage): {hour of day: Group}}` and the fields due of each."""
        pairs = sorted({(row.outlet, row.factor) for row in self.case.base})
        found = {}
        for stage in STAGES:
            for number in range((to_day - from_day).days):
                day = from_day + number * DAY
                for outlet, factor in pairs:
                    groups = self.day(day, outlet, factor, stage)
                    if groups and factor not in self.settings.uncounted_factors:
                        found[day, outlet, factor, stage] = (self.fields(day, outlet, factor), groups)
        return found

    def listed_hours(self, day, outlet, factor):
        """The hours of a day that are on the base list and over, with the rows that list them."""
        found = {}
        for number in range(24):
            hour = start_of(day) + number * HOUR
            rows = [row for row in self.case.base if (row.outlet, row.factor) == (outlet, factor)]
            rows = [row for row in rows if row.from_at is None or row.from_at <= hour]
            rows = [row for row in rows if row.to_at is None or hour < row.to_at]
            if rows and hour + HOUR <= self.case.now:
                found[number] = rows
        return found

    def fields(self, day, outlet, factor):
        """Fields due an hour: a day has one number, the largest of the rows that list an hour of it."""
        return max(row.fields for rows in self.listed_hours(day, outlet, factor).values() for row in rows)

    def spans(self, day, outlet, factor, stage, effects):
        """The spans of the marks with some effect that are known at a day's stage."""
        return [(mark.from_at, mark.end) for mark in self.known(day, outlet, factor, stage, effects)]

    def known(self, day, outlet, factor, stage, effects):
        """The marks with some effect that count at a day's stage and touch the day."""
        for mark in self.case.marks:
            is_of = mark.outlet == outlet and mark.factor in ("*", factor) and EFFECTS[mark.kind] in effects
            touches = mark.from_at < start_of(day) + DAY and (mark.end is None or mark.end > start_of(day))
            is_known = mark.recorded_at <= cut_off(day, stage, self.settings) and mark.state not in ("rejected", "void")
            lapsed = stage == "completed" and voucher_lapsed(mark, day, self.case, self.settings)
            if is_of and touches and is_known and not lapsed:
                yield mark

    def is_stopped(self, hour, outlet, factor, stage):
        """Rule 2, with question 6."""
        stopped = len(minutes_in(hour, self.spans(day_of(hour), outlet, factor, stage, ["stop"])))
        return {
            "under_45_running": 60 - stopped < self.settings.valid_minutes,
            "whole_hour": stopped == 60,
            "any_minute": stopped > 0,
            "never": False,
        }[self.settings.stop_partial]

    def is_excused(self, hour, outlet, factor, stage):
        """Rule 3, with questions 8 and 9."""
        effects = ["not_responsible", *(["interruption"] if self.settings.interruption == "excuses" else [])]
        minutes = len(minutes_in(hour, self.spans(day_of(hour), outlet, factor, stage, effects)))
        return self.settings.not_responsible != "none" and minutes > self.settings.not_responsible_minutes

    def is_checking(self, hour, outlet, factor, stage):
        """Rule 4: a standard-sample check of a pollutant of wastewater; whether it is exempt depends on the day."""
        if self.case.media.get(outlet) != "water" or factor not in self.settings.qc_factors:
            return False
        return bool(minutes_in(hour, self.spans(day_of(hour), outlet, factor, stage, ["standard_check"])))

    def checking_hours(self, day, outlet, factor, stage):
        """The hours of a day with a check that rules 2 and 3 leave."""
        return [
            number
            for number in self.listed_hours(day, outlet, factor)
            for hour in [start_of(day) + number * HOUR]
            if not self.is_stopped(hour, outlet, factor, stage)
            and not self.is_excused(hour, outlet, factor, stage)
            and self.is_checking(hour, outlet, factor, stage)
        ]

    def exempt_hours(self, day, outlet, factor, stage):
        """Rule 4: the first checks of the day, each factor's or the point's."""
        own = self.checking_hours(day, outlet, factor, stage)
        if self.settings.qc_exempt_scope == "factor":
            return own[: self.settings.qc_exempt_hours]
        others = {row.factor for row in self.case.base if row.outlet == outlet} - set(self.settings.uncounted_factors)
        of_point = sorted({number for code in others for number in self.checking_hours(day, outlet, code, stage)})
        return [number for number in of_point[: self.settings.qc_exempt_hours] if number in own]

    def stood(self, outlet, factor, hour, stage):
        """The records of an hour that stand at a stage: of each series the newest that had come."""
        until, provenance = cut_off(day_of(hour), stage, self.settings), False
        if stage == "immediate" and self.settings.immediate_by == "provenance" and not self.case.has_values:
            until, provenance = cut_off(day_of(hour), "completed", self.settings), True
        newest = {}
        for arrival in sorted(self.arrivals[outlet, factor, hour], key=lambda arrival: arrival.arrived_at):
            if arrival.arrived_at <= until and not (provenance and arrival.is_filled):
                newest[arrival.series] = arrival
        return list(newest.values())

    def is_good(self, record):
        """Tell whether a record has its mean and a good flag; none is N."""
        return record.has_mean and (record.flag or "N") in self.settings.good_flags

    def is_dry(self, outlet, hour, stage):
        """Question 13: an outlet of water whose flow came and is zero."""
        if self.settings.zero_flow == "ignored" or self.case.media.get(outlet) != "water":
            return False
        flows = [record for code in self.settings.flow_factors for record in self.stood(outlet, code, hour, stage)]
        means = [record.zero for record in flows if record.has_mean]
        return bool(means) and all(means)

    def is_manual(self, hour, outlet, factor, stage):
        """Question 7: accepted values of enough samples a day, none for too long; a sample may be entered twice."""
        if stage == "immediate" or self.settings.manual == "never":
            return False
        limit = self.settings.manual_max_hours * HOUR
        marks = [
            mark for mark in self.known(day_of(hour), outlet, factor, stage, ["manual"]) if mark.state == "accepted"
        ]
        marks = [mark for mark in marks if mark.end is not None and mark.end - mark.from_at <= limit]
        minutes = len(minutes_in(hour, [(mark.from_at, mark.end) for mark in marks]))
        enough = len({mark.from_at for mark in marks}) >= self.settings.manual_min_per_day
        return enough and minutes > 0 and minutes >= self.settings.valid_minutes

    def day(self, day, outlet, factor, stage):
        """Judge the hours of a day that are due or do not take part."""
        exempt = self.exempt_hours(day, outlet, factor, stage)
        fields = self.fields(day, outlet, factor) if self.listed_hours(day, outlet, factor) else 0
        return {
            number: self.group(start_of(day) + number * HOUR, outlet, factor, stage, number in exempt, fields)
            for number in self.listed_hours(day, outlet, factor)
        }

    def group(self, hour, outlet, factor, stage, is_exempt, fields):
        """Judge one group; the first rule that matches wins."""
        records = self.stood(outlet, factor, hour, stage)
        if self.settings.invalid_received == "missing":
            counted = [record for record in records if (record.flag or "N") in self.settings.good_flags]
        else:
            counted = records
        found = {
            "ever": any(newest.has_mean for newest in self.newest(outlet, factor, hour)),
            "planes": frozenset(plane for record in counted for plane in record.planes),
            "is_refused": any(record.has_mean for record in records) and not any(record.has_mean for record in counted),
        }
        if self.is_stopped(hour, outlet, factor, stage):
            return Group("stopped", **found)
        if self.is_excused(hour, outlet, factor, stage):
            return Group("excused", **found)
        if is_exempt:
            return Group("checked", **found)
        manual = self.is_manual(hour, outlet, factor, stage)
        got = manual or any(record.has_mean for record in counted)
        dry = self.is_dry(outlet, hour, stage)
        good = any(map(self.is_good, records)) and not dry
        device = self.spans(day_of(hour), outlet, factor, stage, ["device", "standard_check"])
        marked = 60 - len(minutes_in(hour, device)) < self.settings.valid_minutes
        marked = marked or self.is_checking(hour, outlet, factor, stage)  # and not exempt, or it would not be due
        whole = self.settings.unconverted == "valid" or set(range(1, fields + 1)) <= found["planes"]
        valid = manual or (got and good and whole and not marked)
        return Group("due", got, good, marked, manual, valid, dry, **found)

    def newest(self, outlet, factor, hour):
        """The newest record of each series, whenever it came."""
        arrivals = sorted(self.arrivals[outlet, factor, hour], key=lambda arrival: arrival.arrived_at)
        return {arrival.series: arrival for arrival in arrivals}.values()


def count(fields, groups, settings):
    """Sum the groups of a day to the counts of section 2."""
    states = Counter(group.state for group in groups.values())
    due = [group for group in groups.values() if group.state == "due"]
    excused = [group for group in groups.values() if group.state == "excused"]
    # Left out of validity only, such hours stay due for what is transmitted.
    transmitting = due + (excused if settings.not_responsible == "validity" else [])
    wanted = set(range(1, fields + 1))
    return {
        "expected_values": fields * len(transmitting),
        "reported_values": sum(fields if group.manual else len(group.planes & wanted) for group in transmitting),
        "expected_groups": len(groups) if settings.expected_groups == "gross" else len(due),
        "groups_not_taking_part": states["stopped"] + states["excused"] + states["checked"],
        "groups_received": sum(group.got for group in due),
        "valid_groups": sum(group.valid for group in due),
    }
