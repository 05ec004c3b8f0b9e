"""A fleet with gaps, and the rates computed of what reached the database: every group is what the fleet's truth says.

Days and their stages pass in simulated time, with hour data alone. A day is closed a day after it instead of ten, so
that three days, both their cut-offs and what comes after them pass within a minute; the long form
(HJ212_TEST_LONG=1) has more outlets and days, and closes a day when the settings usually do. Nothing arrives less
than four simulated hours before a cut-off it is to keep. A machine that cannot keep up makes the test fail with those
words, never with a wrong verdict.
"""

import asyncio
import csv
import json
import os
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import pytest
from tests.support import TIME_SCALE, assert_conserved, run_cli, secs

from hj212gw.assessment.rules import make_rules
from hj212gw.clock import Clock, to_us
from hj212gw.config_assessment import AssessmentSettings
from hj212gw.protocol import Edition
from hj212gw.protocol.times import WIRE_ZONE
from hj212gw.store.assessment import Scope, compute_days
from hj212sim.fleet import Fleet, Span
from hj212sim.gaps import GAPS, HOUR_SECS, Cutoffs
from hj212sim.logger import Habits
from hj212sim.plan import Run
from hj212sim.presets import make_yuxi
from hj212sim.registry_files import write_assessment, write_registry
from hj212sim.schedule import HOUR
from hj212sim.truth import STAGES, write_gap_truth
from hj212sim.variants import add_gaps

LONG = os.environ.get("HJ212_TEST_LONG") == "1"
EPOCH = datetime(2025, 3, 10, tzinfo=WIRE_ZONE)
DAYS, COMPLETED_DAYS, MONITORS, GAPS_A_DAY = (6, 10, 25, 1.0) if LONG else (3, 1, 5, 2.0)
# The last day's closing, and the hours after it in which too late data of it comes.
RUN_HOURS = 24 * (DAYS + COMPLETED_DAYS) + 9
SPEED = (7200.0 if LONG else 9000.0) / TIME_SCALE
START_SECS = 4.0  # real time the gateway has to start in before the simulated days begin
SEED = 7

pytestmark = pytest.mark.slow


class Group(NamedTuple):
    """What tells a line of `assessed_days` from the others."""

    outlet: str
    factor: str
    day: str
    stage: str


class Figures(NamedTuple):
    """Masks of a day's hours, bit 0 for the first, and the counts made of them."""

    due: int = 0
    got: int = 0
    valid: int = 0
    expected_values: int = 0
    reported_values: int = 0
    expected_groups: int = 0
    groups_not_taking_part: int = 0
    groups_received: int = 0
    valid_groups: int = 0


def choose_city():
    """A few outlets of a city: either medium, every edition, gas with converted values and without."""
    city = make_yuxi(monitors=25, cns=(HOUR,), seed=SEED)
    if LONG:
        return city
    wanted = [
        lambda row: row.profile.edition is Edition.V2005,
        lambda row: row.profile.edition is Edition.V2025,
        lambda row: row.profile.edition is Edition.V2017 and row.medium == "water",
        lambda row: row.profile.edition is Edition.V2017 and "a21026" in row.profile.factors,
        lambda row: row.profile.edition is Edition.V2017 and row.profile.factors[0] == "a34013",
    ]
    return city._replace(monitors=[next(filter(holds, city.monitors)) for holds in wanted])


def read_truth(truth, base_list):
    """Turn the truth and the base list into the figures of every group: all is well where no line says otherwise."""
    head, *lines = map(json.loads, truth.read_text().splitlines())
    told = {(row["outlet"], row["factor"], row["hour"], row["stage"]): row for row in lines if "hour" in row}
    well = {"due": True, "received": True, "valid": True}
    found = defaultdict(Figures)
    with base_list.open(newline="") as file:
        listed = list(csv.DictReader(file))
    for row in listed:
        assert row["valid_from"] == head["from"]
        hour = datetime.fromisoformat(head["from"])
        while hour < datetime.fromisoformat(head["to"]):
            for stage in STAGES:
                fields = int(row["fields"])
                key = (row["outlet"], row["factor"], hour.isoformat(), stage)
                group = Group(row["outlet"], row["factor"], hour.date().isoformat(), stage)
                found[group] = add_hour(found[group], hour.hour, fields, told.pop(key, {**well, "fields": fields}))
            hour += timedelta(hours=1)
    assert not told, "the truth tells of hours that are not on the base list"
    return head, lines, found


def add_hour(figures, hour, fields, verdict):
    """Add what is true of one hour to the figures of its day."""
    is_due, is_received, is_valid = (verdict[name] for name in ("due", "received", "valid"))
    return Figures(
        figures.due | is_due << hour,
        figures.got | is_received << hour,
        figures.valid | is_valid << hour,
        figures.expected_values + fields * is_due,
        figures.reported_values + verdict["fields"],
        figures.expected_groups + is_due,
        figures.groups_not_taking_part + (not is_due),
        figures.groups_received + is_received,
        figures.valid_groups + is_valid,
    )


class Trial:
    """A gateway and the fleet with gaps that it serves."""

    def __init__(self, folder, gateway, connection):
        self.folder, self.gateway, self.connection = folder, gateway, connection
        end_us = to_us(EPOCH) + RUN_HOURS * HOUR_SECS * 1_000_000
        self.end = EPOCH + timedelta(hours=RUN_HOURS)
        self.run = Run(to_us(EPOCH) // 1_000_000, end_us, Cutoffs(COMPLETED_DAYS), SEED)
        self.city = add_gaps(choose_city(), GAPS_A_DAY, GAPS, self.run)
        self.plans = [monitor.profile.plan for monitor in self.city.monitors]

    async def send(self):
        """Register the fleet, start the gateway and let the days pass; return the fleet's report."""
        files = write_registry(self.city, self.folder / "registry")
        await self.import_files(files)
        origin = datetime.now(UTC) + timedelta(seconds=secs(START_SECS))
        self.gateway.env |= {
            "HJ212GW_CLOCK__EPOCH": EPOCH.isoformat(),
            "HJ212GW_CLOCK__ORIGIN": origin.isoformat(),
            "HJ212GW_CLOCK__SPEED": str(SPEED),
        }
        await asyncio.to_thread(self.gateway.start)
        span = Span(SEED, to_us(EPOCH), RUN_HOURS * HOUR_SECS, None, secs(20.0))
        host = self.gateway.ready["gateway"].rpartition(":")[0]
        habits = Habits(host, self.gateway.port, secs(10.0), 3, reconnect_first_secs=0.1, reconnect_max_secs=0.5)
        profiles = [monitor.profile for monitor in self.city.monitors]
        return await Fleet(profiles, span, habits, Clock(EPOCH, SPEED, origin=origin)).run()

    async def load_lists(self):
        """Bring the base list and the marks into the database."""
        files = write_assessment(self.city, self.folder / "registry")
        await self.import_files(files)
        return files[0]

    async def import_files(self, files):
        """Import files of the registry."""
        code, out, err = await asyncio.to_thread(run_cli, "registry", "import", *files, "--dsn", self.gateway.dsn)
        assert code == 0, out + err

    async def compute(self):
        """Compute every group of the run as of its end."""
        first, last = EPOCH.date(), self.end.date() + timedelta(days=1)
        rules = make_rules(AssessmentSettings(completed_days=COMPLETED_DAYS))
        async with self.connection.transaction():
            await compute_days(self.connection, Scope(first, last, self.end), rules)
            rows = await self.connection.fetch("SELECT * FROM computed_days WHERE listed <> 0")
        return {
            Group(row["outlet"], row["factor"], row["day"].isoformat(), row["stage"]): Figures(
                *(row[name] for name in Figures._fields)
            )
            for row in rows
        }


@pytest.fixture
async def trial(serve, dsn, connection, tmp_path):
    """A fleet with gaps and its gateway, neither started yet."""
    gateway = serve(dsn, "--simulated-clock")
    gateway.dsn = dsn
    yield Trial(tmp_path, gateway, connection)
    if gateway.process and gateway.process.poll() is None:
        assert await asyncio.to_thread(gateway.stop) == 0


async def test_rates_are_what_the_fleet_made_true(trial):
    """Outages, flags, stops, failing analysers and corrections: each mask and count of each stage equals the truth."""
    report = await trial.send()
    assert not report["unacked"] + report["unsent"], report
    if report["late"]:
        pytest.fail(
            f"this machine is too slow for a clock {SPEED:g} times as fast: {report['late']} hours came after the moment"
            " that decides about them, so nothing can be said; set HJ212_TEST_TIME_SCALE"
        )
    await assert_conserved(trial.gateway, timeout=60)
    base_list = await trial.load_lists()
    truth = write_gap_truth(trial.plans, trial.folder / "truth")
    head, lines, wanted = read_truth(truth, base_list)
    assert set(head["gaps"]) == {gap.slug for gap in GAPS}
    computed = await trial.compute()
    assert computed.keys() == wanted.keys()
    wrong = [(group, wanted[group], figures) for group, figures in computed.items() if figures != wanted[group]]
    assert not wrong, "\n".join(explain(group, true, figures, lines) for group, true, figures in wrong[:10])
    assert_stages_tell_apart(wanted)


def explain(group, true, figures, lines):
    """Say where figures differ, and which gaps there were."""
    names = {name for name, one, other in zip(Figures._fields, true, figures, strict=True) if one != other}
    parts = [f"{name} is {getattr(figures, name):#x}, in truth {getattr(true, name):#x}" for name in sorted(names)]
    gaps = [f"{row['day']} {row['gap']}" for row in lines if "gap" in row and row["outlet"] == group.outlet]
    return f"{' '.join(group)}: {'; '.join(parts)}; gaps: {', '.join(gaps)}"


def assert_stages_tell_apart(wanted):
    """The run was worth it: hours were lost, came between the stages, and went bad or out between them."""
    pairs = [(wanted[group], wanted[group._replace(stage="completed")]) for group in wanted if group.stage == STAGES[0]]
    assert any(completed.got & ~immediate.got for immediate, completed in pairs)
    assert any(immediate.valid & ~completed.valid & completed.due for immediate, completed in pairs)
    assert any(immediate.due & ~completed.due for immediate, completed in pairs)
    assert any(completed.valid & ~immediate.valid & immediate.got for immediate, completed in pairs)
    assert any(completed.due & ~completed.got for _, completed in pairs)
    assert any(completed.reported_values < completed.expected_values for _, completed in pairs if completed.got)
