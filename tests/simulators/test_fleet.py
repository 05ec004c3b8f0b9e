"""A city on one event loop."""

from datetime import timedelta

import pytest
from tests.simulators.support import EPOCH, ManualClock, make_habits, make_span, run_fleet, running_host

from hj212gw.clock import Clock
from hj212gw.protocol import parse_readings
from hj212sim.fleet import is_complete
from hj212sim.presets import make_yuxi
from hj212sim.report import open_witnesses


async def test_city_delivers_its_schedule():
    """Twenty minutes of a small city: each data logger on a connection of its own, all acked, all clean."""
    profiles = [monitor.profile for monitor in make_yuxi(15, 50).monitors]
    async with running_host() as host:
        report = await run_fleet(profiles, make_span(secs=1200), make_habits(host))
    expected = {
        "2011": sum(1200 // profile.rhythm.rtd_interval_secs for profile in profiles),
        "2051": 2 * 50,
        "2061": 50,
        "2031": 0,
    }
    counts = {cn: report["by_cn"].get(cn, {"acked": 0})["acked"] for cn in expected}
    assert counts == expected
    assert is_complete(report)
    assert host.discards == []
    assert len({(came.connection, came.packet.mn) for came in host.came}) == 50
    assert len({came.raw for came in host.came}) == len(host.came) == sum(expected.values())
    for came in host.came:
        assert (came.packet.warnings, parse_readings(came.packet.cp).warnings) == ((), ())
    assert {packet.mn for packet in host.packets} == {profile.mn for profile in profiles}


@pytest.mark.parametrize("speed", [20_000, 1_000_000])
async def test_seed_and_epoch_decide_the_packets(speed, tmp_path):
    """The same city gives the same packets at any speed of the clock, however far the host lags behind."""
    profiles = [monitor.profile for monitor in make_yuxi(3, 8).monitors]
    lines = []
    for number, clock in enumerate((Clock(EPOCH, speed), ManualClock(10**18))):
        path = tmp_path / str(number)
        async with running_host() as host:
            with open_witnesses(None, path) as witnesses:
                await run_fleet(profiles, make_span(secs=3700), make_habits(host), clock, witnesses)
        lines.append(sorted(path.read_text().splitlines()))
    assert lines[0] == lines[1]
    assert len(lines[0]) > 8 * 60


async def test_other_seed_other_packets(tmp_path):
    """Another seed keeps the schedule and changes the values."""
    profiles = [monitor.profile for monitor in make_yuxi(3, 8).monitors]
    runs = []
    for seed in (1, 2):
        async with running_host() as host:
            await run_fleet(profiles, make_span(secs=120, seed=seed), make_habits(host))
        runs.append(host.came)
    schedules = [sorted((came.packet.mn, came.packet.qn) for came in run) for run in runs]
    assert schedules[0] == schedules[1]
    assert not {came.raw for came in runs[0]} & {came.raw for came in runs[1]}


async def test_packets_wait_for_the_clock():
    """An hour at 7200 times the speed takes half a second, and not less though the host is idle."""
    profile = make_yuxi(1, 1).monitors[0].profile
    clock = Clock(EPOCH, 7200.0)
    async with running_host() as host:
        report = await run_fleet([profile], make_span(secs=3600), make_habits(host), clock)
    assert is_complete(report)
    assert report["acked"] == 3600 // profile.rhythm.rtd_interval_secs + 6 + 1
    assert clock.now() - EPOCH > timedelta(minutes=58)
