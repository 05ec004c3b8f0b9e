"""What journal tests share: small journals, numbered records, ways to damage a file."""

import asyncio
import os
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial

from hj212gw.journal import ACCEPTED, REJECT, Journal, JournalObserver, JournalSettings, Record
from hj212gw.journal.segments import PAGE_BYTES, list_segments

TIME_SCALE = float(os.environ.get("HJ212_TEST_TIME_SCALE", "1"))
MIB = 1024 * 1024
BASE_US = 1_700_000_000_000_000
DAY_US = 86_400_000_000
PEER = "127.0.0.1:40001"


def settings_for(directory, **changes):
    """Settings of a small journal that waits for nothing."""
    small = {"max_bytes": 64 * MIB, "segment_bytes": MIB, "group_wait_secs": 0.0, "reserve_bytes": 0}
    return JournalSettings(directory=directory, **(small | changes))


def make_record(number, size=40, *, kind=ACCEPTED):
    """A record that can be told from all others."""
    body = f"<{number:010d}>".encode()
    return Record(BASE_US + number, kind, PEER, "crc\tgot 1C08" if kind == REJECT else "", body.ljust(size, b"."))


def numbers_in(groups):
    """The numbers of the records in groups, in order."""
    return [int(record.body[1:11]) for group in groups for record in group.records]


@dataclass
class Seen:
    """Remembers what an observer was told."""

    commits: list = field(default_factory=list)
    fulls: list = field(default_factory=list)
    rooms: int = 0
    damages: list = field(default_factory=list)
    failures: list = field(default_factory=list)

    def observer(self):
        """An observer that writes here."""
        return JournalObserver(
            on_commit=lambda *facts: self.commits.append(facts),
            on_full=self.fulls.append,
            on_room=self._count_room,
            on_damage=self.damages.append,
            on_failure=self.failures.append,
        )

    def _count_room(self):
        self.rooms += 1


@asynccontextmanager
async def opened(directory, seen=None, **changes):
    """An open journal, closed at the end."""
    journal = Journal.open(settings_for(directory, **changes), observer=seen.observer() if seen else None)
    try:
        yield journal
    finally:
        await journal.close()


async def until(condition, *, secs=10.0):
    """Poll until something is true; fail when that takes too long."""
    async with asyncio.timeout(secs * TIME_SCALE):
        while not condition():  # noqa: ASYNC110 - what another thread does sets no event of ours
            await asyncio.sleep(0.001)


async def keep(journal, *records, low_priority=False):
    """Submit records together and wait until the last one is durable."""
    last = asyncio.get_running_loop().create_future()
    for record in records:
        callback = partial(last.set_result, None) if record is records[-1] else lambda: None
        assert journal.submit(record, callback, low_priority=low_priority)
    async with asyncio.timeout(10.0 * TIME_SCALE):
        await last


async def keep_groups(journal, numbers, size=40):
    """Make a group of each number."""
    for number in numbers:
        await keep(journal, make_record(number, size))


async def quiet(journal):
    """Wait until the writer has nothing left to do."""
    writer = journal._writer
    await until(lambda: writer.wake_at == 1 and not (writer.queue or writer._chores or writer._removals))


def read_all(journal, after_seq=0, most=7):
    """All groups after a position, read in small steps."""
    groups = []
    while found := journal.read(groups[-1].seq if groups else after_seq, most):
        groups += found
    return groups


async def read_on(journal, count, after_seq=0):
    """Read until there are `count` records; damaged segments take a moment to repair."""
    groups = []

    def has_all():
        groups.extend(journal.read(groups[-1].seq if groups else after_seq, 1000))
        return len(numbers_in(groups)) >= count

    await until(has_all)
    return groups


def only_segment(directory):
    """The one segment of a directory."""
    (path,) = list_segments(directory)
    return path


def patch(path, at, content):
    """Overwrite bytes of a file."""
    with path.open("r+b") as file:
        file.seek(at)
        file.write(content)


def flip_record(path, number, *, log=False):
    """Flip a bit in the body of a record."""
    target = path.with_name(path.name + "-wal") if log else path
    at = target.read_bytes().index(f"<{number:010d}>".encode())
    patch(target, at + 3, b"\xff")


def leaf_pages(path):
    """The offsets of the pages that hold groups."""
    content = path.read_bytes()
    starts = range(0, len(content), PAGE_BYTES)
    return [at for at in starts if content[at] == 0x0D and b"<0" in content[at : at + PAGE_BYTES]]
