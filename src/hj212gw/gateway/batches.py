"""Journal groups to store batches: parse again, judge, number the data loggers, keep track of who was heard."""

import asyncio
from datetime import datetime

from hj212gw import telemetry_gateway
from hj212gw.clock import from_us
from hj212gw.errors import ProtocolError
from hj212gw.gateway.admission import Admission, Verdict
from hj212gw.gateway.notes import FOREIGN_PEER, Note, read_note
from hj212gw.gateway.proposals import ProposalBook
from hj212gw.gateway.rows import Arrival, make_apart, make_rows, read_arrival
from hj212gw.gateway.suspicions import SuspicionBook
from hj212gw.journal import ACCEPTED, Group, Record
from hj212gw.protocol.diagnosis import STANDARD, InForce
from hj212gw.store.loggers import add_found_loggers, add_loggers
from hj212gw.store.pool import Connection
from hj212gw.store.rows import QUARANTINED, Activity, Batch, PacketRow, PacketRows

_PLAIN = Note()
_SLICE = 64  # records between two turns of the event loop, about a millisecond


class BatchMaker:
    """Turns what the journal holds into batches for the writer.

    Args:
        admission: who is registered.

    Attributes:
        book: of what is odd.
        suspicions: of who may be somebody else.
        labels: the time labels that are not `start`, by MN, ST ("" for any) and CN.
    """

    def __init__(self, admission: Admission) -> None:
        self._admission = admission
        self._numbers: dict[str, int] = {}
        self._heard: dict[str, tuple[datetime, datetime | None, datetime | None]] = {}  # by MN: arrival, DataTime, QN
        self.suspicions = SuspicionBook()
        self.book = ProposalBook(self._in_force, on_reused=self.suspicions.note_reused)
        self.labels: dict[tuple[str, str, str], str] = {}

    def forget_numbers(self) -> None:
        """Drop what was learnt of a database that may be another one now."""
        self._numbers.clear()
        self.book.forget()
        self.suspicions.forget()

    async def make(self, connection: Connection, groups: list[Group], after: int) -> Batch:
        """Make one batch of whole groups.

        Args:
            connection: for numbers of data loggers met for the first time.
            groups: one or more, in order.
            after: the position before them.

        Raises:
            StoreUnavailable: try again.
        """
        arrivals: list[Arrival] = []
        rejects: list[tuple[datetime, str, str, str, bytes]] = []
        records = [record for group in groups for record in group.records]
        for start in range(0, len(records), _SLICE):
            for record in records[start : start + _SLICE]:
                self._read(record, arrivals, rejects)
            await asyncio.sleep(0)
        packets = await self._make_packets(connection, arrivals)
        self.book.note_packets(arrivals, packets)
        self.suspicions.note_packets(packets)
        through = from_us(records[-1].received_at_us) if records else from_us(0)
        proposals, suspicions = self.book.take(), self.suspicions.take()
        return Batch(packets, rejects, [], after, groups[-1].seq, through, proposals, suspicions)

    async def remake(self, connection: Connection, stored: list[PacketRow]) -> list[PacketRows]:
        """Make the rows of stored packets again, by the registry as it is now.

        Returns:
            As many, in order. One that cannot be read, or whose key is missing, is quarantined and has no readings.
        """
        arrivals: list[Arrival] = []
        unreadable: dict[int, PacketRows] = {}
        for index, row in enumerate(stored):
            note = Note(row.key_id or "", tuple(row.warnings or ()))  # a dialect's slugs stand among the warnings
            try:
                arrivals.append(self._read_kept(row.raw, row.received_at, row.peer, note))
            except ProtocolError:
                unreadable[index] = PacketRows(row._replace(state=QUARANTINED), has_qn=True)
        made = iter(await self._make_packets(connection, arrivals))
        return [unreadable.get(index) or next(made) for index in range(len(stored))]

    def take_activity(self) -> list[Activity]:
        """Return who was heard since the last call."""
        heard, self._heard = self._heard, {}
        return [
            Activity(mn, received_at, data_time, (qn_at - received_at).total_seconds() if qn_at else None)
            for mn, (received_at, data_time, qn_at) in heard.items()
        ]

    def _read(
        self,
        record: Record,
        arrivals: list[Arrival],
        rejects: list[tuple[datetime, str, str, str, bytes]],
    ) -> None:
        received_at = from_us(record.received_at_us)
        reason, _, detail = record.note.partition("\t")
        if record.kind == ACCEPTED:
            try:
                note = read_note(record.note) if record.note else _PLAIN
                arrivals.append(self._read_kept(record.body, received_at, record.peer, note))
                return
            except ProtocolError as error:
                reason, detail = error.reason, str(error)
        rejects.append((received_at, record.peer, reason, detail, record.body))
        self.book.note_reject(received_at, record.peer, reason, record.body)

    def _read_kept(self, frame: bytes, received_at: datetime, peer: str, note: Note) -> Arrival:
        """Read a kept frame again; a fault of the program is one frame's, and those behind it are not held up.

        Raises:
            ProtocolError: this version cannot read it.
        """
        try:
            return read_arrival(frame, received_at, peer, note, self._admission.key_of)
        except (ProtocolError, MemoryError):
            raise
        except Exception as error:
            telemetry_gateway.fault_contained("frame", error)
            message = f"this version cannot read it: {type(error).__name__}"
            raise ProtocolError(message, reason="other") from error

    async def _make_packets(self, connection: Connection, arrivals: list[Arrival]) -> list[PacketRows]:
        verdicts = [self._admission.judge(arrival.packet.mn, arrival.packet.pw) for arrival in arrivals]
        await self._number(connection, arrivals, verdicts)
        packets: list[PacketRows] = []
        for start in range(0, len(arrivals), _SLICE):
            for arrival, verdict in zip(
                arrivals[start : start + _SLICE], verdicts[start : start + _SLICE], strict=True
            ):
                packets.append(self._make_packet(arrival, verdict))
            await asyncio.sleep(0)
        return packets

    def _make_packet(self, arrival: Arrival, verdict: Verdict) -> PacketRows:
        mn = arrival.packet.mn
        foreign = (FOREIGN_PEER,) if self._admission.is_foreign(mn, arrival.peer) else ()
        if verdict is Verdict.KNOWN:
            rows = _make_or_keep_apart(arrival, self._numbers.get(mn), foreign)
        else:
            is_held = verdict is Verdict.UNKNOWN_MN and not self._admission.accepts_unknown
            if is_held or verdict is Verdict.WRONG_PASSWORD:
                telemetry_gateway.logger_seen(mn, verdict)
            number = None if is_held else self._numbers.get(mn)
            rows = _make_or_keep_apart(arrival, number, (verdict.value, *foreign))
        self._hear(rows)
        return rows

    def _in_force(self, mn: str, st: str, cn: str) -> InForce:
        """Tell what the registry says of a data logger, for its proposals."""
        label = self.labels.get((mn, st, cn)) or self.labels.get((mn, "", cn)) or STANDARD.label
        return InForce(label, self._admission.min_interval_mins(mn) or None)

    def _hear(self, rows: PacketRows) -> None:
        packet, data_time = rows.packet, rows.data_time
        if data_time is None:
            before = self._heard.get(packet.mn)
            data_time = before[1] if before is not None else None
        self._heard[packet.mn] = (packet.received_at, data_time, packet.qn_at if rows.has_qn else None)

    async def _number(self, connection: Connection, arrivals: list[Arrival], verdicts: list[Verdict]) -> None:
        """Find the numbers of registered data loggers; register unknown ones where that is the policy."""
        new: set[str] = set()
        found: dict[str, str] = {}
        for arrival, verdict in zip(arrivals, verdicts, strict=True):
            mn = arrival.packet.mn
            if mn in self._numbers or not mn:
                continue
            if verdict is Verdict.UNKNOWN_MN:
                if not self._admission.accepts_unknown:
                    continue
                found[mn] = arrival.packet.st
            new.add(mn)
        if found:
            await add_found_loggers(connection, found.items())
            for mn, st in found.items():
                self._admission.add_found(mn, st)
            telemetry_gateway.loggers_found(len(found), next(iter(found)))
        if new:
            self._numbers |= await add_loggers(connection, new)


def _make_or_keep_apart(arrival: Arrival, logger_id: int | None, more_warnings: tuple[str, ...]) -> PacketRows:
    """Make the rows of a packet; a fault of the program keeps it apart, and those behind it are not held up."""
    try:
        return make_rows(arrival, logger_id=logger_id, more_warnings=more_warnings)
    except MemoryError:
        raise
    except Exception as error:  # noqa: BLE001 - whatever it is, it would come again with every try
        telemetry_gateway.fault_contained("rows", error)
        return make_apart(arrival, more_warnings)
