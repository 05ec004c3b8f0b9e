"""Which directories are journals, and which of them nobody fills."""

import pytest
from tests.journal.support import opened

from hj212gw.journal.layout import find_orphans, list_journals, worker_directory


@pytest.fixture
async def base(tmp_path):
    """Journals of one process, of workers 0, 2 and 10, and things that are no journals."""
    for directory in (tmp_path, *(worker_directory(tmp_path, index) for index in (0, 2, 10))):
        async with opened(directory):
            pass
    (tmp_path / "worker-3").mkdir()
    (tmp_path / "worker-4").write_text("a file")
    (tmp_path / "worker-05").mkdir()
    return tmp_path


def names(paths, base):
    """Their names, "" for the directory itself."""
    return ["" if path == base else path.name for path in paths]


def test_journals_are_listed_in_order(base):
    """That of the directory first, then by number, and only what is a journal."""
    assert names(list_journals(base), base) == ["", "worker-0", "worker-2", "worker-10"]


def test_journal_without_its_identity_is_one(base):
    """Its segments are enough."""
    (base / "worker-2" / "journal.json").unlink()
    assert "worker-2" in names(list_journals(base), base)


@pytest.mark.parametrize(
    ("count", "expected"),
    [
        (1, ["worker-0", "worker-2", "worker-10"]),
        (2, ["", "worker-2", "worker-10"]),
        (3, ["", "worker-10"]),
        (11, [""]),
    ],
)
def test_orphans_are_what_no_process_fills(base, count, expected):
    """One process fills the directory itself, several fill those of their numbers."""
    assert names(find_orphans(base, count), base) == expected


def test_nothing_is_there_at_first(tmp_path):
    """A directory that is empty or missing has no journals."""
    assert list_journals(tmp_path) == find_orphans(tmp_path / "missing", 4) == []
