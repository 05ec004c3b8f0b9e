"""Damaged segments."""

import sqlite3
from contextlib import closing

import pytest
from tests.journal.support import flip_record, leaf_pages, make_record, patch
from tests.journal.test_segments import UUID_1, change

from hj212gw.journal.records import Row, checksum, encode_group
from hj212gw.journal.repair import damaged_path, repair, set_aside
from hj212gw.journal.segments import (
    PAGE_BYTES,
    About,
    create_segment,
    examine,
    index_path,
    list_segments,
    log_path,
    open_to_read,
    read_about,
    segment_path,
)

ABOUT = About(UUID_1, 101, 90)
COUNT = 60


@pytest.fixture
def path(tmp_path):
    """A segment with groups 101 to 160 of one record each, on several pages."""

    def rows():
        total = 0
        for n in range(COUNT):
            record = make_record(n, 900)
            body = encode_group([record])
            total += len(body)
            at = record.received_at_us
            row = Row(101 + n, at, at, 1, n + 1, total, 0, 0, body)
            yield row._replace(crc=checksum(row))

    path = segment_path(tmp_path, 101)
    create_segment(path, ABOUT, rows())
    assert len(leaf_pages(path)) > 5
    return path


def readable(path):
    """The numbers of the groups of a segment."""
    with closing(open_to_read(path)) as connection:
        return [seq for (seq,) in connection.execute("SELECT seq FROM groups ORDER BY seq")]


def assert_repaired(path, lost, last_seq=160):
    """All but some groups are saved, the totals are right and the damaged file is kept as it was."""
    damaged = path.read_bytes()
    info, damage = repair(path, ABOUT, last_seq)
    expected = [seq for seq in range(101, 161) if seq not in lost]
    assert list_segments(path.parent) == [info.path] == [segment_path(path.parent, 101, 1)]
    assert readable(info.path) == expected
    assert (info.last_seq, info.records) == (expected[-1], len(expected))
    assert info == examine(info.path)[1]
    assert damage == (damage.path, "segment", len(expected), len(expected), len(lost))
    assert damage.path.name == path.name + ".damaged-1"
    assert damage.path.read_bytes() == damaged


def test_group_with_a_flipped_bit_is_left_out(path):
    """One broken group costs that group."""
    flip_record(path, 30)
    assert_repaired(path, {131})


def test_page_that_is_overwritten_costs_its_groups(path):
    """What stands on other pages is saved, before and behind."""
    page = leaf_pages(path)[2]
    lost = {101 + n for n in range(COUNT) if f"<{n:010d}>".encode() in path.read_bytes()[page : page + PAGE_BYTES]}
    patch(path, page, b"\xff" * PAGE_BYTES)
    assert 5 < len(lost) < 20
    assert_repaired(path, lost)


def test_first_page_of_groups_costs_its_groups(path):
    """Reading begins behind the first page that cannot be read."""
    page = leaf_pages(path)[0]
    lost = {101 + n for n in range(COUNT) if f"<{n:010d}>".encode() in path.read_bytes()[page : page + PAGE_BYTES]}
    patch(path, page, b"\xff")
    assert_repaired(path, lost)


def test_file_cut_short_costs_what_was_cut_off(path):
    """The pages that are there are read although SQLite refuses the file as a whole."""
    pages = leaf_pages(path)
    content = path.read_bytes()
    cut = pages[3]
    lost = {101 + n for n in range(COUNT) if content.index(f"<{n:010d}>".encode()) >= cut}
    path.write_bytes(content[:cut])
    assert 10 < len(lost) < COUNT
    assert_repaired(path, lost)


def test_number_of_lost_groups_comes_from_the_sequence(path):
    """When nobody knows how many groups there were, the segment's own sequence tells."""
    flip_record(path, 59)
    assert_repaired(path, {160}, last_seq=None)


@pytest.mark.parametrize(
    "statement",
    ["DELETE FROM sqlite_sequence", "UPDATE sqlite_sequence SET seq = 'x'", "UPDATE sqlite_sequence SET seq = 7"],
)
def test_number_of_lost_groups_is_unknown_without_a_sequence(path, statement):
    """An implausible sequence is no sequence; all groups are found nevertheless."""
    change(path, statement)
    info, damage = repair(path, ABOUT)
    assert (info.records, damage.lost_groups) == (COUNT, None)


def test_sequence_on_a_broken_page_is_unknown(path):
    """The page of the sequence may be the broken one."""
    with closing(sqlite3.connect(path)) as connection:
        (page,) = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = 'sqlite_sequence'").fetchone()
    patch(path, (page - 1) * PAGE_BYTES, b"\xff" * 100)
    info, damage = repair(path, ABOUT)
    assert (info.records, damage.lost_groups) == (COUNT, None)


@pytest.mark.parametrize("content", [b"", b"not a database" * 9000, bytes(PAGE_BYTES * 4)])
def test_file_that_is_no_database_is_set_aside(path, content):
    """Nothing can be saved, nothing is deleted."""
    path.write_bytes(content)
    info, damage = repair(path, ABOUT, 160)
    assert (info, damage.salvaged_groups, damage.lost_groups) == (None, 0, COUNT)
    assert list_segments(path.parent) == []
    assert damage.path.read_bytes() == content


def test_segment_whose_groups_are_all_broken_is_set_aside(path):
    """An empty segment is not worth keeping."""
    change(path, "UPDATE groups SET crc = 0")
    info, damage = repair(path, ABOUT, 160)
    assert (info, damage.lost_groups) == (None, COUNT)


def test_segment_that_is_gone_is_reported(path):
    """Somebody deleted the file: the report says how much is missing."""
    path.unlink()
    assert repair(path, ABOUT, 160) == (None, (path, "segment", 0, 0, COUNT))


def test_repaired_segment_says_what_the_damaged_one_said(path):
    """The group it follows is taken over, so that the chain of segments stays closed."""
    flip_record(path, 3)
    info, _ = repair(path, ABOUT._replace(previous_seq=55), 160)
    with closing(open_to_read(info.path)) as connection:
        assert read_about(connection, info.path) == ABOUT


def test_repaired_segment_can_be_damaged_again(path):
    """Each repair has a name of its own."""
    flip_record(path, 3)
    first, _ = repair(path, ABOUT, 160)
    flip_record(first.path, 4)
    second, damage = repair(first.path, ABOUT, 160)
    assert second.path == segment_path(path.parent, 101, 2)
    assert (second.records, damage.path.name) == (58, first.path.name + ".damaged-1")


def test_unknown_error_is_not_taken_for_damage(path):
    """A file that may not be opened now is not declared lost."""
    path.unlink()
    path.mkdir()
    with pytest.raises(sqlite3.OperationalError):
        repair(path, ABOUT, 160)
    assert path.is_dir()


def test_locked_segment_is_not_taken_for_damage(path, monkeypatch):
    """A tool that has the file for itself does not make its groups lost."""
    monkeypatch.setattr("hj212gw.journal.segments.BUSY_SECS", 0.01)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("PRAGMA locking_mode = EXCLUSIVE")
        other.execute("CREATE TABLE other (x)")
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            repair(path, ABOUT, 160)
    assert list_segments(path.parent) == [path]


def test_damaged_file_takes_a_number_of_its_own(tmp_path):
    """Names of earlier damage are not overwritten, neither of files nor of logs; the index goes."""
    path = tmp_path / "segment"
    for kept in ("segment.damaged-1", "segment.damaged-2-wal"):
        (tmp_path / kept).touch()
    for part in (path, log_path(path), index_path(path)):
        part.write_text(part.name)
    assert damaged_path(path).name == "segment.damaged-3"
    kept = set_aside(path)
    assert (kept.read_text(), log_path(kept).read_text()) == ("segment", "segment-wal")
    assert not index_path(path).exists()
    assert not path.exists()
