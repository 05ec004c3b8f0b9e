"""The segment that is appended to."""

import sqlite3
from contextlib import closing

import pytest
from tests.journal.support import BASE_US, MIB, make_record
from tests.journal.test_segments import UUID_1

from hj212gw.journal.active import ActiveSegment
from hj212gw.journal.records import Row, decode_group, is_sound
from hj212gw.journal.segments import About, SegmentInfo, create_segment, examine, log_path, open_to_read, segment_path


@pytest.fixture
def active(tmp_path):
    """A new segment whose first number is 11."""
    path = segment_path(tmp_path, 11)
    create_segment(path, About(UUID_1, 11, 10))
    segment = ActiveSegment(SegmentInfo(path, 11, 10), MIB)
    yield segment
    segment.close()


def test_append_makes_a_sound_group(active):
    """What is read back is what was appended, under the next number, with running totals."""
    records = [make_record(1), make_record(2)]
    active.append(records, 0)
    info = active.append([make_record(3)], 91)
    assert (info.first_seq, info.last_seq, info.records, info.reject_bytes) == (11, 12, 3, 91)
    assert (info.oldest_us, info.newest_us) == (BASE_US + 1, BASE_US + 3)
    with closing(open_to_read(info.path)) as connection:
        rows = [Row._make(row) for row in connection.execute("SELECT * FROM groups")]
    assert all(is_sound(row) for row in rows)
    assert decode_group(rows[0].body) == records
    assert rows[1][:7] == (12, BASE_US + 3, BASE_US + 3, 1, 3, info.byte_count, 91)


def test_log_is_checkpointed_when_it_is_long(active):
    """Until then the groups stay in the log."""
    size = active.info.path.stat().st_size
    active.append([make_record(1, 1000)], 0)
    active.checkpoint()
    assert active.info.path.stat().st_size == size
    active.append([make_record(2, 300_000)], 0)
    active.checkpoint()
    assert active.info.path.stat().st_size > 300_000


def test_sealed_segment_is_whole_without_its_log(active):
    """Once sealed and closed there is one file and it holds everything."""
    active.append([make_record(1)], 0)
    sealed = active.seal()
    assert log_path(sealed.path).stat().st_size == 0
    active.close()
    assert not log_path(sealed.path).exists()
    assert examine(sealed.path)[1] == sealed


def test_abandoned_segment_keeps_its_log(active):
    """After a failure nothing is written any more, not even what a close would write."""
    info = active.append([make_record(1)], 0)
    before = (info.path.read_bytes(), log_path(info.path).read_bytes())
    active.abandon()
    assert (info.path.read_bytes(), log_path(info.path).read_bytes()) == before
    with pytest.raises(sqlite3.ProgrammingError):
        active.append([make_record(2)], 0)
    active.abandon()
    assert examine(info.path)[1].records == 1
