"""All that is known of one hour of one factor of an outlet, read in one snapshot."""

import json
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime, timedelta
from typing import Any, NamedTuple

from hj212gw.errors import ProtocolError
from hj212gw.protocol import find_answer, open_frame, parse_packet, parse_readings
from hj212gw.protocol.dialects import SLUGS, make_dialect
from hj212gw.protocol.times import local_day, parse_qn
from hj212gw.store.assessment import LOCAL, Rules, Scope, compute_days
from hj212gw.store.migrate import check_schema
from hj212gw.store.pool import CONNECTION_ERRORS, Connection, connected, sort_error
from hj212gw.store.queries import load_query, load_table_query

REJECTS_SHOWN = 20

_HOUR = timedelta(hours=1)
_SENT_WITHIN = 2 * _HOUR  # the hour and the one in which it is sent
_SLOT_SECS = 300  # arrival slot of a packet without a readable QN
_ASKS = 1  # Flag's A bit
_DATA_ANSWER = "9014"
_LOGGER_TABLES = ("data_loggers", "channels")


class Subject(NamedTuple):
    """What a story is about: `hour` is its first moment, aware; `factor` a code of the catalogue."""

    outlet: str
    factor: str
    hour: datetime

    @property
    def day(self) -> date:
        """The day of UTC+8 it belongs to."""
        return local_day(self.hour)


class Frame(NamedTuple):
    """A packet that was of the hour, or may have been.

    Attributes:
        received_at: arrival; the frame was on disk before its answer left.
        peer, mn, st, qn, edition, state, warnings, key_id: as in `packets`.
        answer: CN of the answer it was owed, None for none.
        carries: whether the factor is in it; None where its content cannot be read here.
    """

    received_at: datetime
    peer: str
    mn: str
    st: str
    qn: str | None
    edition: str
    state: str
    warnings: list[str]
    key_id: str | None
    answer: str | None
    carries: bool | None


class Story(NamedTuple):
    """What the database knows of an hour.

    Attributes:
        who: outlet, enterprise and factor by name.
        base: rows of the base list; none: not assessed.
        loggers: MNs that served the outlet in that hour.
        frames: by arrival.
        rejects: refused frames that name one of the data loggers, from when the hour was to be sent.
        readings: what stands.
        history: values that were replaced or came too late to stand.
        marks: that touch the hour.
        manual: the manual values of its day.
        computed: masks of the calculation made now, by stage.
        kept: masks the rates were made of, by stage; none before the aggregator was there.
    """

    who: dict[str, Any]
    base: list[dict[str, Any]]
    loggers: list[str]
    frames: list[Frame]
    rejects: list[dict[str, Any]]
    readings: list[dict[str, Any]]
    history: list[dict[str, Any]]
    marks: list[dict[str, Any]]
    manual: list[dict[str, Any]]
    computed: dict[str, dict[str, Any]]
    kept: dict[str, dict[str, Any]]


class StoryReader:
    """Reads what belongs to one hour, all as of one moment.

    Args:
        connection: inside a transaction of one snapshot; the calculation makes temporary tables in it.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    @classmethod
    @asynccontextmanager
    async def open(cls, dsn: str) -> AsyncIterator["StoryReader"]:
        """Connect and hold one snapshot until the context ends; nothing is written.

        Raises:
            SchemaMismatch: migrate first.
            StoreUnavailable: try again, or with a login that may read frames and marks.
        """
        try:
            async with connected(dsn, name="hj212gw why") as connection:
                await check_schema(connection)
                async with connection.transaction(isolation="repeatable_read"):
                    yield cls(connection)
        except CONNECTION_ERRORS as error:
            raise sort_error(error) from error

    async def find_owner(self, outlet: str, factor: str, hour: datetime) -> dict[str, Any] | None:
        """Return who an outlet was in an hour, `factor` None where the catalogue has no such code; None if unknown."""
        row = await self._connection.fetchrow(load_query("find_hour_owner"), outlet, hour, factor)
        return None if row is None else dict(row)

    async def read(self, subject: Subject, who: dict[str, Any], rules: Rules, now: datetime) -> Story:
        """Read all of an hour.

        Args:
            subject: of which outlet, factor and hour.
            who: from `find_owner`.
            rules: by which it is judged.
            now: hours that are not over are not due.
        """
        loggers = await self._find_loggers(subject)
        readings = await self._fetch("read_hour_readings", *subject)
        history = await self._read_history(subject, readings)
        return Story(
            who,
            await self._fetch("read_hour_base", *subject),
            loggers,
            await self._read_frames(subject, loggers, [*readings, *history], rules.completed_after),
            await self._read_rejects(subject, loggers),
            readings,
            history,
            [_with_events(row) for row in await self._fetch("read_hour_marks", *subject, LOCAL)],
            await self._fetch("read_day_manual", subject.outlet, subject.factor, subject.day, LOCAL),
            await self._compute(subject, rules, now),
            await self._read_masks("hj212.assessed_days", subject),
        )

    async def read_remedy(self, stage: str, state: str, *, is_dry: bool) -> str:
        """Return what can be done about a lost hour while its stage is open, as `v_lost_hours` says it."""
        return str(await self._connection.fetchval(load_query("read_remedy"), stage, state, is_dry))

    async def _fetch(self, query: str, *arguments: Any) -> list[dict[str, Any]]:
        return [dict(row) for row in await self._connection.fetch(load_query(query), *arguments)]

    async def _find_loggers(self, subject: Subject) -> list[str]:
        found: set[str] = set()
        for table in _LOGGER_TABLES:
            query = load_table_query("find_outlet_loggers", table)
            rows = await self._connection.fetch(query, subject.outlet, subject.hour, subject.hour + _SENT_WITHIN)
            found |= {row["mn"] for row in rows}
        return sorted(found)

    async def _read_history(self, subject: Subject, readings: list[dict[str, Any]]) -> list[dict[str, Any]]:
        keys = {_key_of(row, row["code"]) for row in readings}
        mns = sorted({row["mn"] for row in readings})
        rows = await self._fetch("read_outlet_history", mns, subject.hour, subject.hour + _SENT_WITHIN)
        return [row for row in rows if row["cn"] == "2061" and _key_of(row, row["factor"]) in keys]

    async def _read_frames(
        self, subject: Subject, loggers: list[str], values: list[dict[str, Any]], apart_for: timedelta
    ) -> list[Frame]:
        mns = sorted({*loggers, *(row["mn"] for row in values)})
        places = sorted({place for row in values for place in _places_of(row)})
        arguments = (mns, places, subject.hour, apart_for + _SENT_WITHIN)
        codes = {row["code"] for row in await self._fetch("find_factor_codes", subject.factor, mns)}
        codes |= {str(row.get("code", subject.factor)).lower() for row in values}
        labels = {
            (row["mn"], row["st"]): row["label"] for row in await self._fetch("read_hour_labels", mns, subject.hour)
        }
        sent = {(row["mn"], row["qn"]) for row in values if row["qn"]}
        frames = []
        for row in await self._fetch("read_hour_packets", *arguments):
            label = labels.get((row["mn"], row["st"]), labels.get((row["mn"], ""), "start"))
            frame = _read_frame(row, codes, subject.hour, label)
            is_near = row["state"] != "stored" and subject.hour <= row["qn_at"] < subject.hour + _SENT_WITHIN
            if frame is None and row["key_id"] and (is_near or (row["mn"], row["qn"]) in sent):
                frame = _make_frame(row, _answer_by_flag(row), carries=None)
            if frame is not None:
                frames.append(frame)
        return frames

    async def _read_rejects(self, subject: Subject, loggers: list[str]) -> list[dict[str, Any]]:
        if not loggers:
            return []
        marks = [f"MN={mn};".encode() for mn in loggers]
        start = subject.hour + _HOUR
        rows = await self._fetch("read_outlet_rejects", start, start + _SENT_WITHIN, [], marks)
        return [
            {name: row[name] for name in ("received_at", "peer", "reason", "detail")} for row in rows[:REJECTS_SHOWN]
        ]

    async def _compute(self, subject: Subject, rules: Rules, now: datetime) -> dict[str, dict[str, Any]]:
        await compute_days(
            self._connection, Scope(subject.day, subject.day + timedelta(days=1), now, [subject.outlet]), rules
        )
        return await self._read_masks("computed_days", subject)

    async def _read_masks(self, table: str, subject: Subject) -> dict[str, dict[str, Any]]:
        query = load_table_query("read_hour_masks", table)
        rows = await self._connection.fetch(query, subject.outlet, subject.factor, subject.day)
        return {row["stage"]: {name: value for name, value in row.items() if name != "stage"} for row in rows}


def _key_of(row: dict[str, Any], code: str) -> tuple[Any, ...]:
    return row["mn"], row["st"], code, row["data_time"], row["nth"]


def _places_of(row: dict[str, Any]) -> Iterable[datetime]:
    """Return where in `packets` the packet of a value can stand: at its QN, else in the slot of its arrival."""
    moment = parse_qn(str(row["qn"])) if row["qn"] else None
    if moment is not None:
        return [moment]
    arrivals: Sequence[datetime | None] = (row["received_at"], row.get("updated_at"))
    slots = [int(at.timestamp()) // _SLOT_SECS * _SLOT_SECS for at in arrivals if at]
    return [datetime.fromtimestamp(slot, UTC) for slot in slots]


def _read_frame(row: dict[str, Any], codes: set[str], hour: datetime, label: str) -> Frame | None:
    """Look into a packet; None where it is of another hour or cannot be read."""
    if row["key_id"]:
        return None
    slugs = [warning for warning in row["warnings"] if warning in SLUGS]
    try:
        packet = parse_packet(open_frame(bytes(row["raw"]), make_dialect(slugs)).segment)
        found = parse_readings(packet.cp).rows
    except ProtocolError:
        return None
    of_hour = [reading for reading in found if reading.data_time and _hour_of(reading.data_time, label) == hour]
    if not of_hour:
        return None
    carries = any(reading.factor.lower() in codes for reading in of_hour)
    return _make_frame(row, find_answer(packet), carries=carries)


def _hour_of(data_time: datetime, label: str) -> datetime:
    """Return the hour that a DataTime names."""
    begun = data_time - _HOUR if label in ("end", "sent") else data_time
    return begun.replace(minute=0, second=0, microsecond=0)


def _answer_by_flag(row: dict[str, Any]) -> str | None:
    return _DATA_ANSWER if (row["flag"] or 0) & _ASKS else None


def _make_frame(row: dict[str, Any], answer: str | None, *, carries: bool | None) -> Frame:
    names = ("received_at", "peer", "mn", "st", "qn", "edition", "state", "warnings", "key_id")
    return Frame(**{name: row[name] for name in names}, answer=answer, carries=carries)


def _with_events(row: dict[str, Any]) -> dict[str, Any]:
    """Read the events of a mark, which come as JSON."""
    events = json.loads(row["events"])
    return {**row, "events": [{**event, "at": datetime.fromisoformat(event["at"])} for event in events]}
