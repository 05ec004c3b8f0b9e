"""What falls due when, and which time it stands for."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.simulators.support import EPOCH_US

from hj212gw.clock import from_us, to_us
from hj212sim.schedule import DAY, HOUR, KNOWN_CNS, MIN_INTERVALS_MINS, MINUTE, REAL_TIME, US, Rhythm, Schedule

LOCAL = timezone(timedelta(hours=8))


def local(secs):
    """A time as the wire shows it."""
    return datetime.fromtimestamp(secs, LOCAL)


def take_all(schedule):
    """Take every upload of a schedule that ends."""
    uploads = []
    while schedule.next_due_us is not None:
        assert uploads == [] or uploads[-1].due_us <= schedule.next_due_us
        uploads.append(schedule.take())
    return uploads


@pytest.mark.parametrize(
    ("cn", "due", "start", "secs"),
    [
        pytest.param(REAL_TIME, "2026-01-01T08:00:04", "2026-01-01T08:00:04", 0, id="moment"),
        pytest.param(MINUTE, "2026-01-01T08:00:07", "2026-01-01T07:50:00", 600, id="ten minutes"),
        pytest.param(HOUR, "2026-01-01T08:00:14", "2026-01-01T07:00:00", 3600, id="hour"),
        pytest.param(DAY, "2026-01-02T00:00:28", "2026-01-01T00:00:00", 86_400, id="day of UTC+8"),
    ],
)
def test_labels_are_the_start_of_the_period(cn, due, start, secs):
    """2011 is labelled with its moment, statistics with the start of their period, and sent after its end."""
    upload = Schedule((cn,), Rhythm(30, 10, phase_ms=4000, delay_ms=7000), start_us=EPOCH_US).take()
    assert from_us(upload.due_us).astimezone(LOCAL).replace(tzinfo=None).isoformat() == due
    assert local(upload.start_secs).replace(tzinfo=None).isoformat() == start
    assert upload.secs == secs


def test_counts_of_a_day():
    """A day has 2880 uploads every 30 s, 144 of ten minutes, 24 of an hour and one of the day."""
    schedule = Schedule(KNOWN_CNS, Rhythm(30, 10, 11, 22), start_us=EPOCH_US)
    schedule.end_at(EPOCH_US + 86_400 * US)
    uploads = take_all(schedule)
    counts = {cn: sum(upload.cn == cn for upload in uploads) for cn in KNOWN_CNS}
    assert counts == {REAL_TIME: 2880, MINUTE: 144, HOUR: 24, DAY: 1}
    assert len({(upload.cn, upload.start_secs) for upload in uploads}) == len(uploads)


def test_first_upload_may_be_due_at_once():
    """An upload whose time is the very start counts, one a microsecond before does not."""
    at_once = Schedule((REAL_TIME,), Rhythm(30, 10), start_us=EPOCH_US)
    late = Schedule((REAL_TIME,), Rhythm(30, 10), start_us=EPOCH_US + 1)
    assert at_once.next_due_us == EPOCH_US
    assert late.next_due_us == EPOCH_US + 30 * US


def test_end_is_not_part_of_the_run():
    """Nothing falls due at the end or later, and an earlier end holds."""
    schedule = Schedule((REAL_TIME,), Rhythm(30, 10), start_us=EPOCH_US)
    schedule.end_at(EPOCH_US + 60 * US)
    schedule.end_at(EPOCH_US + 600 * US)
    assert [upload.due_us - EPOCH_US for upload in take_all(schedule)] == [0, 30 * US]


@given(
    count=st.integers(1, 200),
    interval=st.integers(1, 3600),
    minutes=st.sampled_from(MIN_INTERVALS_MINS),
    phase_ms=st.integers(0, 5_000),
    start_us=st.integers(to_us(datetime(2000, 1, 1, tzinfo=UTC)), to_us(datetime(2100, 1, 1, tzinfo=UTC))),
)
def test_count_and_qn(count, interval, minutes, phase_ms, start_us):
    """Any rhythm gives exactly the uploads asked for, in order of time, each with a QN of its own that rises."""
    rhythm = Rhythm(interval, minutes, phase_ms, phase_ms)
    schedule = Schedule(KNOWN_CNS, rhythm, start_us=start_us)
    end_us = schedule.end_after(count)
    uploads = take_all(schedule)
    assert len(uploads) == count
    assert start_us <= uploads[0].due_us <= uploads[-1].due_us == end_us
    qns = [upload.qn_ms for upload in uploads]
    assert qns == sorted(set(qns))
    assert all(upload.qn_ms - upload.due_us // 1000 < len(KNOWN_CNS) * (1 + count) for upload in uploads)
