"""The rows a batch carries, in the order of the columns they are copied into."""

import json
from datetime import date, datetime
from typing import Any, NamedTuple

from hj212gw.protocol import Reading, parse_readings

# Table a grain of `protocol.codes` is stored in.
READING_TABLES = {
    "rtd": "readings_rtd",
    "minute": "readings_minute",
    "hour": "readings_hour",
    "day": "readings_day",
}

_VALUES = ("rtd", "min", "avg", "max", "cou", "zs_rtd", "zs_min", "zs_avg", "zs_max")

# A reading row is a `ReadingHead`, then a `Reading` with its extra as JSON.
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
CONFLICT = "conflict"


class ReadingHead(NamedTuple):
    """What all readings of a packet share; `qn` is the QN's digits as a number, None where it has none."""

    logger_id: int
    st: str
    cn: str
    received_at: datetime
    qn: int | None


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


class InfoRow(NamedTuple):
    """A row of `states` or `infos`; its fields are columns of the table, `number` is None where it is no number."""

    logger_id: int
    nth: int
    data_time: datetime
    received_at: datetime
    qn: int | None
    st: str
    cn: str
    subject: str
    name: str
    value: str
    number: float | None
    data_time_text: str


class PartRow(NamedTuple):
    """A row of `sub_packets`; its fields are the table's columns."""

    data_time: datetime
    received_at: datetime
    pnum: int
    pno: int
    mn: str
    st: str
    cn: str
    data_time_text: str
    qn: str | None


class PacketRows(NamedTuple):
    """One packet with all it brings.

    Attributes:
        packet: its row.
        has_qn: False where `qn_at` is only the arrival, cut to five minutes.
        table: where the readings go; None where it carries none.
        head: what its readings share; None where it has none.
        cp: data area the readings come from. They are not kept: a thousand packets of them would keep the
            garbage collector busy, and only the careful way needs them again.
        reading_count: how many they are.
        data_time: of the readings that go into `table`; None: they are odd.
        dirty: what the readings, or the infos, touch.
        encoded: the readings of `table` as binary rows of `copyrows.COPY_COLUMNS`.
        info_table: where the infos go, `states` or `infos`.
        infos: what it brings beside readings.
        part: which part of a split upload it is, None where it is whole.
        is_rival: another live peer spoke for the MN before; a value that differs from what stands is a conflict.
    """

    packet: PacketRow
    has_qn: bool
    table: str | None = None
    head: ReadingHead | None = None
    cp: bytes = b""
    reading_count: int = 0
    data_time: datetime | None = None
    dirty: DirtyRow | None = None
    encoded: bytes = b""
    info_table: str = ""
    infos: tuple[InfoRow, ...] = ()
    part: PartRow | None = None
    is_rival: bool = False

    def reading_rows(self) -> list[tuple[Any, ...]]:
        """Return the readings that go into `table` as rows of READING_COLUMNS."""
        if self.table is None:
            return []
        return [_join(self.head, reading) for reading in parse_readings(self.cp).rows]

    def odd_rows(self) -> list[tuple[Any, ...]]:
        """Return the readings with an impossible DataTime as rows of ODD_COLUMNS."""
        if self.table is not None or not self.reading_count:
            return []
        readings = parse_readings(self.cp)
        return [(*_join(self.head, reading), readings.data_time_text) for reading in readings.rows]


def write_extra(extra: dict[str, str]) -> str:
    """Write what a reading carries beside its values as JSON."""
    return json.dumps(extra, ensure_ascii=False)


def _join(head: ReadingHead | None, reading: Reading) -> tuple[Any, ...]:
    assert head is not None
    return (*head, *reading[:-1], None if reading.extra is None else write_extra(reading.extra))


class Activity(NamedTuple):
    """When a data logger was last heard; `clock_skew_secs` is QN minus arrival."""

    mn: str
    last_packet_at: datetime
    last_data_time: datetime | None
    clock_skew_secs: float | None


class ProposalRow(NamedTuple):
    """What is proposed for a data logger and how often it was seen since; its fields are columns of `proposals`."""

    mn: str
    st: str
    cn: str
    what: str
    value: str
    evidence: str
    times: int
    first_seen_at: datetime
    last_seen_at: datetime


class SuspicionRow(NamedTuple):
    """What makes one suspicious of a peer that sends for an MN; its fields are columns of `suspicions`."""

    mn: str
    what: str
    peer: str
    evidence: str
    times: int
    first_seen_at: datetime
    last_seen_at: datetime


class Batch(NamedTuple):
    """What one transaction stores.

    Attributes:
        packets: in journal order.
        rejects: rows of REJECT_COLUMNS.
        activity: at most one row an MN.
        after: the journal's position before this batch, as the database must have it.
        upto: the position after it.
        drained_through: every record that arrived before this is stored once the batch is.
        proposals: each key once, in the order of the keys.
        suspicions: likewise.
    """

    packets: list[PacketRows]
    rejects: list[tuple[Any, ...]]
    activity: list[Activity]
    after: int
    upto: int
    drained_through: datetime
    proposals: tuple[ProposalRow, ...] = ()
    suspicions: tuple[SuspicionRow, ...] = ()


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
    conflicts: int = 0
