"""The rows a batch carries, in the order of the columns they are copied into."""

from datetime import date, datetime
from typing import Any, NamedTuple

# Table a grain of `protocol.codes` is stored in.
READING_TABLES = {
    "rtd": "readings_rtd",
    "minute": "readings_minute",
    "hour": "readings_hour",
    "day": "readings_day",
}

_VALUES = ("rtd", "min", "avg", "max", "cou", "zs_rtd", "zs_min", "zs_avg", "zs_max")

# A reading row is what all readings of a packet share, then a `protocol.Reading`.
READING_COLUMNS = (
    "logger_id",
    "st",
    "cn",
    "received_at",
    "qn",
    "factor",
    "nth",
    "data_time",
    *_VALUES,
    "data_flag",
    "extra",
)
ODD_COLUMNS = (*READING_COLUMNS, "data_time_text")
REJECT_COLUMNS = ("received_at", "peer", "reason", "detail", "raw")

STORED = "stored"
UNREGISTERED = "unregistered"
QUARANTINED = "quarantined"


class PacketRow(NamedTuple):
    """A row of `packets`; its fields are the table's columns."""

    qn_at: datetime
    digest: bytes
    received_at: datetime
    mn: str
    st: str
    cn: str
    qn: str | None
    pnum: int | None
    pno: int | None
    flag: int | None
    edition: str
    peer: str
    state: str
    warnings: list[str] | None
    key_id: str | None
    raw: bytes


class DirtyRow(NamedTuple):
    """A day of one data logger and CN that the aggregator has to look at again; `day` is local (UTC+8)."""

    logger_id: int
    cn: str
    day: date


class PacketRows(NamedTuple):
    """One packet with all it brings.

    Attributes:
        packet: its row.
        has_qn: False where `qn_at` is only the arrival, cut to five minutes.
        table: where the readings go; None where it carries none.
        readings: rows of READING_COLUMNS.
        odd: rows of ODD_COLUMNS.
        dirty: what the readings touch.
    """

    packet: PacketRow
    has_qn: bool
    table: str | None
    readings: list[tuple[Any, ...]]
    odd: list[tuple[Any, ...]]
    dirty: DirtyRow | None


class Activity(NamedTuple):
    """When a data logger was last heard; `clock_skew_secs` is QN minus arrival."""

    mn: str
    last_packet_at: datetime
    last_data_time: datetime | None
    clock_skew_secs: float | None


class Batch(NamedTuple):
    """What one transaction stores.

    Attributes:
        packets: in journal order.
        rejects: rows of REJECT_COLUMNS.
        activity: at most one row an MN.
        after: the journal's position before this batch, as the database must have it.
        upto: the position after it.
        drained_through: every record that arrived before this is stored once the batch is.
    """

    packets: list[PacketRows]
    rejects: list[tuple[Any, ...]]
    activity: list[Activity]
    after: int
    upto: int
    drained_through: datetime


class Outcome(NamedTuple):
    """What became of a batch's packets and readings; `path` is copy or upsert."""

    path: str
    stored: int = 0
    repeated: int = 0
    quarantined: int = 0
    held: int = 0
    readings: int = 0
    odd: int = 0
    replaced: int = 0
    rejects: int = 0
