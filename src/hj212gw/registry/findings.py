"""What is wrong or odd in the registry's files, bounded however bad they are."""

import enum
from typing import NamedTuple


class Level(enum.StrEnum):
    """How bad a finding is."""

    ERROR = "error"  # nothing is imported
    WARNING = "warning"  # imported all the same


class Finding(NamedTuple):
    """One thing to look at.

    Attributes:
        file: name of the file as given.
        line: where the row begins, from 1.
        column: of the cell; `row`, `header` or `file` where it is no single one.
        level: error or warning.
        message: what was expected and what came, secrets hidden.
    """

    file: str
    line: int
    column: str
    level: Level
    message: str

    def __str__(self) -> str:
        mark = "warning: " if self.level is Level.WARNING else ""
        return f"{self.file}:{self.line}: {self.column}: {mark}{self.message}"


class Findings:
    """Findings in the order of files and lines; of each level the first `limit` found are kept, the rest counted.

    Args:
        limit: how many of each level are kept.
    """

    def __init__(self, limit: int = 100) -> None:
        self._limit = limit
        self._kept: dict[Level, list[Finding]] = {level: [] for level in Level}
        self._counts = dict.fromkeys(Level, 0)
        self._files: dict[str, int] = {}

    def add(self, finding: Finding) -> None:
        """Keep a finding, or count it when there are too many."""
        self._files.setdefault(finding.file, len(self._files))
        self._counts[finding.level] += 1
        if len(self._kept[finding.level]) < self._limit:
            self._kept[finding.level].append(finding)

    def count(self, level: Level) -> int:
        """Return how many of a level there were, kept or not."""
        return self._counts[level]

    def counts(self) -> dict[Level, int]:
        """Return how many of each level there were, errors first."""
        return dict(self._counts)

    def unshown(self, level: Level) -> int:
        """Return how many of a level were counted only."""
        return self._counts[level] - len(self._kept[level])

    def kept(self) -> list[Finding]:
        """Return what is kept, file by file, line by line."""
        found = [finding for level in Level for finding in self._kept[level]]
        return sorted(found, key=lambda finding: (self._files[finding.file], finding.line))
