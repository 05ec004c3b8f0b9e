"""Latencies in bounded memory."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hj212sim.load.latency import Latencies, least_us, place_of


@given(st.integers(0, 2**34))
def test_a_place_is_within_a_thousandth(duration_us):
    """What is read from a place is at most a thousandth below what was counted there."""
    least = least_us(place_of(duration_us))
    assert least <= duration_us
    assert duration_us - least <= duration_us / 1024


@given(st.integers(0, 2**34), st.integers(0, 2**34))
def test_places_keep_the_order(one_us, other_us):
    """A longer duration has no lower place."""
    assert (one_us <= other_us) <= (place_of(one_us) <= place_of(other_us))


def test_extremes_are_counted():
    """A clock that goes back and a week count as the least and the most."""
    latencies = Latencies()
    latencies.add(-1.0)
    latencies.add(604_800.0)
    assert sum(latencies.counts) == 2
    assert latencies.quantile_ms(0.5) == 0.0
    assert latencies.quantile_ms(1.0) > 9 * 3_600_000


def test_quantiles_are_of_ranks():
    """Of 1 to 100 ms the 50th and the 99th are median and 99th percentile; without any there is none."""
    latencies = Latencies()
    assert latencies.quantile_ms(0.5) is None
    for ms in range(100, 0, -1):
        latencies.add(ms / 1000)
    found = [latencies.quantile_ms(share) for share in (0.5, 0.9, 0.99, 1.0)]
    assert found == pytest.approx([50.0, 90.0, 99.0, 100.0], rel=0.001)


def test_histograms_are_merged():
    """What two processes counted is as if one had."""
    one, other, both = Latencies(), Latencies(), Latencies()
    for number in range(1000):
        (one if number % 3 else other).add(number / 777)
        both.add(number / 777)
    one.merge(other.filled())
    assert one.counts == both.counts
