"""The writer's thread: full disks, failures, and its end."""

import asyncio
import sqlite3
import threading
from contextlib import closing
from functools import partial

import pytest
from tests.journal.support import (
    BASE_US,
    MIB,
    Seen,
    keep,
    keep_groups,
    make_record,
    numbers_in,
    only_segment,
    opened,
    quiet,
    read_all,
    read_on,
    settings_for,
    until,
)
from tests.journal.test_segments import change

from hj212gw.errors import JournalFull, JournalUnwritable
from hj212gw.journal import Journal
from hj212gw.journal.directory import Identity, Reserve
from hj212gw.journal.segments import list_segments


def limit_pages(journal, pages):
    """Let SQLite find the disk full when the active segment has so many pages."""
    journal._writer._storage.active._connection.execute(f"PRAGMA max_page_count = {pages}").fetchall()


async def test_full_disk_is_waited_for(tmp_path):
    """What was taken is neither lost nor acknowledged nor written twice, and intake goes on by itself."""
    seen = Seen()
    done = []
    async with opened(tmp_path / "j", seen) as journal:
        await keep_groups(journal, range(10))
        limit_pages(journal, 1)
        for number in range(10, 40):
            journal.submit(make_record(number, 3000), partial(done.append, number))
        await until(lambda: journal.is_full)
        with pytest.raises(JournalFull, match="is full: database or disk is full"):
            journal.submit(make_record(99), lambda: None)
        assert journal.stats().queued_records == 30
        assert (done, seen.rooms, len(seen.fulls)) == ([], 0, 1)
        limit_pages(journal, 1 << 30)
        await until(lambda: seen.rooms == 1)
        assert done == list(range(10, 40))
        assert not journal.is_full
        await keep(journal, make_record(40))
        assert numbers_in(read_all(journal)) == list(range(41))
    assert len(seen.fulls) == 1
    assert seen.failures == []


async def test_drained_segments_go_one_by_one_while_the_disk_is_full(tmp_path):
    """Room is made on the disk although the journal itself is small."""
    async with opened(tmp_path / "j", segment_bytes=MIB // 8) as journal:
        await keep_groups(journal, range(100), 2000)
        await quiet(journal)
        journal.confirm(60, BASE_US)
        before = list_segments(tmp_path / "j")
        limit_pages(journal, 1)
        journal.submit(make_record(100, 20_000), lambda: None)
        await until(lambda: journal.stats().dropped_early >= 2)
        await until(lambda: len(list_segments(tmp_path / "j")) <= len(before) - 2)
        assert journal.is_full
        limit_pages(journal, 1 << 30)
        await until(lambda: not journal.is_full)
        assert numbers_in(read_all(journal, 60)) == list(range(60, 101))


async def test_reserve_is_given_back_to_finish_and_claimed_again(tmp_path, monkeypatch):
    """The disk counts as full until the reserve could be claimed, also when all was written with its help."""
    done = asyncio.Event()
    may_hold = threading.Event()
    hold = Reserve.hold
    async with opened(tmp_path / "j", reserve_bytes=MIB) as journal:
        await quiet(journal)
        monkeypatch.setattr(Reserve, "hold", lambda reserve: may_hold.is_set() and hold(reserve))
        limit_pages(journal, 1)
        journal.submit(make_record(1, 20_000), done.set)
        await until(lambda: journal.is_full)
        assert not (tmp_path / "j" / "reserve").exists()
        limit_pages(journal, 1 << 30)
        await done.wait()
        assert journal.is_full
        may_hold.set()
        await until(lambda: not journal.is_full)
        assert (tmp_path / "j" / "reserve").stat().st_size == MIB


async def test_start_without_room_for_the_reserve_is_full(tmp_path, monkeypatch):
    """The journal opens, can be drained, and takes records once the reserve is there."""
    may_hold = threading.Event()
    hold = Reserve.hold
    monkeypatch.setattr(Reserve, "hold", lambda reserve: may_hold.is_set() and hold(reserve))
    async with opened(tmp_path / "j", reserve_bytes=MIB) as journal:
        await until(lambda: journal.is_full)
        with pytest.raises(JournalFull, match="no room for the reserve"):
            journal.submit(make_record(1), lambda: None)
        may_hold.set()
        await until(lambda: not journal.is_full)
        await keep(journal, make_record(1))


async def test_close_on_a_full_disk_gives_up(tmp_path):
    """What could not be made durable is not acknowledged; what was durable before is there."""
    done = []
    journal = Journal.open(settings_for(tmp_path / "j"))
    await keep(journal, make_record(1))
    limit_pages(journal, 1)
    journal.submit(make_record(2, 20_000), partial(done.append, 2))
    await until(lambda: journal.is_full)
    await journal.close()
    assert (done, journal.failure) == ([], None)
    async with opened(tmp_path / "j") as journal:
        assert numbers_in(read_all(journal)) == [1]


async def test_close_without_room_for_the_identity_gives_up(tmp_path, monkeypatch):
    """The next start then finds what a crash would have left."""
    journal = Journal.open(settings_for(tmp_path / "j"))
    await keep(journal, make_record(1))

    def refuse(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as full:
        full.setattr(Identity, "write", refuse)
        await journal.close()
    assert journal.failure is None
    async with opened(tmp_path / "j") as journal:
        assert numbers_in(read_all(journal)) == [1]


async def test_other_error_ends_it(tmp_path):
    """Nothing is tried again, no callback runs, and whoever asks is told why."""
    seen = Seen()
    done = []
    journal = Journal.open(settings_for(tmp_path / "j"), observer=seen.observer())
    await keep(journal, make_record(1))
    change(only_segment(tmp_path / "j"), "INSERT INTO groups (seq) VALUES (2)")
    for number in (2, 3):
        journal.submit(make_record(number), partial(done.append, number))
    await until(lambda: seen.failures)
    assert seen.failures == [journal.failure]
    assert isinstance(journal.failure.__cause__, sqlite3.IntegrityError)
    with pytest.raises(JournalUnwritable, match="cannot be written: UNIQUE constraint failed"):
        journal.submit(make_record(4), lambda: None)
    assert numbers_in(journal.read(0, 10)) == [1]
    await journal.close()
    assert done == []


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
async def test_record_that_cannot_be_written_ends_it(tmp_path):
    """A caller's mistake is not passed over in silence."""
    seen = Seen()
    journal = Journal.open(settings_for(tmp_path / "j"), observer=seen.observer())
    journal.submit(make_record(1)._replace(kind=300), lambda: None)
    await until(lambda: seen.failures)
    assert "ended unexpectedly" in str(journal.failure)
    await journal.close()


def test_loop_that_is_gone_ends_it(tmp_path):
    """A process that closes its loop without closing the journal is left with what a crash leaves."""
    loop = asyncio.new_event_loop()

    async def open_and_keep():
        journal = Journal.open(settings_for(tmp_path / "j", group_wait_secs=0.05))
        await keep(journal, make_record(1))
        journal.submit(make_record(2), lambda: None)
        return journal

    journal = loop.run_until_complete(open_and_keep())
    loop.close()
    journal._writer.join()
    journal._lock.release()

    async def read():
        async with opened(tmp_path / "j") as journal:
            return numbers_in(read_all(journal))

    assert asyncio.run(read()) == [1, 2]


async def test_locked_segment_is_waited_for(tmp_path, monkeypatch):
    """A tool that has the segment locked holds the journal up and no more."""
    monkeypatch.setattr("hj212gw.journal.segments.BUSY_SECS", 0.01)
    async with opened(tmp_path / "j") as journal:
        await keep(journal, make_record(1))
        with closing(sqlite3.connect(only_segment(tmp_path / "j"), isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            journal.submit(make_record(2), lambda: None)
            await until(lambda: journal.is_full)
            other.execute("ROLLBACK")
        await until(lambda: not journal.is_full)
        assert numbers_in(read_all(journal)) == [1, 2]


async def test_active_segment_that_proves_damaged_is_left(tmp_path):
    """The group goes to a new segment; what the damaged one still holds is saved."""
    seen = Seen()
    async with opened(tmp_path / "j", seen) as journal:
        await keep_groups(journal, range(5))
        path = only_segment(tmp_path / "j")
        change(path, "ALTER TABLE groups RENAME TO gone")
        await keep(journal, make_record(5))
        await until(lambda: seen.damages)
        assert [(damage.salvaged_groups, damage.lost_groups) for damage in seen.damages] == [(0, 5)]
        assert numbers_in(await read_on(journal, 1)) == [5]
        assert journal.stats().pending_records == 1
        assert seen.damages[0].path.exists()
    async with opened(tmp_path / "j") as journal:
        assert [group.seq for group in read_all(journal)] == [6]


async def test_damage_found_twice_is_repaired_once(tmp_path):
    """The reader may ask for what the writer has just done."""
    seen = Seen()
    async with opened(tmp_path / "j", seen) as journal:
        await keep_groups(journal, range(5))
        damaged = journal._ledger.active
        journal._writer.repair(damaged)
        journal._writer.repair(damaged)
        await keep(journal, make_record(5))
        await until(lambda: seen.damages)
        await quiet(journal)
        assert numbers_in(read_all(journal)) == list(range(6))
    assert [damage.lost_groups for damage in seen.damages] == [0]


async def test_chore_wakes_a_group_that_waits_for_company_without_ending_its_wait(tmp_path):
    """A removal in between costs the group nothing."""
    async with opened(tmp_path / "j", group_wait_secs=0.2) as journal:
        journal.submit(make_record(1), lambda: None)
        await until(lambda: journal._writer.wake_at == 1024)
        journal._writer.keep_drained({1: 5})
        journal.submit(make_record(2), lambda: None)
        await until(lambda: journal.stats().head_seq == 1)
        assert numbers_in(read_all(journal)) == [1, 2]
