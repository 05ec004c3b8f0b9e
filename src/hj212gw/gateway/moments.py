"""What is believed of the moments a data logger names, beside the arrival of its packet."""

from datetime import datetime, timedelta

OLDEST_DATA = timedelta(days=400)
NEWEST_DATA = timedelta(days=1)

_MAX_QN_DIGITS = 18  # fits a bigint


def is_plausible(moment: datetime, received_at: datetime) -> bool:
    """Tell whether a DataTime lies within 400 days before its arrival and a day after."""
    return -OLDEST_DATA <= moment - received_at <= NEWEST_DATA


def qn_number(qn: str) -> int | None:
    """Return a QN's digits as a number, None where it has none or more than fit."""
    return int(qn) if 0 < len(qn) <= _MAX_QN_DIGITS else None
