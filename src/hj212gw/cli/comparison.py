"""What `hj212gw upstream compare` prints."""

from collections.abc import Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from hj212gw.cli.output import print_table, say

if TYPE_CHECKING:
    from hj212gw.assessment.compare import Compared, Comparison
    from hj212gw.assessment.reproduce import Choice, Names, Percents, Verdict

_PERCENT_NAMES = ("transmission_pct", "validity_pct", "effective_pct")
_MOST_SHOWN = 10


def to_document(found: "Comparison") -> dict[str, Any]:
    """Return a comparison for JSON; percents are text, as they are shown."""
    return {
        "policy": found.policy.name,
        "days": [_row_to_document(row) for row in found.rows],
        "settings": [_verdict_to_document(verdict) for verdict in found.verdicts],
        "combinations": None
        if found.combinations is None
        else [_name(found.names, choice) for choice in found.combinations],
    }


def print_comparison(found: "Comparison") -> None:
    """Print a comparison: days, then settings, then the combinations that give every day."""
    columns = ("outlet", "day", "stage", "theirs", "ours", "difference", "from their hours", "difference", "given by")
    rows = [
        (
            *row.rate.key,
            row.rate.effective_pct,
            row.local and row.local[2],
            row.difference(row.local),
            row.recomputed and row.recomputed[2],
            row.difference(row.recomputed),
            _tell_outcome(found, row),
        )
        for row in found.rows
    ]
    print_table(columns, rows)
    told = [verdict for verdict in found.verdicts if verdict.reproduces + verdict.fails]
    if told:
        say("")
        say("settings that changed a figure, and the days on which they can give theirs:")
        for verdict in told:
            say(f"  {_tell_verdict(verdict)}")
    _say_combinations(found)


def _row_to_document(row: "Compared") -> dict[str, Any]:
    outcome = row.outcome
    return {
        "outlet": row.rate.outlet,
        "day": row.rate.day.isoformat(),
        "stage": row.rate.stage,
        "theirs": _show(row.theirs),
        "local": _show(row.local),
        "difference": _text(row.difference(row.local)),
        "recomputed": _show(row.recomputed),
        "recomputed_difference": _text(row.difference(row.recomputed)),
        "tried": outcome and outcome.tried,
        "matters": outcome and list(outcome.matters),
        "reproduced_by": outcome and [_name(outcome.matters, choice) for choice in outcome.reproduced_by],
    }


def _verdict_to_document(verdict: "Verdict") -> dict[str, Any]:
    first = verdict.ruled_out_by
    return {
        "setting": verdict.name,
        "value": verdict.value,
        "configured": verdict.is_configured,
        "reproduces_days": verdict.reproduces,
        "fails_days": verdict.fails,
        "ruled_out": first is not None,
        "ruled_out_by": first and {"outlet": first.outlet, "day": first.day.isoformat(), "stage": first.stage},
    }


def _tell_outcome(found: "Comparison", row: "Compared") -> str:
    outcome = row.outcome
    if outcome is None:
        return "no hours of theirs"
    if not outcome.reproduced_by:
        return f"none of {outcome.tried} combinations"
    used = tuple(found.values[name][0] for name in outcome.matters)
    best = outcome.reproduced_by[0]
    changes = [
        f"{name}={_value(value)}"
        for name, value, configured in zip(outcome.matters, best, used, strict=True)
        if value != configured
    ]
    more = len(outcome.reproduced_by) - 1
    return (", ".join(changes) or "the settings in use") + (f" and {more} more" if more else "")


def _tell_verdict(verdict: "Verdict") -> str:
    first = verdict.ruled_out_by
    used = ", in use" if verdict.is_configured else ""
    outcome = f"ruled out by {first.outlet} {first.day} {first.stage}" if first else "not ruled out"
    count = verdict.reproduces + verdict.fails
    return f"{verdict.name}={_value(verdict.value)}{used}: {verdict.reproduces} of {count} days, {outcome}"


def _say_combinations(found: "Comparison") -> None:
    if not found.names:
        return
    if found.combinations is None:
        say("the settings that matter are too many to be tried on all days together: compare fewer days")
        return
    if not found.combinations:
        say("no combination gives all of these days")
        return
    say(f"{len(found.combinations)} combinations give all days that any gives:")
    for choice in found.combinations[:_MOST_SHOWN]:
        named = zip(found.names, choice, strict=True)
        say(f"  {' '.join(f'{name}={_value(value)}' for name, value in named)}")
    if len(found.combinations) > _MOST_SHOWN:
        say(f"  and {len(found.combinations) - _MOST_SHOWN} more: --json has them all")


def _name(names: "Names", choice: "Choice") -> dict[str, Any]:
    return dict(zip(names, choice, strict=True))


def _show(percents: "Percents | None") -> dict[str, str | None] | None:
    return None if percents is None else dict(zip(_PERCENT_NAMES, map(_text, percents), strict=True))


def _text(value: Decimal | None) -> str | None:
    return None if value is None else f"{value:.2f}"


def _value(value: Any) -> str:
    return (
        " ".join(map(str, value)) or "none"
        if isinstance(value, Sequence) and not isinstance(value, str)
        else str(value)
    )
