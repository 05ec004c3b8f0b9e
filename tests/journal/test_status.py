"""Looking into a journal from outside."""

import shutil
import sqlite3
from contextlib import closing

import pytest
from tests.journal.support import (
    BASE_US,
    MIB,
    flip_record,
    keep,
    keep_groups,
    leaf_pages,
    make_record,
    only_segment,
    opened,
    patch,
    quiet,
    read_on,
)
from tests.journal.test_segments import change

from hj212gw.errors import JournalUnwritable
from hj212gw.journal import inspect, verify
from hj212gw.journal.segments import PAGE_BYTES, list_segments, segment_path


@pytest.fixture
async def directory(tmp_path):
    """A closed journal of several segments."""
    async with opened(tmp_path / "j", segment_bytes=MIB // 8) as journal:
        await keep_groups(journal, range(80), 2000)
        await quiet(journal)
    assert len(list_segments(tmp_path / "j")) > 2
    return tmp_path / "j"


def slugs(directory):
    """What `verify` finds, without the words."""
    return [(finding.name, finding.slug) for finding in verify(directory)]


async def test_closed_journal_is_reported_whole(directory):
    """Numbers add up, and looking leaves no file behind."""
    files = sorted(directory.iterdir())
    report = inspect(directory)
    assert (report.records, report.owner_pid, report.damaged) == (80, None, [])
    assert report.file_bytes == sum(path.stat().st_size for path in list_segments(directory))
    assert [segment.first_seq for segment in report.segments[1:]] == [one.last_seq + 1 for one in report.segments[:-1]]
    assert (report.segments[0].oldest_us, report.segments[-1].newest_us) == (BASE_US, BASE_US + 79)
    assert {segment.uuid for segment in report.segments} == {report.uuid}
    assert verify(directory) == []
    assert sorted(directory.iterdir()) == files


async def test_open_journal_is_reported_too(tmp_path):
    """What is durable is seen while the process goes on; it is not disturbed."""
    async with opened(tmp_path / "j") as journal:
        await keep(journal, make_record(1), make_record(2))
        assert inspect(tmp_path / "j").records == 2
        assert inspect(tmp_path / "j").uuid == journal.uuid
        assert verify(tmp_path / "j") == []
        await keep(journal, make_record(3))
        assert inspect(tmp_path / "j").records == 3


@pytest.mark.parametrize("look", [inspect, verify])
def test_directory_that_is_missing_is_an_error(tmp_path, look):
    """The message names it."""
    with pytest.raises(JournalUnwritable, match="missing is no journal"):
        look(tmp_path / "missing")


def test_empty_directory_is_an_empty_journal(tmp_path):
    """Nothing was ever written there."""
    report = inspect(tmp_path)
    assert (report.uuid, report.segments, report.records) == (None, [], 0)
    assert slugs(tmp_path) == [("journal.json", "identity")]


async def test_broken_segment_is_reported_with_its_problem(directory):
    """The others are reported as ever."""
    path = list_segments(directory)[1]
    path.write_bytes(b"no database" * 1000)
    report = inspect(directory)
    assert [bool(segment.problem) for segment in report.segments] == [one == path for one in list_segments(directory)]
    assert report.segments[1].uuid is None
    assert report.segments[1].file_bytes == 11_000
    assert slugs(directory) == [(path.name, "unreadable")]


async def test_segment_that_goes_meanwhile_is_left_out(directory):
    """The process that owns the journal may remove a segment at any time."""
    path = list_segments(directory)[0]
    path.unlink()
    path.symlink_to(directory / "gone")
    assert len(inspect(directory).segments) == len(list_segments(directory)) - 1
    assert verify(directory) == []


async def test_flipped_bit_is_found(directory):
    """Each group's checksum is computed."""
    flip_record(list_segments(directory)[0], 4)
    (finding,) = verify(directory)
    assert (finding.slug, finding.detail) == ("checksum", "group 5 is not what was written")


async def test_broken_page_is_found(directory):
    """SQLite's own check tells what the checksums of groups cannot."""
    path = list_segments(directory)[0]
    patch(path, leaf_pages(path)[1] + PAGE_BYTES - 3000, bytes(3000))
    found = slugs(directory)
    assert found
    assert {name for name, _ in found} == {path.name}


async def test_broken_index_is_found(tmp_path):
    """Damage that costs no group is found all the same."""
    async with opened(tmp_path / "j") as journal:
        await keep(journal, make_record(1))
    path = only_segment(tmp_path / "j")
    with closing(sqlite3.connect(path)) as connection:
        (page,) = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = 'sqlite_sequence'").fetchone()
    patch(path, (page - 1) * PAGE_BYTES + 3, b"\x00\x09")
    assert (path.name, "integrity") in slugs(tmp_path / "j")


async def test_missing_groups_are_found(directory):
    """Inside a segment by their numbers, between segments by what the next one follows."""
    first, second, third, *_ = list_segments(directory)
    change(first, "DELETE FROM groups WHERE seq = 2")
    change(first, "DELETE FROM groups WHERE seq > 5")
    second.unlink()
    found = verify(directory)
    assert [(finding.name, finding.slug) for finding in found] == [(first.name, "gap"), (third.name, "gap")]
    assert found[0].detail == "groups 2 to 2 are missing"
    assert found[1].detail.endswith("the segment before ends at 5")


async def test_repaired_journal_tells_what_it_lost(directory):
    """The gap and the file that was set aside stay visible."""
    path = list_segments(directory)[0]
    flip_record(path, 4)
    async with opened(directory) as journal:
        await read_on(journal, 79)
    repaired = segment_path(directory, 1, 1)
    assert slugs(directory) == [(repaired.name, "gap"), (path.name + ".damaged-1", "set_aside")]
    assert inspect(directory).damaged == [directory / (path.name + ".damaged-1")]


async def test_stranger_and_copy_are_found(directory, tmp_path):
    """A segment of another journal, and a second directory with the same identity."""
    async with opened(tmp_path / "other") as journal:
        await keep(journal, make_record(1))
    stranger = segment_path(directory, 1 << 40)
    shutil.copy(only_segment(tmp_path / "other"), stranger)
    shutil.copytree(directory, tmp_path / "copy")
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "journal.json").write_text("?")
    found = slugs(directory)
    assert found[:2] == [("copy", "shared_uuid"), (stranger.name, "foreign_uuid")]
    assert {name for name, _ in found[2:]} == {stranger.name}


async def test_identity_is_found_in_the_segments(directory):
    """A damaged identity is a finding, and does not hide who the journal is."""
    uuid = inspect(directory).uuid
    (directory / "journal.json").write_text("{")
    assert inspect(directory).uuid == uuid
    assert slugs(directory) == [("journal.json", "identity")]
