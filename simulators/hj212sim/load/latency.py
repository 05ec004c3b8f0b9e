"""Latencies in bounded memory: 1024 steps to each power of two, so within a thousandth of the truth."""

import math
from collections.abc import Mapping

FINE_BITS = 10  # below 2048 µs every microsecond has a place of its own
_PLACES = 26 << FINE_BITS  # up to nine hours
_US = 1_000_000


class Latencies:
    """A histogram of durations.

    Attributes:
        counts: by place; `place_of` tells it. A loop that cannot afford a call may add to it itself.
    """

    def __init__(self) -> None:
        self.counts = [0] * (_PLACES + 1)

    def add(self, secs: float) -> None:
        """Count one duration."""
        self.counts[place_of(int(secs * _US))] += 1

    def merge(self, filled: Mapping[int, int]) -> None:
        """Add what another histogram counted, in the form of `filled`."""
        for place, count in filled.items():
            self.counts[place] += count

    def filled(self) -> dict[int, int]:
        """Return the counts that are not 0, by place."""
        return {place: count for place, count in enumerate(self.counts) if count}

    def quantile_ms(self, share: float) -> float | None:
        """Return the duration, milliseconds, that this share of all stayed within; None without any."""
        rank = math.ceil(share * sum(self.counts))
        for place, count in enumerate(self.counts):
            rank -= count
            if count and rank <= 0:
                return round(least_us(place) / 1000, 3)
        return None


def place_of(duration_us: int) -> int:
    """Tell where a duration is counted; a negative one counts as 0, the longest share the last place."""
    duration_us = max(0, duration_us)
    shift = max(0, duration_us.bit_length() - FINE_BITS - 1)
    return min((shift << FINE_BITS) + (duration_us >> shift), _PLACES)


def least_us(place: int) -> int:
    """Tell the shortest duration that is counted in a place, microseconds."""
    shift = max(0, (place >> FINE_BITS) - 1)
    return (place - (shift << FINE_BITS)) << shift
