"""The lock on a directory that a process and its children serve."""

import asyncio
import fcntl
import os
import time
from pathlib import Path

from hj212gw.errors import DirectoryInUse

_POLL_SECS = 0.02


class DirectoryLock:
    """A lock file that child processes inherit, so that it also tells when the last of them has gone.

    Args:
        path: of the lock file; it stays when the lock is released.
        directory: what it guards, for the message.
        descriptor: the open file, locked.
    """

    def __init__(self, path: Path, directory: Path, descriptor: int) -> None:
        self.path = path
        self.directory = directory
        self.descriptor = descriptor

    @classmethod
    async def take(cls, path: Path, directory: Path, *, patience_secs: float) -> "DirectoryLock":
        """Lock a directory; wait while only the children of a killed process still hold it.

        Raises:
            DirectoryInUse: a living process holds it, or the children stay longer than `patience_secs`.
            OSError: the lock file cannot be made.
        """
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        lock = cls(path, directory, descriptor)
        try:
            await lock._wait(patience_secs)
        except BaseException:
            os.close(descriptor)
            raise
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, str(os.getpid()).encode(), 0)
        return lock

    def release(self) -> None:
        """Unlock it for all who inherited it: the writer of PostgreSQL's log ends a moment after the server."""
        os.ftruncate(self.descriptor, 0)
        fcntl.flock(self.descriptor, fcntl.LOCK_UN)
        os.close(self.descriptor)

    async def _wait(self, patience_secs: float) -> None:
        deadline = time.monotonic() + patience_secs
        while not self._try():
            holder = self._read_holder()
            if _is_alive(holder) or time.monotonic() > deadline:
                raise in_use(self.directory, holder)
            await asyncio.sleep(_POLL_SECS)  # another process's end has no event here

    def _try(self) -> bool:
        try:
            fcntl.flock(self.descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def _read_holder(self) -> int:
        """Return who wrote itself down; 0 while nobody has."""
        text = os.pread(self.descriptor, 20, 0)
        return int(text) if text.isdigit() else 0


def in_use(directory: Path, pid: int) -> DirectoryInUse:
    """Build the error for a directory that another process serves."""
    who = f"process {pid}" if pid else "another process"
    return DirectoryInUse(f"{directory} is served by {who}: stop that one first, or give another --data-dir")


def upgrade_folder(directory: Path) -> Path:
    """Return where an upgrade of a directory is at work; while it is there, nobody else serves the directory."""
    return directory.with_name(f".{directory.name}.upgrade")


def is_upgraded(directory: Path) -> bool:
    """Tell whether an upgrade of a directory is under way, or was cut off."""
    return upgrade_folder(directory).exists()


def upgrade_lock(directory: Path) -> Path:
    """Return the lock file of who upgrades a directory."""
    folder = upgrade_folder(directory)
    return folder.with_name(f"{folder.name}.lock")


def find_upgrader(directory: Path) -> int | None:
    """Return the process that is upgrading a directory, None where none is."""
    try:
        pid = int(upgrade_lock(directory).read_text())
    except (OSError, ValueError):
        return None
    return pid if _is_alive(pid) else None


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return pid > 0
