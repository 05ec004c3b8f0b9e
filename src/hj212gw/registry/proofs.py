"""Proofs of marks: a copy of each file under its SHA-256, so that it can be shown as it was."""

import errno
import hashlib
import os
from pathlib import Path
from typing import NamedTuple

FOLDER = "proofs"  # in the data directory

_CHUNK = 1 << 20
_NAME_LENGTH = 200


class Proof(NamedTuple):
    """A file that was kept: its SHA-256 in hexadecimal and what it was called."""

    sha256: str
    name: str


def keep_proof(file: Path, directory: Path) -> Proof:
    """Copy a file to `directory`/its SHA-256, readable by its owner only; the copy is on disk when this returns.

    Args:
        file: an ordinary file; it stays where it is.
        directory: made when missing, for its owner only. A file that is there already is replaced by the same bytes.

    Raises:
        OSError: the file cannot be read, or the copy not written; nothing is left behind.
    """
    if file.exists() and not file.is_file():  # opening a pipe would wait for ever
        raise OSError(errno.EINVAL, "it is no ordinary file", str(file))
    with file.open("rb") as source:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        part = directory / f".{os.getpid()}.part"
        digest = hashlib.sha256()
        try:
            descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(descriptor, "wb") as copy:
                while chunk := source.read(_CHUNK):
                    digest.update(chunk)
                    copy.write(chunk)
                copy.flush()
                os.fsync(copy.fileno())
            part.replace(directory / digest.hexdigest())
        finally:
            part.unlink(missing_ok=True)
    _sync(directory)
    name = "".join(character if character.isprintable() else "?" for character in file.name)
    return Proof(digest.hexdigest(), name[:_NAME_LENGTH])


def _sync(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
