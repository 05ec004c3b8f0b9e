"""The journal's directory: its lock, its identity, its reserve, and writing files so that they survive a crash."""

import errno
import fcntl
import json
import os
import sqlite3
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Self
from uuid import UUID
from zlib import crc32

from hj212gw.errors import JournalCorrupt, JournalUnwritable

IDENTITY_NAME: Final = "journal.json"
OWNER_NAME: Final = "owner.pid"
RESERVE_NAME: Final = "reserve"
UNFINISHED_SUFFIX: Final = ".new"
_PRIMARY_CODE: Final = 0xFF
_DAMAGE_CODES: Final = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR}
_OUT_OF_SPACE: Final = {errno.ENOSPC, errno.EDQUOT}


def sqlite_code(error: BaseException) -> int | None:
    """Return the extended result code of an SQLite error; None for any other error."""
    return getattr(error, "sqlite_errorcode", None)


def is_out_of_space(error: BaseException) -> bool:
    """Tell whether an error passes when there is room on the disk again.

    The index of the write-ahead log says `IOERR_SHMSIZE` for a full disk; it holds nothing that must be durable.
    """
    if isinstance(error, OSError):
        return error.errno in _OUT_OF_SPACE
    return sqlite_code(error) in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_SHMSIZE)


def is_busy(error: BaseException) -> bool:
    """Tell whether an error passes when another process lets go of the segment."""
    code = sqlite_code(error)
    return code is not None and code & _PRIMARY_CODE == sqlite3.SQLITE_BUSY


def is_damage(error: BaseException) -> bool:
    """Tell whether an error means that a file is not the segment that was written.

    `SQLITE_ERROR` is what a missing table or column gives.
    """
    code = sqlite_code(error)
    return code is not None and code & _PRIMARY_CODE in _DAMAGE_CODES


def sync_directory(directory: Path) -> None:
    """Make creations, renames and removals in a directory durable."""
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def make_directory(directory: Path) -> None:
    """Create a directory only its owner can enter, unless it is there."""
    if directory.is_dir():
        return
    directory.parent.mkdir(parents=True, exist_ok=True)
    directory.mkdir(mode=0o700)
    sync_directory(directory.parent)


def _open_private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def write_atomically(path: Path, content: bytes) -> None:
    """Replace a file's content so that a crash leaves the old or the new one."""
    unfinished = path.with_name(path.name + UNFINISHED_SUFFIX)
    try:
        with open(unfinished, "wb", opener=_open_private) as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(path)
    except OSError:
        with suppress(OSError):
            unfinished.unlink()
        raise
    sync_directory(path.parent)


class DirectoryLock:
    """Holds a journal's directory for this process."""

    def __init__(self, directory: Path) -> None:
        """Take the lock.

        Raises:
            JournalUnwritable: another process holds it; the message names its pid.
        """
        self._owner = directory / OWNER_NAME
        self._fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(self._fd)
            raise JournalUnwritable(
                f"journal {directory} is in use by process {read_owner(directory) or 'unknown'}: "
                "stop it, or give this gateway a directory of its own"
            ) from error

    def sign(self) -> None:
        """Leave this process's id for others to read; a full disk leaves it out."""
        with suppress(OSError):
            write_atomically(self._owner, f"{os.getpid()}\n".encode())

    def release(self) -> None:
        """Let others open the journal; does nothing the second time."""
        if self._fd >= 0:
            self._owner.unlink(missing_ok=True)
            os.close(self._fd)
            self._fd = -1


def read_owner(directory: Path) -> int | None:
    """Return the id of the process that has a journal open; None when none has, or it did not say."""
    try:
        pid = int((directory / OWNER_NAME).read_text())
        os.kill(pid, 0)
    except PermissionError:
        return pid
    except (OSError, ValueError):
        return None
    return pid


def _crc_of(content: dict[str, Any]) -> int:
    return crc32(json.dumps(content, sort_keys=True).encode())


@dataclass(frozen=True, slots=True)
class Identity:
    """What a journal must know when segments are gone or damaged.

    No sequence number above `reserved_seq` was ever given out. While the journal is open it lies ahead of the
    last one by what the active segment may still take; a clean close writes the exact number. So after a crash,
    or when the newest segment cannot be read, the sequence goes on behind it and no number comes twice.
    """

    uuid: UUID
    reserved_seq: int
    drained_at_us: dict[int, int] = field(default_factory=dict)

    @classmethod
    def read(cls, directory: Path) -> Self | None:
        """Read a journal's identity; None when the file is missing.

        Raises:
            JournalCorrupt: the file is not what was written.
        """
        path = directory / IDENTITY_NAME
        try:
            text = path.read_bytes()
        except FileNotFoundError:
            return None
        try:
            content = json.loads(text)
            is_whole = content.pop("crc32") == _crc_of(content)
            drained = {int(first): int(at) for first, at in content["drained_at_us"].items()}
            identity = cls(UUID(content["uuid"]), int(content["reserved_seq"]), drained)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise JournalCorrupt(f"{path} cannot be read: expected the JSON of a journal's identity") from error
        if not is_whole:
            raise JournalCorrupt(f"{path} is damaged: it does not match its checksum")
        return identity

    def write(self, directory: Path) -> None:
        """Make this identity durable."""
        content = {
            "uuid": str(self.uuid),
            "reserved_seq": self.reserved_seq,
            "drained_at_us": {str(first): at for first, at in self.drained_at_us.items()},
        }
        text = json.dumps(content | {"crc32": _crc_of(content)}, indent=1)
        write_atomically(directory / IDENTITY_NAME, text.encode() + b"\n")


class Reserve:
    """A file that keeps disk space free for the moment when there is none."""

    def __init__(self, directory: Path, size: int) -> None:
        self._path = directory / RESERVE_NAME
        self._size = size

    def hold(self) -> bool:
        """Claim the space; return False when the disk has too little."""
        if self._size == 0:
            return True
        try:
            fd = os.open(self._path, os.O_WRONLY | os.O_CREAT, 0o600)
            try:
                os.posix_fallocate(fd, 0, self._size)
            finally:
                os.close(fd)
        except OSError as error:
            self.release()
            if is_out_of_space(error):
                return False
            raise
        return True

    def release(self) -> None:
        """Give the space back to the disk."""
        self._path.unlink(missing_ok=True)
