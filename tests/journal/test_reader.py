"""Reading groups."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from tests.journal.support import BASE_US, flip_record, keep, keep_groups, make_record, numbers_in, only_segment, opened
from tests.journal.test_segments import change

from hj212gw.errors import JournalCorrupt, JournalUnwritable
from hj212gw.journal.reader import Behind, Reader
from hj212gw.journal.segments import examine, index_path, log_path


@pytest.fixture
async def info(tmp_path):
    """A sealed segment: groups 1 to 20, three records each."""
    async with opened(tmp_path / "j") as journal:
        for n in range(20):
            await keep(journal, *(make_record(3 * n + m) for m in range(3)))
    return examine(only_segment(tmp_path / "j"))[1]


@pytest.fixture
def reader():
    """A reader, closed at the end."""
    with closing(Reader(Path("none"))) as one:
        yield one


def read(reader, info, after_seq, most):
    """The groups a call appends."""
    groups = []
    reader.read(info, after_seq, most, groups)
    return groups


def test_last_group_comes_whole(reader, info):
    """Reading stops with the group that reaches the wanted number of records."""
    assert [group.seq for group in read(reader, info, 0, 4)] == [1, 2]
    assert [group.seq for group in read(reader, info, 2, 3)] == [3]
    assert numbers_in(read(reader, info, 18, 100)) == list(range(54, 60))


def test_groups_before_a_damaged_one_are_handed_out(reader, info):
    """The error comes after everything that could be read."""
    flip_record(info.path, 31)
    groups = []
    with pytest.raises(JournalCorrupt, match="group 11 cannot be read"):
        reader.read(info, 0, 1000, groups)
    assert [group.seq for group in groups] == list(range(1, 11))


@pytest.mark.parametrize(("seq", "text"), [(1, "group 1 cannot"), (7, "group 7 cannot"), (20, "group 20 is missing")])
def test_missing_group_is_damage(reader, info, seq, text):
    """A tree that lost a row in silence is found by the numbers."""
    change(info.path, "DELETE FROM groups WHERE seq = ?", seq)
    with pytest.raises(JournalCorrupt, match=text):
        read(reader, info, 0, 1000)


def test_what_lies_behind_a_position_is_counted(reader, info):
    """One step for the totals and one for the age of what follows."""
    half = reader.read_behind(info, 10)
    assert (half.records, half.oldest_us) == (30, BASE_US + 30)
    assert half.byte_count * 2 == info.byte_count
    assert reader.read_behind(info, 0) == Behind(0, 0, 0, BASE_US)


def test_totals_that_are_no_numbers_are_damage(reader, info):
    """A flipped bit can turn a number into text."""
    change(info.path, "UPDATE groups SET records_total = 'x' WHERE seq = 10")
    with pytest.raises(JournalCorrupt, match="totals at group 10"):
        reader.read_behind(info, 10)


def test_file_that_is_gone_is_damage(reader, info):
    """Somebody deleted a segment."""
    info.path.unlink()
    with pytest.raises(JournalCorrupt):
        read(reader, info, 0, 1)


def test_file_that_cannot_be_opened_is_none(reader, info):
    """Neither damaged nor lost: the process must stop and somebody look."""
    info.path.unlink()
    info.path.mkdir()
    with pytest.raises(JournalUnwritable, match="cannot be read"):
        reader.read_behind(info, 1)


async def test_sealed_segment_needs_no_index(reader, info):
    """What a reader that came too late left beside a sealed segment does not matter."""
    log_path(info.path).touch()
    index_path(info.path).write_bytes(b"?")
    assert len(read(reader, info, 0, 100)) == 20
    assert index_path(info.path).read_bytes() == b"?"


async def test_locked_segment_is_read_later(reader, info):
    """While another process has the segment for itself there is nothing to read, and no error."""
    with closing(sqlite3.connect(info.path, isolation_level=None)) as other:
        other.execute("PRAGMA locking_mode = EXCLUSIVE")
        other.execute("CREATE TABLE other (x)")
        assert log_path(info.path).stat().st_size > 0
        assert read(reader, info, 0, 100) == []
        assert reader.read_behind(info, 10) == Behind(0, 0, 0, info.oldest_us)
    assert len(read(reader, info, 0, 100)) == 20


async def test_open_segment_is_left_when_it_goes(reader, info, tmp_path):
    """Only the segment meant is closed."""
    read(reader, info, 0, 1)
    async with opened(tmp_path / "k") as journal:
        await keep_groups(journal, [1])
        other = journal._ledger.active
        reader.leave(other.path)
        assert reader._path == info.path
        read(reader, other, 0, 1)
        assert reader._path == other.path
        reader.leave(other.path)
        assert reader._path is None
