"""A mark in words: a line of `mark list`, a document, how it stands with its voucher."""

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hj212gw.store.marks import StoredMark

COLUMNS = ("id", "outlet", "factor", "kind", "from", "to", "value", "state", "by", "source", "author", "voucher")


def show_voucher(mark: "StoredMark", now: datetime) -> str:
    """Say how it stands with a mark's voucher; "" where none is needed or the mark is not in force."""
    from hj212gw.assessment.markdays import days_of, lapsed_through, to_facts  # noqa: PLC0415 - asyncpg is slow to import
    from hj212gw.assessment.stages import voucher_due  # noqa: PLC0415

    if mark.voucher_due is None or mark.state in ("rejected", "void"):
        return ""
    facts = to_facts(mark)
    (first_day, last_day), lapsed = days_of(facts), lapsed_through(facts, now)
    if lapsed is not None and lapsed == last_day:
        return "missed"
    open_day = first_day if lapsed is None else lapsed + timedelta(days=1)
    shown = "there" if mark.proof_at is not None else f"due before {_show_moment(voucher_due(open_day))}"
    return shown if lapsed is None else f"{shown} for the days from {open_day} on, missed for those before"


def _show_moment(moment: datetime | None) -> str:
    from hj212gw.registry.cells import format_moment  # noqa: PLC0415 - slow to import

    return "" if moment is None else format_moment(moment)


def to_cells(mark: "StoredMark", now: datetime) -> list[Any]:
    """Return a mark as a line of `list`."""
    period = (_show_moment(mark.from_at), _show_moment(mark.to_at) or "open")
    said = (mark.value, mark.state, mark.decided_by, mark.source, mark.author)
    return [mark.mark_id, mark.outlet, mark.factor, mark.kind, *period, *said, show_voucher(mark, now)]


def to_document(mark: "StoredMark", now: datetime) -> dict[str, Any]:
    """Return a mark for JSON: moments on UTC+8 with their offset, the period as in files."""
    from hj212gw.protocol.times import WIRE_ZONE  # noqa: PLC0415 - slow to import
    from hj212gw.registry.markkinds import KINDS_OF_MARKS  # noqa: PLC0415

    shown = {
        name: value.astimezone(WIRE_ZONE).isoformat() if isinstance(value, datetime) else value
        for name, value in mark._asdict().items()
        if name not in ("from_at", "to_at", "declared_to")
    }
    period = {
        name: value and value.astimezone(WIRE_ZONE).isoformat()
        for name, value in (("from", mark.from_at), ("to", mark.to_at))
    }
    effect = KINDS_OF_MARKS[mark.kind].effect
    return {**shown, **period, "effect": effect, "voucher": show_voucher(mark, now)}
