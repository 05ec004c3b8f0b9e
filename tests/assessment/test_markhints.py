"""What is said of a mark that does not count, on which of its days."""

import json
from datetime import timedelta

import pytest

from hj212gw.assessment.markhints import find_basis, find_hints
from hj212gw.assessment.rules import make_rules
from hj212gw.assessment.verdicts import MarkFacts
from hj212gw.config_assessment import AssessmentSettings
from hj212gw.registry.cells import parse_moment

NOW = parse_moment("2026-11-26")
LATE, LAPSED = "it was recorded after the cut-off", "its voucher did not come in time"


def mark(effect, begin, end, recorded_at="2026-10-28", state="declared", proof_at=None):
    """A mark; stops and losses that are not the enterprise's fault need a voucher."""
    moments = (begin, end, recorded_at, proof_at)
    from_at, to_at, known_at, proved_at = (moment and parse_moment(moment) for moment in moments)
    due = from_at if effect in ("stop", "not_responsible") else None
    return MarkFacts(effect, state, from_at, to_at, known_at, due, proved_at)


def manual(hour, state="declared", hours=6, **more):
    """A manual value of 25 November."""
    begin = parse_moment("2026-11-25") + timedelta(hours=hour)
    given = mark("manual", "2026-11-25", None, "2026-11-25", state)
    return given._replace(from_at=begin, to_at=begin + timedelta(hours=hours), **more)


CASES = [
    (mark("stop", "2026-11-02", "2026-11-05"), {}, []),
    (mark("stop", "2026-10-28", "2026-11-21"), {}, [f"on days from 2026-10-28 to 2026-10-31: {LAPSED}"]),
    (mark("stop", "2026-10-28", "2026-11-21"), {"vouchers": "ignored"}, []),
    (mark("stop", "2026-10-28", "2026-11-21", proof_at="2026-11-10"), {}, []),
    (mark("stop", "2026-10-28", "2026-11-21", proof_at="2026-11-25"), {}, [f"on days from 2026-10-28 to 2026-10-31: {LAPSED}"]),
    (mark("stop", "2026-10-31", None), {}, [f"on 2026-10-31: {LAPSED}"]),
    (mark("stop", "2026-10-28", "2026-11-01"), {}, [f": {LAPSED}"]),
    (mark("device", "2026-10-28", "2026-11-21"), {}, []),
    (mark("device", "2026-10-28", "2026-11-21", "2026-11-10T23:59"), {}, [f"on days from 2026-10-28 to 2026-10-30: {LATE}"]),
    (mark("device", "2026-10-28", "2026-10-30", "2026-11-26"), {}, [f": {LATE}"]),
    (mark("device", "2026-10-28", None, "2026-10-28T10:00"), {"completed_days": 0}, []),
    (
        mark("not_responsible", "2026-10-28", None, "2026-11-10"), {},
        [f"on days from 2026-10-28 to 2026-10-30: {LATE}", f"on 2026-10-31: {LAPSED}"],
    ),
    (mark("none", "2026-10-28", None, "2026-11-26"), {}, []),
    (mark("interruption", "2026-10-28", "2026-10-29", "2026-11-26"), {}, []),
    (mark("interruption", "2026-10-28", "2026-10-29", "2026-11-26"), {"interruption": "excuses"}, [f": {LATE}"]),
    (mark("stop", "2026-11-02", None), {"stop_partial": "never"}, [": a stop lets no hour out (setting stop_partial = never)"]),
    (manual(0, hours=7), {}, [": one manual value covers at most 6 hours"]),
    (manual(0, hours=60), {}, [": one manual value covers at most 6 hours"]),
    (manual(0), {"manual": "never"}, [": setting manual = never"]),
]  # fmt: skip


@pytest.mark.parametrize(("given", "changed", "said"), CASES)
def test_mark_that_does_not_count(given, changed, said):
    """On which of its days, and why, in the words of `why`; nothing where it counts, or is not meant to."""
    basis = find_basis(AssessmentSettings(**changed), None)
    assert list(find_hints(given, [given], basis, NOW)) == [
        f"does not count{' ' * (words[0] != ':')}{words}" for words in said
    ]


@pytest.mark.parametrize(
    ("given", "others", "said"),
    [
        (manual(0), [], ["does not count so far: only 1 of 4 manual values that day"]),
        (manual(0), [manual(0), manual(6), manual(12, "void")], ["does not count so far: only 2 of 4 manual values that day"]),
        (manual(0), [manual(6), manual(12), manual(18)], []),
        (manual(0, "accepted"), [manual(6), manual(12), manual(18, "accepted")], ["does not count so far: only 2 of 4 manual values that day"]),
        (manual(0, "accepted"), [manual(hour, "accepted") for hour in (6, 12, 18)], []),
        (
            manual(21), [manual(6), manual(12), manual(18)],
            ["does not count on 2026-11-26 so far: only 1 of 4 manual values that day"],
        ),
    ],
)  # fmt: skip
def test_manual_values_wait_for_more_samples(given, others, said):
    """Those in force beside it are counted as if all were accepted, until it is."""
    assert list(find_hints(given, [given, *others], find_basis(AssessmentSettings(), None), NOW)) == said


def test_settings_in_use():
    """Those of the configuration, else what the aggregator noted, else the defaults."""
    rules = make_rules(AssessmentSettings(manual_max_hours=3, completed_days=2))
    noted = json.dumps({"completed_after_secs": rules.completed_after.total_seconds(), **rules.values})
    assert find_basis(AssessmentSettings(), noted) == (rules.completed_after, rules.values)
    given = make_rules(AssessmentSettings(threshold=90))
    assert find_basis(AssessmentSettings(threshold=90), noted) == (given.completed_after, given.values)
    assert find_basis(AssessmentSettings(), None) == (given.completed_after, given.values)
    assert find_basis(AssessmentSettings(), '{"vouchers": "ignored"}').values == {**given.values, "vouchers": "ignored"}
