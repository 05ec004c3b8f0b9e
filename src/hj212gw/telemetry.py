"""Every metric and every event of the project: one function counts and writes at most one line.

Callers say what happened; names, labels and levels are decided in `metrics` and `events`. Labels are closed sets
bound at import, so each child is exported as 0 from the start and counting looks nothing up. Counters that
move with every packet take a count, for callers that work in batches, and write no line. A line that repeats
within 10 s is counted instead of printed.
"""

import math
from collections.abc import Iterable
from datetime import date, datetime
from typing import Any

from hj212gw import logs
from hj212gw.events import EVENTS
from hj212gw.metrics import (
    ACK_DURATION,
    ACKS_SENT,
    BATCH_DURATION,
    DAY_DIGESTS,
    FRAMES_ACCEPTED,
    FRAMES_RECEIVED,
    FRAMES_REJECTED,
    JOURNAL_BYTES,
    JOURNAL_DAMAGED,
    JOURNAL_FAILURES,
    JOURNAL_FILLED,
    JOURNAL_FSYNC,
    JOURNAL_IS_FULL,
    JOURNAL_OLDEST,
    JOURNAL_PENDING_BYTES,
    JOURNAL_PENDING_PACKETS,
    JOURNAL_RECORDS,
    JOURNAL_SIZE,
    JOURNALS_LEFT,
    KEYS_REFUSED,
    LINES_LOST,
    LINES_SUPPRESSED,
    LOGGERS_FOUND,
    LOGGERS_QUESTIONED,
    NOISE_BYTES,
    NOISE_SPANS,
    PACKETS_HELD,
    PACKETS_QUARANTINED,
    PACKETS_RELEASED,
    PACKETS_REPEATED,
    PACKETS_STORED,
    PARTITIONS_AHEAD,
    PARTITIONS_DROPPED,
    PARTITIONS_MADE,
    PROPOSALS_DROPPED,
    READINGS_ODD,
    READINGS_REPLACED,
    READINGS_STORED,
    REJECTS_DROPPED,
    REJECTS_DROPPED_BYTES,
    REJECTS_STORED,
    SEAL_FAILURES,
    SESSIONS_CLOSED,
    SESSIONS_OPENED,
    STORE_AWAY,
    STORE_FAILURES,
    STORE_RECOVERIES,
    STORE_RETRIES,
    STORE_WARNINGS,
    WORKERS_LOST,
    WORKERS_STARTED,
)

logs.tell_lost_lines(LINES_LOST.inc)


def tell(event: str, key: str = "", /, **facts: Any) -> None:
    """Write an event's line, for this module and those of its kind; a repeat of event and key is counted."""
    if not logs.write(EVENTS[event].level, event, key, facts):
        LINES_SUPPRESSED.inc()


def host_of(peer: str) -> str:
    """Leave the port out, which differs with every connection."""
    return peer.rpartition(":")[0] or peer


# Gateway


def gateway_started(host: str, port: int, **facts: Any) -> None:
    """Tell that the gateway listens."""
    tell("gateway.started", host=host, port=port, **facts)


def gateway_ready() -> None:
    """Tell that packets are accepted and kept."""
    tell("gateway.readied")


def gateway_stopping(reason: str) -> None:
    """Tell that a stop began, and why."""
    tell("gateway.stopping", reason=reason)


def gateway_stopped(**facts: Any) -> None:
    """Tell that the stop is complete."""
    tell("gateway.stopped", **facts)


def worker_started(index: int, pid: int) -> None:
    """Count a worker process that was started."""
    WORKERS_STARTED.inc()
    tell("worker.started", str(index), worker=index, pid=pid)


def worker_lost(index: int, pid: int, how: str, wait_secs: float) -> None:
    """Count a worker process that ended by itself, and tell when another takes its place."""
    WORKERS_LOST.inc()
    tell("worker.lost", str(index), worker=index, pid=pid, how=how, again_in_secs=round(wait_secs, 3))


# Sessions and frames


def session_opened(session_id: int, peer: str) -> None:
    """Count a connection."""
    SESSIONS_OPENED.inc()
    tell("session.opened", host_of(peer), session_id=session_id, peer=peer)


def session_closed(session_id: int, peer: str, reason: str, **facts: Any) -> None:
    """Count a connection's end and tell what it carried; `reason` is one of `SESSION_ENDS`."""
    SESSIONS_CLOSED.get(reason, SESSIONS_CLOSED["other"]).inc()
    key = f"{reason} {host_of(peer)}"
    tell("session.closed", key, session_id=session_id, peer=peer, reason=reason, **facts)


def frames_received(count: int) -> None:
    """Count frames seen, good or bad."""
    FRAMES_RECEIVED.inc(count)


def frames_accepted(count: int) -> None:
    """Count frames whose packet was read."""
    FRAMES_ACCEPTED.inc(count)


def frame_rejected(reason: str, peer: str, detail: str) -> None:
    """Count a rejected frame and tell what was wrong; `reason` is one of `REJECT_REASONS`."""
    FRAMES_REJECTED.get(reason, FRAMES_REJECTED["other"]).inc()
    tell("frame.rejected", f"{reason} {host_of(peer)}", reason=reason, peer=peer, detail=detail)


def noise_discarded(byte_count: int, span_count: int) -> None:
    """Count bytes between frames that were thrown away."""
    NOISE_BYTES.inc(byte_count)
    NOISE_SPANS.inc(span_count)


def acks_sent(cn: str, count: int) -> None:
    """Count answers sent; `cn` is 9013 or 9014."""
    ACKS_SENT.get(cn, ACKS_SENT["other"]).inc(count)


def acks_observed(all_secs: Iterable[float]) -> None:
    """Record the times from a frame's last byte to its answer."""
    ACK_DURATION.observe(all_secs)


def logger_seen(mn: str, verdict: str) -> None:
    """Count a packet that admission questioned; `verdict` is one of `LOGGER_VERDICTS`."""
    LOGGERS_QUESTIONED.get(verdict, LOGGERS_QUESTIONED["other"]).inc()
    tell("logger.questioned", f"{verdict} {mn[:40]}", mn=mn, verdict=verdict)


def loggers_found(count: int, example_mn: str) -> None:
    """Count unknown MNs that were registered as found, and name one of them."""
    LOGGERS_FOUND.inc(count)
    tell("loggers.found", count=count, mn=example_mn)


def keys_refused(error: BaseException) -> None:
    """Tell that the keys file changed and cannot be read, or a line of it is wrong."""
    KEYS_REFUSED.inc()
    tell("keys.refused", **error_facts(error))


# Packets and readings


def packets_stored(count: int) -> None:
    """Count packets committed to the database for the first time."""
    PACKETS_STORED.inc(count)


def packets_repeated(count: int) -> None:
    """Count packets the database already had."""
    PACKETS_REPEATED.inc(count)


def packets_quarantined(count: int, reason: str) -> None:
    """Count packets kept apart; `reason` is one of `QUARANTINE_REASONS`."""
    PACKETS_QUARANTINED.get(reason, PACKETS_QUARANTINED["other"]).inc(count)
    if count:
        tell("packets.quarantined", reason, count=count, reason=reason)


def packets_held(count: int) -> None:
    """Count packets of unregistered loggers stored without readings."""
    PACKETS_HELD.inc(count)


def packets_released(count: int) -> None:
    """Count held packets whose readings were stored now."""
    PACKETS_RELEASED.inc(count)
    if count:
        tell("packets.released", count=count)


def rejects_stored(count: int) -> None:
    """Count rejects committed to the database."""
    REJECTS_STORED.inc(count)


def reject_dropped(reason: str, byte_count: int) -> None:
    """Count a reject the journal has no share left for, and tell it once in a while."""
    REJECTS_DROPPED.get(reason, REJECTS_DROPPED["other"]).inc()
    REJECTS_DROPPED_BYTES.inc(byte_count)
    tell("reject.dropped", reason, reason=reason, bytes=byte_count)


def proposals_dropped(count: int) -> None:
    """Count proposals that were not noted: too many different ones between two batches."""
    PROPOSALS_DROPPED.inc(count)


def readings_stored(count: int) -> None:
    """Count readings committed to the database for the first time."""
    READINGS_STORED.inc(count)


def readings_odd(count: int) -> None:
    """Count readings with an impossible DataTime."""
    READINGS_ODD.inc(count)


def readings_replaced(count: int) -> None:
    """Count readings whose value was replaced."""
    READINGS_REPLACED.inc(count)


# Journal


def journal_committed(records: int, byte_count: int, secs: float) -> None:
    """Count one durable group and record how long its commit took."""
    JOURNAL_RECORDS.inc(records)
    JOURNAL_BYTES.inc(byte_count)
    JOURNAL_FSYNC.observe(secs)


def journal_measured(
    pending_packets: int, pending_bytes: int, oldest_timestamp_secs: float | None, total_bytes: int
) -> None:
    """Show how much waits for the database and how big the journal is."""
    JOURNAL_PENDING_PACKETS.set(pending_packets)
    JOURNAL_PENDING_BYTES.set(pending_bytes)
    JOURNAL_OLDEST.set(math.nan if oldest_timestamp_secs is None else oldest_timestamp_secs)
    JOURNAL_SIZE.set(total_bytes)


def journal_filled(why: str) -> None:
    """Tell that loggers have to wait for room."""
    JOURNAL_FILLED.inc()
    JOURNAL_IS_FULL.set(1)
    tell("journal.filled", why=why)


def journal_freed() -> None:
    """Tell that there is room again."""
    JOURNAL_IS_FULL.set(0)
    tell("journal.freed")


def journal_damaged(path: str) -> None:
    """Count a damaged segment that was kept aside."""
    JOURNAL_DAMAGED.inc()
    tell("journal.damaged", path[-200:], path=path)


def journal_failed(error: BaseException) -> None:
    """Tell that the disk failed and the process stops."""
    JOURNAL_FAILURES.inc()
    tell("journal.failed", **error_facts(error))


def journal_adopted(path: str, journal: str) -> None:
    """Tell that a journal which no process fills is being drained."""
    tell("journal.adopted", path[-200:], path=path, journal=journal)


def journal_emptied(path: str, journal: str) -> None:
    """Tell that all such a journal held is in the database."""
    tell("journal.emptied", path[-200:], path=path, journal=journal)


def journal_left(path: str, error: BaseException) -> None:
    """Count a journal which no process fills and that cannot be drained now."""
    JOURNALS_LEFT.inc()
    tell("journal.left", path[-200:], path=path, **error_facts(error))


# Database


def batch_stored(secs: float, packets: int, readings: int, path: str) -> None:
    """Record one committed batch; `path` is copy or upsert."""
    BATCH_DURATION.get(path, BATCH_DURATION["other"]).observe(secs)
    tell("batch.stored", path, secs=round(secs, 4), packets=packets, readings=readings, path=path)


def store_failed(error: BaseException) -> None:
    """Count a batch the database did not take, and tell whether it is tried again."""
    reason = _reason(error)
    if reason == "store_unavailable":
        STORE_RETRIES.inc()
        tell("store.lost", **error_facts(error))
        return
    STORE_FAILURES.get(reason, STORE_FAILURES["other"]).inc()
    tell("store.refused", reason, **error_facts(error))


def store_recovered(away_secs: float) -> None:
    """Tell that the database is back, and how long it was away."""
    STORE_RECOVERIES.inc()
    STORE_AWAY.inc(max(0.0, away_secs))
    tell("store.recovered", away_secs=round(away_secs, 3))


def store_warned(reason: str, detail: str) -> None:
    """Tell what an operator has to do about the database; `reason` is one of `STORE_WARNING_REASONS`."""
    STORE_WARNINGS.get(reason, STORE_WARNINGS["other"]).inc()
    tell("store.warned", reason, reason=reason, detail=detail)


def partitions_ensured(made_count: int, dropped_count: int, ahead_until_at: datetime | None) -> None:
    """Count partitions made and dropped, and show up to when there are some; None where none are needed."""
    PARTITIONS_MADE.inc(made_count)
    PARTITIONS_DROPPED.inc(dropped_count)
    PARTITIONS_AHEAD.set(math.nan if ahead_until_at is None else ahead_until_at.timestamp())
    tell("partitions.ensured", made=made_count, dropped=dropped_count, ahead_until_at=ahead_until_at)


def day_sealed(day: date, part: str, rows: int, missing: int, chained: str) -> None:
    """Count a sealed part of a day; `missing` rows were gone before, and the digest is told to be kept elsewhere."""
    DAY_DIGESTS.inc()
    tell("day.sealed", f"{day} {part}", day=day, part=part, rows=rows, missing=missing, chained=chained)


def seal_failed(error: BaseException) -> None:
    """Count a run of sealing that left past days open, and tell why."""
    SEAL_FAILURES.inc()
    tell("seal.failed", **error_facts(error))


def _reason(error: BaseException) -> str:
    return str(getattr(error, "reason", "other"))


def error_facts(error: BaseException) -> dict[str, str]:
    """Return what is told of an error."""
    return {"reason": _reason(error), "error": f"{type(error).__name__}: {error}"}
