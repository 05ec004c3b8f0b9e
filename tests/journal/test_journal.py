"""The journal as the gateway sees it."""

import asyncio
import os
from functools import partial

import pytest
from tests.journal.support import (
    BASE_US,
    DAY_US,
    MIB,
    Seen,
    flip_record,
    keep,
    keep_groups,
    make_record,
    numbers_in,
    opened,
    quiet,
    read_all,
    read_on,
    settings_for,
    until,
)

from hj212gw.errors import JournalFull, JournalUnwritable
from hj212gw.journal import REJECT, Journal, Record, inspect
from hj212gw.journal.segments import list_segments


async def test_callbacks_come_in_order_after_the_group_is_durable(tmp_path):
    """Whoever is called back finds the record on reading."""
    done = []

    def settle(number):
        done.append(number)
        assert number in numbers_in(journal.read(0, 10_000))

    async with opened(tmp_path / "j") as journal:
        for number in range(200):
            assert journal.submit(make_record(number), partial(settle, number))
            if number % 50 == 0:
                await asyncio.sleep(0)
        assert done == []
        await until(lambda: len(done) == 200)
    assert done == list(range(200))


async def test_nothing_is_read_before_it_is_durable(tmp_path):
    """What was only submitted is not there yet, and reading at the head touches no disk."""
    async with opened(tmp_path / "j") as journal:
        journal.submit(make_record(1), lambda: None)
        assert journal.read(0, 10) == []
        assert journal._reader._path is None
        await until(lambda: journal.stats().head_seq == 1)
        assert numbers_in(journal.read(0, 10)) == [1]
        assert journal.read(1, 10) == []


async def test_records_submitted_together_share_a_group(tmp_path):
    """One fsync serves all that wait for it."""
    seen = Seen()
    async with opened(tmp_path / "j", seen, group_wait_secs=0.02) as journal:
        await keep(journal, *(make_record(number) for number in range(300)))
        (group,) = read_all(journal)
    assert len(group.records) == 300
    ((records, byte_count, secs),) = seen.commits
    assert (records, byte_count) == (300, group.byte_count)
    assert 0 < secs < 5


async def test_group_is_bounded_in_records_and_bytes(tmp_path):
    """A burst becomes many groups, in order."""
    async with opened(tmp_path / "j", group_records=64, group_bytes=20_000, group_wait_secs=0.02) as journal:
        await keep(
            journal, *(make_record(number) for number in range(150)), *(make_record(n, 9000) for n in range(150, 160))
        )
        groups = read_all(journal)
    assert numbers_in(groups) == list(range(160))
    assert max(len(group.records) for group in groups) == 64
    assert max(group.byte_count for group in groups) < 30_000


async def test_full_group_does_not_wait_for_company(tmp_path):
    """The wait ends when the group has all it may take."""
    async with opened(tmp_path / "j", group_records=10, group_wait_secs=60) as journal:
        await keep(journal, *(make_record(number) for number in range(20)))


async def test_record_comes_back_as_it_was(tmp_path):
    """All fields, Chinese and bytes that are no text included."""
    record = Record(BASE_US, REJECT, "[::1]:9", "header\t缺少 MN \udcff", bytes(range(256)))
    async with opened(tmp_path / "j") as journal:
        await keep(journal, record)
        assert journal.read(0, 1)[0].records == [record]


async def test_read_goes_on_across_segments(tmp_path):
    """Sealed segments and the active one are one row of groups."""
    async with opened(tmp_path / "j", segment_bytes=MIB // 8) as journal:
        await keep_groups(journal, range(120), 2000)
        assert journal.stats().segments > 2
        assert numbers_in(read_all(journal)) == list(range(120))
        assert numbers_in(read_all(journal, 77)) == list(range(77, 120))
        assert numbers_in(journal.read(0, 100)) == list(range(100))


async def test_stats_follow_what_is_confirmed(tmp_path):
    """Pending is what lies behind the confirmed position, which may also go back."""
    async with opened(tmp_path / "j", segment_bytes=MIB // 8) as journal:
        await keep_groups(journal, range(100), 2000)
        every = journal.stats()
        assert (every.pending_records, every.oldest_pending_us, every.head_seq, every.first_seq) == (
            100,
            BASE_US,
            100,
            1,
        )
        journal.confirm(30, BASE_US)
        some = journal.stats()
        assert (some.pending_records, some.oldest_pending_us, some.confirmed_seq) == (70, BASE_US + 30, 30)
        assert some.pending_bytes == every.pending_bytes * 70 // 100
        journal.confirm(100, BASE_US)
        assert journal.stats()[:2] == (0, 0)
        assert journal.stats().oldest_pending_us is None
        journal.confirm(10, BASE_US)
        assert journal.stats().pending_records == 90
        assert numbers_in(read_all(journal, 10)) == list(range(10, 100))


async def test_drained_segments_go_after_a_while(tmp_path):
    """The time counts from draining, since a backup of the database may be as old as that, and survives a restart."""
    keep_secs = 7 * 86400.0
    async with opened(tmp_path / "j", segment_bytes=MIB // 8, keep_secs=keep_secs) as journal:
        await keep_groups(journal, range(100), 2000)
        drained_at = BASE_US + 10 * DAY_US
        journal.confirm(100, drained_at)
        before = list_segments(tmp_path / "j")
        await quiet(journal)
    async with opened(tmp_path / "j", segment_bytes=MIB // 8, keep_secs=keep_secs) as journal:
        journal.confirm(100, drained_at + 7 * DAY_US - 1)
        await quiet(journal)
        assert list_segments(tmp_path / "j") == before
        assert numbers_in(read_all(journal)) == list(range(100))
        journal.confirm(100, drained_at + 7 * DAY_US)
        await until(lambda: len(list_segments(tmp_path / "j")) == 1)
        assert journal.stats().segments == 1
        assert journal.stats().first_seq > 1
        assert journal.stats().dropped_early == 0
        await keep(journal, make_record(100))
        assert journal.stats().head_seq == 101


async def test_sequence_goes_on_when_all_was_drained_and_removed(tmp_path):
    """A journal that is empty again does not begin at one."""
    for start in (0, 60, 120):
        async with opened(tmp_path / "j", segment_bytes=MIB // 8, keep_secs=0) as journal:
            journal.confirm(start, 10 * DAY_US + BASE_US)
            await keep_groups(journal, range(start, start + 60), 2000)
            assert [group.seq for group in read_all(journal, start)] == list(range(start + 1, start + 61))
            journal.confirm(start + 60, 10 * DAY_US + BASE_US)


async def test_second_opener_is_refused(tmp_path):
    """The journal that is open stays usable, and the directory is free once it is closed."""
    async with opened(tmp_path / "j") as journal:
        with pytest.raises(JournalUnwritable, match=f"in use by process {os.getpid()}"):
            Journal.open(settings_for(tmp_path / "j"))
        assert inspect(tmp_path / "j").owner_pid == os.getpid()
        await keep(journal, make_record(1))
    async with opened(tmp_path / "j") as journal:
        assert numbers_in(read_all(journal)) == [1]


async def test_directory_that_cannot_be_made_is_an_error_of_ours(tmp_path):
    """The message names the directory."""
    (tmp_path / "file").touch()
    with pytest.raises(JournalUnwritable, match="file/j cannot be opened"):
        Journal.open(settings_for(tmp_path / "file" / "j"))


async def test_backlog_is_bounded(tmp_path):
    """Above the bound records are refused, below a quarter of it the caller is told once to go on."""
    seen = Seen()
    async with opened(tmp_path / "j", seen, backlog_bytes=100_000, group_records=50) as journal:
        taken = 0
        while journal.stats().queued_bytes < 100_000:
            journal.submit(make_record(taken), lambda: None)
            taken += 1
        with pytest.raises(JournalFull, match="wait to become durable, at most 100000 may"):
            journal.submit(make_record(taken), lambda: None)
        assert 100_000 <= journal.stats().queued_bytes < 101_000
        assert journal.stats().queued_records == taken
        assert not journal.is_full
        with pytest.raises(JournalFull):
            journal.submit(make_record(0), lambda: None)
        await until(lambda: seen.rooms == 1)
        await keep(journal, make_record(taken))
        assert numbers_in(read_all(journal)) == list(range(taken + 1))
    assert seen.rooms == 1
    assert seen.fulls == []


async def fill(journal, number, *, low_priority=False, size=4000):
    """Make groups durable until there is no room; return the next number."""
    while True:
        try:
            await keep(journal, make_record(number, size), low_priority=low_priority)
        except JournalFull:
            return number
        number += 1


async def test_full_journal_refuses_until_segments_are_drained(tmp_path):
    """Nothing that is not drained goes; what is drained goes early, and that is counted."""
    seen = Seen()
    sizes = {"max_bytes": MIB, "segment_bytes": MIB // 8, "backlog_bytes": 20_000}
    async with opened(tmp_path / "j", seen, **sizes) as journal:
        number = await fill(journal, 0)
        stats = journal.stats()
        assert stats.is_full
        assert stats.is_nearly_full
        assert MIB <= stats.total_bytes + stats.queued_bytes < MIB + MIB // 8
        assert seen.fulls == [f"journal {tmp_path / 'j'} holds {stats.total_bytes} bytes of at most {MIB}"]
        with pytest.raises(JournalFull, match="bytes of at most"):
            journal.submit(make_record(number), lambda: None, low_priority=True)
        assert numbers_in(read_all(journal)) == list(range(number))
        half = journal.stats().head_seq // 2
        journal.confirm(half, BASE_US)
        await until(lambda: seen.rooms > 0)
        assert journal.stats().dropped_early > 0
        assert not journal.is_full
        assert journal.stats().first_seq <= half + 1
        await keep(journal, make_record(number))
        assert numbers_in(read_all(journal, half)) == list(range(half, number + 1))


async def test_last_part_is_kept_from_low_priority_records(tmp_path):
    """Real-time data stops at four fifths, hour and day data go on."""
    seen = Seen()
    sizes = {"max_bytes": MIB, "segment_bytes": MIB // 8, "low_priority_share": 0.8}
    async with opened(tmp_path / "j", seen, **sizes) as journal:
        number = await fill(journal, 0, low_priority=True)
        stats = journal.stats()
        assert (stats.is_nearly_full, stats.is_full) == (True, False)
        assert 0.8 * MIB <= stats.total_bytes < 0.95 * MIB
        await keep(journal, make_record(number))
        assert seen.rooms == 0
        journal.confirm(number, BASE_US)
        await until(lambda: seen.rooms == 1)
        await keep(journal, make_record(number + 1), low_priority=True)


async def test_drained_segments_make_room_before_anything_is_refused(tmp_path):
    """A journal that is drained all the time never fills, however long segments would be kept."""
    seen = Seen()
    async with opened(tmp_path / "j", seen, max_bytes=MIB, segment_bytes=MIB // 8) as journal:
        for number in range(100):
            await keep(journal, make_record(number, 32_000), low_priority=True)
            journal.confirm(journal.stats().head_seq, BASE_US)
        await quiet(journal)
        assert journal.stats().dropped_early > 10
        assert sum(path.stat().st_size for path in (tmp_path / "j").iterdir()) < MIB
    assert seen.fulls == []


async def test_rejects_have_a_share_of_their_own(tmp_path):
    """Beyond it a reject is not taken, accepted frames are; draining makes room for rejects again."""
    async with opened(tmp_path / "j", reject_share=0.001, low_priority_share=1.0) as journal:
        reject = make_record(1, 30_000, kind=REJECT)
        assert journal.submit(reject, lambda: None)
        assert journal.submit(reject, lambda: None)
        assert not journal.submit(reject, lambda: None)
        await keep(journal, make_record(2, 30_000))
        await until(lambda: not journal.stats().queued_records)
        assert journal.stats().pending_reject_bytes > 60_000
        assert not journal.submit(reject, lambda: None)
        journal.confirm(journal.stats().head_seq, BASE_US)
        assert journal.stats().pending_reject_bytes == 0
        assert journal.submit(reject, lambda: None)
        assert len(read_all(journal)) >= 1


async def test_close_makes_durable_what_was_submitted(tmp_path):
    """All callbacks have run when it returns; nothing is taken meanwhile or afterwards."""
    done = []
    journal = Journal.open(settings_for(tmp_path / "j", group_wait_secs=60))
    for number in range(50):
        journal.submit(make_record(number), partial(done.append, number))
    closing = [asyncio.create_task(journal.close()) for _ in range(2)]
    await asyncio.sleep(0)
    with pytest.raises(JournalUnwritable, match="is closed"):
        journal.submit(make_record(99), lambda: None)
    await asyncio.gather(*closing)
    assert done == list(range(50))
    with pytest.raises(JournalUnwritable, match="is closed"):
        journal.submit(make_record(99), lambda: None, low_priority=True)
    assert sorted(path.name for path in (tmp_path / "j").iterdir()) == [
        "journal.json",
        "segment-00000000000000000001.db",
    ]
    async with opened(tmp_path / "j") as journal:
        assert numbers_in(read_all(journal)) == list(range(50))


async def test_callback_that_raises_does_not_hold_up_the_others(tmp_path):
    """The error goes to the loop's handler; every other callback runs, in order."""
    errors = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: errors.append(context["exception"]))
    done = []
    async with opened(tmp_path / "j", group_wait_secs=0.02) as journal:
        for number in range(5):
            journal.submit(make_record(number), partial(done.append, number) if number % 2 == 0 else lambda: {}["x"])
        await until(lambda: len(done) == 3 and len(errors) == 2)
        assert journal.stats().queued_records == 0
    assert done == [0, 2, 4]
    assert all(isinstance(error, KeyError) for error in errors)


async def test_damage_found_on_reading_is_repaired_meanwhile(tmp_path):
    """Groups before and behind the damaged one are handed out in order; the damage is reported once."""
    seen = Seen()
    async with opened(tmp_path / "j", seen, segment_bytes=MIB // 8) as journal:
        await keep_groups(journal, range(100), 2000)
        await quiet(journal)
        flip_record(next(path for path in list_segments(tmp_path / "j") if b"<0000000060>" in path.read_bytes()), 60)
        groups = await read_on(journal, 99)
        assert numbers_in(groups) == [*range(60), *range(61, 100)]
        assert [(damage.reason, damage.lost_groups) for damage in seen.damages] == [("segment", 1)]
        assert journal.damages == tuple(seen.damages)
        assert journal.stats().damaged == 1
        assert journal.stats().pending_records == 99
        journal.confirm(60, BASE_US)
        assert journal.stats().pending_records == 39
        await keep(journal, make_record(100))
    async with opened(tmp_path / "j") as journal:
        assert numbers_in(read_all(journal)) == [*range(60), *range(61, 101)]


async def test_damage_in_the_active_segment_begins_a_new_one(tmp_path):
    """What comes meanwhile is appended to the new segment, under later numbers."""
    seen = Seen()
    async with opened(tmp_path / "j", seen) as journal:
        await keep_groups(journal, range(40), 16_000)
        await quiet(journal)
        (path,) = list_segments(tmp_path / "j")
        flip_record(path, 7)
        groups = await read_on(journal, 39)
        assert numbers_in(groups) == [*range(7), *range(8, 40)]
        await keep(journal, make_record(40))
        assert numbers_in(read_all(journal, groups[-1].seq)) == [40]
        assert [damage.path.name for damage in seen.damages] == [path.name + ".damaged-1"]


async def test_damage_found_on_counting_is_repaired_too(tmp_path):
    """A confirm that meets a damaged segment counts all of it as pending until it is repaired."""
    seen = Seen()
    async with opened(tmp_path / "j", seen, segment_bytes=MIB // 8) as journal:
        await keep_groups(journal, range(60), 2000)
        await quiet(journal)
        first, *_ = list_segments(tmp_path / "j")
        first.write_bytes(b"gone" * 5000)
        journal.confirm(5, BASE_US)
        journal.confirm(6, BASE_US)
        assert journal.stats().pending_records == 60
        assert journal.read(6, 100) == []
        await until(lambda: seen.damages)
        left = read_all(journal, 6)
        assert numbers_in(left)[-1] == 59
        assert journal.stats().pending_records == len(left) == 60 - seen.damages[0].lost_groups


async def test_settings_of_a_reserve_take_effect(tmp_path):
    """The space is claimed while the journal is open."""
    async with opened(tmp_path / "j", reserve_bytes=MIB) as journal:
        await quiet(journal)
        assert (tmp_path / "j" / "reserve").stat().st_size == MIB


async def test_uuid_stays_the_same(tmp_path):
    """The database knows the journal by it."""
    async with opened(tmp_path / "j") as journal:
        uuid = journal.uuid
    async with opened(tmp_path / "j") as journal:
        assert journal.uuid == uuid
    async with opened(tmp_path / "k") as journal:
        assert journal.uuid != uuid
