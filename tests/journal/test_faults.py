"""Real faults: processes ended by SIGKILL, disks that are full, an fsync that fails, files of an old version."""

import asyncio
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from uuid import UUID

import pytest
from tests.journal.support import (
    MIB,
    PEER,
    TIME_SCALE,
    Seen,
    keep,
    make_record,
    numbers_in,
    only_segment,
    opened,
    quiet,
    read_all,
    settings_for,
    until,
)

from hj212gw.errors import JournalFull, JournalUnwritable
from hj212gw.journal import REJECT, Journal, inspect, verify
from hj212gw.journal.reader import Reader
from hj212gw.journal.segments import examine, index_path, log_path

CHILD = Path(__file__).with_name("child.py")
OLD = Path(__file__).with_name("data") / "v1"


def start(*arguments):
    """Start a process that works on a journal."""
    return subprocess.Popen([sys.executable, CHILD, *map(str, arguments)], stdout=subprocess.PIPE, text=True)


def kill(process):
    """End a process as the kernel does; return the lines it had printed whole."""
    process.send_signal(signal.SIGKILL)
    with process:
        lines = process.stdout.read().split("\n")
    return [json.loads(line) for line in lines[:-1]]


@pytest.mark.faults
async def test_kill_loses_nothing_that_was_acknowledged(tmp_path):
    """Killed at random moments, over segments begun and removed: each durable record is there once, in order."""
    rng = random.Random(212)
    start_at, held = 1, []
    for _ in range(6):
        process = start("append", tmp_path / "j", start_at)
        first = json.loads(process.stdout.readline())
        moment = time.monotonic() + rng.uniform(0, 0.3)
        lines = [first]
        while time.monotonic() < moment:
            lines.append(json.loads(process.stdout.readline()))
        acknowledged = (lines + kill(process))[-1]["durable"]
        async with opened(tmp_path / "j", segment_bytes=MIB // 4, keep_secs=0) as journal:
            groups = read_all(journal, most=2000)
            numbers = numbers_in(groups)
            assert journal.damages == ()
            journal.confirm(groups[len(groups) // 2].seq, 1 << 60)
        assert numbers == list(range(numbers[0], numbers[-1] + 1))
        assert numbers[-1] >= acknowledged
        assert set(held) <= set(numbers)
        held = numbers_in(groups[len(groups) // 2 + 1 :])
        start_at = numbers[-1] + 1
    assert verify(tmp_path / "j") == []


@pytest.mark.faults
async def test_second_process_is_refused_and_told_whom_to_look_for(tmp_path):
    """The lock goes with the process that holds it."""
    process = start("hold", tmp_path / "j")
    assert json.loads(process.stdout.readline()) == {"event": "open"}
    with pytest.raises(JournalUnwritable, match=f"in use by process {process.pid}:"):
        Journal.open(settings_for(tmp_path / "j"))
    assert inspect(tmp_path / "j").owner_pid == process.pid
    kill(process)
    assert inspect(tmp_path / "j").owner_pid is None
    async with opened(tmp_path / "j") as journal:
        await keep(journal, make_record(1))


@pytest.mark.faults
@pytest.mark.skipif(sys.platform != "linux", reason="needs seccomp")
async def test_failed_fsync_is_never_tried_again(tmp_path):
    """The group is not acknowledged, the journal says why, and what was durable before is there."""
    with start("fail-fsync", tmp_path / "j") as process:
        told = json.loads(process.stdout.readline())
    assert (told["durable"], told["failure"]) == ([1], "JournalUnwritable")
    assert "cannot be written: disk I/O error" in told["text"]
    async with opened(tmp_path / "j") as journal:
        assert numbers_in(read_all(journal))[:1] == [1]


@pytest.fixture
def small_disk(tmp_path):
    """A disk of 4 MiB."""
    directory = tmp_path / "disk"
    directory.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(directory)]
    if (
        os.geteuid()
        or not shutil.which("mount")
        or subprocess.run(command, check=False, capture_output=True).returncode
    ):
        pytest.skip("needs to mount a small disk: run as root")
    try:
        yield directory
    finally:
        subprocess.run(["umount", "--lazy", str(directory)], check=True)


@pytest.mark.faults
async def test_disk_full_and_free_again(small_disk):
    """On a real full disk: no byte is lost or doubled, what was taken is finished, intake goes on by itself."""
    seen = Seen()
    ballast = small_disk / "ballast"
    durable = []
    sizes = {"reserve_bytes": MIB // 2, "segment_bytes": MIB // 2, "backlog_bytes": 300_000}
    async with opened(small_disk / "j", seen, **sizes) as journal:
        await quiet(journal)
        with ballast.open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, os.statvfs(small_disk).f_bavail * 4096 - MIB)
        number = 0
        while journal._writer._retry_secs < 0.4:  # full for good: several tries to make room have failed
            try:
                journal.submit(make_record(number, 2000), lambda number=number: durable.append(number))
                number += 1
            except JournalFull:
                await until(lambda rooms=seen.rooms: seen.rooms > rooms or journal.is_full)
            await asyncio.sleep(0)
        assert not (small_disk / "j" / "reserve").exists()
        with pytest.raises(JournalFull, match="is full"):
            journal.submit(make_record(number), lambda: None)
        assert len(durable) > 100
        assert numbers_in(read_all(journal)) == durable == list(range(len(durable)))
        ballast.unlink()
        await until(lambda: not journal.is_full)
        assert (small_disk / "j" / "reserve").stat().st_size == MIB // 2
        assert durable == list(range(number))
        await keep(journal, make_record(number, 2000))
        assert numbers_in(read_all(journal)) == list(range(number + 1))
    assert seen.failures == []
    assert len(seen.fulls) >= 1
    assert verify(small_disk / "j") == []


@pytest.mark.faults
async def test_segment_without_index_is_read_on_a_full_disk(small_disk):
    """SQLite has no room for an index: a sealed segment needs none, one that may be written is read later."""
    async with opened(small_disk / "j") as journal:
        await keep(journal, make_record(1))
    path = only_segment(small_disk / "j")
    info = examine(path)[1]
    log_path(path).touch()
    index_path(path).touch()
    with (small_disk / "ballast").open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, os.statvfs(small_disk).f_bavail * 4096)
    for active, count in ((path, 0), (small_disk, 1)):
        groups = []
        with closing(Reader(active)) as reader:
            reader.read(info, 0, 100, groups)
        assert len(groups) == count


@pytest.mark.faults
async def test_disk_full_at_the_start(small_disk):
    """The reserve gives the room to open; the journal can be read and is full until there is more."""
    async with opened(small_disk / "j", reserve_bytes=MIB // 2) as journal:
        await keep(journal, *(make_record(number) for number in range(20)))
    (small_disk / "j" / "owner.pid").write_text("1")
    ballast = small_disk / "ballast"
    with ballast.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, os.statvfs(small_disk).f_bavail * 4096)
    async with opened(small_disk / "j", reserve_bytes=MIB // 2) as journal:
        await until(lambda: journal.is_full)
        assert numbers_in(read_all(journal)) == list(range(20))
        ballast.unlink()
        await until(lambda: not journal.is_full)
        await keep(journal, make_record(20))
    assert verify(small_disk / "j") == []


@pytest.mark.faults
def test_file_too_large_for_the_process_ends_it(tmp_path):
    """A write error that is not want of space is final: here the limit on the size of files."""
    script = (
        "import asyncio, resource, signal, sys; from pathlib import Path\n"
        "sys.path.insert(0, str(Path(sys.argv[1]).parent)); import child\n"
        "from hj212gw.journal import Journal\n"
        "async def main():\n"
        "    journal = Journal.open(child.settings_for(sys.argv[2]))\n"
        "    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "    done = []\n"
        "    for number in range(1000):\n"
        "        journal.submit(child.make_record(number), lambda: done.append(1))\n"
        "        while len(done) <= number and not journal.failure: await asyncio.sleep(0)\n"
        "        if journal.failure: break\n"
        "        resource.setrlimit(resource.RLIMIT_FSIZE, (70_000, 70_000))\n"
        "    await journal.close()\n"
        "    child.say(durable=len(done), text=str(journal.failure))\n"
        "asyncio.run(main())\n"
    )
    command = [sys.executable, "-c", script, str(CHILD), str(tmp_path / "j")]
    result = subprocess.run(command, capture_output=True, text=True, timeout=20 * TIME_SCALE, check=False)
    told = json.loads(result.stdout)
    assert told["durable"] > 0
    assert "cannot be written: disk I/O error" in told["text"]


async def test_segment_of_the_first_version_is_read(tmp_path):
    """A journal written by version 1 of the format is read, verified and gone on with."""
    shutil.copytree(OLD, tmp_path / "j")
    assert verify(tmp_path / "j") == []
    async with opened(tmp_path / "j") as journal:
        assert journal.uuid == UUID("6f1d2c3b-0212-4017-a9e1-0123456789ab")
        groups = read_all(journal)
        assert [(group.seq, len(group.records)) for group in groups] == [(1, 2), (2, 1), (3, 1)]
        records = [record for group in groups for record in group.records]
        assert records[:2] == [make_record(1), make_record(2, kind=REJECT)]
        assert records[2].note == "header\t缺少 MN"
        assert records[3].body == bytes(range(256))
        assert {record.peer for record in records} == {PEER}
        await keep(journal, make_record(9))
        assert numbers_in(read_all(journal, 3)) == [9]
        assert journal.stats().head_seq == 4
