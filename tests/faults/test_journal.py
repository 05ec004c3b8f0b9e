"""The journal's disk fails, is read-only, or what stands on it was changed: nothing acknowledged is lost in silence."""

import asyncio
import os
import resource
import sqlite3
import subprocess
from contextlib import closing, contextmanager

import asyncpg
import pytest
from tests.faults.scene import ACCEPT, QUICK
from tests.support import (
    Logger,
    assert_conserved,
    assert_exactly_once,
    digest_of,
    make_frame,
    mounted,
    running_loggers,
    wait_acked,
    wait_until,
)

from hj212gw.journal.records import decode_group

pytestmark = [pytest.mark.slow, pytest.mark.faults]

MIB = 1 << 20
NOWHERE = "postgresql://nobody@127.0.0.1:1/nothing"


def make_wide(mn, number):
    """A packet that is nearly as long as may be, so that a few of them fill a segment."""
    return make_frame(mn, number, cn="2061", factors=("w01018",), extra=f"i11001-Info=//{'x' * 3700}//")


async def test_read_only_disk_is_refused(serve, tmp_path):
    """Exit 1, and the message names the directory."""
    folder = tmp_path / "gateway" / "data" / "journal"
    gateway = serve(NOWHERE)
    with mounted(folder, "ro,size=1m"):
        gateway.launch()
        assert await asyncio.to_thread(gateway.wait, 30) == 1
        assert str(folder) in gateway.log()


async def test_disk_that_becomes_read_only_stops_the_gateway(serve, dsn, tmp_path):
    """Nothing more is acknowledged, the gateway ends with the reason, and all it acknowledged is there afterwards."""
    folder = tmp_path / "gateway" / "data" / "journal"
    folder.mkdir(parents=True, mode=0o700)
    gateway = serve(dsn, *ACCEPT, journal__segment_bytes=MIB, journal__max_bytes=64 * MIB)
    await asyncio.to_thread(gateway.start)
    async with running_loggers([Logger("READONLY000001", gateway.port, make=make_wide)]) as loggers:
        await wait_acked(loggers, 100)
        with read_only(folder):
            assert await asyncio.to_thread(gateway.wait, 30) == 1
        assert gateway.has_logged("journal.failed")
        assert "Read-only file system" in gateway.log()
        await asyncio.to_thread(gateway.start)
    await assert_exactly_once(dsn, loggers[0].acked, factors=2)
    await assert_conserved(gateway, is_first=False)
    assert await asyncio.to_thread(gateway.stop) == 0


@contextmanager
def read_only(folder):
    """No file can be made or opened for writing here, as when a kernel gives a disk up; only root may."""
    for command in (["--bind", folder, folder], ["-o", "remount,bind,ro", folder]):
        if os.geteuid() or subprocess.run(["mount", *command], check=False, capture_output=True).returncode:
            pytest.skip("such a disk needs the right to mount one")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


@pytest.fixture
async def left(serve, database, tmp_path):
    """A killed gateway whose journal holds several segments that no database has seen, and their frames."""
    await database.start(migrated=True)
    await database.stop()
    gateway = serve(database.dsn, *ACCEPT, **QUICK, journal__segment_bytes=MIB, journal__max_bytes=64 * MIB)
    await asyncio.to_thread(gateway.start)
    async with running_loggers([Logger("DAMAGED0000001", gateway.port, make=make_wide)]) as loggers:
        await wait_acked(loggers, 1200)
    await asyncio.to_thread(gateway.kill)
    await database.start()
    return gateway, loggers[0].acked


def segments_of(gateway):
    """The files of its journal, the oldest first."""
    return sorted((gateway.folder / "data" / "journal").glob("segment-*.db"))


def frames_in(path):
    """The frames of a segment."""
    with closing(sqlite3.connect(path)) as segment:
        bodies = segment.execute("SELECT body FROM groups").fetchall()
    return {record.body for (body,) in bodies for record in decode_group(body)}


def flip_a_bit(path):
    """One bit in the midst of a packet, as a tired disk does."""
    content = bytearray(path.read_bytes())
    content[content.index(b"x" * 64, len(content) // 2)] ^= 0x10
    path.write_bytes(content)


def truncate(path):
    """Half of a file, as a file system that was repaired leaves it."""
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size // 2 // 8192 * 8192)


def scribble_over_the_head(path):
    """What SQLite knows a file by."""
    content = bytearray(path.read_bytes())
    content[:100] = bytes(100)
    path.write_bytes(content)


@pytest.mark.parametrize("harm", [flip_a_bit, truncate, scribble_over_the_head], ids=lambda harm: harm.__name__)
async def test_segment_is_damaged(harm, left, database):
    """The damaged file is kept aside and reported; what it still gives and all other segments are drained, once."""
    gateway, acked = left
    paths = segments_of(gateway)
    assert len(paths) >= 4
    victim = paths[1]
    in_victim = frames_in(victim)
    assert 50 < len(in_victim) < len(acked) / 2
    harm(victim)
    await asyncio.to_thread(gateway.start)

    async def is_damage_told():
        return gateway.has_logged("journal.damaged")

    await wait_until(is_damage_told)
    kept = [path for path in victim.parent.iterdir() if path.name.startswith(f"{victim.name}.damaged")]
    assert kept
    survivors = [frame for frame in acked if frame not in in_victim]
    await assert_exactly_once(database.dsn, survivors, factors=2)
    await assert_conserved(gateway, is_first=False)
    connection = await asyncpg.connect(database.dsn)
    stored = [row["digest"] for row in await connection.fetch("SELECT digest FROM hj212.v_packets")]
    await connection.close()
    assert len(stored) == len(set(stored))
    assert set(stored) <= {digest_of(frame) for frame in acked}
    if harm is not scribble_over_the_head:
        assert len(stored) > len(survivors), "nothing of the damaged segment was saved"
    assert await asyncio.to_thread(gateway.stop) == 0


@pytest.mark.faults
async def test_disk_that_fails_stops_the_gateway(serve, dsn):
    """A write that fails is not tried again: exit 1 with the reason, nothing acknowledged that is not kept."""
    gateway = serve(dsn, *ACCEPT)
    await asyncio.to_thread(gateway.start)
    async with running_loggers([Logger(f"DISK{number:010d}", gateway.port) for number in range(2)]) as loggers:
        await wait_acked(loggers, 200)
        limit = 200 << 10  # larger than the log and smaller than a segment grows
        resource.prlimit(gateway.process.pid, resource.RLIMIT_FSIZE, (limit, limit))
        assert await asyncio.to_thread(gateway.wait) == 1
        log = gateway.log()
        assert "cannot be written" in log
        assert gateway.has_logged("journal.failed")
        await asyncio.to_thread(gateway.start)
    frames = [frame for logger in loggers for frame in logger.acked]
    await assert_exactly_once(dsn, frames)
    await assert_conserved(gateway, is_first=False)
    assert await asyncio.to_thread(gateway.stop) == 0
