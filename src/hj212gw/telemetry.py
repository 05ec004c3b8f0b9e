"""Every metric and every event of the project: one function counts and writes at most one line.

Callers say what happened; names, labels and levels are decided here and in `events`. Labels are closed sets
bound at import, so each child is exported as 0 from the start and counting looks nothing up. Counters that
move with every packet take a count, for callers that work in batches, and write no line. A line that repeats
within 10 s is counted instead of printed.
"""

import math
import platform
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector

from hj212gw import __version__, logs
from hj212gw.events import EVENTS

REGISTRY = CollectorRegistry()

SESSION_ENDS = ("peer", "idle", "reset", "stopped", "limit", "error", "fatal", "other")
REJECT_REASONS = ("crc", "length", "header", "trailer", "too_long", "incomplete", "noise", "other")
QUARANTINE_REASONS = ("rows_refused", "wrong_password", "suspended", "conflict", "other")
LOGGER_VERDICTS = ("unknown_mn", "wrong_password", "suspended", "conflict", "other")
ACK_CODES = ("9013", "9014", "other")
STORE_REASONS = ("schema_mismatch", "position_moved", "rows_refused", "other")
BATCH_PATHS = ("copy", "upsert", "other")

ACK_BUCKETS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
FSYNC_BUCKETS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 5.0)
BATCH_BUCKETS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)


def _counter(name: str, meaning: str) -> Counter:
    return Counter(f"hj212gw_{name}", meaning, registry=REGISTRY)


def _gauge(name: str, meaning: str) -> Gauge:
    return Gauge(f"hj212gw_{name}", meaning, registry=REGISTRY)


def _counters(name: str, meaning: str, label: str, values: tuple[str, ...]) -> dict[str, Counter]:
    family = Counter(f"hj212gw_{name}", meaning, [label], registry=REGISTRY)
    return {value: family.labels(value) for value in values}


def _histogram(name: str, meaning: str, buckets: tuple[float, ...]) -> Histogram:
    return Histogram(f"hj212gw_{name}", meaning, buckets=buckets, registry=REGISTRY)


ProcessCollector(registry=REGISTRY)
Gauge("hj212gw_build_info", "1; the labels say what runs", ["version", "python"], registry=REGISTRY).labels(
    __version__, platform.python_version()
).set(1)

_SESSIONS_OPENED = _counter("sessions_opened", "Connections accepted")
_SESSIONS_CLOSED = _counters("sessions_closed", "Connections ended, by reason", "reason", SESSION_ENDS)
_FRAMES_RECEIVED = _counter("frames_received", "Frames seen: accepted plus rejected")
_FRAMES_ACCEPTED = _counter("frames_accepted", "Frames whose packet was read")
_FRAMES_REJECTED = _counters("frames_rejected", "Frames rejected, by reason", "reason", REJECT_REASONS)
_NOISE_BYTES = _counter("noise_discarded_bytes", "Bytes between frames that were discarded")
_NOISE_SPANS = _counter("noise_discarded_spans", "Spans of noise discarded")
_ACKS_SENT = _counters("acks_sent", "Answers sent, by command code", "cn", ACK_CODES)
_ACK_DURATION = _histogram("ack_duration_seconds", "From a frame's last byte to its answer", ACK_BUCKETS)
_LOGGERS_QUESTIONED = _counters(
    "loggers_questioned",
    "Packets of an unknown MN or with a wrong PW, by verdict",
    "verdict",
    LOGGER_VERDICTS,
)
_LOGGERS_FOUND = _counter("loggers_found", "Unknown MNs that were registered as found")
_KEYS_REFUSED = _counter("keys_refused", "Times the keys file changed and could not be read")
_PACKETS_STORED = _counter("packets_stored", "Packets committed to the database for the first time")
_PACKETS_REPEATED = _counter("packets_repeated", "Packets the database already had; nothing changed")
_PACKETS_QUARANTINED = _counters(
    "packets_quarantined", "Packets stored but kept apart, by reason", "reason", QUARANTINE_REASONS
)
_PACKETS_HELD = _counter("packets_held", "Packets of unregistered loggers stored without readings")
_PACKETS_RELEASED = _counter("packets_released", "Held packets whose readings were stored later")
_PROPOSALS_DROPPED = _counter("proposals_dropped", "Proposals not counted: too many different ones at a time")
_REJECTS_STORED = _counter("rejects_stored", "Rejects committed to the database")
_REJECTS_DROPPED = _counters(
    "rejects_dropped", "Rejects beyond the journal's share for them: counted, not kept", "reason", REJECT_REASONS
)
_REJECTS_DROPPED_BYTES = _counter("rejects_dropped_bytes", "Bytes of rejects that were not kept")
_READINGS_STORED = _counter("readings_stored", "Readings committed to the database for the first time")
_READINGS_ODD = _counter("readings_odd", "Readings with an impossible DataTime, kept apart")
_READINGS_REPLACED = _counter("readings_replaced", "Readings whose value was replaced; the old one is in history")
_JOURNAL_RECORDS = _counter("journal_committed_records", "Records made durable")
_JOURNAL_BYTES = _counter("journal_committed_bytes", "Bytes of records made durable")
_JOURNAL_FSYNC = _histogram("journal_fsync_duration_seconds", "Time of one durable group commit", FSYNC_BUCKETS)
_JOURNAL_PENDING_PACKETS = _gauge("journal_pending_packets", "Records not yet in the database")
_JOURNAL_PENDING_BYTES = _gauge("journal_pending_bytes", "Bytes of records not yet in the database")
_JOURNAL_OLDEST = _gauge(
    "journal_oldest_pending_timestamp_seconds", "Arrival of the oldest pending record; NaN when there is none"
)
_JOURNAL_OLDEST.set(math.nan)
_JOURNAL_SIZE = _gauge("journal_size_bytes", "Bytes of the journal's files")
_JOURNAL_IS_FULL = _gauge("journal_full", "1 while loggers wait for room")
_JOURNAL_FILLED = _counter("journal_filled", "Times the journal or its disk became full")
_JOURNAL_DAMAGED = _counter("journal_damaged", "Damaged segments kept aside")
_JOURNAL_FAILURES = _counter("journal_failures", "Writes or fsyncs that failed")
_BATCH_FAMILY = Histogram(
    "hj212gw_store_batch_duration_seconds",
    "Time of one database batch, by path",
    ["path"],
    buckets=BATCH_BUCKETS,
    registry=REGISTRY,
)
_BATCH_DURATION = {path: _BATCH_FAMILY.labels(path) for path in BATCH_PATHS}
_STORE_RETRIES = _counter("store_retries", "Batches to be tried again: the database is away, full or busy")
_STORE_FAILURES = _counters("store_failures", "Faults that are not tried again, by reason", "reason", STORE_REASONS)
_STORE_RECOVERIES = _counter("store_recoveries", "Times the database came back")
_STORE_AWAY = _counter("store_away_seconds", "Time the database was away, counted when it is back")
_PARTITIONS_MADE = _counter("partitions_made", "Partitions made ahead")
_PARTITIONS_DROPPED = _counter("partitions_dropped", "Partitions dropped by age")
_PARTITIONS_AHEAD = _gauge(
    "partitions_ahead_timestamp_seconds",
    "The time up to which there are partitions; NaN when none are needed",
)
_PARTITIONS_AHEAD.set(math.nan)
_LINES_SUPPRESSED = _counter("log_lines_suppressed", "Log lines left out because they repeated")
_LINES_LOST = _counter("log_lines_lost", "Log lines that stderr did not take: a full pipe, a full disk")
logs.tell_lost_lines(_LINES_LOST.inc)


def _tell(event: str, key: str = "", /, **facts: Any) -> None:
    if not logs.write(EVENTS[event].level, event, key, facts):
        _LINES_SUPPRESSED.inc()


def _host(peer: str) -> str:
    """Leave the port out, which differs with every connection."""
    return peer.rpartition(":")[0] or peer


# Gateway


def gateway_started(host: str, port: int, **facts: Any) -> None:
    """Tell that the gateway listens."""
    _tell("gateway.started", host=host, port=port, **facts)


def gateway_ready() -> None:
    """Tell that packets are accepted and kept."""
    _tell("gateway.readied")


def gateway_stopping(reason: str) -> None:
    """Tell that a stop began, and why."""
    _tell("gateway.stopping", reason=reason)


def gateway_stopped(**facts: Any) -> None:
    """Tell that the stop is complete."""
    _tell("gateway.stopped", **facts)


# Sessions and frames


def session_opened(session_id: int, peer: str) -> None:
    """Count a connection."""
    _SESSIONS_OPENED.inc()
    _tell("session.opened", _host(peer), session_id=session_id, peer=peer)


def session_closed(session_id: int, peer: str, reason: str, **facts: Any) -> None:
    """Count a connection's end and tell what it carried; `reason` is one of `SESSION_ENDS`."""
    _SESSIONS_CLOSED.get(reason, _SESSIONS_CLOSED["other"]).inc()
    key = f"{reason} {_host(peer)}"
    _tell("session.closed", key, session_id=session_id, peer=peer, reason=reason, **facts)


def frames_received(count: int) -> None:
    """Count frames seen, good or bad."""
    _FRAMES_RECEIVED.inc(count)


def frames_accepted(count: int) -> None:
    """Count frames whose packet was read."""
    _FRAMES_ACCEPTED.inc(count)


def frame_rejected(reason: str, peer: str, detail: str) -> None:
    """Count a rejected frame and tell what was wrong; `reason` is one of `REJECT_REASONS`."""
    _FRAMES_REJECTED.get(reason, _FRAMES_REJECTED["other"]).inc()
    _tell("frame.rejected", f"{reason} {_host(peer)}", reason=reason, peer=peer, detail=detail)


def noise_discarded(byte_count: int, span_count: int) -> None:
    """Count bytes between frames that were thrown away."""
    _NOISE_BYTES.inc(byte_count)
    _NOISE_SPANS.inc(span_count)


def acks_sent(cn: str, count: int) -> None:
    """Count answers sent; `cn` is 9013 or 9014."""
    _ACKS_SENT.get(cn, _ACKS_SENT["other"]).inc(count)


def ack_observed(secs: float) -> None:
    """Record the time from a frame's last byte to its answer."""
    _ACK_DURATION.observe(secs)


def ack_observed_many(all_secs: Iterable[float]) -> None:
    """Record the times of several answers."""
    observe = _ACK_DURATION.observe
    for secs in all_secs:
        observe(secs)


def logger_seen(mn: str, verdict: str) -> None:
    """Count a packet that admission questioned; `verdict` is one of `LOGGER_VERDICTS`."""
    _LOGGERS_QUESTIONED.get(verdict, _LOGGERS_QUESTIONED["other"]).inc()
    _tell("logger.questioned", f"{verdict} {mn[:40]}", mn=mn, verdict=verdict)


def loggers_found(count: int, example_mn: str) -> None:
    """Count unknown MNs that were registered as found, and name one of them."""
    _LOGGERS_FOUND.inc(count)
    _tell("loggers.found", count=count, mn=example_mn)


def keys_refused(error: BaseException) -> None:
    """Tell that the keys file changed and cannot be read, or a line of it is wrong."""
    _KEYS_REFUSED.inc()
    _tell("keys.refused", **_error_facts(error))


# Packets and readings


def packets_stored(count: int) -> None:
    """Count packets committed to the database for the first time."""
    _PACKETS_STORED.inc(count)


def packets_repeated(count: int) -> None:
    """Count packets the database already had."""
    _PACKETS_REPEATED.inc(count)


def packets_quarantined(count: int, reason: str) -> None:
    """Count packets kept apart; `reason` is one of `QUARANTINE_REASONS`."""
    _PACKETS_QUARANTINED.get(reason, _PACKETS_QUARANTINED["other"]).inc(count)
    if count:
        _tell("packets.quarantined", reason, count=count, reason=reason)


def packets_held(count: int) -> None:
    """Count packets of unregistered loggers stored without readings."""
    _PACKETS_HELD.inc(count)


def packets_released(count: int) -> None:
    """Count held packets whose readings were stored now."""
    _PACKETS_RELEASED.inc(count)
    if count:
        _tell("packets.released", count=count)


def rejects_stored(count: int) -> None:
    """Count rejects committed to the database."""
    _REJECTS_STORED.inc(count)


def reject_dropped(reason: str, byte_count: int) -> None:
    """Count a reject the journal has no share left for, and tell it once in a while."""
    _REJECTS_DROPPED.get(reason, _REJECTS_DROPPED["other"]).inc()
    _REJECTS_DROPPED_BYTES.inc(byte_count)
    _tell("reject.dropped", reason, reason=reason, bytes=byte_count)


def proposals_dropped(count: int) -> None:
    """Count proposals that were not noted: too many different ones between two batches."""
    _PROPOSALS_DROPPED.inc(count)


def readings_stored(count: int) -> None:
    """Count readings committed to the database for the first time."""
    _READINGS_STORED.inc(count)


def readings_odd(count: int) -> None:
    """Count readings with an impossible DataTime."""
    _READINGS_ODD.inc(count)


def readings_replaced(count: int) -> None:
    """Count readings whose value was replaced."""
    _READINGS_REPLACED.inc(count)


# Journal


def journal_committed(records: int, byte_count: int, secs: float) -> None:
    """Count one durable group and record how long its commit took."""
    _JOURNAL_RECORDS.inc(records)
    _JOURNAL_BYTES.inc(byte_count)
    _JOURNAL_FSYNC.observe(secs)


def journal_measured(
    pending_packets: int, pending_bytes: int, oldest_timestamp_secs: float | None, total_bytes: int
) -> None:
    """Show how much waits for the database and how big the journal is."""
    _JOURNAL_PENDING_PACKETS.set(pending_packets)
    _JOURNAL_PENDING_BYTES.set(pending_bytes)
    _JOURNAL_OLDEST.set(math.nan if oldest_timestamp_secs is None else oldest_timestamp_secs)
    _JOURNAL_SIZE.set(total_bytes)


def journal_filled(why: str) -> None:
    """Tell that loggers have to wait for room."""
    _JOURNAL_FILLED.inc()
    _JOURNAL_IS_FULL.set(1)
    _tell("journal.filled", why=why)


def journal_freed() -> None:
    """Tell that there is room again."""
    _JOURNAL_IS_FULL.set(0)
    _tell("journal.freed")


def journal_damaged(path: str) -> None:
    """Count a damaged segment that was kept aside."""
    _JOURNAL_DAMAGED.inc()
    _tell("journal.damaged", path[-200:], path=path)


def journal_failed(error: BaseException) -> None:
    """Tell that the disk failed and the process stops."""
    _JOURNAL_FAILURES.inc()
    _tell("journal.failed", **_error_facts(error))


# Database


def batch_stored(secs: float, packets: int, readings: int, path: str) -> None:
    """Record one committed batch; `path` is copy or upsert."""
    _BATCH_DURATION.get(path, _BATCH_DURATION["other"]).observe(secs)
    _tell("batch.stored", path, secs=round(secs, 4), packets=packets, readings=readings, path=path)


def store_failed(error: BaseException) -> None:
    """Count a batch the database did not take, and tell whether it is tried again."""
    reason = _reason(error)
    if reason == "store_unavailable":
        _STORE_RETRIES.inc()
        _tell("store.lost", **_error_facts(error))
        return
    _STORE_FAILURES.get(reason, _STORE_FAILURES["other"]).inc()
    _tell("store.refused", reason, **_error_facts(error))


def store_recovered(away_secs: float) -> None:
    """Tell that the database is back, and how long it was away."""
    _STORE_RECOVERIES.inc()
    _STORE_AWAY.inc(max(0.0, away_secs))
    _tell("store.recovered", away_secs=round(away_secs, 3))


def partitions_ensured(made_count: int, dropped_count: int, ahead_until_at: datetime | None) -> None:
    """Count partitions made and dropped, and show up to when there are some; None where none are needed."""
    _PARTITIONS_MADE.inc(made_count)
    _PARTITIONS_DROPPED.inc(dropped_count)
    _PARTITIONS_AHEAD.set(math.nan if ahead_until_at is None else ahead_until_at.timestamp())
    _tell("partitions.ensured", made=made_count, dropped=dropped_count, ahead_until_at=ahead_until_at)


def _reason(error: BaseException) -> str:
    return str(getattr(error, "reason", "other"))


def _error_facts(error: BaseException) -> dict[str, str]:
    return {"reason": _reason(error), "error": f"{type(error).__name__}: {error}"}


def metric_table() -> str:
    """Render every metric of ours as a Markdown table."""
    lines = ["| metric | kind | means |", "| --- | --- | --- |"]
    for family in REGISTRY.collect():
        if family.name.startswith("hj212gw_"):
            suffix = "_total" if family.type == "counter" else ""
            lines.append(f"| `{family.name}{suffix}` | {family.type} | {family.documentation} |")
    return "\n".join(lines)
