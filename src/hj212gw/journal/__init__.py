"""The journal: bytes in, bytes out, durable before they are acknowledged."""

from hj212gw.journal.journal import Journal
from hj212gw.journal.records import ACCEPTED, REJECT, Group, Position, Record
from hj212gw.journal.renewal import Renewed, renew
from hj212gw.journal.settings import Damage, JournalObserver, JournalSettings, JournalStats
from hj212gw.journal.status import Finding, JournalReport, SegmentReport, inspect, verify

__all__ = [
    "ACCEPTED",
    "REJECT",
    "Damage",
    "Finding",
    "Group",
    "Journal",
    "JournalObserver",
    "JournalReport",
    "JournalSettings",
    "JournalStats",
    "Position",
    "Record",
    "Renewed",
    "SegmentReport",
    "inspect",
    "renew",
    "verify",
]
