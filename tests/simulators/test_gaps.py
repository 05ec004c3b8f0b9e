"""What each kind of gap makes of the hours of an outlet, and where gaps happen."""

import random
import re
from datetime import datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hj212gw.clock import to_us
from hj212gw.errors import ConfigError
from hj212sim.base_list import find_due, find_flow
from hj212sim.gaps import GAPS, Cutoffs, Site, draw_gaps, find_gaps
from hj212sim.plan import Run, make_plan
from hj212sim.presets import FACTOR_SETS
from hj212sim.schedule import US
from hj212sim.truth import LOCAL, find_exceptions

DAY = int(datetime(2026, 3, 2, tzinfo=LOCAL).timestamp())
HOUR_US = 3600 * US
DELAY_US = 20 * US


def make_run(*, days=20, completed_days=10, seed=1):
    """A run of whole days."""
    return Run(DAY, (DAY + days * 86_400) * US, Cutoffs(completed_days), seed)


def make_site(kind="sewage plant", outlet="X-W1"):
    """An outlet of one kind."""
    codes = FACTOR_SETS[kind]
    return Site(outlet, codes[0].startswith("w"), codes, find_due(codes), find_flow(codes))


def make_single(slug, *, kind="sewage plant", seed=1):
    """The plan of an outlet where one gap begins on the first day."""
    return make_plan(make_site(kind), [(DAY, *find_gaps([slug]))], make_run(seed=seed), delay_us=DELAY_US)


def exceptions(plan):
    """What is not well, the hour at the end of the run apart, which is over and not sent yet: kinds of verdicts by stage."""
    last = plan.run.hours()[-1]
    told = {"immediate": set(), "completed": set()}
    for hour, due, stage, verdict in find_exceptions(plan):
        if hour != last:
            told[stage].add((*verdict[:3], verdict.fields == due.fields))
    return told


MISSING = (True, False, False, False)
INVALID = (True, True, False, True)
OUT = (False, False, False, False)
WELL = set()


@pytest.mark.parametrize(
    ("slug", "immediate", "completed"),
    [
        ("outage_same_day", WELL, WELL),
        ("outage_next_morning", WELL, WELL),
        ("outage_late", {MISSING}, WELL),
        ("outage_closed", {MISSING}, {MISSING}),
        ("outage_lost", {MISSING}, {MISSING}),
        ("flagged", {INVALID}, {INVALID}),
        ("stop_recorded", {OUT}, {OUT}),
        ("to_bad", {INVALID}, {INVALID}),
        ("to_bad_late", WELL, {INVALID}),
        ("to_bad_closed", WELL, WELL),
        ("to_good", WELL, WELL),
        ("to_good_late", {INVALID}, WELL),
        ("to_good_closed", {INVALID}, {INVALID}),
        ("to_dry_late", WELL, {INVALID}),
        ("to_dry_closed", WELL, WELL),
        ("from_dry_late", {INVALID}, WELL),
        ("from_dry_closed", {INVALID}, {INVALID}),
    ],
)
@pytest.mark.parametrize("seed", range(8))
def test_gap_does_what_its_name_says(slug, immediate, completed, seed):
    """Each kind alone, under several seeds: what is wrong at which stage."""
    plan = make_single(slug, seed=seed)
    told = exceptions(plan)
    # A record counts until noon after its day, for the hours of a stop after midnight a day longer.
    assert (told["immediate"], told["completed"]) == (immediate, completed)


@pytest.mark.parametrize("seed", range(8))
def test_stop_without_a_record_is_bad_data(seed):
    """Nobody is excused who did not say so, or said so too late, or falsely."""
    for slug in ("stop_unrecorded", "stop_void"):
        told = exceptions(make_single(slug, seed=seed))
        assert told["immediate"] == told["completed"]
        assert told["immediate"] <= {MISSING, INVALID}
        assert told["immediate"]
    late = exceptions(make_single("stop_recorded_late", seed=seed))
    assert (late["completed"], OUT in late["completed"]) == ({OUT}, True)
    assert late["immediate"] & {MISSING, INVALID}
    closed = exceptions(make_single("stop_recorded_closed", seed=seed))
    assert closed["immediate"] <= {MISSING, INVALID}


def test_analyser_that_seems_well_is_invalid_by_its_mark():
    """Where nothing was spoiled the mark alone decides, at the stages that know it."""
    found = {slug: set() for slug in ("analyser_marked", "analyser_marked_late", "analyser_void", "analyser_unmarked")}
    for slug, told in found.items():
        for seed in range(40):
            stages = exceptions(make_single(slug, seed=seed))
            told.add((bool(stages["immediate"]), bool(stages["completed"])))
    assert found["analyser_marked"] == {(True, True)}
    assert (False, True) in found["analyser_marked_late"]
    assert (False, False) in found["analyser_void"]
    assert (False, False) in found["analyser_unmarked"]


def test_missing_fields_are_missing_values():
    """A group without its mean is missing, one without another value lacks that alone."""
    found = set()
    for seed in range(20):
        found |= exceptions(make_single("fields_missing", kind="flue gas", seed=seed))["completed"]
    assert found == {(True, True, True, False), MISSING}


@given(st.integers(0, 10**6), st.sampled_from([1, 10]))
def test_nothing_arrives_close_to_a_cut_off(seed, completed_days):
    """From when anything arrives to when it must have arrived there are hours, whatever happens together."""
    rng = random.Random(seed)
    site, run = make_site(rng.choice(tuple(FACTOR_SETS))), make_run(days=6, completed_days=completed_days, seed=seed)
    gaps = draw_gaps([site], run.days(), 3.0, GAPS, seed=seed)[site.outlet]
    plan = make_plan(site, gaps, run, delay_us=DELAY_US)
    for hour in run.hours():
        sendings = plan.sendings(hour)
        assert [row.at_us for row in sendings] == sorted(row.at_us for row in sendings)
        for row in sendings:
            assert (hour + 3600) * US <= row.at_us < run.end_us
            assert row.deadline_us == 0 or row.deadline_us - row.at_us > 3.9 * HOUR_US


def test_kinds_go_round_and_fit():
    """Every kind comes before one comes twice; the flow of a stack is not corrected."""
    sites = [make_site(outlet=f"W{number}") for number in range(4)] + [make_site("flue gas", "G1")]
    days = make_run().days()
    drawn = draw_gaps(sites, days, 0.5, GAPS, seed=3)
    assert drawn == draw_gaps(list(reversed(sites)), days, 0.5, GAPS, seed=3)
    assert drawn != draw_gaps(sites, days, 0.5, GAPS, seed=4)
    counts = [[gap for rows in drawn.values() for _, gap in rows].count(gap) for gap in GAPS]
    assert sum(counts) == round(0.5 * len(sites) * len(days))
    assert max(counts) - min(counts) <= 1
    assert not [gap for _, gap in drawn["G1"] if gap.needs_water]
    assert draw_gaps(sites, [], 1.0, GAPS, seed=3) == {site.outlet: [] for site in sites}
    assert draw_gaps(sites[4:], days, 1.0, find_gaps(["to_dry_late"]), seed=3) == {"G1": []}


def test_gaps_are_found_by_name():
    """In the order of the list; an unknown one is named with those there are."""
    assert [gap.slug for gap in find_gaps(["flagged", "outage_late"])] == ["outage_late", "flagged"]
    with pytest.raises(ConfigError, match="outage_same_day"):
        find_gaps(["outages"])


def test_same_seed_same_plan():
    """A plan follows from seed, outlet and days."""
    gaps = [(DAY + number * 86_400, gap) for number, gap in enumerate(GAPS[:10])]
    plans = [make_plan(make_site(), gaps, make_run(seed=seed), delay_us=DELAY_US) for seed in (1, 1, 2)]
    assert plans[0] == plans[1] != plans[2]


def test_epoch_is_a_midnight():
    """Days are those of UTC+8."""
    assert make_run(days=2).days() == [DAY, DAY + 86_400]
    assert Run(DAY + 3600, to_us(datetime(2026, 3, 2, 4, 30, tzinfo=LOCAL)), Cutoffs(), 1).hours() == range(
        DAY + 3600, DAY + 3 * 3600 + 1801, 3600
    )


def test_every_kind_is_written_down():
    """The page of gaps names each kind once, in the order of the list, and no other."""
    page = (Path(__file__).parents[2] / "docs" / "simulated-gaps.md").read_text(encoding="utf-8")
    rows = [line.split("|")[1] for line in page.splitlines() if line.startswith("| `")]
    assert re.findall("`([a-z_]+)`", "".join(rows)) == [gap.slug for gap in GAPS]
