"""A load run as numbers: who sends what, how many, and when."""

import pytest
from tests.simulators.load_support import NOW_SECS, make_plan

from hj212gw.errors import ConfigError
from hj212sim.load.plan import check_plan


@pytest.mark.parametrize(("processes", "connections", "loggers"), [(1, 1, 1), (2, 5, 5), (3, 7, 40), (4, 4, 4000)])
def test_every_logger_is_on_one_connection_of_one_process(processes, connections, loggers):
    """Processes share the connections and these the data loggers, none twice, none left out."""
    plan = make_plan(processes=processes, connections=connections, loggers=loggers)
    check_plan(plan)
    shared = [number for process in range(processes) for number in plan.connections_of(process)]
    carried = [logger for connection in shared for logger in plan.loggers_of(connection)]
    assert sorted(shared) == list(range(connections))
    assert sorted(carried) == list(range(loggers))


@pytest.mark.parametrize("packets", [1, 2, 3, 100, 101])
def test_packets_are_shared_whole(packets):
    """The connections' shares sum up to what was asked for and differ by one at most."""
    plan = make_plan(packets=packets)
    shares = [plan.limit_of(connection) for connection in range(plan.connections)]
    assert sum(shares) == packets
    assert max(shares) - min(shares) <= 1


@pytest.mark.parametrize("rate", [None, 300.0])
def test_data_times_end_about_now(rate):
    """The last packet's DataTime is not ahead of the clock, whatever ends the run."""
    assert (
        make_plan(packets=700).place_in_time(NOW_SECS).begin_secs == NOW_SECS - 117
    )  # 234 on a connection, by two data loggers
    plan = make_plan(packets=None, secs=10.0, rate=rate, ramp_secs=2.0).place_in_time(NOW_SECS)
    steps = (rate or 1e6) * 12 / plan.loggers
    assert plan.begin_secs == pytest.approx(NOW_SECS - steps, abs=1)
    assert all(plan.limit_of(connection) > steps for connection in range(plan.connections))


def test_a_run_that_would_go_back_too_far_is_refused():
    """A gateway takes no DataTime of over 400 days ago."""
    with pytest.raises(ConfigError, match="more --loggers"):
        make_plan(packets=100_000_000, connections=1, loggers=1).place_in_time(NOW_SECS)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        pytest.param({"loggers": 2}, "--loggers 2: expected 3", id="a connection without a data logger"),
        pytest.param({"loggers": 3001}, "to 3000", id="more than a QN can tell apart"),
        pytest.param({"processes": 4}, "--processes 4", id="a process without a connection"),
        pytest.param({"secs": 1.0}, "one of them", id="two ends"),
    ],
)
def test_what_cannot_be_run_is_refused(changes, words):
    """The message names the option and what is accepted."""
    with pytest.raises(ConfigError, match=words):
        check_plan(make_plan(**changes))
