"""What times tell: which moment DataTime means, and whether a data logger's clock is right.

Only a live packet tells it, one whose QN is close to its arrival: what was kept during an outage comes late, and
says nothing. Both moments of the comparison are then the data logger's own, and its clock drops out.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import NamedTuple

from hj212gw.protocol.codes import GRAIN_BY_CN
from hj212gw.protocol.faults import Hint, repair
from hj212gw.protocol.packets import Packet
from hj212gw.protocol.times import WIRE_ZONE, format_data_time, parse_qn
from hj212gw.protocol.values import Reading, Readings

LIVE = timedelta(minutes=2)  # most between QN and arrival

_REAL_TIME = "2011"
_FURNACE = "2111"  # 5-minute means (2025 C31)
_FURNACE_MINS = 5
_LEAST_MINS = 1  # HJ 212-2017 table 4, MinInterval
_PERIOD_MINS = {"hour": 60, "day": 1440}
_OLD = timedelta(hours=1)
_AHEAD = timedelta(minutes=2)
_BEHIND = timedelta(minutes=5)
_FAR_BEHIND = timedelta(days=400)  # nothing is sent again after so long
_MOMENT_SECS = 2  # between DataTime and QN of a packet that is labelled with its own moment
_LAST_SECOND = timedelta(seconds=1)


class Moments(NamedTuple):
    """The moments of one packet.

    Attributes:
        data_time: of its readings, None where they have none.
        qn_at: None where QN is no moment.
        received_at: its arrival.
        is_again: marked as sent again (RF=1).
    """

    data_time: datetime | None
    qn_at: datetime | None
    received_at: datetime
    is_again: bool

    @property
    def sent_at(self) -> datetime | None:
        """When it was sent by the data logger's own clock; None where it was not live, or nobody can tell."""
        if self.is_again:
            return None
        if self.qn_at is None:
            return self.received_at
        return self.qn_at if abs(self.qn_at - self.received_at) <= LIVE else None


def take_moments(packet: Packet, readings: Readings | None, received_at: datetime) -> Moments:
    """Take the moments out of a packet."""
    data_time = readings.rows[0].data_time if readings and readings.rows else None
    return Moments(data_time, parse_qn(packet.qn), received_at, packet.rf)


def find_label(cn: str, moments: Moments, rows: Iterable[Reading], interval_mins: int | None) -> str:
    """Tell which moment DataTime of a statistic means: `start`, `end`, `sent`, or "" where it cannot be told.

    Args:
        cn: its command.
        moments: of the packet.
        rows: its readings.
        interval_mins: of minute data; without it a minute is taken, the least there is, and `start` is not told.
    Source: HJ 212-2017, annex C (the start of the period); section 17, row 25 (the moment of sending).
    """
    grain = GRAIN_BY_CN.get(cn, "rtd")
    sent_at, data_time = moments.sent_at, moments.data_time
    if grain == "rtd" or sent_at is None or data_time is None:
        return ""
    known_mins = _FURNACE_MINS if cn == _FURNACE else _PERIOD_MINS.get(grain, interval_mins)
    period = timedelta(minutes=known_mins or _LEAST_MINS)
    lag = sent_at - data_time
    is_near = abs(lag) <= LIVE
    # Far from now nothing is told, and a DataTime of the year 9999 cannot be reckoned with.
    if not is_near and not timedelta(0) < lag < 2 * period:
        return ""
    if not _begins(data_time, period):
        return _label_unaligned(data_time, lag, period)
    if is_near and abs(lag.total_seconds()) < _MOMENT_SECS and _are_moments(rows):
        return "sent"
    if -LIVE / 2 <= lag < period / 2:
        return "end"
    return "start" if known_mins and period <= lag < 2 * period else ""


def _label_unaligned(data_time: datetime, lag: timedelta, period: timedelta) -> str:
    """Tell what a DataTime means at which no period begins: its last second, or the moment of sending."""
    if period > LIVE and _begins(data_time + _LAST_SECOND, period):
        return "end" if lag < period / 2 else ""
    return "sent" if abs(lag) <= LIVE else ""


def hint_label(label: str, cn: str, moments: Moments, in_force: str) -> Hint | None:
    """Propose a label that is not the one in force; the end of a period may also be when it was sent."""
    if label in {"", in_force} or (in_force == "sent" and label == "end") or not moments.data_time:
        return None
    sent_at = moments.sent_at or moments.received_at
    evidence = f"{cn} with DataTime {format_data_time(moments.data_time)} was sent at {format_data_time(sent_at)}"
    return Hint("time_label", label, evidence)


def hint_times(cn: str, moments: Moments) -> list[Hint]:
    """Tell a clock that is off, and old data that is sent as real-time."""
    hints = []
    qn_at, received_at = moments.qn_at, moments.received_at
    skew = qn_at - received_at if qn_at and not moments.is_again else timedelta(0)
    if qn_at and not -_BEHIND <= skew <= _AHEAD:
        secs = int(float(f"{skew.total_seconds():.1e}"))
        evidence = f"QN says {format_data_time(qn_at)} at {format_data_time(received_at)}"
        hints.append(Hint("clock", str(secs), evidence))
    sent_at, data_time = moments.sent_at, moments.data_time
    if cn == _REAL_TIME and qn_at and sent_at and data_time and sent_at - data_time > _OLD:
        evidence = f"DataTime {format_data_time(data_time)} was sent as real-time at {format_data_time(sent_at)}"
        hints.append(repair("old_as_real_time", evidence))
    return hints


def is_certain(what: str, value: str) -> bool:
    """Tell whether one packet proves a proposal; else several in a row have to say the same.

    A clock behind looks like a packet sent late, and so does a period labelled with its start.
    """
    if what == "clock":
        return not -_FAR_BEHIND.total_seconds() <= int(value) <= 0
    return (what, value) != ("time_label", "start")


def _begins(moment: datetime, period: timedelta) -> bool:
    local = moment.astimezone(WIRE_ZONE)
    midnight = local.replace(hour=0, minute=0, second=0, microsecond=0)
    return not (local - midnight) % period


def _are_moments(rows: Iterable[Reading]) -> bool:
    """Tell whether each row's minimum, mean and maximum are one value: no statistic, but one moment's."""
    return all(row.avg is not None and row.min == row.avg == row.max for row in rows)
