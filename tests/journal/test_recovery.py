"""What opening a journal finds: damage by name, and the sequence behind it."""

import shutil
import sqlite3
from contextlib import closing

import pytest
from tests.journal.support import (
    MIB,
    Seen,
    flip_record,
    keep,
    keep_groups,
    make_record,
    numbers_in,
    only_segment,
    opened,
    patch,
    quiet,
    read_all,
)
from tests.journal.test_segments import change

from hj212gw.errors import JournalCorrupt, JournalUnwritable
from hj212gw.journal import REJECT, inspect, verify
from hj212gw.journal.directory import Identity
from hj212gw.journal.recovery import _is_whole, count_lost_commits
from hj212gw.journal.repair import repair
from hj212gw.journal.segments import (
    PAGE_BYTES,
    SEGMENT_GROUPS,
    About,
    list_damaged,
    list_segments,
    log_path,
    open_to_write,
    segment_path,
)


async def make_closed(directory, count=40, **changes):
    """A journal with some groups of one record, closed in order."""
    async with opened(directory, **changes) as journal:
        await keep_groups(journal, range(count))


async def make_crashed(directory, count=40, size=40):
    """A journal as a crash leaves it: its groups stand in the write-ahead log."""
    live = directory.with_name("live")
    async with opened(live, segment_bytes=16 * MIB) as journal:
        await keep_groups(journal, range(count), size)
        await quiet(journal)
        shutil.copytree(live, directory, ignore=shutil.ignore_patterns("*-shm", "owner.pid"))
    shutil.rmtree(live)


async def reopen(directory, seen=None, new=(900,)):
    """Open a journal, make a new group of each number, and return all groups."""
    async with opened(directory, seen) as journal:
        await keep_groups(journal, new)
        return read_all(journal)


async def test_clean_close_goes_on_in_the_same_segment(tmp_path):
    """Nothing is lost and no number is left out."""
    await make_closed(tmp_path / "j")
    groups = await reopen(tmp_path / "j")
    assert numbers_in(groups) == [*range(40), 900]
    assert [group.seq for group in groups] == list(range(1, 42))
    assert verify(tmp_path / "j") == []


async def test_crash_goes_on_in_a_new_segment(tmp_path):
    """The log is absorbed, and the sequence leaves out every number that may have been given out."""
    await make_crashed(tmp_path / "j")
    seen = Seen()
    groups = await reopen(tmp_path / "j", seen)
    assert numbers_in(groups) == [*range(40), 900]
    assert [group.seq for group in groups] == [*range(1, 41), SEGMENT_GROUPS + 1]
    assert seen.damages == []
    assert verify(tmp_path / "j") == []


async def test_lost_log_does_not_bring_numbers_back(tmp_path):
    """A log that is gone looks like one that never was; the sequence is safe nevertheless."""
    await make_crashed(tmp_path / "j")
    log_path(only_segment(tmp_path / "j")).unlink()
    groups = await reopen(tmp_path / "j")
    assert numbers_in(groups) == [900]
    assert groups[0].seq > 40


async def test_database_may_know_more_than_the_journal_after_a_crash(tmp_path):
    """A position behind the last group found but before the new segment is accepted, and nothing is pending."""
    await make_crashed(tmp_path / "j")
    log_path(only_segment(tmp_path / "j")).unlink()
    async with opened(tmp_path / "j") as journal:
        journal.confirm(40, 0)
        assert journal.stats().pending_records == 0
        await keep(journal, make_record(900))
        assert numbers_in(read_all(journal, 40)) == [900]


async def test_log_damaged_in_its_midst_is_reported(tmp_path):
    """SQLite drops everything behind the flipped bit in silence; the journal says how many groups that were."""
    await make_crashed(tmp_path / "j")
    flip_record(only_segment(tmp_path / "j"), 30, log=True)
    log = log_path(only_segment(tmp_path / "j")).read_bytes()
    seen = Seen()
    groups = await reopen(tmp_path / "j", seen)
    (damage,) = seen.damages
    assert (damage.reason, damage.path.read_bytes()) == ("log", log)
    assert numbers_in(groups) == [*range(40 - damage.lost_groups), 900]
    assert 10 <= damage.lost_groups <= 40


async def test_log_with_a_damaged_header_is_reported(tmp_path):
    """Without its header SQLite takes nothing of the log."""
    await make_crashed(tmp_path / "j")
    patch(log_path(only_segment(tmp_path / "j")), 17, b"\xff\xff")
    seen = Seen()
    assert numbers_in(await reopen(tmp_path / "j", seen)) == [900]
    assert [(damage.reason, damage.lost_groups) for damage in seen.damages] == [("log", 40)]


async def test_log_torn_in_its_last_group_is_no_damage(tmp_path):
    """A group whose end was never written was not acknowledged."""
    await make_crashed(tmp_path / "j")
    log = log_path(only_segment(tmp_path / "j"))
    log.write_bytes(log.read_bytes()[:-100])
    seen = Seen()
    groups = await reopen(tmp_path / "j", seen)
    assert numbers_in(groups) == [*range(39), 900]
    assert seen.damages == []


def test_commits_of_an_earlier_round_are_not_lost():
    """A log is written again from its beginning; what stands behind carries other salts."""
    frame = b"\0\0\0\1" + b"\0\0\0\2" + b"earlier!" + bytes(8) + bytes(PAGE_BYTES)
    header = bytes(16) + b"present!" + bytes(8)
    assert count_lost_commits(header + frame * 3, 0) == 3
    whole = bytes.fromhex("377f0682002de2180000200000000000") + b"present!"
    for order, magic in (("little", "377f0682"), ("big", "377f0683")):
        header = bytes.fromhex(magic) + whole[4:]
        one = two = 0
        for at in range(0, 24, 8):
            one = (one + int.from_bytes(header[at : at + 4], order) + two) & 0xFFFFFFFF
            two = (two + int.from_bytes(header[at + 4 : at + 8], order) + one) & 0xFFFFFFFF
        header += one.to_bytes(4, "big") + two.to_bytes(4, "big")
        assert count_lost_commits(header + frame * 3, 0) == 0
        assert count_lost_commits(header + frame.replace(b"earlier!", b"present!") * 3 + frame, 1) == 2


def test_empty_log_has_lost_nothing():
    """A log may be there and hold nothing yet."""
    assert count_lost_commits(b"", 0) == count_lost_commits(bytes(40), -1) == 0


async def test_newest_segment_damaged_does_not_bring_numbers_back(tmp_path):
    """What can be read is read, the file is kept, new groups go to a new segment behind all numbers."""
    await make_closed(tmp_path / "j")
    path = only_segment(tmp_path / "j")
    change(path, "UPDATE groups SET crc = 0 WHERE seq = 40")
    seen = Seen()
    groups = await reopen(tmp_path / "j", seen)
    assert numbers_in(groups) == [*range(39), 900]
    assert groups[-1].seq > 40
    assert [damage.lost_groups for damage in seen.damages] == [1]
    assert list_damaged(tmp_path / "j") == [seen.damages[0].path]


async def test_newest_segment_is_checked_whole_before_it_goes_on(tmp_path):
    """Broken pages between its ends are found before anything is appended."""
    await make_closed(tmp_path / "j", 60)
    path = only_segment(tmp_path / "j")
    change(path, "PRAGMA writable_schema = ON")
    with closing(sqlite3.connect(path)) as connection:
        (root,) = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = 'sqlite_sequence'").fetchone()
    patch(path, (root - 1) * PAGE_BYTES, b"\xff" * 200)
    seen = Seen()
    groups = await reopen(tmp_path / "j", seen)
    assert numbers_in(groups) == [*range(60), 900]
    assert [damage.reason for damage in seen.damages] == ["segment"]


def test_file_that_cannot_be_checked_is_not_whole(tmp_path):
    """The check may fail as a whole."""
    path = segment_path(tmp_path, 1)
    path.write_bytes(b"no database" * 1000)
    assert not _is_whole(path)


async def test_check_of_the_newest_segment_may_find_nothing_left(tmp_path):
    """A segment all of whose groups are broken goes as a whole; the sequence stands."""
    await make_closed(tmp_path / "j", 3)
    path = only_segment(tmp_path / "j")
    identity = Identity.read(tmp_path / "j")
    change(path, "DELETE FROM groups")
    with closing(sqlite3.connect(path)) as connection:
        (root,) = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = 'sqlite_sequence'").fetchone()
    patch(path, (root - 1) * PAGE_BYTES, b"\xff" * 200)
    Identity(identity.uuid, 0).write(tmp_path / "j")
    groups = await reopen(tmp_path / "j")
    assert numbers_in(groups) == [900]
    assert len(list_damaged(tmp_path / "j")) == 1


async def test_segment_cut_short_is_read_as_far_as_it_goes(tmp_path):
    """A truncated file gives its first groups and the journal goes on."""
    await make_closed(tmp_path / "j", 60)
    path = only_segment(tmp_path / "j")
    path.write_bytes(path.read_bytes()[: 4 * PAGE_BYTES])
    groups = await reopen(tmp_path / "j")
    numbers = numbers_in(groups)
    assert numbers[-1] == 900
    assert numbers[:-1] == list(range(len(numbers) - 1))
    assert groups[-1].seq > 60


@pytest.mark.parametrize("content", [b"", b"no database" * 1000])
async def test_segment_that_is_no_database_is_kept_aside(tmp_path, content):
    """The start goes on without it and says so."""
    await make_closed(tmp_path / "j")
    path = only_segment(tmp_path / "j")
    path.write_bytes(content)
    seen = Seen()
    groups = await reopen(tmp_path / "j", seen)
    assert numbers_in(groups) == [900]
    assert groups[0].seq == 41
    assert seen.damages[0].path.read_bytes() == content


async def test_damaged_log_and_file_are_repaired_together(tmp_path):
    """The groups in the log of a segment whose file has a broken page are saved too."""
    await make_crashed(tmp_path / "j")
    path = only_segment(tmp_path / "j")
    patch(path, 0, b"x" * 50)
    log_path(path).unlink()
    seen = Seen()
    assert numbers_in(await reopen(tmp_path / "j", seen)) == [900]
    assert [damage.lost_groups for damage in seen.damages] == [None]


async def test_all_segments_gone_does_not_bring_numbers_back(tmp_path):
    """The identity outlives the segments: the journal stays the same one and goes on behind them."""
    await make_closed(tmp_path / "j")
    uuid = inspect(tmp_path / "j").uuid
    only_segment(tmp_path / "j").unlink()
    groups = await reopen(tmp_path / "j")
    assert (numbers_in(groups), groups[0].seq) == ([900], 41)
    assert inspect(tmp_path / "j").uuid == uuid


async def test_identity_gone_is_found_in_the_segments(tmp_path):
    """Who the journal is stands in every segment; the sequence goes on behind what they may have held."""
    await make_closed(tmp_path / "j")
    uuid = inspect(tmp_path / "j").uuid
    (tmp_path / "j" / "journal.json").unlink()
    groups = await reopen(tmp_path / "j")
    assert numbers_in(groups) == [*range(40), 900]
    assert groups[-1].seq == SEGMENT_GROUPS + 1
    assert inspect(tmp_path / "j").uuid == uuid


async def test_damaged_identity_is_kept_aside(tmp_path):
    """It is made again from the segments, and reported."""
    await make_closed(tmp_path / "j")
    uuid = inspect(tmp_path / "j").uuid
    (tmp_path / "j" / "journal.json").write_text("{}")
    seen = Seen()
    await reopen(tmp_path / "j", seen)
    assert [(damage.reason, damage.path.name) for damage in seen.damages] == [("identity", "journal.json.damaged-1")]
    assert inspect(tmp_path / "j").uuid == uuid


async def test_nothing_but_damage_begins_a_new_journal_behind_it(tmp_path):
    """With neither identity nor readable segment only the names of files bound the sequence."""
    await make_closed(tmp_path / "j")
    uuid = inspect(tmp_path / "j").uuid
    (tmp_path / "j" / "journal.json").unlink()
    only_segment(tmp_path / "j").write_bytes(b"gone")
    groups = await reopen(tmp_path / "j")
    assert (numbers_in(groups), groups[0].seq) == ([900], SEGMENT_GROUPS + 1)
    assert inspect(tmp_path / "j").uuid != uuid
    (tmp_path / "j" / "journal.json").unlink()
    for path in list_segments(tmp_path / "j"):
        path.unlink()
    assert (await reopen(tmp_path / "j"))[0].seq == SEGMENT_GROUPS + 1


async def test_segment_of_another_journal_stops_the_start(tmp_path):
    """It is neither read nor set aside: somebody put it there, and must take it away."""
    await make_closed(tmp_path / "j")
    await make_closed(tmp_path / "other", 3)
    stranger = segment_path(tmp_path / "j", 1 << 40)
    shutil.copy(only_segment(tmp_path / "other"), stranger)
    with pytest.raises(JournalCorrupt, match="belongs to journal"):
        await reopen(tmp_path / "j")
    stranger.unlink()
    assert len(await reopen(tmp_path / "j")) == 41


async def test_segment_of_another_version_stops_the_start(tmp_path, monkeypatch):
    """A downgrade does not set aside what a newer version wrote."""
    with monkeypatch.context() as newer:
        newer.setattr("hj212gw.journal.segments.FORMAT", 2)
        await make_closed(tmp_path / "j")
    with pytest.raises(JournalUnwritable, match="has format 2"):
        await reopen(tmp_path / "j")


async def test_crash_between_repair_and_renaming_is_finished(tmp_path):
    """Both the damaged and the repaired segment are there: the repaired one counts, nothing comes twice."""
    await make_closed(tmp_path / "j")
    path = only_segment(tmp_path / "j")
    flip_record(path, 20)
    damaged = path.read_bytes()
    repair(path, About(inspect(tmp_path / "j").uuid, 1, 0), 40)
    (tmp_path / "j" / (path.name + ".damaged-1")).rename(path)
    seen = Seen()
    groups = await reopen(tmp_path / "j", seen)
    assert numbers_in(groups) == [*range(20), *range(21, 40), 900]
    assert groups[-1].seq == 41
    assert [damage.path.read_bytes() for damage in seen.damages] == [damaged]


async def test_crash_half_way_through_a_new_segment_leaves_nothing(tmp_path):
    """A file that has not got its name yet holds nothing."""
    await make_closed(tmp_path / "j")
    (tmp_path / "j" / "segment-00000000000000000041.db.new").write_bytes(b"half")
    assert len(await reopen(tmp_path / "j")) == 41
    assert len(list_segments(tmp_path / "j")) == 1


async def test_segments_that_never_held_a_group_are_removed(tmp_path):
    """Crash after crash without a record leaves one empty segment, and never the same number."""
    await make_crashed(tmp_path / "j", 0)
    for _ in range(3):
        live = tmp_path / "live"
        async with opened(tmp_path / "j") as journal:
            await quiet(journal)
            shutil.copytree(tmp_path / "j", live, ignore=shutil.ignore_patterns("*-shm"))
        shutil.rmtree(tmp_path / "j")
        live.rename(tmp_path / "j")
    assert len(list_segments(tmp_path / "j")) == 1
    assert (await reopen(tmp_path / "j"))[0].seq > 3 * SEGMENT_GROUPS


async def test_old_copy_of_a_journal_is_told_by_the_database(tmp_path):
    """A directory restored from a backup would give numbers out again that were drained already."""
    await make_closed(tmp_path / "j", 5)
    async with opened(tmp_path / "j") as journal:
        with pytest.raises(JournalCorrupt, match="ends at group 5, the database has it up to 6"):
            journal.confirm(6, 0)
        journal.confirm(5, 0)


async def test_other_errors_stop_the_start(tmp_path):
    """A file that cannot be opened is not declared damaged."""
    await make_closed(tmp_path / "j", 5)
    segment_path(tmp_path / "j", 77).mkdir()
    with pytest.raises(JournalUnwritable, match="cannot be opened: "):
        await reopen(tmp_path / "j")


async def test_rejects_and_times_survive_a_start(tmp_path):
    """What is pending after a start is everything, and its oldest is the oldest record."""
    async with opened(tmp_path / "j", segment_bytes=MIB // 8) as journal:
        for number in range(30):
            await keep(journal, make_record(number, 8000, kind=REJECT if number % 2 else 0))
        before = journal.stats()
        await quiet(journal)
    async with opened(tmp_path / "j") as journal:
        after = journal.stats()
    assert before.segments > 1
    assert (before.pending_records, before.pending_bytes, before.pending_reject_bytes, before.oldest_pending_us) == (
        after.pending_records,
        after.pending_bytes,
        after.pending_reject_bytes,
        after.oldest_pending_us,
    )
    assert after.pending_reject_bytes > 15 * 8000


async def test_locked_segment_is_no_damage(tmp_path, monkeypatch):
    """A tool that has a segment locked keeps the journal from starting, and costs nothing."""
    await make_crashed(tmp_path / "j", 3)
    monkeypatch.setattr("hj212gw.journal.segments.BUSY_SECS", 0.01)
    with closing(open_to_write(only_segment(tmp_path / "j"))) as connection:
        connection.execute("PRAGMA locking_mode = EXCLUSIVE")
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("CREATE TABLE other (x)")
        with pytest.raises(JournalUnwritable, match="locked"):
            await reopen(tmp_path / "j")
        connection.execute("ROLLBACK")
    assert numbers_in(await reopen(tmp_path / "j")) == [0, 1, 2, 900]
