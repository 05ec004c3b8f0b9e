"""Wire times: QN and DataTime text to aware UTC datetimes and back. The wire runs on UTC+8."""

from datetime import UTC, date, datetime, timedelta, timezone
from functools import lru_cache

WIRE_ZONE = timezone(timedelta(hours=8))  # 14.3: loggers run on Beijing time, no daylight saving

DATA_TIME_DIGITS = 14
_QN_DIGITS = 17
_AHEAD = timedelta(hours=8)
_MILLISECONDS = tuple(timedelta(milliseconds=count) for count in range(1000))  # to make one takes longer than to add it


def parse_qn(text: str) -> datetime | None:
    """Read a QN, `YYYYMMDDhhmmssZZZ`, as a moment in UTC; None where it is none (6.3.2 table 3)."""
    if len(text) != _QN_DIGITS or not text.isdigit() or not text.isascii():
        return None
    moment = parse_data_time(text[:DATA_TIME_DIGITS])
    return moment and moment + _MILLISECONDS[int(text[DATA_TIME_DIGITS:])]


@lru_cache(maxsize=4096)  # data loggers send about the same moment at about the same time
def parse_data_time(text: str) -> datetime | None:
    """Read `YYYYMMDDhhmmss` as a moment in UTC; None where it is no such moment.

    Sixteen and seventeen digits occur in the field: what follows the seconds is taken as a fraction.
    """
    if not DATA_TIME_DIGITS <= len(text) <= _QN_DIGITS or not text.isdigit() or not text.isascii():
        return None
    if text[8:10] == "24":  # midnight by ISO 8601, which later Pythons read; no edition knows it
        return None
    try:
        # A fifth of the time that datetime(int(...), ...).astimezone(UTC) takes.
        moment = datetime.fromisoformat(f"{text[:8]}T{text[8:14]}Z") - _AHEAD
    except (ValueError, OverflowError):
        return None
    return moment + timedelta(seconds=float(f".{text[14:]}")) if len(text) > DATA_TIME_DIGITS else moment


def format_qn(moment: datetime) -> str:
    """Write a moment as a QN, milliseconds included."""
    local = moment.astimezone(WIRE_ZONE)
    return f"{local:%Y%m%d%H%M%S}{local.microsecond // 1000:03d}"


def format_data_time(moment: datetime) -> str:
    """Write a moment as a DataTime, whole seconds, any fraction cut off."""
    return f"{moment.astimezone(WIRE_ZONE):%Y%m%d%H%M%S}"


@lru_cache(maxsize=4096)  # many rows are of few moments
def local_day(moment: datetime) -> date:
    """Tell the local (UTC+8) day of an aware moment."""
    return moment.astimezone(WIRE_ZONE).date()


def start_of(day: date) -> datetime:
    """Tell the moment a local day begins, in UTC."""
    return datetime(day.year, day.month, day.day, tzinfo=WIRE_ZONE).astimezone(UTC)
