"""From masks to words: what became of one hour of one factor at one stage, and by which rule (assessment.md section 3).

The masks come from the calculation that makes the rates; nothing is decided here again. `v_lost_hours` reads the same
masks in SQL and calls the states the same.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from hj212gw.assessment.rates import Counts

LOST = ("missing", "late", "flag", "mark", "partial")
FIELDS = ("mean", "amount", "converted mean")

_MAX_HOUR_BITS = 24


class Masks(NamedTuple):
    """A row of `computed_days`: hours of a day as bits, bit 0 the hour from 00:00 UTC+8.

    Attributes:
        fields: values due an hour.
        listed: on the base list and over.
        stopped, excused, checked: left out by a stop, by another's fault, by a standard-sample check.
        due: takes part.
        got: the mean came in time, or a manual value covers it.
        good: came in time with a good flag and with flow.
        marked: due, with too few minutes free of device marks, or with a standard-sample check beyond the exempt ones.
        manual: covered by an accepted manual value.
        valid: counts as valid.
        ever: the mean came, whenever.
        planes: by field, the hours it came in time.
        dry: due, but the outlet has no flow.
        refused: came in time, but by its flag it counts as if it had not.
    """

    fields: int
    listed: int = 0
    stopped: int = 0
    excused: int = 0
    checked: int = 0
    due: int = 0
    got: int = 0
    good: int = 0
    marked: int = 0
    manual: int = 0
    valid: int = 0
    ever: int = 0
    planes: tuple[int, ...] = (0,) * 8
    dry: int = 0
    refused: int = 0


class Verdict(NamedTuple):
    """What became of an hour.

    Attributes:
        state: valid, manual; missing, late, flag, mark, partial where it lowers a rate; stopped, excused, checked where
            it does not take part; not_listed, not_over, not_counted where it is not due.
        rule: which rule says so, in words.
        counts: what the hour adds.
        is_dry: its outlet has no flow.
    """

    state: str
    rule: str
    counts: Counts = Counts()
    is_dry: bool = False


def explain_absence(*, is_over: bool = True, is_counted: bool = True) -> Verdict:
    """Say why an hour is not due at all.

    Args:
        is_over: whether the hour has ended.
        is_counted: whether the factor counts by the settings.
    """
    if not is_counted:
        return Verdict("not_counted", "the factor is shown and not counted (setting uncounted_factors)")
    if not is_over:
        return Verdict("not_over", "the hour is not over: not due yet")
    return Verdict("not_listed", "assessment.md section 3, rule 1: not on the base list in this hour, so not due")


def judge_hour(masks: Masks, hour: int, settings: Mapping[str, Any]) -> Verdict:
    """Say what became of an hour.

    Args:
        masks: of its day, factor and stage.
        hour: 0 to 23.
        settings: those the masks were made by, as `Rules.values` has them.
    """
    if not 0 <= hour < _MAX_HOUR_BITS:
        raise ValueError(f"an hour is 0 to 23, came {hour}")
    bit = 1 << hour
    if not masks.listed & bit:
        return explain_absence()
    counts = _count(masks, bit, settings)
    if masks.due & bit:
        state, rule = _judge_due(masks, bit, counts, settings)
    else:
        state, rule = _judge_left_out(masks, bit, counts, settings)
    return Verdict(state, rule, counts, bool(masks.dry & bit))


def _count(masks: Masks, bit: int, settings: Mapping[str, Any]) -> Counts:
    is_due = bool(masks.due & bit)
    is_out = bool((masks.stopped | masks.excused | masks.checked) & bit)
    owes_values = is_due or (settings.get("not_responsible") == "validity" and bool(masks.excused & bit))
    reported = masks.fields if masks.manual & bit else len(_present(masks, bit))
    return Counts(
        expected_values=masks.fields if owes_values else 0,
        reported_values=reported if owes_values else 0,
        expected_groups=1 if settings.get("expected_groups") == "gross" else int(is_due),
        groups_not_taking_part=int(is_out),
        groups_received=int(bool(masks.got & bit)),
        valid_groups=int(bool(masks.valid & bit)),
    )


def _present(masks: Masks, bit: int) -> list[int]:
    return [place for place in range(masks.fields) if masks.planes[place] & bit]


def _judge_left_out(masks: Masks, bit: int, counts: Counts, settings: Mapping[str, Any]) -> tuple[str, str]:
    if masks.stopped & bit:
        return "stopped", (
            "assessment.md section 3, rule 2: the plant stood, by a stop known in time"
            f" (stop_partial = {settings.get('stop_partial')}): does not take part"
        )
    if masks.excused & bit:
        rule = (
            "assessment.md section 3, rule 3: not the enterprise's fault for more than"
            f" {settings.get('not_responsible_minutes')} minutes, by a mark known in time: does not take part"
        )
        if counts.reported_values < counts.expected_values:
            return _state_of_loss(masks, bit), f"{rule} in validity; its values are due in transmission"
        return "excused", rule
    return "checked", (
        "assessment.md section 3, rule 4: an automatic standard-sample check, of its first"
        f" {settings.get('qc_exempt_hours')} of the day: does not take part"
    )


def _judge_due(masks: Masks, bit: int, counts: Counts, settings: Mapping[str, Any]) -> tuple[str, str]:
    if masks.manual & bit:
        minutes = settings.get("valid_minutes")
        return "manual", (
            f"assessment.md section 3, rule 5: an accepted manual value covers at least {minutes} minutes:"
            " received in full and valid"
        )
    if masks.valid & bit and counts.reported_values == counts.expected_values:
        return (
            "valid",
            "assessment.md section 3, rule 5: received in time, with a good flag, enough minutes free of device marks",
        )
    state = _state_of_loss(masks, bit)
    return state, f"assessment.md section 3, rule 5: {_describe_loss(state, masks, bit, settings)}"


def _state_of_loss(masks: Masks, bit: int) -> str:
    is_valid = bool(masks.valid & bit)
    has_mean = bool(masks.planes[0] & bit)
    if masks.got & bit:
        if masks.marked & bit and not is_valid:
            return "mark"
        return "partial" if masks.good & bit or is_valid else "flag"
    if has_mean and (masks.due & bit == 0):
        return "partial"
    if masks.refused & bit:
        return "flag"
    if masks.ever & bit:
        return "late"
    return "partial" if _present(masks, bit) else "missing"


def _describe_loss(state: str, masks: Masks, bit: int, settings: Mapping[str, Any]) -> str:
    if state == "missing":
        return "due, and nothing came: neither received nor valid"
    if state == "late":
        return "due, and it came after the cut-off of the stage: neither received nor valid"
    if state == "mark":
        minutes = settings.get("valid_minutes")
        return (
            f"received, but device marks leave fewer than {minutes} minutes, or a further check lies in it: not valid"
        )
    if state == "flag":
        if masks.dry & bit:
            return "received, but the outlet has no flow: not valid (zero_flow = invalid)"
        effect = "not valid" if masks.got & bit else "as if it had not come (invalid_received = missing)"
        return f"its flag is not good: {effect}"
    lacking = [_name_field(place) for place in range(masks.fields) if not masks.planes[place] & bit]
    effect = "the group is valid, the values lack in transmission" if masks.valid & bit else "not valid"
    return f"did not come: {', '.join(lacking) or 'a value'}; {effect}"


def _name_field(place: int) -> str:
    return FIELDS[place] if place < len(FIELDS) else f"field {place + 1}"


class MarkFacts(NamedTuple):
    """What decides whether a mark holds at a stage; times aware, `to_at` None while it runs on."""

    effect: str
    state: str
    from_at: datetime
    to_at: datetime | None
    recorded_at: datetime
    voucher_due: datetime | None = None
    proof_at: datetime | None = None


class StageEnd(NamedTuple):
    """A stage of a day and the last moment at which it takes data and marks."""

    stage: str
    closes_at: datetime


class MarkedGroup(NamedTuple):
    """What a mark is laid on.

    Attributes:
        factor: code of the catalogue.
        medium: of its outlet, water or gas.
        manual: the manual values of its day, whatever became of them.
    """

    factor: str
    medium: str
    manual: tuple[MarkFacts, ...] = ()


def explain_mark(
    mark: MarkFacts, group: MarkedGroup, end: StageEnd, settings: Mapping[str, Any], *, now: datetime
) -> str | None:
    """Say why a mark does nothing at a stage, or not all that its kind does; None where it is taken into account."""
    reason = explain_alone(mark, end, settings, now=now)
    if reason:
        return reason
    if mark.effect == "manual":
        return explain_samples(group.manual, end, settings, now=now)
    is_let_out = group.medium == "water" and group.factor in settings.get("qc_factors", ())
    if mark.effect == "standard_check" and not is_let_out:
        return (
            "is taken into account as a device mark alone: checks are let out for water and the factors of qc_factors"
        )
    return None


def explain_samples(
    manual: Sequence[MarkFacts], end: StageEnd, settings: Mapping[str, Any], *, now: datetime
) -> str | None:
    """Say why the manual values of a day are too few; None where there are enough samples."""
    standing = len({other.from_at for other in manual if not explain_alone(other, end, settings, now=now)})
    least = int(settings.get("manual_min_per_day", 0))
    return f"only {standing} of {least} manual values that day" if standing < least else None


def explain_alone(mark: MarkFacts, end: StageEnd, settings: Mapping[str, Any], *, now: datetime) -> str | None:
    """Say why a mark does nothing wherever it is laid."""
    is_interruption = mark.effect == "interruption"
    reasons = (
        (mark.effect == "none", "this kind changes no rate"),
        (mark.state in ("rejected", "void"), f"it is {mark.state}"),
        (mark.recorded_at > end.closes_at, "it was recorded after the cut-off"),
        (
            is_interruption and settings.get("interruption") != "excuses",
            "an interruption explains, it does not excuse (setting interruption)",
        ),
        (
            mark.effect == "stop" and settings.get("stop_partial") == "never",
            "a stop lets no hour out (setting stop_partial = never)",
        ),
        (
            (is_interruption or mark.effect == "not_responsible") and settings.get("not_responsible") == "none",
            "another's fault lets no hour out (setting not_responsible = none)",
        ),
        (_has_lapsed(mark, end.stage, settings, now), "its voucher did not come in time"),
    )
    reason = next((words for holds, words in reasons if holds), None)
    return reason or (_explain_manual(mark, end, settings) if mark.effect == "manual" else None)


def _has_lapsed(mark: MarkFacts, stage: str, settings: Mapping[str, Any], now: datetime) -> bool:
    """Tell whether the voucher of a mark is late: at the stage that waits for it what was sent stands again."""
    if (
        stage == "immediate"
        or settings.get("vouchers") != "required"
        or mark.voucher_due is None
        or mark.voucher_due > now
    ):
        return False
    return mark.proof_at is None or mark.proof_at >= mark.voucher_due


def _explain_manual(mark: MarkFacts, end: StageEnd, settings: Mapping[str, Any]) -> str | None:
    if end.stage != "completed" or settings.get("manual") != "completed":
        return (
            "manual values count at the completed stage alone" if end.stage != "completed" else "setting manual = never"
        )
    if mark.state != "accepted":
        return "it is not accepted yet"
    hours = int(settings.get("manual_max_hours", _MAX_HOUR_BITS))
    if mark.to_at is None or mark.to_at - mark.from_at > timedelta(hours=hours):
        return f"one manual value covers at most {hours} hours"
    return None
