"""The files of an open journal."""

import errno
import os

import pytest
from tests.journal.support import MIB, make_record, settings_for

from hj212gw.journal.directory import Identity, Reserve, make_directory
from hj212gw.journal.segments import SEGMENT_GROUPS, examine, list_segments, segment_path
from hj212gw.journal.storage import Storage


@pytest.fixture
def directory(tmp_path):
    """A directory for one journal."""
    make_directory(tmp_path / "j")
    return tmp_path / "j"


def open_storage(directory, **changes):
    """The storage of a small journal."""
    return Storage.open(settings_for(directory, **changes))[0]


def test_numbers_are_reserved_before_they_are_given_out(directory):
    """While open the identity bounds the sequence; once closed it is exact."""
    storage = open_storage(directory)
    assert Identity.read(directory).reserved_seq == SEGMENT_GROUPS
    storage.active.append([make_record(1)], 0)
    storage.close()
    assert Identity.read(directory).reserved_seq == 1
    storage = open_storage(directory)
    assert Identity.read(directory).reserved_seq == SEGMENT_GROUPS
    storage.close()


def test_rotation_begins_a_segment_at_the_next_number(directory):
    """The new segment names the last group of the one before."""
    storage = open_storage(directory)
    storage.active.append([make_record(1)], 0)
    sealed = storage.rotate()
    assert (sealed.first_seq, sealed.last_seq) == (1, 1)
    assert storage.active.append([make_record(2)], 0).last_seq == 2
    storage.close()
    about, info = examine(segment_path(directory, 2))
    assert (about.previous_seq, info.last_seq, info.records) == (1, 2, 1)


def test_segment_is_sealed_when_its_numbers_are_used_up(directory, monkeypatch):
    """No group gets a number that was not reserved."""
    monkeypatch.setattr("hj212gw.journal.storage.SEGMENT_GROUPS", 3)
    storage = open_storage(directory)
    answers = []
    for number in range(3):
        storage.active.append([make_record(number)], 0)
        answers.append(storage.wants_rotation)
    assert answers == [False, False, True]
    storage.abandon()


def test_segment_is_sealed_when_it_is_large(directory):
    """The log counts as part of the size."""
    storage = open_storage(directory, segment_bytes=MIB // 4)
    assert not storage.wants_rotation
    storage.active.append([make_record(1, MIB // 4)], 0)
    assert storage.wants_rotation
    storage.abandon()


def test_times_of_draining_are_kept(directory):
    """They survive rotation and close."""
    storage = open_storage(directory)
    storage.keep_drained({1: 77})
    storage.rotate()
    storage.close()
    storage = open_storage(directory)
    assert storage.drained_at_us == {1: 77}
    storage.close()


def test_segment_is_repaired_once(directory):
    """The reader and the writer may both find the same damage."""
    storage = open_storage(directory)
    storage.active.append([make_record(1)], 0)
    left = storage.replace_damaged()
    info, damage = storage.repair(left)
    assert (info.records, damage.salvaged_records) == (1, 1)
    assert storage.repair(left) is None
    storage.remove(info.path)
    storage.close()
    assert list_segments(directory) == [segment_path(directory, 2)]


def test_open_gives_up_the_reserve_on_a_full_disk(directory, monkeypatch):
    """What is needed to open fits into the reserve."""
    assert Reserve(directory, 300_000).hold()
    write = Identity.write

    def write_if_there_is_room(identity, target):
        if (directory / "reserve").exists():
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        write(identity, target)

    monkeypatch.setattr(Identity, "write", write_if_there_is_room)
    storage = open_storage(directory, reserve_bytes=300_000)
    storage.close()
    assert not (directory / "reserve").exists()
