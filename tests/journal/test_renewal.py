"""A journal written into a new one: every packet, in order, and nothing half made."""

import pytest
from tests.journal.support import MIB, keep, make_record, numbers_in, opened, settings_for

from hj212gw.errors import JournalUnwritable
from hj212gw.journal import REJECT, Journal, inspect, renew, renewal
from hj212gw.journal.segments import list_segments


async def fill(directory, *numbers, rejects=(), size=40):
    """A closed journal of small segments, of numbered records; return its identity."""
    async with opened(directory, segment_bytes=MIB // 8) as journal:
        for number in numbers:
            await keep(journal, make_record(number, size, kind=REJECT if number in rejects else 0))
        return journal.uuid


async def read_all(directory):
    """The numbers of all records of a journal."""
    async with opened(directory) as journal:
        return numbers_in(journal.read(0, 100_000))


async def test_every_packet_is_in_the_new_journal(tmp_path, monkeypatch):
    """Drained ones too, with arrival, peer and note; rejects are left out; the old one keeps all, under its identity."""
    monkeypatch.setattr(renewal, "_AT_A_TIME", 7)
    uuid = await fill(tmp_path / "j", *range(60), rejects=(3, 4, 59), size=8000)
    assert len(list_segments(tmp_path / "j")) > 2
    async with opened(tmp_path / "j") as journal:
        journal.confirm(30, 0)
        kept = [record for group in journal.read(0, 100) for record in group.records if record.kind != REJECT]
    renewed = await renew(tmp_path / "j", tmp_path / "new")
    assert (renewed.packets, renewed.rejects, renewed.damaged) == (57, 3, 0)
    async with opened(tmp_path / "new") as journal:
        assert journal.uuid == renewed.uuid != uuid
        assert journal.stats().pending_records == 57
        assert [record for group in journal.read(0, 100) for record in group.records] == kept
    assert len(await read_all(tmp_path / "j")) == 60
    assert inspect(tmp_path / "j").uuid == uuid
    assert sorted(path.name for path in tmp_path.iterdir()) == ["j", "new"]


async def test_empty_directory_and_empty_journal(tmp_path):
    """Neither is in the way."""
    await fill(tmp_path / "j")
    (tmp_path / "new").mkdir()
    assert (await renew(tmp_path / "j", tmp_path / "new")).packets == 0
    assert await read_all(tmp_path / "new") == []


async def test_what_is_left_of_a_damaged_segment_is_written_too(tmp_path):
    """And the damage is told."""
    await fill(tmp_path / "j", *range(60), size=8000)
    path = next(path for path in list_segments(tmp_path / "j") if b"<0000000020>" in path.read_bytes())
    content = bytearray(path.read_bytes())
    at = content.index(b"<0000000020>")
    content[at + 100] ^= 1
    path.write_bytes(content)
    renewed = await renew(tmp_path / "j", tmp_path / "new")
    assert (renewed.packets, renewed.damaged) == (59, 1)
    assert await read_all(tmp_path / "new") == [number for number in range(60) if number != 20]


@pytest.mark.parametrize(
    ("source", "target", "text"),
    [
        ("missing", "new", "missing is no journal$"),
        ("base", "new", r"base is no journal; there are .*base/worker-0"),
        ("j", "base", "base is not empty"),
        ("j", "half", r"half\.unfinished is left of a renewal that did not end"),
        ("j", "file", "cannot be renewed: "),
        ("j", "file/new", "cannot be opened: "),
    ],
)
async def test_directories_that_are_in_the_way(tmp_path, source, target, text):
    """An error, and no file is made."""
    await fill(tmp_path / "j", 1)
    await fill(tmp_path / "base" / "worker-0", 1)
    (tmp_path / "half.unfinished").mkdir()
    (tmp_path / "file").touch()
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(JournalUnwritable, match=text):
        await renew(tmp_path / source, tmp_path / target)
    assert sorted(tmp_path.rglob("*")) == before


async def test_journal_in_use_is_refused(tmp_path):
    """A gateway that has it open goes on."""
    async with opened(tmp_path / "j") as journal:
        with pytest.raises(JournalUnwritable, match="in use by process"):
            await renew(tmp_path / "j", tmp_path / "new")
        await keep(journal, make_record(1))
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("at_a_time", [1, 1000])
async def test_full_disk_ends_it(tmp_path, monkeypatch, at_a_time):
    """With an error and no new journal under its name; the old one is as it was."""
    await fill(tmp_path / "j", *range(60), size=8000)
    make = Journal.open

    def open_small(settings, *, observer=None):
        if observer is not None:  # the new one
            settings = settings_for(settings.directory, segment_bytes=MIB // 16, max_bytes=MIB // 4)
        return make(settings, observer=observer)

    monkeypatch.setattr(renewal, "_AT_A_TIME", at_a_time)
    monkeypatch.setattr(renewal.Journal, "open", open_small)
    with pytest.raises(JournalUnwritable, match=r"holds .* bytes of at most"):
        await renew(tmp_path / "j", tmp_path / "new")
    monkeypatch.undo()
    assert not (tmp_path / "new").exists()
    assert await read_all(tmp_path / "j") == list(range(60))
