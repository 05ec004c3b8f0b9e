"""The journal's writer: a row for each record against a row for each group, and what the whole journal does.

    python bench/journal.py [--secs 1] [--repeat 5] [--directory DIR] [--json]

First a bare writer thread, records of 400 bytes, one transaction and fsync for each 10, 100 or 1000 of them; the main
thread sleeps, or computes without ever letting go of the GIL by itself, as an event loop under load does. The same for
reading, where the reader is the main thread and the other one computes. Each is measured several times, the two
kinds in turn; median and range are printed, since what a busy GIL costs depends on who else wants the processors.
Then the journal: records/s durable, the cost of `submit` on the event loop, and reading back.
"""

import argparse
import asyncio
import json
import os
import platform
import sqlite3
import statistics
import sys
import tempfile
import threading
import time
from datetime import UTC, datetime
from pathlib import Path

from hj212gw.errors import JournalFull
from hj212gw.journal import ACCEPTED, Journal, JournalObserver, JournalSettings, Record
from hj212gw.journal.records import Row, checksum, decode_group, encode_group

BODY = b"##0375" + b"x" * 394
PEER = "10.20.30.40:50123"
START_US = 1_700_000_000_000_000
GROUP_SIZES = (10, 100, 1000)
CHECKPOINT_BYTES = 4 * 1024 * 1024


def connect(path, schema):
    """A database with the settings of a segment."""
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    for statement in ("page_size = 8192", "journal_mode = WAL", "synchronous = FULL", "wal_autocheckpoint = 0"):
        connection.execute(f"PRAGMA {statement}").fetchall()
    connection.execute(schema)
    return connection


class Rows:
    """One row for each record."""

    def __init__(self, path):
        self.connection = connect(
            path, "CREATE TABLE r (seq INTEGER PRIMARY KEY AUTOINCREMENT, at INTEGER, kind INTEGER, peer, note, body)"
        )

    def write(self, records):
        """Make records durable together."""
        self.connection.execute("BEGIN")
        self.connection.executemany("INSERT INTO r VALUES (NULL, ?, ?, ?, ?, ?)", records)
        self.connection.execute("COMMIT")

    def read(self):
        """Read all records back."""
        query = "SELECT seq, at, kind, peer, note, body FROM r ORDER BY seq"
        for _, *fields in self.connection.execute(query):
            yield Record(*fields)


class Groups:
    """One row for each group, as the journal writes it."""

    def __init__(self, path):
        self.connection = connect(
            path, "CREATE TABLE g (seq INTEGER PRIMARY KEY AUTOINCREMENT, a, b, c, d, e, f, crc, body BLOB)"
        )
        self.seq = 0

    def write(self, records):
        """Make records durable together."""
        self.seq += 1
        body = encode_group(records)
        row = Row(self.seq, START_US, START_US, len(records), 0, 0, 0, 0, body)
        self.connection.execute("INSERT INTO g VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", row._replace(crc=checksum(row)))

    def read(self):
        """Read all records back."""
        for values in self.connection.execute("SELECT * FROM g ORDER BY seq"):
            row = Row._make(values)
            assert checksum(row) == row.crc
            yield from decode_group(row.body)


def compute(stop):
    """Keep the GIL until it is taken away."""
    number = 0
    while not stop.is_set():
        for _ in range(1000):
            number = (number * 31 + 7) % 1000003


def make_records(count):
    return [Record(START_US + number, ACCEPTED, PEER, "", BODY) for number in range(count)]


def measure_writing(kind, size, *, is_busy, secs):
    """Records/s that one thread makes durable in groups of a size."""
    with tempfile.TemporaryDirectory(dir=DIRECTORY) as directory:
        store = kind(Path(directory) / "bench.db")
        records, stop, counts = make_records(size), threading.Event(), [0]

        def work():
            log_bytes = 0
            while not stop.is_set():
                store.write(records)
                counts[0] += size
                log_bytes += size * 440
                if log_bytes > CHECKPOINT_BYTES:
                    store.connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
                    log_bytes = 0

        thread = threading.Thread(target=work)
        timer = threading.Timer(secs, stop.set)
        began = time.perf_counter()
        thread.start()
        timer.start()
        if is_busy:
            compute(stop)
        thread.join()
        rate = counts[0] / (time.perf_counter() - began)
        timer.join()
        store.connection.close()
    return rate


def measure_reading(kind, size, *, is_busy, secs):
    """Records/s that the main thread reads while another one rests or computes."""
    with tempfile.TemporaryDirectory(dir=DIRECTORY) as directory:
        store = kind(Path(directory) / "bench.db")
        for _ in range(20_000 // size):
            store.write(make_records(size))
        stop = threading.Event()
        thread = threading.Thread(target=compute if is_busy else threading.Event.wait, args=(stop,))
        thread.start()
        count = 0
        began = time.perf_counter()
        for _ in store.read():
            count += 1
            if count % 100 == 0 and time.perf_counter() - began > secs:
                break
        rate = count / (time.perf_counter() - began)
        stop.set()
        thread.join()
        store.connection.close()
    return rate


async def measure_journal(*, burst, secs):
    """What the whole journal does when bursts of records are submitted as fast as it takes them."""
    commits = []
    observer = JournalObserver(on_commit=lambda *facts: commits.append(facts))
    with tempfile.TemporaryDirectory(dir=DIRECTORY) as directory:
        settings = JournalSettings(directory=Path(directory) / "journal", reserve_bytes=0)
        journal = Journal.open(settings, observer=observer)
        records, durable, submit_secs, submitted = make_records(burst), [0], 0.0, 0

        def settle():
            durable[0] += 1

        began = time.perf_counter()
        cpu = time.process_time()
        while time.perf_counter() - began < secs:
            if journal.stats().queued_bytes < settings.backlog_bytes // 2:
                start = time.perf_counter()
                try:
                    for record in records:
                        journal.submit(record, settle)
                        submitted += 1
                except JournalFull:
                    pass
                submit_secs += time.perf_counter() - start
            await asyncio.sleep(0)
        while durable[0] < submitted:  # noqa: ASYNC110 - an event set for each record would cost more than it tells
            await asyncio.sleep(0.001)
        wall, cpu = time.perf_counter() - began, time.process_time() - cpu
        read, seq, began = 0, 0, time.perf_counter()
        while groups := journal.read(seq, 1000):
            seq = groups[-1].seq
            read += sum(len(group.records) for group in groups)
        read_secs = time.perf_counter() - began
        assert read == submitted
        await journal.close()
    return {
        "burst": burst,
        "records_per_sec": round(submitted / wall),
        "records_per_group": round(submitted / len(commits)),
        "commit_ms": round(sum(one[2] for one in commits) / len(commits) * 1000, 2),
        "submit_us": round(submit_secs / submitted * 1e6, 2),
        "cpu_us_per_record": round(cpu / submitted * 1e6, 2),
        "read_records_per_sec": round(read / read_secs),
    }


def compare(measure, size, *, is_busy, options):
    """Both kinds in turn, so that what else the machine does meets both."""
    rates = {Rows: [], Groups: []}
    for _ in range(options.repeat):
        for kind, found in rates.items():
            found.append(round(measure(kind, size, is_busy=is_busy, secs=options.secs)))
    median = {kind: round(statistics.median(found)) for kind, found in rates.items()}
    return {
        "other_thread": "computes" if is_busy else "rests",
        "group": size,
        "row_per_record": median[Rows],
        "row_per_record_range": [min(rates[Rows]), max(rates[Rows])],
        "row_per_group": median[Groups],
        "row_per_group_range": [min(rates[Groups]), max(rates[Groups])],
        "ratio": round(median[Groups] / median[Rows], 1),
    }


def run(options):
    """All measurements as one report."""
    python = f"Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}"
    report = {
        "date": datetime.now(UTC).date().isoformat(),
        "machine": f"{os.cpu_count()} x {platform.machine()}, {python}",
    }
    for title, measure in (("writing", measure_writing), ("reading", measure_reading)):
        report[title] = [
            compare(measure, size, is_busy=is_busy, options=options)
            for is_busy in (False, True)
            for size in GROUP_SIZES
        ]
    report["journal"] = [
        asyncio.run(measure_journal(burst=burst, secs=options.secs)) for burst in (100, 500, 2000) for _ in range(2)
    ]
    return report


def show(report):
    """Print a report as tables."""
    print(f"{report['date']}  {report['machine']}")
    for title in ("writing", "reading"):
        print(f"\n{title}, records/s: median (range)")
        print(f"{'other thread':<12} {'group':>6} {'row/record':>28} {'row/group':>28} {'ratio':>7}")
        for line in report[title]:
            cells = [
                f"{line[kind]:,} ({line[f'{kind}_range'][0]:,}-{line[f'{kind}_range'][1]:,})"
                for kind in ("row_per_record", "row_per_group")
            ]
            print(f"{line['other_thread']:<12} {line['group']:>6,} {cells[0]:>28} {cells[1]:>28} {line['ratio']:>7}")
    print("\njournal (burst = records submitted in one turn of the event loop)")
    for line in report["journal"]:
        print("  ".join(f"{name}={value:,}" for name, value in line.items()))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--secs", type=float, default=1.0, help="time of each measurement")
    parser.add_argument("--repeat", type=int, default=5, help="measurements of each kind")
    parser.add_argument("--directory", type=Path, help="on the disk to measure; default: the one for temporary files")
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args()
    DIRECTORY = chosen.directory
    result = run(chosen)
    if chosen.json:
        json.dump(result, sys.stdout, indent=1)
    else:
        show(result)
