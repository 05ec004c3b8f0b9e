"""The days of a mark: for which of them its voucher came too late, which one decides next. Pure."""

from datetime import date, datetime, timedelta

from hj212gw.assessment.stages import vouchers_through
from hj212gw.assessment.verdicts import MarkFacts
from hj212gw.protocol.times import local_day
from hj212gw.registry.markkinds import KINDS_OF_MARKS
from hj212gw.store.marks import StoredMark

_INSTANT = timedelta(microseconds=1)


def to_facts(mark: StoredMark) -> MarkFacts:
    """Return what decides whether a mark holds."""
    named = mark._asdict() | {"effect": KINDS_OF_MARKS[mark.kind].effect}
    return MarkFacts(*(named[name] for name in MarkFacts._fields))


def days_of(mark: MarkFacts) -> tuple[date, date | None]:
    """Return the first and the last day a mark touches; None while it runs on."""
    return local_day(mark.from_at), None if mark.to_at is None else local_day(mark.to_at - _INSTANT)


def lapsed_through(mark: MarkFacts, now: datetime) -> date | None:
    """Return the last of a mark's days whose voucher did not come in time; None where none is lost so."""
    if mark.voucher_due is None:
        return None
    return days_through(mark, vouchers_through(now if mark.proof_at is None else min(now, mark.proof_at)))


def days_through(mark: MarkFacts, day: date) -> date | None:
    """Return the last day a mark touches that is not behind a day; None where it has none."""
    first_day, last_day = days_of(mark)
    last = day if last_day is None else min(day, last_day)
    return last if last >= first_day else None
