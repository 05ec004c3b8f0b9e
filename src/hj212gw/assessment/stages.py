"""When the stages of a day end, and through which day each is frozen (assessment.md section 5)."""

from datetime import date, datetime, timedelta

from hj212gw.protocol.times import WIRE_ZONE, local_day, start_of

_DAY = timedelta(days=1)
_VOUCHER_DAY = 11  # vouchers are there by the end of the 10th of the next month
_DECEMBER = 12


def voucher_due(day: date) -> datetime:
    """Return the moment before which the vouchers of a day's marks are due."""
    year, month = (day.year + 1, 1) if day.month == _DECEMBER else (day.year, day.month + 1)
    return start_of(date(year, month, _VOUCHER_DAY))


def vouchers_through(moment: datetime) -> date:
    """Return the last day whose vouchers had to be there before a moment, or at it."""
    day = local_day(moment).replace(day=1) - _DAY
    while voucher_due(day) > moment:
        day = day.replace(day=1) - _DAY
    return day


def immediate_through(after: timedelta, known_upto: datetime) -> date:
    """Return the last day whose immediate stage is over, where all that came before `known_upto` is there."""
    return _last_day_before(known_upto - after)


def completed_through(after: timedelta, known_upto: datetime, now: datetime, *, needs_vouchers: bool) -> date:
    """Return the last day whose completed stage is over, with its vouchers where they are asked for."""
    day = _last_day_before(known_upto - after)
    return min(day, vouchers_through(now)) if needs_vouchers else day


def _last_day_before(moment: datetime) -> date:
    """Return the last day of UTC+8 that has ended before a moment: a day's last moment of grace is included."""
    local = (moment - timedelta(microseconds=1)).astimezone(WIRE_ZONE)
    return local.date() - _DAY
