"""The chain over the raw archive as arithmetic: days, fingerprints, links. No database; outsiders may read it.

A row's fingerprint is SHA-256 of its arrival (8 bytes, microseconds since 2000 UTC) and its texts, each with its length
in front, and the frame behind them; `sql/migrations/0008_create_chain.sql` computes the same. A day's digest is SHA-256
over its minutes, an entry's `chained` SHA-256 of a text that holds the one before.
"""

import hashlib
from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from typing import NamedTuple

from hj212gw.protocol.times import local_day, start_of

PARTS = ("packets", "strays", "rejects")
LINK_FIELDS = ("previous", "day", "part", "rows", "written", "oldest_qn_at", "digest")
FIRST_PREVIOUS = bytes(32)
DAY = timedelta(days=1)

_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)  # PostgreSQL counts from here
_MINUTE = timedelta(minutes=1)
_MICROSECOND = timedelta(microseconds=1)


class Entry(NamedTuple):
    """A sealed part of a day.

    Attributes:
        seq: from 1, without gaps.
        day: of arrival, local (UTC+8).
        part: one of PARTS.
        rows: that the digest covers.
        written: rows the journals had written by then.
        oldest_qn_at: of the part's packets, None for rejects.
        digest: 32 bytes.
        previous: `chained` of the entry before.
        chained: 32 bytes.
        sealed_at: when.
    """

    seq: int
    day: date
    part: str
    rows: int
    written: int
    oldest_qn_at: datetime | None
    digest: bytes
    previous: bytes
    chained: bytes
    sealed_at: datetime


class DayDigest(NamedTuple):
    """What a part of a day holds now."""

    rows: int
    digest: bytes
    oldest_qn_at: datetime | None


def qn_bounds(day: date) -> tuple[datetime, datetime]:
    """Return the moments between which the `qn_at` of a day's packets lies; what lies outside is a stray."""
    start = start_of(day)
    return start - DAY, start + 2 * DAY


def count_days(
    packets: Iterable[tuple[datetime, datetime]], rejects: Iterable[datetime]
) -> dict[date, tuple[int, int, int]]:
    """Count rows by day of arrival, in the order of PARTS.

    Args:
        packets: (received_at, qn_at) of each.
        rejects: received_at of each.
    """
    counts: dict[date, list[int]] = {}
    start = end = lowest = highest = datetime.min.replace(tzinfo=UTC)
    count = [0, 0, 0]
    for received_at, qn_at in packets:
        if not start <= received_at < end:  # nearly all packets of a batch came on one day
            day = local_day(received_at)
            start, (lowest, highest) = start_of(day), qn_bounds(day)
            end = start + DAY
            count = counts.setdefault(day, [0, 0, 0])
        count[0 if lowest <= qn_at < highest else 1] += 1
    for received_at in rejects:
        counts.setdefault(local_day(received_at), [0, 0, 0])[2] += 1
    return {day: (count[0], count[1], count[2]) for day, count in sorted(counts.items())}


def packet_fingerprint(received_at: datetime, texts: tuple[str, str, str, str, str], raw: bytes) -> bytes:
    """Compute a packet's fingerprint as the database does; `texts`: peer, key_id, mn, cn, qn, "" for NULL."""
    parts = [((received_at - _EPOCH) // _MICROSECOND).to_bytes(8, "big", signed=True)]
    for text in texts:
        data = text.encode()
        parts += (len(data).to_bytes(4, "big"), data)
    return hashlib.sha256(b"".join((*parts, raw))).digest()


class DayHash:
    """Puts the digests of a day's minutes together, in order."""

    def __init__(self, day: date) -> None:
        self._start = start_of(day)
        self._hash = hashlib.sha256()
        self._rows = 0
        self._oldest_qn_at: datetime | None = None

    def add(self, minute: datetime, rows: int, digest: bytes, oldest_qn_at: datetime | None) -> None:
        """Take the next minute that has rows."""
        number = (minute - self._start) // _MINUTE
        self._hash.update(number.to_bytes(4, "big") + rows.to_bytes(8, "big") + digest)
        self._rows += rows
        if oldest_qn_at is not None:
            self._oldest_qn_at = min(oldest_qn_at, self._oldest_qn_at or oldest_qn_at)

    def result(self) -> DayDigest:
        """Return rows and digest of what was added."""
        return DayDigest(self._rows, self._hash.digest(), self._oldest_qn_at)


def link(entry: Entry) -> bytes:
    """Compute the `chained` digest an entry should have; with a shell: printf '...' | sha256sum."""
    return hashlib.sha256("".join(f"{field}\n" for field in link_fields(entry)).encode()).digest()


def link_fields(entry: Entry) -> tuple[str, ...]:
    """Return what an entry's `chained` digest is of, as text: LINK_FIELDS in order."""
    oldest = "" if entry.oldest_qn_at is None else f"{entry.oldest_qn_at.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%fZ}"
    return (
        entry.previous.hex(),
        str(entry.day),
        entry.part,
        str(entry.rows),
        str(entry.written),
        oldest,
        entry.digest.hex(),
    )


def find_break(entries: Iterable[Entry], before: Entry | None = None) -> str | None:
    """Say what is wrong with the links of a run of entries, None when it is whole.

    Args:
        entries: in order, without gaps.
        before: the entry in front of them; None where that is not known, or they begin with the first one.
    """
    for entry in entries:
        name = f"entry {entry.seq} ({entry.day}, {entry.part})"
        if link(entry) != entry.chained:
            return f"{name} was changed: its chained digest is not the one its content gives"
        if entry.seq == 1 and entry.previous != FIRST_PREVIOUS:
            return f"{name} is not the beginning of a chain"
        if before is not None and entry.seq != before.seq + 1:
            return f"after entry {before.seq} comes {name}: what stood between was taken out"
        if before is not None and entry.previous != before.chained:
            return f"{name} does not follow entry {before.seq}"
        before = entry
    return None
