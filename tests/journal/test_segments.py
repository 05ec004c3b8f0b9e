"""Segments."""

import sqlite3
import stat
from contextlib import closing
from uuid import UUID

import pytest

from hj212gw.errors import JournalCorrupt, JournalUnwritable
from hj212gw.journal.records import Row, checksum
from hj212gw.journal.segments import (
    FORMAT,
    About,
    create_segment,
    examine,
    index_path,
    list_damaged,
    list_segments,
    log_path,
    open_to_read,
    open_to_write,
    parse_name,
    remove_segment,
    remove_unfinished,
    segment_path,
    size_of,
)

UUID_1 = UUID("0f5c8e6a-2f1d-4d3b-9a53-000000000001")


def make_rows(first, count):
    """Sound rows with rising numbers."""
    for n in range(count):
        row = Row(first + n, 10 + n, 20 + n, 2, 2 * n + 2, 5 * n + 5, n, 0, b"12345")
        yield row._replace(crc=checksum(row))


def change(path, statement, *values):
    """Change a segment behind the journal's back."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute(statement, values)


def test_name_tells_first_number_and_repairs(tmp_path):
    """Names sort by their groups, and other files are not segments."""
    assert parse_name(segment_path(tmp_path, 42)) == (42, 0)
    assert parse_name(segment_path(tmp_path, 1 << 62, 11)) == (1 << 62, 11)
    assert segment_path(tmp_path, 9).name < segment_path(tmp_path, 10).name
    for name in ("segment-1.db", "segment-00000000000000000001.db-wal", "segment-00000000000000000001.db.damaged-1"):
        assert parse_name(tmp_path / name) is None


def test_segment_is_complete_when_it_has_its_name(tmp_path):
    """A new segment is private, empty, says whose it is, and goes on at its first number."""
    path = segment_path(tmp_path, 501)
    create_segment(path, About(UUID_1, 501, 480))
    assert list(tmp_path.iterdir()) == [path]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    about, info = examine(path)
    assert about == (UUID_1, 501, 480)
    assert (info.first_seq, info.last_seq, info.records, info.file_bytes) == (501, 500, 0, path.stat().st_size)
    with closing(sqlite3.connect(path)) as connection:
        seq = connection.execute("INSERT INTO groups (records) VALUES (1)").lastrowid
    assert seq == 501


def test_segment_with_rows_tells_what_it_holds(tmp_path):
    """Totals and times come from the first and last row."""
    path = segment_path(tmp_path, 7)
    create_segment(path, About(UUID_1, 7, 6), make_rows(7, 30))
    info = examine(path)[1]
    assert (info.last_seq, info.records, info.byte_count, info.reject_bytes) == (36, 60, 150, 29)
    assert (info.oldest_us, info.newest_us) == (10, 49)


def test_segment_leaves_nothing_when_it_cannot_be_made(tmp_path):
    """A failure half-way leaves no file under any name."""

    def rows():
        yield from make_rows(1, 3)
        yield next(make_rows(1, 1))

    with pytest.raises(sqlite3.IntegrityError):
        create_segment(segment_path(tmp_path, 1), About(UUID_1, 1, 0), rows())
    assert not list(tmp_path.iterdir())


def test_segment_leaves_nothing_when_it_cannot_be_laid_out(tmp_path, monkeypatch):
    """The first statements fail as cleanly as the last."""
    monkeypatch.setattr("hj212gw.journal.segments._SCHEMA", ("CREATE NONSENSE",))
    with pytest.raises(sqlite3.OperationalError):
        create_segment(segment_path(tmp_path, 1), About(UUID_1, 1, 0))
    assert not list(tmp_path.iterdir())


def test_unfinished_files_are_removed(tmp_path):
    """What a crash left half made goes, whatever else is there stays."""
    keep = tmp_path / "registry.json.new"
    keep.touch()
    for suffix in ("", "-journal", "-wal"):
        (tmp_path / f"segment-00000000000000000001.db.new{suffix}").touch()
    remove_unfinished(tmp_path)
    assert list(tmp_path.iterdir()) == [keep]


def test_listing_goes_by_number_then_by_repairs(tmp_path):
    """A repaired segment follows the one it replaces; damaged files are listed apart, without their indexes."""
    paths = [
        segment_path(tmp_path, 1),
        segment_path(tmp_path, 1, 2),
        segment_path(tmp_path, 1, 10),
        segment_path(tmp_path, 2),
    ]
    damaged = [tmp_path / "journal.json.damaged-1", tmp_path / "segment-00000000000000000001.db.damaged-1-wal"]
    for path in (*reversed(paths), *damaged, tmp_path / "x.damaged-1-shm", tmp_path / "other"):
        path.touch()
    assert list_segments(tmp_path) == paths
    assert list_damaged(tmp_path) == damaged


def test_removal_takes_log_and_index_along(tmp_path):
    """Nothing stays of a segment, and a part that is missing is no matter."""
    path = segment_path(tmp_path, 1)
    for part in (path, log_path(path), index_path(path)):
        part.write_bytes(b"12345678")
    assert size_of(path) == 16
    remove_segment(path)
    remove_segment(path)
    assert not list(tmp_path.iterdir())


def test_reading_a_sealed_segment_leaves_no_files(tmp_path):
    """Whoever looks into a closed journal changes nothing in its directory."""
    path = segment_path(tmp_path, 1)
    create_segment(path, About(UUID_1, 1, 0), make_rows(1, 3))
    with closing(open_to_read(path)) as connection:
        assert connection.execute("SELECT count(*) FROM groups").fetchone() == (3,)
        assert list(tmp_path.iterdir()) == [path]


def test_writer_syncs_every_commit_and_checkpoints_itself(tmp_path):
    """The settings that make a commit durable are in force."""
    path = segment_path(tmp_path, 1)
    create_segment(path, About(UUID_1, 1, 0))
    with closing(open_to_write(path)) as connection:
        answers = [
            connection.execute(f"PRAGMA {name}").fetchone()[0]
            for name in ("journal_mode", "synchronous", "wal_autocheckpoint")
        ]
    assert answers == ["wal", 2, 0]


def test_writer_refuses_what_is_no_segment(tmp_path):
    """A file of something else is not written to."""
    path = segment_path(tmp_path, 1)
    path.write_bytes(b"something else" * 1000)
    with pytest.raises(sqlite3.DatabaseError):
        open_to_write(path)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE about SET previous_seq = 3",
        "UPDATE about SET uuid = NULL",
        "UPDATE about SET first_seq = 'x'",
        "DELETE FROM about",
        "DROP TABLE about",
        "DROP TABLE groups",
        "UPDATE groups SET crc = crc + 1 WHERE seq = 1",
        "UPDATE groups SET body = 'text' WHERE seq = 5",
        "UPDATE groups SET records_total = 9 WHERE seq = 5",
    ],
)
def test_examination_finds_damage_at_the_ends(tmp_path, statement):
    """What a segment says of itself and its first and last group are checked when it is opened."""
    path = segment_path(tmp_path, 1)
    create_segment(path, About(UUID_1, 1, 0), make_rows(1, 5))
    change(path, statement)
    with pytest.raises(JournalCorrupt, match=path.name):
        examine(path)


def test_examination_leaves_other_errors_alone(tmp_path):
    """A segment that is not there is not a damaged one."""
    with pytest.raises(sqlite3.OperationalError):
        examine(segment_path(tmp_path, 1))


def test_segment_of_another_version_is_refused(tmp_path, monkeypatch):
    """A newer format is neither read nor repaired away."""
    path = segment_path(tmp_path, 1)
    with monkeypatch.context() as newer:
        newer.setattr("hj212gw.journal.segments.FORMAT", FORMAT + 1)
        create_segment(path, About(UUID_1, 1, 0))
    with pytest.raises(
        JournalUnwritable, match=f"has format {FORMAT + 1}: this version reads and writes format {FORMAT}"
    ):
        examine(path)
