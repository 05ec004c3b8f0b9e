"""The time of day, real and simulated."""

import asyncio
import time
from datetime import UTC, datetime, timedelta

import pytest

from hj212gw.clock import Clock, from_us, to_us

EPOCH = datetime(2025, 3, 1, tzinfo=UTC)


def test_system_clock_shows_the_real_time():
    """Without arguments the clock is the system's, aware and in UTC."""
    clock = Clock()
    before = datetime.now(UTC)
    now = clock.now()
    assert before - timedelta(microseconds=1) <= now <= datetime.now(UTC)
    assert now.tzinfo is UTC
    assert not clock.is_simulated


def test_now_us_agrees_with_now():
    """Both forms of the time are the same moment."""
    clock = Clock(EPOCH, 1.0)
    before = from_us(clock.now_us())
    assert before <= clock.now() <= from_us(clock.now_us())


def test_simulated_clock_begins_at_its_epoch_and_runs_at_its_speed():
    """A clock at speed 1000 advances a thousand seconds in one."""
    started = time.monotonic()
    clock = Clock(EPOCH, 1000.0)
    after_start = time.monotonic()
    shown = (clock.now() - EPOCH).total_seconds()
    at_most = (time.monotonic() - started) * 1000
    assert 0 <= shown <= at_most
    later = (clock.now() - EPOCH).total_seconds()
    assert later >= (time.monotonic() - after_start) * 1000 - 1000
    assert clock.is_simulated


def test_speed_alone_begins_at_the_real_time():
    """Without an epoch a fast clock begins now."""
    assert abs(Clock(speed=2.0).now() - datetime.now(UTC)) < timedelta(seconds=5)


def test_simulated_clock_never_goes_back():
    """Readings of a fast clock are in order."""
    clock = Clock(EPOCH, 1e6)
    shown = [clock.now_us() for _ in range(1000)]
    assert shown == sorted(shown)


def test_clocks_of_one_origin_agree():
    """A process that starts later, or again, goes on where the others are."""
    origin = datetime.now(UTC) - timedelta(seconds=100)
    first = Clock(EPOCH, 60.0, origin=origin)
    second = Clock(EPOCH, 60.0, origin=origin)
    assert abs(first.now() - second.now()) < timedelta(seconds=60)
    assert first.now() - EPOCH >= timedelta(seconds=6000)


def test_origin_alone_keeps_the_real_time_at_the_origin():
    """A fast clock without epoch shows the real time at its origin."""
    origin = datetime.now(UTC) - timedelta(seconds=10)
    assert Clock(speed=3.0, origin=origin).now() - origin >= timedelta(seconds=30)


async def test_sleep_is_shorter_by_the_speed():
    """An hour at speed 100,000 takes 36 ms."""
    clock = Clock(EPOCH, 100_000.0)
    before = clock.now()
    async with asyncio.timeout(10):
        await clock.sleep(3600)
    assert clock.now() - before >= timedelta(minutes=59)
    assert clock.real_secs(3600) == pytest.approx(0.036)


async def test_sleep_until_waits_for_a_moment_to_come_and_not_for_one_that_passed():
    """The clock shows at least the moment afterwards."""
    clock = Clock(EPOCH, 100_000.0)
    moment = clock.now() + timedelta(hours=1)
    async with asyncio.timeout(10):
        await clock.sleep_until(moment)
        await clock.sleep_until(EPOCH)
    assert clock.now() >= moment - timedelta(minutes=2)


@pytest.mark.parametrize("speed", [0, -1.0])
def test_speed_must_be_above_zero(speed):
    """A clock that stands or runs back is refused."""
    with pytest.raises(ValueError, match="above 0"):
        Clock(EPOCH, speed)


@pytest.mark.parametrize("us", [0, 1, 1_700_000_000_123_456, 253_402_300_799_999_999])
def test_microseconds_survive_the_round_trip(us):
    """No microsecond is lost to floating point, up to the year 9999."""
    assert to_us(from_us(us)) == us
