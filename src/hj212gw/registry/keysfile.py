"""Keys in a file beside the database: a CSV of the columns of `cipher_keys`, for who wants none in the database."""

from pathlib import Path

from hj212gw.errors import ConfigError
from hj212gw.protocol.dialects import Key
from hj212gw.registry.changes import plan_changes
from hj212gw.registry.csvfiles import InputFile, read_files
from hj212gw.registry.findings import Finding, Findings, Level
from hj212gw.registry.kinds import KINDS
from hj212gw.store.loggers import DatedKey

_KIND = "cipher_keys"
_COLUMNS = ",".join(KINDS[_KIND].columns)


class KeysFile:
    """A keys file, read again when it changed.

    Args:
        path: of the file; should be readable by its owner only.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._mark: tuple[int, ...] | None = None  # of the file as it was read; None: not read

    def read(self) -> dict[str, tuple[DatedKey, ...]]:
        """Read the file, whatever it was before.

        Returns:
            The keys of each MN.

        Raises:
            ConfigError: the file cannot be read, or a line is wrong; no message shows a key.
        """
        self._mark = self._read_mark()
        try:
            content = self._path.read_bytes()
        except OSError as error:
            raise ConfigError(f"registry.keys_file = {self._path} cannot be read: {error.strerror}") from error
        findings = Findings()
        rows = read_files([InputFile(str(self._path), content)], findings)
        for kind in rows.kinds - {_KIND}:
            message = f"expected keys, with the columns {_COLUMNS}, came {kind}"
            findings.add(Finding(str(self._path), 1, "header", Level.ERROR, message))
        plan_changes(rows, None, findings)
        faults = [finding for finding in findings.kept() if finding.level is Level.ERROR]
        if faults:
            more = f" (and {findings.count(Level.ERROR) - 1} errors more)" * (len(faults) > 1)
            raise ConfigError(f"registry.keys_file: {faults[0]}{more}")
        keys: dict[str, tuple[DatedKey, ...]] = {}
        for mn, key_id, secret, *period in (entry.values for entry in rows.entries):
            keys[mn] = (*keys.get(mn, ()), DatedKey(Key(key_id, secret), *period))
        return keys

    def has_changed(self) -> bool:
        """Tell whether the file is another one than was last read; a file that went away counts too."""
        return self._read_mark() != self._mark

    def _read_mark(self) -> tuple[int, ...]:
        try:
            status = self._path.stat()
        except OSError:
            return ()
        return status.st_ino, status.st_size, status.st_mtime_ns
