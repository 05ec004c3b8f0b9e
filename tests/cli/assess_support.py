"""`hj212gw assess` run on files that a test makes."""

import csv
import json
import os
import subprocess
import sys
from datetime import datetime, timedelta
from typing import NamedTuple

from hj212gw.assessment.files import BASE_COLUMNS, MARK_COLUMNS
from hj212gw.assessment.hours import HOUR_COLUMNS
from hj212gw.protocol.times import WIRE_ZONE

DAY = datetime(2026, 3, 1, tzinfo=WIRE_ZONE)
GAS = ("a34013", "a21026", "a21002", "a19001", "a01011", "a01012", "a01014", "a01013", "a00000")
NOW = ("--now", "2026-06-01")
COUNTS = (
    "expected_values",
    "reported_values",
    "expected_groups",
    "groups_not_taking_part",
    "groups_received",
    "valid_groups",
)


class Result(NamedTuple):
    """How a command ended and what it printed."""

    exit_code: int
    stdout: str
    stderr: str

    @property
    def document(self):
        """What `--json` printed."""
        assert self.exit_code == 0, self.stderr
        return json.loads(self.stdout)

    def row(self, stage, level="outlet", id_=None):
        """One row of the document."""
        rows = [row for row in self.document["rows"] if (row["level"], row["stage"]) == (level, stage)]
        (row,) = [row for row in rows if id_ in (None, row["id"])]
        return row


class Folder:
    """A folder of files under way.

    Hours arrive five minutes after they end, with all fields and the flag N, unless told otherwise.
    """

    def __init__(self, path):
        self.path = path
        self.base, self.hours, self.marks = [], [], []

    def list_outlet(self, outlet, fields, *, medium="water", days=1, enterprise="E1", county="Hongta"):
        """List an outlet with its factors and their fields for some days."""
        end = f"{DAY + timedelta(days=days):%Y-%m-%d}"
        self.base += [
            (enterprise, county, outlet, medium, factor, count, "2026-03-01", end) for factor, count in fields.items()
        ]

    def send(self, outlet, factor, hours, *, fields=1, arrived=None, mean="true", flag="N"):
        """Let hours arrive, counted from the first of the first day."""
        for hour in hours:
            at = DAY + timedelta(hours=hour)
            came = arrived or f"{at + timedelta(minutes=65):%Y-%m-%dT%H:%M}"
            self.hours.append((outlet, factor, f"{at:%Y-%m-%dT%H:%M}", came, fields, mean, flag))

    def mark(self, outlet, factor, kind, from_at, to_at, recorded_at, value=""):
        """Declare a mark."""
        self.marks.append((outlet, factor, kind, from_at, to_at, recorded_at, value))

    def write(self):
        """Write the files."""
        self.path.mkdir(exist_ok=True)
        files = (("base_list", BASE_COLUMNS, self.base), ("hours", HOUR_COLUMNS, self.hours))
        for name, columns, rows in (*files, ("marks", MARK_COLUMNS, self.marks)):
            if name != "marks" or rows:
                with (self.path / f"{name}.csv").open("w", encoding="utf-8", newline="") as stream:
                    csv.writer(stream).writerows([columns, *rows])
        return self.path


def run(*arguments, environment=None, cwd=None):
    """Run `hj212gw assess` in a process of its own."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("HJ212GW_")}
    result = subprocess.run(
        [sys.executable, "-m", "hj212gw", "assess", *map(str, arguments)],
        capture_output=True,
        timeout=300,
        check=False,
        cwd=cwd,
        env={**kept, "PYTHONUTF8": "1", **(environment or {})},
    )
    return Result(result.returncode, result.stdout.decode(), result.stderr.decode())


def run_folder(folder, *arguments):
    """Run it on files, to JSON."""
    return run("--from-csv", folder.write(), "--json", *NOW, *arguments)


def counts_of(row):
    """The counts of a row."""
    return tuple(row[name] for name in COUNTS)


def rates_of(row):
    """The percentages of a row: T, V, TV."""
    return row["transmission_pct"], row["validity_pct"], row["effective_pct"]
