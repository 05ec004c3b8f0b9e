"""Random cases of the assessment, and how they are put into the database: as files' hours or through the writer."""

from collections import defaultdict
from datetime import UTC, date, datetime, timedelta
from itertools import count
from typing import NamedTuple
from uuid import uuid4

from hypothesis import strategies as st
from tests.assessment.oracle import DAY, HOUR, MINUTE, MOMENT, Arrival, Case, Listed, Mark, start_of

from hj212gw.config_assessment import AssessmentSettings
from hj212gw.gateway.rows import make_rows, read_arrival
from hj212gw.protocol import encode_frame
from hj212gw.protocol.times import format_data_time
from hj212gw.store.loggers import add_loggers
from hj212gw.store.rows import Batch
from hj212gw.store.writer import Writer

SOURCE = "files"
FIRST = date(2026, 2, 28)  # the second day is of another month, whose vouchers are due a month later
DAYS = 2
AT = start_of(FIRST)
END = AT + DAYS * DAY
VOUCHERS = (start_of(date(2026, 3, 11)), start_of(date(2026, 4, 11)))  # a day's mark is proved before
MADE_AT = datetime(2026, 3, 20, tzinfo=UTC)  # when the test's database is made
MEDIA = {"W1": "water", "W2": "water", "G1": "gas"}
FACTORS = {"W1": ("w01018", "w21003", "w00000"), "W2": ("w01018", "w00000"), "G1": ("a21026", "a34013")}
FLAGS = ("N", "N", "N", "N", "", None, "D", "M", "S")

settings_values = st.fixed_dictionaries(
    {},
    optional={
        "immediate_cutoff_hours": st.sampled_from([0, 12, 36]),
        "completed_days": st.sampled_from([0, 1, 10]),
        "immediate_by": st.sampled_from(["deadline", "provenance"]),
        "expected_groups": st.sampled_from(["net", "gross"]),
        "stop_partial": st.sampled_from(["under_45_running", "whole_hour", "any_minute", "never"]),
        "manual": st.sampled_from(["completed", "never"]),
        "manual_min_per_day": st.sampled_from([1, 4, 5]),
        "manual_max_hours": st.sampled_from([1, 6, 24]),
        "interruption": st.sampled_from(["explains", "excuses"]),
        "not_responsible": st.sampled_from(["both", "validity", "none"]),
        "not_responsible_minutes": st.sampled_from([0, 15, 59]),
        "uncounted_factors": st.sampled_from([(), ("w00000",), ("w01018", "a21026")]),
        "qc_exempt_scope": st.sampled_from(["factor", "point"]),
        "qc_exempt_hours": st.sampled_from([0, 1, 2, 24]),
        "qc_factors": st.sampled_from([("w01018", "w21003"), ("w21003",), ()]),
        "zero_flow": st.sampled_from(["invalid", "ignored"]),
        "flow_factors": st.sampled_from([("w00000",), ("w00000", "w21003"), ()]),
        "invalid_received": st.sampled_from(["counts", "missing"]),
        "unconverted": st.sampled_from(["valid", "invalid"]),
        "vouchers": st.sampled_from(["required", "ignored"]),
        "valid_minutes": st.sampled_from([0, 1, 45, 60]),
        "good_flags": st.sampled_from([("N",), ("N", "S"), ("D",)]),
    },
)
settings = st.builds(lambda values: AssessmentSettings(**values), settings_values)

# Minutes that lie at, just before and just behind what matters, and any other.
minutes = st.one_of(
    st.integers(-2, 50).map(lambda hour: hour * 60),
    st.integers(-3 * 60, 51 * 60),
    st.builds(lambda hour, part: hour * 60 + part, st.integers(0, 47), st.sampled_from([15, 16, 44, 45, 46, 59])),
)
moments = minutes.map(lambda minute: AT + minute * MINUTE)
lengths = st.one_of(st.none(), st.sampled_from([1, 15, 16, 45, 59, 60, 90, 240, 360, 361, 1440]), st.integers(1, 3000))
nows = st.one_of(
    st.sampled_from([MADE_AT, MADE_AT, *VOUCHERS, VOUCHERS[0] - MOMENT]),
    st.sampled_from([END, AT + 10 * HOUR, AT + 10 * HOUR - MOMENT, AT]),
    moments,
    st.just(datetime(2026, 5, 1, tzinfo=UTC)),
)


@st.composite
def known_at(draw, day=None):
    """A moment near one of the cut-offs that some settings give a day, or any."""
    after = start_of(day or FIRST + draw(st.integers(0, DAYS - 1)) * DAY) + DAY
    cut_off = after + draw(st.sampled_from([0, 12, 24, 36, 240])) * HOUR
    return draw(
        st.one_of(
            st.sampled_from([cut_off, cut_off - MOMENT, cut_off + MOMENT, cut_off + HOUR, after - 5 * HOUR]),
            st.integers(0, 13 * 24 * 60).map(lambda minute: AT + minute * MINUTE),
        )
    )


@st.composite
def base_lists(draw, most_fields):
    """Rows of the base list: whole, ending, beginning and touching inside days, several a factor."""
    rows = {}
    for outlet in draw(st.sampled_from([["W1"], ["W1", "G1"], ["W1", "W2"], ["W1", "W2", "G1"]])):
        for factor in FACTORS[outlet]:
            for _ in range(draw(st.sampled_from([1, 1, 1, 0, 2, 3]))):
                from_at, to_at = draw(st.one_of(st.none(), moments)), draw(st.one_of(st.none(), moments))
                if from_at is not None and to_at is not None and from_at >= to_at:
                    to_at = None
                row = Listed(outlet, factor, draw(st.integers(1, most_fields)), from_at, to_at)
                rows[outlet, factor, from_at] = row
    return list(rows.values())


@st.composite
def marks(draw):
    """A mark of any kind, length and fate."""
    outlet = draw(st.sampled_from(["W1", "W1", "W2", "G1"]))
    from_at, length = draw(moments), draw(lengths)
    kinds = ["stop", "device", "standard_check", "not_responsible", "interruption", "manual", "start_up"]
    kind = draw(st.sampled_from([*kinds, "furnace_stop", "cems_maintenance", "force_majeure"]))
    return Mark(
        outlet,
        draw(st.sampled_from(["*", *FACTORS[outlet]])),
        kind,
        from_at,
        None if length is None else from_at + length * MINUTE,
        draw(known_at()),
        draw(st.sampled_from(["declared", "declared", "accepted", "rejected", "void"])),
        draw(st.one_of(st.none(), st.none(), st.integers(1, 400).map(lambda minute: from_at + minute * MINUTE))),
        draw(
            st.one_of(st.none(), st.sampled_from([due - early for due in VOUCHERS for early in (0 * MOMENT, MOMENT)]))
        ),
    )


@st.composite
def manual_days(draw):
    """What manual monitoring leaves: four values that cover a day; one is missing, too long, or entered again."""
    outlet = draw(st.sampled_from(["W1", "G1"]))
    factor = draw(st.sampled_from(FACTORS[outlet]))
    from_at = draw(st.sampled_from([AT, AT + DAY, AT + 3 * HOUR]))
    hours = draw(st.sampled_from([6, 6, 5, 7]))
    state = draw(st.sampled_from(["accepted", "accepted", "declared"]))
    found = []
    for number in range(draw(st.integers(3, 5))):
        begins = from_at + number * 6 * HOUR
        found.append(Mark(outlet, factor, "manual", begins, begins + hours * HOUR, END, state))
    again = draw(st.integers(0, 2))
    return found + [mark._replace(recorded_at=END + number * MINUTE) for number, mark in enumerate(found[:again])]


all_marks = st.builds(
    lambda single, sets: [*single, *(mark for found in sets for mark in found)],
    st.lists(marks(), max_size=8),
    st.lists(manual_days(), max_size=1),
)
planes_of_hours = st.sampled_from(
    [frozenset(), frozenset({1}), frozenset({1, 2}), frozenset({1, 2, 3}), frozenset({2})]
)


@st.composite
def changes(draw, filled=True):
    """What is not as usual with one hour of one factor: it never came, or came late, flagged, poor, or several times."""
    outlet = draw(st.sampled_from(["W1", "W1", "W2", "G1"]))
    factor = draw(st.sampled_from(FACTORS[outlet]))
    number = draw(st.integers(-1, 48))
    hour = AT + number * HOUR
    versions = {}
    for _ in range(draw(st.sampled_from([0, 1, 1, 2, 3]))):
        planes = draw(planes_of_hours)
        at = draw(st.one_of(st.just(hour + HOUR + 5 * MINUTE), known_at((hour + 8 * HOUR).date())))
        if at in versions or at < hour:  # DataTime more than a day ahead is another matter
            continue
        versions[at] = Arrival(
            outlet,
            factor,
            hour,
            at,
            planes,
            1 in planes,
            draw(st.sampled_from(FLAGS)),
            filled and draw(st.booleans()),
            zero=draw(st.booleans()),
        )
    return (outlet, factor, number), list(versions.values())


@st.composite
def arrivals(draw, filled=True):
    """The hours of all factors, most of them as usual."""
    usual = {}
    for outlet, factors in FACTORS.items():
        for factor in factors:
            if draw(st.sampled_from([True, True, True, False])):
                low, high = draw(st.sampled_from([(-1, 49), (-1, 49), (0, 30), (20, 48)]))
                for number in range(low, high):
                    hour = AT + number * HOUR
                    came = Arrival(outlet, factor, hour, hour + HOUR + 5 * MINUTE, frozenset({1, 2, 3}), True)
                    usual[outlet, factor, number] = [came]
    usual.update(dict(draw(st.lists(changes(filled), max_size=15))))
    return [arrival for came in usual.values() for arrival in came]


@st.composite
def upstream_cases(draw):
    """A case as files give it: any number of fields, the mean apart."""
    found = []
    for arrival in draw(arrivals()):
        fields = max(arrival.planes, default=0) if arrival.planes != frozenset({2}) else 6
        found.append(arrival._replace(planes=frozenset(range(1, fields + 1)), zero=False))
    return Case(MEDIA, draw(base_lists(8)), found, draw(all_marks), draw(nows), has_values=False)


# How the data loggers of a case stand: which MN sends what, as which code, when, and with which label.
LAYOUTS = ("plain", "end", "sent", "channels", "units", "replaced", "standby")


class Local(NamedTuple):
    """A case as data loggers send it.

    Attributes:
        case: what the oracle judges.
        layout: of the data loggers.
        split_at: where the layout changes, if it does.
        parts: in how many batches the packets are stored.
    """

    case: Case
    layout: str
    split_at: datetime
    parts: int


@st.composite
def local_cases(draw):
    """A case as data loggers send it, with flows of zero."""
    layout = draw(st.sampled_from(LAYOUTS))
    found = draw(arrivals(filled=False))
    if layout == "standby":
        # Both may send the same hour; what either brings is there.
        extra = {(came.outlet, came.factor, came.hour, came.arrived_at): came for came in draw(arrivals(filled=False))}
        few = [came for came in extra.values() if came.hour.hour % 7 == 0]
        found = found + [came._replace(series="standby") for came in few]
    case = Case(MEDIA, draw(base_lists(3)), found, draw(all_marks), draw(nows))
    split_at = AT + draw(st.integers(0, 48)) * HOUR
    return Local(case, layout, split_at, draw(st.integers(1, 3)))


# --- into the database


async def add_registry(connection, case, origin):
    """Put outlets, base list and marks in."""
    await connection.execute("INSERT INTO hj212.enterprises (enterprise, name, county) VALUES ('E', 'Mill', 'North')")
    await connection.executemany(
        "INSERT INTO hj212.outlets (outlet, enterprise, name, medium) VALUES ($1, 'E', $1, $2)",
        list(case.media.items()),
    )
    await connection.executemany(
        "INSERT INTO hj212.base_list (outlet, factor, fields, valid_from, valid_to)"
        " VALUES ($1, $2, $3, coalesce($4, '-infinity'::timestamptz), $5)",
        case.base,
    )
    for mark in case.marks:
        await add_mark(connection, mark, origin)
    # Another source's marks, and rows of the list that others took the place of, change nothing.
    for outlet in case.media:
        await add_mark(connection, Mark(outlet, "*", "stop", AT, None, AT), "upstream:another")
        await connection.execute(
            "INSERT INTO hj212.base_list (outlet, factor, fields, superseded_at) VALUES ($1, 'w01018', 8, now())",
            outlet,
        )


async def add_mark(connection, mark, origin):
    """Put a mark in, with what became of it."""
    number = await connection.fetchval(
        "INSERT INTO hj212.marks (outlet, factor, kind, from_at, to_at, recorded_at, origin, author)"
        " VALUES ($1, $2, $3, $4, $5, $6, $7, 'mill') RETURNING mark_id",
        *mark[:6],
        origin,
    )
    add = "INSERT INTO hj212.mark_events (mark_id, by_whom, event, at, to_at, proof_sha256) VALUES ($1, 'city', $2, $3, $4, $5)"
    if mark.state == "void":
        await connection.execute(add, number, "accepted", MADE_AT, None, None)
    if mark.state != "declared":
        await connection.execute(add, number, mark.state, MADE_AT, None, None)
    if mark.ended_at:
        await connection.execute(add, number, "ended", MADE_AT, mark.ended_at, None)
    if mark.proof_at:
        await connection.execute(add, number, "proof", mark.proof_at, None, bytes(32))


async def add_hours(connection, case, source=SOURCE):
    """Put hours in as a higher platform recorded them."""
    rows = [
        (source, a.outlet, a.factor, a.hour, a.arrived_at, len(a.planes), a.has_mean, a.flag, a.is_filled)
        for a in case.arrivals
    ]
    await connection.copy_records_to_table("upstream_hours", schema_name="hj212", records=rows)


CODES = {"w01018": "x01018", "a21026": "xSO2"}  # as the layout `units` sends them
_numbers = count()


def place(arrival, layout, split_at):
    """Tell who sends an arrival: MN, ST, code and DataTime."""
    outlet, st_code = arrival.outlet, "31" if arrival.outlet == "G1" else "32"
    mn, code, data_time = f"MN-{outlet}", arrival.factor, arrival.hour
    if layout == "end":
        data_time += HOUR
    elif layout == "sent":
        data_time += HOUR + 7 * MINUTE
    elif layout == "channels":
        mn, st_code = "MN-all", {"W1": "32", "W2": "33", "G1": "31"}[outlet]
    elif layout == "units":
        code = CODES.get(code, code)
    elif layout == "replaced" and data_time >= split_at:
        mn = f"MN-{outlet}-new"
    elif layout == "standby" and arrival.series == "standby":
        mn = f"MN-{outlet}-standby"
    return mn, st_code, code, data_time


async def add_loggers_of(connection, layout, split_at):
    """Register the data loggers of a layout."""
    add = "INSERT INTO hj212.data_loggers (mn, outlet, role, valid_from, valid_to) VALUES ($1, $2, $3, coalesce($4, '-infinity'::timestamptz), $5)"
    for outlet in MEDIA:
        if layout == "replaced":
            await connection.execute(add, f"MN-{outlet}", outlet, "main", None, split_at)
            await connection.execute(add, f"MN-{outlet}-new", outlet, "main", split_at, None)
        else:
            await connection.execute(add, f"MN-{outlet}", outlet, "main", None, None)
        if layout == "standby":
            await connection.execute(add, f"MN-{outlet}-standby", outlet, "standby", None, None)
        if layout == "units":
            for factor, code in CODES.items():
                await connection.execute(
                    "INSERT INTO hj212.units (mn, code, factor, unit, scale) VALUES ($1, $2, $3, 'mg/L', 1)",
                    f"MN-{outlet}",
                    code,
                    factor,
                )
        if layout in ("end", "sent"):
            await connection.execute(
                "INSERT INTO hj212.time_labels (mn, cn, label) VALUES ($1, '2061', $2)", f"MN-{outlet}", layout
            )
    if layout == "channels":
        await connection.execute(add, "MN-all", "W1", "main", None, None)
        for st_code, outlet in (("33", "W2"), ("31", "G1")):
            await connection.execute(
                "INSERT INTO hj212.channels (mn, st, outlet) VALUES ('MN-all', $1, $2)", st_code, outlet
            )


def write_fields(arrival, code):
    """Write a factor's part of a data area; each version differs from the others, so that it is one."""
    parts = [f"{code}-Max={next(_numbers)}"]
    if arrival.has_mean:
        parts.append(f"{code}-Avg={0 if arrival.zero else 3.5}")
    if 2 in arrival.planes:
        parts.append(f"{code}-Cou=12.5")
    if 3 in arrival.planes:
        parts.append(f"{code}-ZsAvg=4.5")
    if arrival.flag is not None:
        parts.append(f"{code}-Flag={arrival.flag}")
    return ",".join(parts)


def make_frames(local):
    """Make the frames of a case with the moments they come at."""
    together = defaultdict(dict)
    for arrival in local.case.arrivals:
        mn, st_code, code, data_time = place(arrival, local.layout, local.split_at)
        together[mn, st_code, data_time, arrival.arrived_at][code] = write_fields(arrival, code)
    frames = []
    for (mn, st_code, data_time, arrived_at), parts in together.items():
        number = next(_numbers)
        qn = f"20260301{number // 3_600_000 % 24:02d}{number // 60_000 % 60:02d}{number // 1000 % 60:02d}{number % 1000:03d}"
        cp = f"DataTime={format_data_time(data_time)};" + ";".join(parts.values())
        text = f"QN={qn};ST={st_code};CN=2061;PW=123456;MN={mn};Flag=5;CP=&&{cp}&&"
        frames.append((arrived_at, mn, encode_frame(text.encode())))
    return frames


class Store:
    """Stores frames as the drain does."""

    def __init__(self, dsn):
        self.writer = Writer(dsn, uuid4())
        self.position = 0

    async def write(self, frames, parts):
        """Store frames in some batches; every third one once more."""
        if not frames:
            return
        numbers = await add_loggers(self.writer.numbering, sorted({mn for _, mn, _ in frames}))
        for part in range(parts):
            # Not in the order of arrival: several journals are drained into one database.
            chosen = [frame for index, frame in enumerate(frames) if index % parts == part]
            chosen += chosen[::3]
            packets = [make_rows(read_arrival(raw, at, "10.0.0.7:1"), logger_id=numbers[mn]) for at, mn, raw in chosen]
            await self.writer.write(Batch(packets, [], [], self.position, self.position + 1, MADE_AT))
            self.position += 1


def stretch(days):
    """The first day, and the day after the last of so many."""
    return FIRST, FIRST + timedelta(days=days)
