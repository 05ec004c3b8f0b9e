"""Metrics and events of the gateway: its life, its connections and frames, packets and readings.

A line that repeats within 10 s is counted instead of printed.
"""

import traceback
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from hj212gw.telemetry import (
    ACK_DURATION,
    ACKS_SENT,
    FAULTS_CONTAINED,
    FRAMES_ACCEPTED,
    FRAMES_RECEIVED,
    FRAMES_REJECTED,
    KEYS_REFUSED,
    LOGGERS_FOUND,
    LOGGERS_QUESTIONED,
    NOISE_BYTES,
    NOISE_SPANS,
    PACKETS_HELD,
    PACKETS_QUARANTINED,
    PACKETS_RELEASED,
    PACKETS_REPEATED,
    PACKETS_STORED,
    PROPOSALS_DROPPED,
    READINGS_ODD,
    READINGS_REPLACED,
    READINGS_STORED,
    REJECTS_DROPPED,
    REJECTS_DROPPED_BYTES,
    REJECTS_STORED,
    SESSIONS_CLOSED,
    SESSIONS_LIMIT,
    SESSIONS_OPEN,
    SESSIONS_OPENED,
    WORKERS_LOST,
    WORKERS_STARTED,
    error_facts,
    host_of,
    tell,
)

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


def sessions_measured(open_count: int, limit: int) -> None:
    """Show how many connections are open, and how many may be."""
    SESSIONS_OPEN.set(open_count)
    SESSIONS_LIMIT.set(limit)


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


def fault_contained(what: str, error: BaseException) -> None:
    """Count a fault of this program that is not let hold up the rest, and tell where; `what` is of `FAULT_PLACES`.

    The error's text stays away: it may quote the packet, a password included.
    """
    FAULTS_CONTAINED.get(what, FAULTS_CONTAINED["other"]).inc()
    frames = traceback.extract_tb(error.__traceback__)
    at = f"{Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""
    tell("fault.contained", f"{what} {at}", what=what, at=at, error=type(error).__name__)


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
