"""Evidence of an outlet and a range: everything of one snapshot, streamed into one file."""

import base64
import getpass
from datetime import date, datetime
from importlib import resources
from pathlib import Path
from typing import Any, NamedTuple

from hj212gw import __version__
from hj212gw.clock import Clock
from hj212gw.errors import EvidenceError, ProtocolError
from hj212gw.evidence.package import Draft, format_moment
from hj212gw.protocol import open_frame, parse_packet, parse_readings
from hj212gw.protocol.dialects import SLUGS, make_dialect
from hj212gw.protocol.times import local_day
from hj212gw.store.digests import LINK_FIELDS, link_fields, packet_fingerprint
from hj212gw.store.evidence import REGISTRY_KEYS, EvidenceReader

README = "README.txt"
FRAMES = "frames.jsonl"
READINGS = "readings.csv"
HISTORY = "history.csv"
REJECTS = "rejects.csv"
CHAIN = "chain.csv"

CHAIN_COLUMNS = ("seq", *LINK_FIELDS, "chained")
_REJECT_COLUMNS = ("received_at", "peer", "reason", "detail", "raw")


class Request(NamedTuple):
    """What evidence is asked for: an outlet, and a range of time with an exclusive end, aware."""

    outlet: str
    start: datetime
    end: datetime


class Exported(NamedTuple):
    """What was written.

    Attributes:
        path: the file.
        manifest_sha256: of its manifest; whoever keeps it elsewhere can tell later whether anything was touched.
        mns: the data loggers that served the outlet.
        rows: by file inside, where it holds rows.
    """

    path: Path
    manifest_sha256: str
    mns: list[str]
    rows: dict[str, int]


async def export_evidence(reader: EvidenceReader, request: Request, path: Path, clock: Clock) -> Exported:
    """Write evidence into a file only its owner may read: frames hold passwords.

    Args:
        reader: one snapshot.
        request: what.
        path: replaced when it exists, once all is written.
        clock: for the moment of export.

    Raises:
        EvidenceError: the outlet is unknown, nothing served it in the range, or nothing came.
        StoreUnavailable: nothing was written.
        OSError: nothing was written.
    """
    if not await reader.find_outlet(request.outlet):
        raise EvidenceError(
            f"the registry has no outlet {request.outlet!r}: hj212gw registry export shows those it has"
        )
    mns = await reader.find_loggers(*request)
    if not mns:
        raise EvidenceError(f"no data logger served outlet {request.outlet!r} between the two moments")
    with Draft(path) as draft:
        writer = _Writer(reader, request, draft, mns)
        await writer.write_all()
        if not any(draft.files[name].rows for name in (FRAMES, READINGS, HISTORY)):
            raise EvidenceError(f"nothing came from {', '.join(mns)} between the two moments: no evidence was written")
        head = await reader.read_chain_head()
        digest = draft.finish(
            {
                "program": f"hj212gw {__version__}",
                "outlet": request.outlet,
                "from": format_moment(request.start),
                "to": format_moment(request.end),
                "mns": mns,
                "chain_newest": head and {"seq": head.seq, "day": str(head.day), "chained": head.chained.hex()},
                "exported_at": format_moment(clock.now()),
                "exported_by": getpass.getuser(),
            }
        )
        rows = {name: file.rows for name, file in draft.files.items() if file.rows}
    return Exported(path, digest, mns, rows)


class _Writer:
    """Writes the files of one export, in the order they stand in the ZIP."""

    def __init__(self, reader: EvidenceReader, request: Request, draft: Draft, mns: list[str]) -> None:
        self._reader = reader
        self._request = request
        self._draft = draft
        self._mns = mns
        self._peers: set[str] = set()
        self._days: set[date] = {local_day(request.start), local_day(request.end)}

    async def write_all(self) -> None:
        """Write every file but the manifest."""
        with self._draft.member(README) as member:
            member.write((resources.files("hj212gw.evidence") / README).read_bytes())
        await self._write_registry()
        await self._write_frames()
        await self._write_table(READINGS, "v_readings", self._reader.read_readings(*self._request))
        history = self._reader.read_history(self._mns, self._request.start, self._request.end)
        await self._write_table(HISTORY, "v_history", history)
        await self._write_rejects()
        await self._write_chain()

    async def _write_registry(self) -> None:
        """Write who was watched; enterprises come from the outlets' rows, so they follow them."""
        start, end = self._request.start, self._request.end
        ids = {"outlet": {self._request.outlet}, "mn": set(self._mns), "enterprise": set[str]()}
        for table, key in REGISTRY_KEYS.items():
            found = await self._reader.read_registry(table, ids[key], start, end)
            if table == "outlets":
                place = found.columns.index("enterprise")
                ids["enterprise"] = {row[place] for row in found.rows}
            with self._draft.member(f"registry/{table}.csv", found.columns) as member:
                for row in found.rows:
                    member.write_row(row)

    async def _write_frames(self) -> None:
        start, end = self._request.start, self._request.end
        first, last = await self._reader.find_arrivals(self._request.outlet, start, end, self._mns)
        window = (min(start, first or start), max(end, last or end))
        with self._draft.member(FRAMES) as member:
            async for row in self._reader.read_frames(self._mns, *window):
                if not self._is_wanted(row):
                    continue
                member.write_line(_describe(row))
                self._peers.add(row["peer"])
                self._days.add(local_day(row["received_at"]))

    def _is_wanted(self, row: Any) -> bool:
        """Tell whether a frame came in the range or speaks of it; what is encrypted may."""
        start, end = self._request.start, self._request.end
        if start <= row["received_at"] < end or row["key_id"]:
            return True
        moment = _data_time(row["raw"], row["warnings"] or [])
        return moment is not None and start <= moment < end

    async def _write_table(self, name: str, view: str, rows: Any) -> None:
        columns = await self._reader.columns_of(view)
        with self._draft.member(name, columns) as member:
            async for row in rows:
                member.write_row(tuple(row))

    async def _write_rejects(self) -> None:
        rows = self._reader.read_rejects(self._request.start, self._request.end, self._peers, self._mns)
        with self._draft.member(REJECTS, _REJECT_COLUMNS) as member:
            async for row in rows:
                member.write_row(tuple(row))

    async def _write_chain(self) -> None:
        entries = await self._reader.read_chain(min(self._days), max(self._days))
        with self._draft.member(CHAIN, CHAIN_COLUMNS) as member:
            for entry in entries:
                member.write_row((entry.seq, *link_fields(entry), entry.chained.hex()))


def _describe(row: Any) -> dict[str, Any]:
    """Return what a line of frames.jsonl holds."""
    texts = (row["peer"], row["key_id"] or "", row["mn"], row["cn"], row["qn"] or "")
    return {
        "received_at": format_moment(row["received_at"]),
        **{name: row[name] for name in ("peer", "mn", "st", "cn", "qn", "pnum", "pno", "flag", "edition", "state")},
        "warnings": row["warnings"] or [],
        "key_id": row["key_id"],
        "raw": base64.b64encode(row["raw"]).decode(),
        "digest": row["digest"].hex(),
        "fingerprint": packet_fingerprint(row["received_at"], texts, row["raw"]).hex(),
    }


def _data_time(raw: bytes, warnings: list[str]) -> datetime | None:
    """Return a frame's DataTime, None where it has none that can be read."""
    try:
        opened = open_frame(raw, make_dialect(slug for slug in SLUGS if slug in warnings))
        readings = parse_readings(parse_packet(opened.segment).cp)
    except ProtocolError:
        return None
    return readings.rows[0].data_time if readings.rows else None
