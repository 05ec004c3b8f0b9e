"""The journal's directory."""

import errno
import os
import sqlite3
import stat
from uuid import UUID

import pytest

from hj212gw.errors import JournalCorrupt, JournalUnwritable
from hj212gw.journal.directory import (
    DirectoryLock,
    Identity,
    Reserve,
    is_busy,
    is_damage,
    is_out_of_space,
    make_directory,
    read_owner,
    write_atomically,
)

UUID_1 = UUID("0f5c8e6a-2f1d-4d3b-9a53-000000000001")


def mode_of(path):
    """The permission bits of a file."""
    return stat.S_IMODE(path.stat().st_mode)


def sqlite_error(code):
    """An error as SQLite raises it."""
    error = sqlite3.OperationalError("it happened")
    error.sqlite_errorcode = code
    return error


def test_directory_is_made_for_its_owner_only(tmp_path):
    """What loggers send is nobody else's business."""
    directory = tmp_path / "a" / "b"
    make_directory(directory)
    make_directory(directory)
    assert mode_of(directory) == 0o700


def test_file_is_written_whole_and_for_its_owner_only(tmp_path):
    """The old content is replaced at once and nothing else stays behind."""
    path = tmp_path / "file"
    for content in (b"first" * 1000, b"second"):
        write_atomically(path, content)
        assert path.read_bytes() == content
    assert mode_of(path) == 0o600
    assert list(tmp_path.iterdir()) == [path]


def test_write_leaves_nothing_when_it_fails(tmp_path):
    """A target that cannot be replaced keeps its content and no other file appears."""
    path = tmp_path / "target"
    path.mkdir()
    with pytest.raises(IsADirectoryError):
        write_atomically(path, b"content")
    assert list(tmp_path.iterdir()) == [path]


def test_lock_names_the_process_that_holds_it(tmp_path):
    """The second opener is told whom to look for; once released, the lock can be had."""
    lock = DirectoryLock(tmp_path)
    lock.sign()
    with pytest.raises(JournalUnwritable, match=f"in use by process {os.getpid()}"):
        DirectoryLock(tmp_path)
    assert read_owner(tmp_path) == os.getpid()
    lock.release()
    lock.release()
    assert read_owner(tmp_path) is None
    DirectoryLock(tmp_path).release()


def test_lock_is_held_without_a_name(tmp_path):
    """A process that could not leave its id still keeps others out."""
    lock = DirectoryLock(tmp_path)
    with pytest.raises(JournalUnwritable, match="in use by process unknown"):
        DirectoryLock(tmp_path)
    lock.release()


@pytest.mark.parametrize("text", ["", "no number", "999999999"])
def test_owner_is_nobody_when_the_id_is_stale(tmp_path, text):
    """What a crash left behind is not taken for a running process."""
    (tmp_path / "owner.pid").write_text(text)
    assert read_owner(tmp_path) is None


def test_owner_of_another_account_is_alive(tmp_path, monkeypatch):
    """A process that may not be signalled is there nevertheless."""

    def refuse(*_):
        raise PermissionError

    monkeypatch.setattr(os, "kill", refuse)
    (tmp_path / "owner.pid").write_text("1\n")
    assert read_owner(tmp_path) == 1


def test_identity_comes_back_as_it_was_written(tmp_path):
    """Identity, bound of the sequence and times of draining survive."""
    identity = Identity(UUID_1, 1 << 40, {1: 10, 500: 20})
    assert Identity.read(tmp_path) is None
    identity.write(tmp_path)
    assert Identity.read(tmp_path) == identity


@pytest.mark.parametrize(
    ("old", "new"), [(b'"reserved_seq": 7', b'"reserved_seq": 3'), (b"{", b""), (b"uuid", b"uuxd"), (b"0f5c", b"zzzz")]
)
def test_identity_is_refused_when_it_was_changed(tmp_path, old, new):
    """No changed byte passes, since a smaller bound would let numbers come twice."""
    Identity(UUID_1, 7).write(tmp_path)
    path = tmp_path / "journal.json"
    path.write_bytes(path.read_bytes().replace(old, new, 1))
    with pytest.raises(JournalCorrupt, match=r"journal\.json"):
        Identity.read(tmp_path)


def test_identity_is_refused_when_it_is_no_object(tmp_path):
    """Any other JSON is damage, not a crash of the reader."""
    (tmp_path / "journal.json").write_text("[]")
    with pytest.raises(JournalCorrupt):
        Identity.read(tmp_path)


def test_reserve_takes_space_and_gives_it_back(tmp_path):
    """The blocks are really allocated."""
    reserve = Reserve(tmp_path, 300_000)
    assert reserve.hold()
    assert reserve.hold()
    assert (tmp_path / "reserve").stat().st_blocks * 512 >= 300_000
    reserve.release()
    reserve.release()
    assert not list(tmp_path.iterdir())


def test_reserve_of_nothing_makes_no_file(tmp_path):
    """Without a reserve there is always enough for it."""
    assert Reserve(tmp_path, 0).hold()
    assert not list(tmp_path.iterdir())


def test_reserve_says_no_when_the_disk_is_too_small(tmp_path, monkeypatch):
    """What could not be claimed whole is given back."""

    def refuse(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", refuse)
    assert not Reserve(tmp_path, 300_000).hold()
    assert not list(tmp_path.iterdir())


def test_reserve_raises_what_is_not_want_of_space(tmp_path):
    """A directory that is gone is not a full disk."""
    with pytest.raises(FileNotFoundError):
        Reserve(tmp_path / "gone", 1).hold()


@pytest.mark.parametrize(
    ("error", "full", "busy", "damage"),
    [
        (OSError(errno.ENOSPC, ""), True, False, False),
        (OSError(errno.EDQUOT, ""), True, False, False),
        (OSError(errno.EIO, ""), False, False, False),
        (sqlite_error(sqlite3.SQLITE_FULL), True, False, False),
        (sqlite_error(sqlite3.SQLITE_IOERR_SHMSIZE), True, False, False),
        (sqlite_error(sqlite3.SQLITE_IOERR_FSYNC), False, False, False),
        (sqlite_error(sqlite3.SQLITE_IOERR_WRITE), False, False, False),
        (sqlite_error(sqlite3.SQLITE_BUSY), False, True, False),
        (sqlite_error(sqlite3.SQLITE_BUSY_SNAPSHOT), False, True, False),
        (sqlite_error(sqlite3.SQLITE_CORRUPT), False, False, True),
        (sqlite_error(sqlite3.SQLITE_CORRUPT_INDEX), False, False, True),
        (sqlite_error(sqlite3.SQLITE_NOTADB), False, False, True),
        (sqlite3.ProgrammingError("closed"), False, False, False),
    ],
)
def test_error_is_sorted_by_what_to_do(error, full, busy, damage):
    """Want of space and locks pass, damage is repaired, a failed fsync is neither."""
    assert (is_out_of_space(error), is_busy(error), is_damage(error)) == (full, busy, damage)
