"""The events of the log as one table; `telemetry` writes them."""

from collections.abc import Mapping
from logging import DEBUG, ERROR, INFO, WARNING, getLevelName
from typing import NamedTuple


class Event(NamedTuple):
    """A line of the log: its level, its meaning, and the metric that moves with it."""

    level: int
    meaning: str
    metric: str = ""


EVENTS: Mapping[str, Event] = {
    "gateway.started": Event(INFO, "the ports are open"),
    "gateway.readied": Event(INFO, "packets are accepted and kept"),
    "gateway.stopping": Event(INFO, "no new connections; what was received is being finished"),
    "gateway.stopped": Event(INFO, "all is closed; the last line of a clean stop"),
    "worker.started": Event(INFO, "a worker process was started", "workers_started_total"),
    "worker.lost": Event(WARNING, "a worker process ended unasked; another takes its place", "workers_lost_total"),
    "session.opened": Event(DEBUG, "a connection was accepted", "sessions_opened_total"),
    "session.closed": Event(INFO, "a connection ended, why, and what it carried", "sessions_closed_total"),
    "session.rested": Event(
        INFO,
        "a data logger or a peer is over its rate: its connection is not read for a while",
        "sessions_rested_total",
    ),
    "tls.failed": Event(WARNING, "a connection ended by a fault of TLS, and which", "tls_failures_total"),
    "certificate.ending": Event(
        WARNING,
        "a certificate in force, told at a start and a reload, runs out within 21 days, or ran out",
        "tls_certificates_ending_total",
    ),
    "proxy.refused": Event(WARNING, "a proxy's connection had no good PROXY header: closed", "proxies_refused_total"),
    "suspicion.noted": Event(WARNING, "a packet makes one suspicious: by whom, of which MN, why", "suspicions_total"),
    "config.reloaded": Event(INFO, "the settings were read again: what changed", "config_reloads_total"),
    "config.refused": Event(
        WARNING, "the settings cannot be read again, and why: those of before hold", "config_reloads_total"
    ),
    "config.postponed": Event(
        WARNING, "settings that changed and take a restart to hold; named", "config_reloads_total"
    ),
    "frame.rejected": Event(
        WARNING,
        "a frame was not accepted, and why; it is kept as a reject, unless `reject.dropped` tells of it too",
        "frames_rejected_total",
    ),
    "reject.dropped": Event(
        WARNING,
        "a reject was counted but not kept: rejects fill their share, or its connection ended before there was room",
        "rejects_dropped_total",
    ),
    "logger.questioned": Event(
        WARNING, "an MN is unknown, or its PW is not the registered one", "loggers_questioned_total"
    ),
    "keys.refused": Event(
        WARNING, "the keys file changed and is unreadable or wrong: the keys of before stay", "keys_refused_total"
    ),
    "loggers.found": Event(INFO, "unknown MNs were registered as found", "loggers_found_total"),
    "packets.quarantined": Event(WARNING, "packets were kept apart", "packets_quarantined_total"),
    "fault.contained": Event(
        ERROR,
        "a fault of this program in one packet or chore, and where: a packet is kept apart, the rest goes on",
        "faults_contained_total",
    ),
    "packets.released": Event(INFO, "held packets were given their readings", "packets_released_total"),
    "journal.filled": Event(ERROR, "no room: loggers wait until there is", "journal_filled_total"),
    "journal.freed": Event(INFO, "there is room again: loggers go on"),
    "journal.damaged": Event(ERROR, "a segment cannot be read and was kept aside", "journal_damaged_total"),
    "journal.failed": Event(
        ERROR, "a write or fsync failed, or it is an old copy of a journal: the process stops", "journal_failures_total"
    ),
    "journal.adopted": Event(INFO, "a journal that no process fills any more is being drained"),
    "journal.emptied": Event(INFO, "such a journal is in the database, all of it"),
    "journal.left": Event(WARNING, "such a journal cannot be drained now; it is tried again", "journals_left_total"),
    "batch.stored": Event(DEBUG, "a batch was committed to the database", "store_batch_duration_seconds"),
    "store.lost": Event(WARNING, "the database did not take a batch; it is tried again", "store_retries_total"),
    "store.refused": Event(ERROR, "the drain stops until an operator acts", "store_failures_total"),
    "store.warned": Event(WARNING, "the database works, but an operator has something to do", "store_warnings_total"),
    "store.recovered": Event(INFO, "the database is back", "store_recoveries_total"),
    "days.assessed": Event(INFO, "figures of outlets' days were computed again", "days_assessed_total"),
    "assessment.failed": Event(
        WARNING, "the aggregator could not work, and why; it tries again", "assessment_failures_total"
    ),
    "day.sealed": Event(INFO, "a part of a past day got its digest, chained to the one before", "day_digests_total"),
    "seal.failed": Event(WARNING, "past days are not sealed yet, and why; it is tried again", "seal_failures_total"),
    "partitions.ensured": Event(DEBUG, "partitions were made ahead or dropped by age", "partitions_made_total"),
}


def event_table() -> str:
    """Render every event as a Markdown table."""
    lines = ["| event | level | means | counted by |", "| --- | --- | --- | --- |"]
    for name, event in EVENTS.items():
        metric = f"`hj212gw_{event.metric}`" if event.metric else ""
        lines.append(f"| `{name}` | {getLevelName(event.level)} | {event.meaning} | {metric} |")
    return "\n".join(lines)
