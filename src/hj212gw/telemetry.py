"""Every metric of the project, made once, and what those share who move them and write the events' lines.

One function counts and writes at most one line: those of `telemetry_gateway`, `telemetry_store`, `telemetry_access`.
Callers say what happened; names, labels and levels are decided here and in `events`. Label values are closed sets,
bound at start, so that all series are exported as 0 before anything happened and counting looks nothing up. Counters
that move with every packet take a count, for callers that work in batches, and write no line.

Of several worker processes one page is made (`merging`): counters and histograms are summed, and each gauge says
here beside its name what is told of many values.
"""

import math
import platform
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from enum import StrEnum
from itertools import accumulate
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Metric, ProcessCollector
from prometheus_client.core import HistogramMetricFamily
from prometheus_client.utils import floatToGoString

from hj212gw import __version__, logs
from hj212gw.events import EVENTS

REGISTRY = CollectorRegistry()


class Merge(StrEnum):
    """What a gauge of several processes says; values that are not a number count for nothing."""

    SUM = "sum"
    MIN = "min"
    MAX = "max"


# By the family's name; those of the process are prometheus_client's own.
GAUGE_MERGES: dict[str, Merge] = {
    "process_virtual_memory_bytes": Merge.SUM,
    "process_resident_memory_bytes": Merge.SUM,
    "process_start_time_seconds": Merge.MIN,
    "process_open_fds": Merge.SUM,
    "process_max_fds": Merge.MIN,
    "hj212gw_build_info": Merge.MAX,
}

SESSION_ENDS = (
    "peer", "idle", "reset", "stopped", "limit", "refused", "abuse", "silent", "handshake", "error", "fatal", "other",
)  # fmt: skip
REJECT_REASONS = ("crc", "length", "header", "trailer", "too_long", "incomplete", "noise", "other")
QUARANTINE_REASONS = ("rows_refused", "wrong_password", "suspended", "conflict", "other")
FAULT_PLACES = ("frame", "rows", "proposals", "seal", "assessment", "other")
LOGGER_VERDICTS = ("unknown_mn", "wrong_password", "suspended", "conflict", "other")
ACK_CODES = ("9013", "9014", "other")
STORE_REASONS = ("schema_mismatch", "position_moved", "rows_refused", "other")
STORE_WARNING_REASONS = ("timescaledb_outdated", "columnstore_missing", "retention_failed", "other")
SUSPICIONS = ("wrong_pw", "foreign_peer", "foreign_certificate", "replayed_qn", "mn_conflict", "other")
RELOAD_OUTCOMES = ("applied", "refused", "postponed", "other")
BATCH_PATHS = ("copy", "upsert", "other")
RATE_PERIODS = ("day", "month", "year")
RATE_STAGES = ("immediate", "completed")

ACK_BUCKETS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
FSYNC_BUCKETS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 5.0)
BATCH_BUCKETS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)


def _counter(name: str, meaning: str) -> Counter:
    return Counter(f"hj212gw_{name}", meaning, registry=REGISTRY)


def _gauge(name: str, meaning: str, merge: Merge) -> Gauge:
    GAUGE_MERGES[f"hj212gw_{name}"] = merge
    return Gauge(f"hj212gw_{name}", meaning, registry=REGISTRY)


def _gauge_grid(name: str, meaning: str, labels: dict[str, tuple[str, ...]]) -> dict[str, dict[str, Gauge]]:
    """Make a gauge of two labels, all of its series there from the start, not a number."""
    GAUGE_MERGES[f"hj212gw_{name}"] = Merge.MAX
    family = Gauge(f"hj212gw_{name}", meaning, list(labels), registry=REGISTRY)
    first, second = labels.values()
    grid = {one: {other: family.labels(one, other) for other in second} for one in first}
    for row in grid.values():
        for gauge in row.values():
            gauge.set(math.nan)
    return grid


def _counters(name: str, meaning: str, label: str, values: tuple[str, ...]) -> dict[str, Counter]:
    family = Counter(f"hj212gw_{name}", meaning, [label], registry=REGISTRY)
    return {value: family.labels(value) for value in values}


def _histogram(name: str, meaning: str, buckets: tuple[float, ...]) -> Histogram:
    return Histogram(f"hj212gw_{name}", meaning, buckets=buckets, registry=REGISTRY)


class BulkHistogram:
    """A histogram that takes many observations at once, for what happens tens of thousands of times a second.

    The library's own takes three locks an observation; here a batch is one pass over its sorted values.

    Args:
        name: with prefix, ends in `_seconds`.
        meaning: its help text.
        buckets: upper bounds, ascending, without infinity.
    """

    def __init__(self, name: str, meaning: str, buckets: tuple[float, ...]) -> None:
        self._name = name
        self._meaning = meaning
        self._buckets = buckets
        self._counts = [0] * (len(buckets) + 1)
        self._sum = 0.0
        REGISTRY.register(self)

    def observe(self, values: Iterable[float]) -> None:
        """Take observations, seconds."""
        ordered = sorted(values)
        self._sum += sum(ordered)
        before = 0
        for place, bound in enumerate(self._buckets):
            reached = bisect_right(ordered, bound, before)
            self._counts[place] += reached - before
            before = reached
        self._counts[-1] += len(ordered) - before

    def collect(self) -> Iterator[Metric]:
        """Show what was observed since the start, as the registry asks for it."""
        bounds = [*map(floatToGoString, self._buckets), "+Inf"]
        buckets = list(zip(bounds, map(float, accumulate(self._counts)), strict=True))
        yield HistogramMetricFamily(self._name, self._meaning, buckets=buckets, sum_value=self._sum)


ProcessCollector(registry=REGISTRY)
Gauge("hj212gw_build_info", "1; the labels say what runs", ["version", "python"], registry=REGISTRY).labels(
    __version__, platform.python_version()
).set(1)

READY = _gauge("ready", "1 while packets are accepted and kept, 0 while not", Merge.MIN)
SESSIONS_OPENED = _counter("sessions_opened", "Connections accepted")
SESSIONS_CLOSED = _counters("sessions_closed", "Connections ended, by reason", "reason", SESSION_ENDS)
SESSIONS_OPEN = _gauge("sessions_open", "Connections that are open", Merge.SUM)
SESSIONS_LIMIT = _gauge("sessions_limit", "Connections that may be open; NaN: no gateway here", Merge.SUM)
SESSIONS_RESTED = _counter("sessions_rested", "Times reading paused because a rate was over its limit")
TLS_FAILURES = _counter("tls_failures", "Connections ended by a fault of TLS, in the handshake or later")
TLS_EXPIRES = _gauge(
    "tls_certificate_expires_timestamp_seconds",
    "When the first of the gateway's certificates and authorities runs out; NaN: no TLS",
    Merge.MIN,
)
TLS_ENDING = _counter("tls_certificates_ending", "Certificates loaded that run out within 21 days, or ran out")
PROXIES_REFUSED = _counter("proxies_refused", "Connections of proxies closed for want of a good PROXY header")
SUSPICIONS_NOTED = _counters("suspicions", "Packets that make one suspicious, by what it is", "what", SUSPICIONS)
SUSPICIONS_DROPPED = _counter(
    "suspicions_dropped", "Suspicions counted here but not in the database: too many at a time"
)
CONFIG_RELOADS = _counters(
    "config_reloads", "Times the settings were read again, by outcome", "outcome", RELOAD_OUTCOMES
)
FRAMES_RECEIVED = _counter("frames_received", "Frames seen: accepted plus rejected")
FRAMES_ACCEPTED = _counter("frames_accepted", "Frames whose packet was read")
FRAMES_REJECTED = _counters("frames_rejected", "Frames rejected, by reason", "reason", REJECT_REASONS)
NOISE_BYTES = _counter("noise_discarded_bytes", "Bytes between frames that were discarded")
NOISE_SPANS = _counter("noise_discarded_spans", "Spans of noise discarded")
ACKS_SENT = _counters("acks_sent", "Answers sent, by command code", "cn", ACK_CODES)
ACK_DURATION = BulkHistogram("hj212gw_ack_duration_seconds", "From a frame's last byte to its answer", ACK_BUCKETS)
LOGGERS_QUESTIONED = _counters(
    "loggers_questioned",
    "Packets of an unknown MN or with a wrong PW, by verdict",
    "verdict",
    LOGGER_VERDICTS,
)
LOGGERS_FOUND = _counter("loggers_found", "Unknown MNs that were registered as found")
KEYS_REFUSED = _counter("keys_refused", "Times the keys file changed and could not be read")
PACKETS_STORED = _counter("packets_stored", "Packets committed to the database for the first time")
PACKETS_REPEATED = _counter("packets_repeated", "Packets the database already had; nothing changed")
PACKETS_QUARANTINED = _counters(
    "packets_quarantined", "Packets stored but kept apart, by reason", "reason", QUARANTINE_REASONS
)
FAULTS_CONTAINED = _counters(
    "faults_contained", "Faults of this program in one packet or chore: told, the rest goes on", "what", FAULT_PLACES
)
PACKETS_HELD = _counter("packets_held", "Packets of unregistered loggers stored without readings")
PACKETS_RELEASED = _counter("packets_released", "Held packets whose readings were stored later")
PROPOSALS_DROPPED = _counter("proposals_dropped", "Proposals not counted: too many different ones at a time")
REJECTS_STORED = _counter("rejects_stored", "Rejects committed to the database")
REJECTS_DROPPED = _counters(
    "rejects_dropped",
    "Rejects counted and not kept: over the journal's share for them, or never any room",
    "reason",
    REJECT_REASONS,
)
REJECTS_DROPPED_BYTES = _counter("rejects_dropped_bytes", "Bytes of rejects that were not kept")
READINGS_STORED = _counter("readings_stored", "Readings committed to the database for the first time")
READINGS_ODD = _counter("readings_odd", "Readings with an impossible DataTime, kept apart")
READINGS_REPLACED = _counter("readings_replaced", "Readings whose value was replaced; the old one is in history")
JOURNAL_RECORDS = _counter("journal_committed_records", "Records made durable")
JOURNAL_BYTES = _counter("journal_committed_bytes", "Bytes of records made durable")
JOURNAL_FSYNC = _histogram("journal_fsync_duration_seconds", "Time of one durable group commit", FSYNC_BUCKETS)
JOURNAL_PENDING_PACKETS = _gauge("journal_pending_packets", "Records not yet in the database", Merge.SUM)
JOURNAL_PENDING_BYTES = _gauge("journal_pending_bytes", "Bytes of records not yet in the database", Merge.SUM)
JOURNAL_OLDEST = _gauge(
    "journal_oldest_pending_timestamp_seconds",
    "Arrival of the oldest pending record; NaN when there is none",
    Merge.MIN,
)
JOURNAL_OLDEST.set(math.nan)
JOURNAL_SIZE = _gauge("journal_size_bytes", "Bytes of the journal's files", Merge.SUM)
JOURNAL_LIMIT = _gauge("journal_limit_bytes", "What the journal may hold; NaN: no gateway here", Merge.SUM)
JOURNAL_DISK_FREE = _gauge("journal_disk_free_bytes", "Free bytes of the journal's file system", Merge.MIN)
JOURNAL_DISK_SIZE = _gauge("journal_disk_size_bytes", "Size of the journal's file system", Merge.MIN)
JOURNAL_IS_FULL = _gauge("journal_full", "1 while loggers wait for room", Merge.MAX)
JOURNAL_FILLED = _counter("journal_filled", "Times the journal or its disk became full")
JOURNAL_DAMAGED = _counter("journal_damaged", "Damaged segments kept aside")
JOURNAL_FAILURES = _counter("journal_failures", "Writes or fsyncs that failed")
JOURNALS_LEFT = _counter("journals_left", "Times a journal that no process fills could not be drained")
WORKERS_STARTED = _counter("workers_started", "Worker processes started, the first time and again")
WORKERS_LOST = _counter("workers_lost", "Worker processes that ended and were not asked to")
BATCH_FAMILY = Histogram(
    "hj212gw_store_batch_duration_seconds",
    "Time of one database batch, by path",
    ["path"],
    buckets=BATCH_BUCKETS,
    registry=REGISTRY,
)
BATCH_DURATION = {path: BATCH_FAMILY.labels(path) for path in BATCH_PATHS}
STORE_RETRIES = _counter("store_retries", "Batches to be tried again: the database is away, full or busy")
STORE_FAILURES = _counters("store_failures", "Faults that are not tried again, by reason", "reason", STORE_REASONS)
STORE_WARNINGS = _counters("store_warnings", "Things found for an operator to do", "reason", STORE_WARNING_REASONS)
STORE_RECOVERIES = _counter("store_recoveries", "Times the database came back")
STORE_IS_AWAY = _gauge(
    "store_away", "1 while the database takes nothing, 0 while it does; NaN: not tried yet", Merge.MAX
)
STORE_AWAY = _counter("store_away_seconds", "Time the database was away, counted when it is back")
PARTITIONS_MADE = _counter("partitions_made", "Partitions made ahead")
PARTITIONS_DROPPED = _counter("partitions_dropped", "Partitions dropped by age")
PARTITIONS_AHEAD = _gauge(
    "partitions_ahead_timestamp_seconds",
    "The time up to which there are partitions; NaN when none are needed",
    Merge.MIN,
)
PARTITIONS_AHEAD.set(math.nan)
DAY_DIGESTS = _counter("day_digests", "Parts of past days sealed with a digest")
SEAL_FAILURES = _counter("seal_failures", "Times past days could not be sealed")
DAYS_ASSESSED = _counter("days_assessed", "Days of outlets whose figures changed")
ASSESSMENT_DURATION = _histogram(
    "assessment_duration_seconds", "Time of computing the stale days of a month", BATCH_BUCKETS
)
ASSESSMENT_FAILURES = _counter("assessment_failures", "Looks of the aggregator that failed; the next one tries again")
ASSESSMENT_PASSED = _gauge(
    "assessment_passed_timestamp_seconds",
    "When the aggregator last had computed all there was; NaN: not here",
    Merge.MAX,
)
ASSESSMENT_STALE = _gauge("assessment_stale_ranges", "Ranges of days still to be computed", Merge.MAX)
LOGGERS_REGISTERED = _gauge("loggers_registered", "Data loggers of the registry; NaN: no aggregator here", Merge.MAX)
LOGGERS_SILENT = _gauge("loggers_silent", "Of those, not heard for three intervals, an hour at least", Merge.MAX)
LOGGERS_SKEWED = _gauge(
    "loggers_clock_skewed", "Of those heard within a day, over a minute off the gateway's clock", Merge.MAX
)
RATE_EFFECTIVE = _gauge_grid(
    "city_effective_ratio",
    "Effective transmission rate of the city: of yesterday, of its month and year; NaN: none",
    {"period": RATE_PERIODS, "stage": RATE_STAGES},
)
RATE_TARGET = _gauge("city_effective_target_ratio", "What the effective rate has to reach", Merge.MAX)
for gauge in (
    READY, SESSIONS_LIMIT, TLS_EXPIRES, JOURNAL_LIMIT, JOURNAL_DISK_FREE, JOURNAL_DISK_SIZE, STORE_IS_AWAY,
    ASSESSMENT_PASSED, LOGGERS_REGISTERED, LOGGERS_SILENT, LOGGERS_SKEWED, RATE_TARGET,
):  # fmt: skip
    gauge.set(math.nan)
LINES_SUPPRESSED = _counter("log_lines_suppressed", "Log lines left out because they repeated")
LINES_LOST = _counter("log_lines_lost", "Log lines that stderr did not take: a full pipe, a full disk")
logs.tell_lost_lines(LINES_LOST.inc)


def tell(event: str, key: str = "", /, **facts: Any) -> None:
    """Write an event's line, for this module and those of its kind; a repeat of event and key is counted."""
    if not logs.write(EVENTS[event].level, event, key, facts):
        LINES_SUPPRESSED.inc()


def host_of(peer: str) -> str:
    """Leave the port out, which differs with every connection."""
    return peer.rpartition(":")[0] or peer


def error_facts(error: BaseException) -> dict[str, str]:
    """Return what is told of an error."""
    return {"reason": reason_of(error), "error": f"{type(error).__name__}: {error}"}


def reason_of(error: BaseException) -> str:
    """Return the slug of one of our errors, `other` for any other."""
    return str(getattr(error, "reason", "other"))
