"""What a data logger sends when: its uploads in the order they fall due.

Nothing is made ahead: an upload comes into being when it is taken, so a schedule that nobody serves lags and does
not grow. Its bytes follow from it (`uploads.py`), so one that waits is a few numbers.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from heapq import merge
from itertools import count as counter
from itertools import islice
from typing import NamedTuple

from hj212sim.edits import Edits

US = 1_000_000
_HOUR_SECS = 3600
_DAY_SECS = 86_400
_WIRE_OFFSET_SECS = 8 * _HOUR_SECS  # days begin at midnight on UTC+8

REAL_TIME = "2011"
MINUTE = "2051"
HOUR = "2061"
DAY = "2031"
KNOWN_CNS = (REAL_TIME, MINUTE, HOUR, DAY)
STATE = "2021"  # of equipment, at the start and every hour
RUN_TIME = "2041"  # of equipment, a day's
BOOT = "2081"  # of the data logger, at the start and every day; 2005 has none
MORE_CNS = (STATE, RUN_TIME, BOOT)  # sent where asked for; they carry no readings
MOMENT_CNS = frozenset((REAL_TIME, STATE, BOOT))
MIN_INTERVALS_MINS = (1, 2, 3, 4, 5, 6, 10, 12, 15, 20, 30)  # HJ 212-2017 table 4, MinInterval


@dataclass(slots=True)
class Upload:
    """One packet to be delivered.

    Attributes:
        cn: its command.
        due_us: when it fell due, microseconds since 1970 UTC.
        start_secs: start of the time its values stand for, seconds since 1970 UTC: its DataTime.
        secs: length of that time; 0 for a moment.
        qn_ms: its QN, milliseconds since 1970 UTC; unique for its data logger.
        transmissions: how often it was sent.
        edits: what is changed in its values, by code; None for nothing.
        deadline_us: by when it has to be acknowledged for a plan to hold; 0 for any time.
    """

    cn: str
    due_us: int
    start_secs: int
    secs: int
    qn_ms: int
    transmissions: int = 0
    edits: Edits | None = None
    deadline_us: int = 0


class Rhythm(NamedTuple):
    """How a data logger's uploads are spaced.

    Attributes:
        rtd_interval_secs: between two 2011.
        min_interval_mins: length of the period of a 2051.
        phase_ms: what its 2011 come after whole intervals.
        delay_ms: what its statistics come after the end of their period, hours and days some more.
    """

    rtd_interval_secs: int
    min_interval_mins: int
    phase_ms: int = 0
    delay_ms: int = 0


@dataclass(slots=True)
class _Series:
    """One command's uploads, evenly spaced."""

    cn: str
    period_us: int
    delay_us: int
    due_us: int = 0


class Schedule:
    """The uploads of one data logger, endless until told otherwise.

    Args:
        cns: commands it sends, of `KNOWN_CNS` and `MORE_CNS`.
        rhythm: their spacing.
        start_us: the first upload is due then or later; a period that ends after it counts.
    """

    def __init__(self, cns: Iterable[str], rhythm: Rhythm, *, start_us: int) -> None:
        self._series = [_make_series(cn, rhythm, start_us) for cn in cns]
        self._end_us: int | None = None
        self._remaining: int | None = None
        self._last_qn_ms = 0
        self._next = self._find_next()

    @property
    def next_due_us(self) -> int | None:
        """When the next upload falls due; None when there is none."""
        return self._next.due_us if self._next is not None else None

    def is_over(self, now_us: int) -> bool:
        """Tell whether nothing falls due any more, though what fell due before may not have been taken."""
        return self._next is None or (self._end_us is not None and now_us >= self._end_us)

    def end_at(self, end_us: int) -> None:
        """Let nothing fall due at this moment or later."""
        self._end_us = end_us if self._end_us is None else min(self._end_us, end_us)
        self._next = self._find_next()

    def end_after(self, count: int) -> int:
        """Let only so many uploads be taken, at least one; return when the last of them is due."""
        self._remaining = count
        dues = merge(*(counter(series.due_us, series.period_us) for series in self._series))
        return next(islice(dues, count - 1, None))

    def take(self) -> Upload:
        """Take the upload that falls due next; there must be one."""
        series = self._next
        assert series is not None
        due_us = series.due_us
        series.due_us += series.period_us
        if self._remaining is not None:
            self._remaining -= 1
        self._next = self._find_next()
        # Two uploads may fall due in one millisecond; a QN tells one from another (HJ 212-2017 6.3.2 table 3).
        self._last_qn_ms = max(due_us // 1000, self._last_qn_ms + 1)
        if series.cn in MOMENT_CNS:
            return Upload(series.cn, due_us, due_us // US, 0, self._last_qn_ms)
        start_us = due_us - series.delay_us - series.period_us
        return Upload(series.cn, due_us, start_us // US, series.period_us // US, self._last_qn_ms)

    def _find_next(self) -> _Series | None:
        series = min(self._series, key=_due, default=None)
        is_over = series is None or (self._end_us is not None and series.due_us >= self._end_us)
        return None if is_over or self._remaining == 0 else series


def hour_delay_us(rhythm: Rhythm) -> int:
    """Tell how long after its end an hour is sent."""
    return 2 * rhythm.delay_ms * 1000


def _due(series: _Series) -> int:
    return series.due_us


def _make_series(cn: str, rhythm: Rhythm, start_us: int) -> _Series:
    delay_ms = rhythm.delay_ms
    if cn == REAL_TIME:
        series = _Series(cn, rhythm.rtd_interval_secs * US, rhythm.phase_ms * 1000)
    elif cn == MINUTE:
        series = _Series(cn, rhythm.min_interval_mins * 60 * US, delay_ms * 1000)
    elif cn == HOUR:
        series = _Series(cn, _HOUR_SECS * US, hour_delay_us(rhythm))
    elif cn in MOMENT_CNS:
        period_us = (_HOUR_SECS if cn == STATE else _DAY_SECS) * US
        series = _Series(cn, period_us, start_us % period_us)
    else:
        series = _Series(cn, _DAY_SECS * US, 4 * delay_ms * 1000)
    # Uploads fall due at whole periods plus their delay; only for days the wire's zone matters.
    offset_secs = _WIRE_OFFSET_SECS if cn in (DAY, RUN_TIME) else 0
    past_us = (start_us + offset_secs * US - series.delay_us) % series.period_us
    series.due_us = start_us + (-past_us % series.period_us)
    return series
