"""One page of metrics made of those of several processes; pure.

A worker tells a snapshot of its own registry. Counters and histograms are summed, gauges as `GAUGE_MERGES` says. What
a worker had counted before it ended stays in the sum, so that no counter goes back when its successor begins at 0; what
it counted after its last snapshot is not known to anybody.
"""

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from copy import copy
from typing import Any, NamedTuple, Protocol

from hj212gw.telemetry import GAUGE_MERGES, REGISTRY, Merge

_OWN_PROCESS = "process_"


class Sample(Protocol):
    """One series and its value."""

    name: str
    labels: dict[str, str]
    value: float

    def _replace(self, *, value: float) -> "Sample":
        """Give the same series with another value."""
        ...


class Family(Protocol):
    """What has one name: its kind, and a sample for each series."""

    name: str
    type: str
    samples: list[Any]


class Collector(Protocol):
    """What gives families of metrics: a registry, or several merged into one."""

    def collect(self) -> Iterable[Any]:
        """Give all families with their samples."""
        ...


class Snapshot(NamedTuple):
    """The samples of one process, by name and labels: what only grows, and what goes up and down."""

    counters: Mapping[str, float]
    gauges: Mapping[str, float]

    @classmethod
    def parse(cls, document: Any) -> "Snapshot":
        """Read what `_asdict` gave, come back from JSON.

        Raises:
            ValueError: it is not that.
        """
        try:
            return cls(*({str(key): float(value) for key, value in document[name].items()} for name in cls._fields))
        except (AttributeError, KeyError, TypeError) as error:
            raise ValueError("expected the snapshot of a registry") from error


def take_snapshot(collector: Collector = REGISTRY) -> Snapshot:
    """Read every sample there is now."""
    snapshot = Snapshot({}, {})
    for family in collector.collect():
        target = snapshot.gauges if family.type == "gauge" else snapshot.counters
        assert isinstance(target, dict)
        target.update((_key(sample), sample.value) for sample in family.samples)
    return snapshot


class MergedMetrics:
    """The families of this process's registry with the values of all processes.

    Args:
        own: the registry of this process, the supervisor; it names the families too.
    """

    def __init__(self, own: Collector = REGISTRY) -> None:
        self._own = own
        self._alive: dict[int, Snapshot] = {}
        self._ended: defaultdict[str, float] = defaultdict(float)

    def note(self, worker: int, snapshot: Snapshot) -> None:
        """Take a worker's newest snapshot in place of the one before."""
        self._alive[worker] = snapshot

    def end(self, worker: int) -> None:
        """Take note that a worker's process ended.

        What it counted stays for good; what its journal holds stays until its successor says.
        """
        last = self._alive.pop(worker, None)
        if last is None:
            return
        for key, value in last.counters.items():
            self._ended[key] += value
        gauges = {key: value for key, value in last.gauges.items() if not key.startswith(_OWN_PROCESS)}
        self._alive[worker] = Snapshot({}, gauges)

    def collect(self) -> Iterator[Family]:
        """Give all families with their merged samples."""
        for family in self._own.collect():
            merged = copy(family)
            merge = self._gauge if family.type == "gauge" else self._sum
            merged.samples = [sample._replace(value=merge(family.name, sample)) for sample in family.samples]
            yield merged

    def _sum(self, _family: str, sample: Sample) -> float:
        key = _key(sample)
        counted = sum(snapshot.counters.get(key, 0.0) for snapshot in self._alive.values())
        return float(sample.value + counted + self._ended.get(key, 0.0))

    def _gauge(self, family: str, sample: Sample) -> float:
        key = _key(sample)
        values = [sample.value, *(snapshot.gauges.get(key, math.nan) for snapshot in self._alive.values())]
        return merge_values(GAUGE_MERGES[family], values)


_RULES: Mapping[Merge, Callable[[list[float]], float]] = {Merge.SUM: math.fsum, Merge.MIN: min, Merge.MAX: max}


def merge_values(merge: Merge, values: Iterable[float]) -> float:
    """Make one value of many; NaN when none of them is a number."""
    known = [value for value in values if not math.isnan(value)]
    return _RULES[merge](known) if known else math.nan


def _key(sample: Sample) -> str:
    labels = ",".join(f"{name}={value}" for name, value in sorted(sample.labels.items()))
    return f"{sample.name}{{{labels}}}" if labels else sample.name
