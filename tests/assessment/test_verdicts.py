"""Every state an hour can be in, from its masks to words and counts."""

from datetime import UTC, datetime, timedelta

import pytest

from hj212gw.assessment.rates import Counts
from hj212gw.assessment.rules import make_rules
from hj212gw.assessment.verdicts import (
    LOST,
    MarkedGroup,
    MarkFacts,
    Masks,
    StageEnd,
    explain_absence,
    explain_mark,
    judge_hour,
)
from hj212gw.config_assessment import AssessmentSettings

ON, OFF = 1 << 5, 0
DEFAULTS = make_rules(AssessmentSettings()).values


def planes(*present):
    """By field, whether its value came in hour 5."""
    return tuple(ON if is_there else OFF for is_there in present) + (0,) * (8 - len(present))


def due(fields=1, **masks):
    """Hour 5 takes part."""
    return Masks(**{"fields": fields, "listed": ON, "due": ON, **masks})


def came(*present, **masks):
    """Hour 5 came in time with its mean and a good flag."""
    return due(len(present), **{"got": ON, "good": ON, "ever": ON, "planes": planes(*present), **masks})


# name: masks, settings that differ, state, words of the rule, counts (values due and received, groups due, out, G, S)
CASES = {
    "not listed": (Masks(1), {}, "not_listed", "rule 1", Counts()),
    "valid": (came(1, valid=ON), {}, "valid", "rule 5: received in time", Counts(1, 1, 1, 0, 1, 1)),
    "valid with three values": (came(1, 1, 1, valid=ON), {}, "valid", "good flag", Counts(3, 3, 1, 0, 1, 1)),
    "missing": (due(), {}, "missing", "nothing came", Counts(1, 0, 1, 0, 0, 0)),
    "missing under a mark": (due(marked=ON), {}, "missing", "nothing came", Counts(1, 0, 1, 0, 0, 0)),
    "late": (due(ever=ON), {}, "late", "after the cut-off", Counts(1, 0, 1, 0, 0, 0)),
    "bad flag": (came(1, good=OFF), {}, "flag", "flag is not good: not valid", Counts(1, 1, 1, 0, 1, 0)),
    "bad flag as missing": (
        due(ever=ON, refused=ON), {"invalid_received": "missing"}, "flag", "as if it had not come",
        Counts(1, 0, 1, 0, 0, 0),
    ),
    "no flow": (came(1, good=OFF, dry=ON), {}, "flag", "no flow", Counts(1, 1, 1, 0, 1, 0)),
    "no flow with bad flags as missing": (
        came(1, good=OFF, dry=ON), {"invalid_received": "missing"}, "flag", "no flow", Counts(1, 1, 1, 0, 1, 0),
    ),
    "device mark": (came(1, marked=ON), {}, "mark", "fewer than 45 minutes", Counts(1, 1, 1, 0, 1, 0)),
    "device mark over a bad flag": (came(1, good=OFF, marked=ON), {}, "mark", "device marks", Counts(1, 1, 1, 0, 1, 0)),
    "a value lacks": (came(1, 0, 1, valid=ON), {}, "partial", "amount; the group is valid", Counts(3, 2, 1, 0, 1, 1)),
    "a value lacks, so invalid": (
        came(1, 1, 0), {"unconverted": "invalid"}, "partial", "converted mean; not valid", Counts(3, 2, 1, 0, 1, 0),
    ),
    "a field beyond the known ones lacks": (
        came(1, 1, 1, 0, valid=ON), {}, "partial", "field 4", Counts(4, 3, 1, 0, 1, 1),
    ),
    "the mean lacks": (due(2, planes=planes(0, 1)), {}, "partial", "did not come: mean; not valid", Counts(2, 1, 1, 0, 0, 0)),
    "late but for a value": (due(2, ever=ON, planes=planes(0, 1)), {}, "late", "after the cut-off", Counts(2, 1, 1, 0, 0, 0)),
    "manual": (due(3, got=ON, manual=ON, valid=ON), {}, "manual", "at least 45 minutes", Counts(3, 3, 1, 0, 1, 1)),
    "manual over a bad flag": (
        came(1, good=OFF, manual=ON, valid=ON), {}, "manual", "manual value", Counts(1, 1, 1, 0, 1, 1),
    ),
    "stopped": (Masks(3, listed=ON, stopped=ON), {}, "stopped", "rule 2", Counts(0, 0, 0, 1, 0, 0)),
    "stopped, yet data came": (
        Masks(1, listed=ON, stopped=ON, ever=ON, planes=planes(1)), {}, "stopped", "under_45_running",
        Counts(0, 0, 0, 1, 0, 0),
    ),
    "stopped and counted gross": (
        Masks(1, listed=ON, stopped=ON), {"expected_groups": "gross"}, "stopped", "rule 2", Counts(0, 0, 1, 1, 0, 0),
    ),
    "excused": (Masks(1, listed=ON, excused=ON), {}, "excused", "more than 15 minutes", Counts(0, 0, 0, 1, 0, 0)),
    "excused in validity alone": (
        Masks(1, listed=ON, excused=ON), {"not_responsible": "validity"}, "missing", "due in transmission",
        Counts(1, 0, 0, 1, 0, 0),
    ),
    "excused in validity alone, a value lacks": (
        Masks(2, listed=ON, excused=ON, ever=ON, planes=planes(1, 0)), {"not_responsible": "validity"}, "partial",
        "rule 3", Counts(2, 1, 0, 1, 0, 0),
    ),
    "excused in validity alone, late": (
        Masks(1, listed=ON, excused=ON, ever=ON), {"not_responsible": "validity"}, "late", "rule 3",
        Counts(1, 0, 0, 1, 0, 0),
    ),
    "excused in validity alone, all came": (
        Masks(1, listed=ON, excused=ON, ever=ON, planes=planes(1)), {"not_responsible": "validity"}, "excused", "rule 3",
        Counts(1, 1, 0, 1, 0, 0),
    ),
    "checked": (Masks(1, listed=ON, checked=ON), {}, "checked", "rule 4", Counts(0, 0, 0, 1, 0, 0)),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_hour(name):
    """The state, the rule and what the hour adds; other hours of the day are not listed."""
    masks, changed, state, words, counts = CASES[name]
    settings = {**DEFAULTS, **changed}
    verdict = judge_hour(masks, 5, settings)
    assert (verdict.state, verdict.counts) == (state, counts)
    assert words in verdict.rule
    assert verdict.is_dry == bool(masks.dry)
    assert {judge_hour(masks, hour, settings).state for hour in range(24) if hour != 5} == {"not_listed"}


def test_hours_of_a_day_do_not_touch_each_other():
    """A mask holds 24 hours, each judged alone."""
    masks = Masks(
        1, listed=(1 << 24) - 1, due=(1 << 24) - 1, got=0b110, good=0b010, valid=0b010, ever=0b1110, planes=(0b110,) * 8
    )
    states = [judge_hour(masks, hour, DEFAULTS).state for hour in range(5)]
    assert states == ["missing", "valid", "flag", "late", "missing"]
    with pytest.raises(ValueError, match="0 to 23"):
        judge_hour(masks, 24, DEFAULTS)


def test_absence():
    """Not on the list, not over, not counted: each says so, and none adds anything."""
    assert explain_absence().state == "not_listed"
    assert explain_absence(is_over=False).state == "not_over"
    assert explain_absence(is_over=False, is_counted=False).state == "not_counted"
    assert explain_absence().counts == Counts()
    assert not {"not_listed", "not_over", "not_counted"} & set(LOST)


AT = datetime(2026, 3, 1, tzinfo=UTC)
NOON = StageEnd("immediate", AT + timedelta(days=1))
CLOSING = StageEnd("completed", AT + timedelta(days=10))
NOW = AT + timedelta(days=20)


def mark(effect="device", state="declared", **facts):
    """Declared at once, for an hour."""
    given = {"from_at": AT, "to_at": AT + timedelta(hours=1), "recorded_at": AT, **facts}
    return MarkFacts(effect=effect, state=state, **given)


COD, GAS = MarkedGroup("w01018", "water"), MarkedGroup("a21026", "gas")
MANUAL = mark("manual", "accepted")
LATE_MANUAL = mark("manual", "accepted", recorded_at=CLOSING.closes_at + timedelta(seconds=1))
SAMPLES = tuple(MANUAL._replace(from_at=AT + timedelta(hours=hour)) for hour in range(4))
FOUR = COD._replace(manual=SAMPLES)
MARKS = [
    (mark(), NOON, {}, None),
    (mark(state="accepted"), NOON, {}, None),
    (mark("none"), NOON, {}, "changes no rate"),
    (mark(state="rejected"), NOON, {}, "is rejected"),
    (mark(state="void"), CLOSING, {}, "is void"),
    (mark(recorded_at=NOON.closes_at), NOON, {}, None),
    (mark(recorded_at=NOON.closes_at + timedelta(microseconds=1)), NOON, {}, "after the cut-off"),
    (mark(recorded_at=NOON.closes_at + timedelta(microseconds=1)), CLOSING, {}, None),
    (mark("interruption"), CLOSING, {}, "explains"),
    (mark("interruption"), CLOSING, {"interruption": "excuses"}, None),
    (mark("stop", voucher_due=NOW + timedelta(1)), CLOSING, {}, None),
    (mark("stop", voucher_due=NOW), CLOSING, {}, "voucher"),
    (mark("stop", voucher_due=NOW), NOON, {}, None),
    (mark("stop", voucher_due=NOW, proof_at=NOW), CLOSING, {}, "voucher"),
    (mark("stop", voucher_due=NOW, proof_at=NOW - timedelta(1)), CLOSING, {}, None),
    (mark("stop", voucher_due=NOW), CLOSING, {"vouchers": "ignored"}, None),
    (MANUAL, CLOSING, {}, None),
    (mark("manual", "accepted"), NOON, {}, "completed stage alone"),
    (mark("manual", "accepted"), CLOSING, {"manual": "never"}, "manual = never"),
    (mark("manual"), CLOSING, {}, "not accepted"),
    (mark("manual", "accepted", to_at=AT + timedelta(hours=6)), CLOSING, {}, None),
    (mark("manual", "accepted", to_at=AT + timedelta(hours=7)), CLOSING, {}, "at most 6 hours"),
    (mark("manual", "accepted", to_at=None), CLOSING, {}, "at most 6 hours"),
]
# What a mark does hangs on the group it is laid on, and on the settings that let hours out.
MARKS_ON_GROUPS = [
    (MANUAL, COD._replace(manual=SAMPLES[:3]), {}, "only 3 of 4 manual values that day"),
    (MANUAL, COD._replace(manual=SAMPLES[:3]), {"manual_min_per_day": 3}, None),
    (MANUAL, COD._replace(manual=(*SAMPLES[:3], mark("manual"))), {}, "only 3 of 4"),
    (MANUAL, COD._replace(manual=(*SAMPLES[:2], LATE_MANUAL, mark("manual", "void"))), {}, "only 2 of 4"),
    (MANUAL, COD._replace(manual=(MANUAL,) * 4), {}, "only 1 of 4"),
    (mark("manual"), FOUR, {}, "not accepted"),
    (mark("stop"), COD, {"stop_partial": "never"}, "stop_partial = never"),
    (mark("stop"), COD, {"stop_partial": "any_minute"}, None),
    (mark("not_responsible"), COD, {"not_responsible": "none"}, "not_responsible = none"),
    (mark("not_responsible"), COD, {"not_responsible": "validity"}, None),
    (mark("interruption"), COD, {"interruption": "excuses", "not_responsible": "none"}, "not_responsible = none"),
    (mark("standard_check"), COD, {}, None),
    (mark("standard_check"), GAS, {"qc_factors": ["a21026"]}, "as a device mark alone"),
    (mark("standard_check"), COD._replace(factor="w21003"), {"qc_factors": ["w01018"]}, "as a device mark alone"),
    (mark("standard_check", "void"), GAS, {}, "is void"),
    (mark(), GAS, {}, None),
]


@pytest.mark.parametrize(("facts", "end", "changed", "words"), MARKS)
def test_mark(facts, end, changed, words):
    """Why a mark does nothing at a stage, or that it is taken into account."""
    reason = explain_mark(facts, FOUR, end, {**DEFAULTS, **changed}, now=NOW)
    assert (reason is None) if words is None else words in reason


@pytest.mark.parametrize(("facts", "group", "changed", "words"), MARKS_ON_GROUPS)
def test_mark_on_a_group(facts, group, changed, words):
    """Too few manual values, a setting that lets nothing out, a check where none is let out: each says so."""
    reason = explain_mark(facts, group, CLOSING, {**DEFAULTS, **changed}, now=NOW)
    assert (reason is None) if words is None else words in reason
