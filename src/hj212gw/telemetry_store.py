"""Metrics and events of what keeps packets: the journal and the database."""

import math
from datetime import date, datetime

from hj212gw.telemetry import (
    BATCH_DURATION,
    DAY_DIGESTS,
    JOURNAL_BYTES,
    JOURNAL_DAMAGED,
    JOURNAL_DISK_FREE,
    JOURNAL_DISK_SIZE,
    JOURNAL_FAILURES,
    JOURNAL_FILLED,
    JOURNAL_FSYNC,
    JOURNAL_IS_FULL,
    JOURNAL_LIMIT,
    JOURNAL_OLDEST,
    JOURNAL_PENDING_BYTES,
    JOURNAL_PENDING_PACKETS,
    JOURNAL_RECORDS,
    JOURNAL_SIZE,
    JOURNALS_LEFT,
    PARTITIONS_AHEAD,
    PARTITIONS_DROPPED,
    PARTITIONS_MADE,
    SEAL_FAILURES,
    STORE_AWAY,
    STORE_FAILURES,
    STORE_IS_AWAY,
    STORE_RECOVERIES,
    STORE_RETRIES,
    STORE_WARNINGS,
    error_facts,
    reason_of,
    tell,
)

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


def room_measured(limit_bytes: int, free_bytes: int, disk_bytes: int) -> None:
    """Show what the journal may hold, and what its disk has left."""
    JOURNAL_LIMIT.set(limit_bytes)
    JOURNAL_DISK_FREE.set(free_bytes)
    JOURNAL_DISK_SIZE.set(disk_bytes)


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
    reason = reason_of(error)
    if reason == "store_unavailable":
        STORE_RETRIES.inc()
        tell("store.lost", **error_facts(error))
        return
    STORE_FAILURES.get(reason, STORE_FAILURES["other"]).inc()
    tell("store.refused", reason, **error_facts(error))


def store_missed() -> None:
    """Show that the drain cannot store now."""
    STORE_IS_AWAY.set(1)


def store_reached() -> None:
    """Show that it can."""
    STORE_IS_AWAY.set(0)


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
