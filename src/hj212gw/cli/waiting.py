"""What of journals still waits for the database: asked of the gateway that runs, or read off their directories."""

import re
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any, NamedTuple

from hj212gw.cli.asking import ask_http, find_listener, find_parent
from hj212gw.config import Settings
from hj212gw.journal import JournalReport

_PACKETS = re.compile(r"^hj212gw_journal_pending_packets (\S+)$", re.MULTILINE)
_BYTES = re.compile(r"^hj212gw_journal_pending_bytes (\S+)$", re.MULTILINE)


class Waiting(NamedTuple):
    """What waits.

    Attributes:
        records, byte_count: how much; None where it cannot be known.
        is_exact: else it is at most so much.
        source: by what it is known, or why it is not.
    """

    records: int | None
    byte_count: int | None
    is_exact: bool
    source: str

    def describe(self) -> str:
        """Put it into words."""
        if self.records is None:
            return f"unknown: {self.source}"
        return f"{'' if self.is_exact else 'at most '}{self.records} records, {self.byte_count} bytes: {self.source}"

    def as_json(self) -> dict[str, Any]:
        """Put it into a document."""
        return {
            "records": self.records,
            "bytes": self.byte_count,
            "is_exact": self.is_exact,
            "source": self.source,
        }


def measure_waiting(reports: Sequence[JournalReport]) -> Waiting:
    """Tell by their directories how much waits in journals: the notes say which segments were drained whole."""
    segments = [segment for report in reports for segment in report.waiting]
    for segment in segments:
        if segment.problem:
            return Waiting(None, None, is_exact=False, source=f"{segment.name} cannot be read")
    records = sum(segment.records for segment in segments)
    if not records:
        return Waiting(0, 0, is_exact=True, source="all segments are noted as drained")
    size = sum(segment.byte_count for segment in segments)
    return Waiting(records, size, is_exact=False, source="what segments hold that are not noted as drained whole")


def ask_waiting(settings: Settings, reports: Sequence[JournalReport]) -> Waiting | None:
    """Ask the gateway that has the settings' journals open how much waits in all of them; None when none answers."""
    owners = {report.owner_pid for report in reports if report.owner_pid is not None}
    base = settings.journal.directory.absolute()
    if not owners or not all(report.directory.absolute().is_relative_to(base) for report in reports):
        return None
    listener = find_listener(settings.http.port)
    if listener is not None and listener.pid not in owners | {find_parent(pid) for pid in owners}:
        return None
    status, text = ask_http(settings, "/metrics")
    packets, size = _PACKETS.search(text), _BYTES.search(text)
    if status != HTTPStatus.OK or packets is None or size is None:
        return None
    source = f"by /metrics at {settings.http.host}:{settings.http.port}"
    return Waiting(int(float(packets[1])), int(float(size[1])), is_exact=True, source=source)
