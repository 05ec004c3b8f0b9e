"""An outlet's hours by plan: what is sent when, and what is true of it."""

import json
from datetime import datetime

import pytest
from tests.simulators.support import ManualClock, make_habits, make_span, run_fleet, running_host

from hj212gw.clock import to_us
from hj212gw.protocol import Edition, parse_readings
from hj212sim.base_list import find_due, find_flow
from hj212sim.edits import ROW, Edit
from hj212sim.fleet import is_complete
from hj212sim.gaps import Correction, Cutoffs, Gap, Mark, Outage, Site, Spell
from hj212sim.plan import PlannedSchedule, Run, make_plan
from hj212sim.schedule import HOUR, KNOWN_CNS, REAL_TIME, US, Rhythm, Schedule
from hj212sim.truth import LOCAL, Verdict, judge, write_gap_truth
from hj212sim.uploads import Profile

CODES = ("w00000", "w01018", "w21003")
SITE = Site("X-W1", True, CODES, find_due(CODES), find_flow(CODES))
COD = SITE.due[0]
MONDAY = int(datetime(2026, 3, 2, tzinfo=LOCAL).timestamp())
RHYTHM = Rhythm(60, 10, 0, 10_000)
WELL, MISSING, INVALID = (
    Verdict(True, True, True, 2),
    Verdict(True, False, False, 0),
    Verdict(True, True, False, 2),
)
OUT = Verdict(False, False, False, 0)


def at(hour, minute=0, day=2):
    """A moment of a day of the run, in seconds."""
    return MONDAY + ((day - 2) * 24 + hour) * 3600 + minute * 60


def make(*, days=14, completed_days=10, **story):
    """The plan of an outlet at which just this happens."""

    def happen(scene):
        for name, rows in story.items():
            getattr(scene.story, name).extend(rows)

    run = Run(at(0), at(0, day=2 + days) * US, Cutoffs(completed_days), 1)
    return make_plan(SITE, [(at(0), Gap("made", happen))], run, delay_us=20 * US)


def stages(plan, hour, due=COD):
    """What is true of an hour at both stages."""
    return [judge(plan, due, hour, stage) for stage in ("immediate", "completed")]


def stop(from_secs, to_secs, recorded_secs, voided_secs=None):
    """The record of a stop."""
    return Mark("*", "stop", from_secs, to_secs, recorded_secs, voided_secs)


@pytest.mark.parametrize(
    ("back", "verdicts"),
    [
        pytest.param(at(36), [WELL, WELL], id="at noon"),
        pytest.param(at(36) + 1, [MISSING, WELL], id="after noon"),
        pytest.param(at(11 * 24) - 1, [MISSING, WELL], id="before the closing"),
        pytest.param(at(11 * 24), [MISSING, MISSING], id="at the closing"),
        pytest.param(None, [MISSING, MISSING], id="never"),
    ],
)
def test_arrival_counts_until_its_cut_off(back, verdicts):
    """Noon of the next day counts, the end of the tenth day after does not any more."""
    plan = make(outages=[Outage(at(5), at(7), back)])
    assert stages(plan, at(5)) == verdicts
    assert stages(plan, at(3)) == [WELL, WELL]


@pytest.mark.parametrize(
    ("until", "verdict"),
    [
        pytest.param(at(8, 15), INVALID, id="45 minutes ran"),
        pytest.param(at(8, 16), OUT, id="44 minutes ran"),
        pytest.param(at(9), OUT, id="none ran"),
    ],
)
def test_hour_with_a_stop_is_out_when_too_little_ran(until, verdict):
    """Whatever was sent of it (assessment.md, question 6)."""
    plan = make(
        marks=[stop(at(0), until, at(20))],
        spells=[Spell(at(0), at(9), dict.fromkeys(CODES, Edit("F")))],
    )
    assert stages(plan, at(8)) == [verdict] * 2
    assert stages(plan, at(0)) == [OUT, OUT]


@pytest.mark.parametrize(
    ("recorded", "voided", "verdicts"),
    [
        pytest.param(at(36), None, [OUT, OUT], id="at noon"),
        pytest.param(at(36) + 1, None, [WELL, OUT], id="after noon"),
        pytest.param(at(11 * 24), None, [WELL, WELL], id="at the closing"),
        pytest.param(at(20), at(12 * 24), [WELL, WELL], id="void from the start"),
        pytest.param(at(20), at(15 * 24), [OUT, OUT], id="void after the run"),
        pytest.param(at(15 * 24), None, [WELL, WELL], id="recorded after the run"),
    ],
)
def test_record_counts_as_known(recorded, voided, verdicts):
    """By when it was recorded, and not if it is void."""
    assert stages(make(marks=[stop(at(0), at(4), recorded, voided)]), at(1)) == verdicts


def test_stop_without_a_voucher_lapses():
    """From the 11th of the next month on what was sent stands again, at the stage that waits for vouchers."""
    marks = [stop(at(0), at(4), at(20))]
    assert stages(make(days=39, marks=marks), at(1)) == [OUT, OUT]
    assert stages(make(days=40, marks=marks), at(1)) == [OUT, WELL]
    marks = [stop(at(0, day=31), at(4, day=32), at(20, day=32))]
    assert [stages(make(days=40, marks=marks), at(1, day=day))[1] for day in (31, 32)] == [WELL, OUT]


def test_overlapping_device_marks_are_united():
    """Minutes are counted once: 15 marked ones leave an hour valid, 16 do not; other factors do not mind."""
    first = Mark("w01018", "device", at(5), at(5, 10), at(20))
    for end, verdict in ((at(5, 15), WELL), (at(5, 16), INVALID)):
        plan = make(marks=[first, Mark("w01018", "device", at(5, 5), end, at(20))])
        assert stages(plan, at(5)) == [verdict] * 2
        assert stages(plan, at(5), SITE.due[1]) == [WELL, WELL]


def test_newest_arrival_counts():
    """A correction replaces what it names at the stages that saw it come, and brings what was missing."""
    gone = Edit(lacks=frozenset((ROW,)))
    plan = make(
        corrections=[
            Correction(at(5), at(20), "w01018", Edit(), Edit("D")),
            Correction(at(5), at(40), "w01018", Edit("D"), Edit()),
            Correction(at(6), at(40), "w01018", gone, Edit()),
            Correction(at(7), at(40), "w01018", Edit(), gone),
        ]
    )
    assert [stages(plan, at(hour)) for hour in (5, 6, 7)] == [[INVALID, WELL], [MISSING, WELL], [WELL, WELL]]
    assert [len(plan.sendings(at(hour))) for hour in (4, 5, 6, 7)] == [1, 3, 2, 2]


def test_correction_never_overtakes():
    """What would come close behind what it corrects, or before it, is not sent; nor is what an outage lost."""
    late = Correction(at(5), at(20), "w01018", Edit(), Edit("D"))
    assert stages(make(corrections=[late], outages=[Outage(at(5), at(7), at(17))]), at(5)) == [WELL, WELL]
    assert stages(make(corrections=[late], outages=[Outage(at(5), at(7), at(30))]), at(5)) == [WELL, WELL]
    lost = make(corrections=[late], outages=[Outage(at(19), at(21), None)])
    assert len(lost.sendings(at(5))) == 1
    only = make(corrections=[late], outages=[Outage(at(5), at(7), None)])
    assert stages(only, at(5)) == [INVALID, INVALID]


def test_water_without_flow_is_worth_nothing():
    """As far as the stage knows the flow; a stack does not mind."""
    dry = {"w00000": Edit(scale=0.0)}
    assert stages(make(spells=[Spell(at(5), at(6), dry)]), at(5)) == [INVALID, INVALID]
    plan = make(corrections=[Correction(at(5), at(40), "w00000", Edit(), Edit(scale=0.0))])
    assert stages(plan, at(5)) == [WELL, INVALID]
    assert stages(plan._replace(site=SITE._replace(is_water=False)), at(5)) == [WELL, WELL]


def test_truth_names_what_is_not_well(tmp_path):
    """A line for the run, one a gap, one for each group and stage that is not well."""
    plan = make(days=2, outages=[Outage(at(5), at(6), at(40))])
    head, gap, *lines = map(json.loads, write_gap_truth([plan], tmp_path / "truth").read_text().splitlines())
    assert (head["from"], head["to"]) == ("2026-03-02T00:00:00", "2026-03-04T00:00:00")
    assert (head["completed_days"], head["gaps"]) == (10, {"made": 1})
    assert gap == {"gap": "made", "outlet": "X-W1", "day": "2026-03-02"}
    # The hour that ends with the run is over, and was not sent any more.
    assert [(line["hour"][5:16], line["stage"], line["factor"]) for line in lines] == [
        ("03-02T04:00", "immediate", "w01018"),
        ("03-02T04:00", "immediate", "w21003"),
        *(("03-03T23:00", stage, factor) for factor in ("w01018", "w21003") for stage in ("immediate", "completed")),
    ]
    assert lines[0] == lines[0] | {"due": True, "received": False, "valid": False, "fields": 0}


def take_all(schedule):
    """Take every upload of a schedule that ends."""
    uploads = []
    while schedule.next_due_us is not None:
        due_us = schedule.next_due_us
        uploads.append(schedule.take())
        assert uploads[-1].due_us == due_us
    return uploads


def make_schedule(plan, cns=KNOWN_CNS):
    """What a data logger with a plan sends."""
    schedule = Schedule(cns, RHYTHM, start_us=at(0) * US)
    schedule.end_at(plan.run.end_us)
    return PlannedSchedule(schedule, plan)


def test_schedule_follows_the_plan():
    """In an outage nothing is sent; afterwards hours are filled in, with QNs of their own, in the order of time."""
    plan = make(
        days=2,
        outages=[Outage(at(5), at(7), at(9))],
        corrections=[Correction(at(1), at(15), "w01018", Edit(), Edit("D"))],
    )
    uploads = take_all(make_schedule(plan))
    assert [upload.due_us for upload in uploads] == sorted(upload.due_us for upload in uploads)
    assert not [upload for upload in uploads if at(5) * US <= upload.due_us < at(7) * US]
    assert len({upload.qn_ms for upload in uploads}) == len(uploads)
    hours = [upload for upload in uploads if upload.cn == HOUR]
    assert [upload.start_secs for upload in hours if upload.due_us == at(9) * US] == [at(4), at(5)]
    twice = [upload.edits["w01018"] for upload in hours if upload.start_secs == at(1)]
    assert twice == [Edit(), Edit("D")]
    assert len(hours) == 47 + 1 + 1
    assert {upload.deadline_us for upload in hours if upload.start_secs == at(2)} == {at(36) * US}
    assert len([upload for upload in uploads if upload.cn == REAL_TIME]) == 2 * 1440 - 120


def test_schedule_can_be_stopped():
    """From a moment on nothing falls due, whether planned or not."""
    plan = make(days=2, outages=[Outage(at(5), at(7), at(9))])
    schedule = make_schedule(plan, (HOUR,))
    schedule.end_at(at(6) * US)
    assert [upload.due_us < at(6) * US for upload in take_all(schedule)] == [True] * 5
    assert schedule.is_over(at(0) * US)
    schedule = make_schedule(plan, (HOUR,))
    assert not schedule.is_over(at(0) * US)
    schedule.end_at(0)
    assert schedule.next_due_us is None


async def test_fleet_sends_the_plan():
    """What is spoiled reaches the host so; an hour that comes after the moment that decides about it fails the run."""
    plan = make(days=1, spells=[Spell(at(5), at(6), {"w01018": Edit("D"), "w21003": Edit(lacks=frozenset((ROW,)))})])
    profile = Profile("530402A00000001F00000001", "123456", "32", Edition.V2017, CODES, (HOUR,), RHYTHM, plan=plan)
    span = make_span(start_us=at(0) * US, secs=86_400)
    # The hour before the run's first is sent too, and nothing is said of it.
    for clock_us, late in ((at(24) * US, 0), (to_us(datetime(2027, 1, 1, tzinfo=LOCAL)), 23)):
        async with running_host() as host:
            report = await run_fleet([profile], span, make_habits(host), ManualClock(clock_us))
        assert (report["late"], is_complete(report)) == (late, not late)
        (spoiled,) = [packet for packet in host.packets if b"DataTime=20260302050000" in packet.cp]
        rows = parse_readings(spoiled.cp).rows
        assert [(row.factor, row.data_flag) for row in rows] == [("w00000", "N"), ("w01018", "D")]
