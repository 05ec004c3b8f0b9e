"""One page of several registries: counters summed and never less than they were, gauges by their rule."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from hj212gw import telemetry
from hj212gw.merging import MergedMetrics, Snapshot, merge_values, take_snapshot
from hj212gw.telemetry import GAUGE_MERGES, REGISTRY, Merge

NAN = math.nan


class Process:
    """A registry as every process has one, with families of all kinds."""

    def __init__(self):
        self.registry = CollectorRegistry()
        self.packets = Counter("hj212gw_frames", "Frames", ["reason"], registry=self.registry)
        self.crc, self.length = self.packets.labels("crc"), self.packets.labels("length")
        self.pending = Gauge("hj212gw_journal_pending_packets", "Pending", registry=self.registry)
        self.oldest = Gauge("hj212gw_journal_oldest_pending_timestamp_seconds", "Oldest", registry=self.registry)
        self.full = Gauge("hj212gw_journal_full", "Full", registry=self.registry)
        self.memory = Gauge("process_resident_memory_bytes", "Memory", registry=self.registry)
        self.secs = Histogram("hj212gw_secs", "Time", buckets=(1.0, 2.0), registry=self.registry)
        self.oldest.set(NAN)

    def snapshot(self):
        """What it tells its supervisor."""
        return take_snapshot(self.registry)


def read(merged):
    """Every merged sample by name and labels."""
    return {
        (sample.name, *sample.labels.values()): sample.value for family in merged.collect() for sample in family.samples
    }


@pytest.fixture
def supervisor():
    """The registry of the process that merges."""
    return Process()


@pytest.fixture
def merged(supervisor):
    """What it shows."""
    return MergedMetrics(supervisor.registry)


def test_counters_and_histograms_are_summed_and_gauges_merged(supervisor, merged):
    """Each sample by its labels, over all workers and the supervisor."""
    workers = [Process(), Process()]
    for number, worker in enumerate(workers):
        worker.crc.inc(2 + number)
        worker.pending.set(10 + number)
        worker.memory.set(100)
        worker.secs.observe(0.5 + number)
        merged.note(number, worker.snapshot())
    workers[0].length.inc()
    workers[1].oldest.set(1700000000)
    workers[1].full.set(1)
    supervisor.memory.set(50)
    for number, worker in enumerate(workers):
        merged.note(number, worker.snapshot())
    found = read(merged)
    assert found["hj212gw_frames_total", "crc"] == 5
    assert found["hj212gw_frames_total", "length"] == 1
    assert found["hj212gw_journal_pending_packets",] == 21
    assert found["hj212gw_journal_oldest_pending_timestamp_seconds",] == 1700000000
    assert found["hj212gw_journal_full",] == 1
    assert found["process_resident_memory_bytes",] == 250
    assert [found["hj212gw_secs_bucket", bound] for bound in ("1.0", "2.0", "+Inf")] == [1, 2, 2]
    assert (found["hj212gw_secs_count",], found["hj212gw_secs_sum",]) == (2, 2.0)


def test_what_a_worker_counted_stays_when_it_ends(merged):
    """Its successor begins at 0 and adds; its journal's gauges stay until the successor tells them, its memory goes."""
    worker = Process()
    worker.crc.inc(7)
    worker.secs.observe(0.5)
    worker.pending.set(40)
    worker.memory.set(100)
    merged.note(0, worker.snapshot())
    merged.end(0)
    found = read(merged)
    assert found["hj212gw_frames_total", "crc"] == 7
    assert found["hj212gw_secs_bucket", "1.0"] == 1
    assert (found["hj212gw_journal_pending_packets",], found["process_resident_memory_bytes",]) == (40, 0)
    merged.end(0)
    successor = Process()
    successor.crc.inc(1)
    successor.pending.set(3)
    merged.note(0, successor.snapshot())
    found = read(merged)
    assert (found["hj212gw_frames_total", "crc"], found["hj212gw_journal_pending_packets",]) == (8, 3)


def test_worker_that_never_told_anything_ends_without_a_trace(merged):
    """It may die before it is asked."""
    before = read(merged)
    merged.end(5)
    after = read(merged)
    assert [value for value in after.values() if value] == [value for value in before.values() if value]


@given(st.lists(st.tuples(st.integers(0, 2), st.one_of(st.none(), st.integers(0, 1000))), max_size=30))
def test_counter_never_goes_back(steps):
    """Whatever workers count, and whenever they end."""
    merged, alive, total, told = MergedMetrics(Process().registry), {}, 0, 0
    for number, growth in steps:
        if growth is None:
            merged.end(number)
            alive.pop(number, None)
        else:
            worker = alive.setdefault(number, Process())
            worker.crc.inc(growth)
            total += growth
            merged.note(number, worker.snapshot())
        now = read(merged)["hj212gw_frames_total", "crc"]
        assert now >= told
        told = now
    assert told == total


@pytest.mark.parametrize(
    ("merge", "values", "expected"),
    [
        (Merge.SUM, [1.5, 2.5, NAN], 4.0),
        (Merge.MIN, [NAN, 5.0, 3.0], 3.0),
        (Merge.MAX, [0.0, NAN, 1.0], 1.0),
        (Merge.SUM, [NAN, NAN], NAN),
        (Merge.MIN, [], NAN),
    ],
)
def test_rule_counts_only_numbers(merge, values, expected):
    """NaN says that there is nothing to say, so it says nothing of the others."""
    assert merge_values(merge, values) == pytest.approx(expected, nan_ok=True)


def test_every_gauge_has_its_rule():
    """A gauge that is added without one would fail on the first scrape; here it fails before."""
    gauges = {family.name for family in REGISTRY.collect() if family.type == "gauge"}
    assert gauges <= GAUGE_MERGES.keys()
    assert {family.type for family in REGISTRY.collect()} <= {"gauge", "counter", "histogram"}


def test_page_of_the_product_keeps_its_families():
    """As many series of as many families as one process shows, in Prometheus' format."""
    merged = MergedMetrics()
    merged.note(0, take_snapshot())
    merged.note(1, take_snapshot())
    alone, together = generate_latest(REGISTRY).decode(), generate_latest(merged).decode()
    names = [[line.rpartition(" ")[0] for line in page.splitlines()] for page in (alone, together)]
    assert sorted(names[0]) == sorted(names[1])
    # What HTTP leaves out does not count: `_created` twins (see HttpServer.start).
    shown = [name for name in names[1] if not name.startswith("#") and "_created" not in name]
    assert len(shown) < 300


def test_snapshot_comes_back_from_json():
    """As a document of names and numbers, and nothing else is taken for one."""
    snapshot = take_snapshot(telemetry.REGISTRY)
    assert Snapshot.parse(snapshot._asdict()).counters == snapshot.counters
    for wrong in (
        {},
        [],
        None,
        {"counters": {}},
        {"counters": {"a": None}, "gauges": {}},
        {"counters": 1, "gauges": {}},
    ):
        with pytest.raises(ValueError, match="snapshot"):
            Snapshot.parse(wrong)
