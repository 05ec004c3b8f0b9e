"""The private server: ours alone, gone when we are, never initialised twice."""

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import asyncpg
import pytest
from tests.conftest import FAST
from tests.support import secs, wait_for

from hj212gw.errors import ConfigError, StoreUnavailable
from hj212gw.store.binaries import find_binaries
from hj212gw.store.embedded import EmbeddedOptions, EmbeddedServer

OPTIONS = EmbeddedOptions(settings=FAST, start_timeout_secs=secs(30))

PARENT = """
import asyncio, sys, time
from pathlib import Path
from hj212gw.store.embedded import EmbeddedOptions, EmbeddedServer
server = EmbeddedServer(Path(sys.argv[1]), EmbeddedOptions(way=sys.argv[2] or None))
async def main():
    await server.start()
    print(server.pid, server.dsn, flush=True)
asyncio.run(main())
sys.stdin.read()
"""


@pytest.fixture
def folder():
    """A folder that other accounts may enter, unlike pytest's own."""
    path = Path(tempfile.mkdtemp(prefix="hj212-test-"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path, ignore_errors=True)


async def query(server, text):
    """Run one query on a connection of its own."""
    connection = await asyncpg.connect(server.dsn)
    try:
        return await connection.fetchval(text)
    finally:
        await connection.close()


async def test_server_keeps_data_over_a_restart(folder):
    """Stopped and started again, a server has what it had; its database finds our schema first."""
    server = EmbeddedServer(folder / "pg", OPTIONS)
    await server.start()
    await server.start()
    assert server.running
    await query(server, "CREATE TABLE kept AS SELECT 42 AS value")
    await server.stop()
    assert not server.running
    assert server.pid is None
    await server.start()
    assert await query(server, "SELECT value FROM public.kept") == 42
    assert await query(server, "SHOW search_path") == "hj212, public"
    assert await query(server, "SHOW data_checksums") == "on"
    assert await query(server, "SHOW listen_addresses") == ""
    assert (folder / "pg").stat().st_mode & 0o077 == 0
    await server.stop()


@pytest.mark.parametrize("way", ["", "namespace", "account"])
def test_server_ends_with_its_parent(folder, way):
    """Killed, the parent takes the server along, and the next start finds what was committed."""
    if way and os.geteuid() != 0:
        pytest.skip("only root runs the server in another way")
    command = [sys.executable, "-c", PARENT, str(folder / "pg"), way]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as parent:
        pid, dsn = parent.stdout.readline().split()
        asyncio.run(commit(dsn))
        parent.send_signal(signal.SIGKILL)
        parent.wait()
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as parent:
        again, dsn = parent.stdout.readline().split()
        assert again != pid
        wait_for(lambda: not is_alive(pid))
        assert asyncio.run(count(dsn)) == 1
        parent.stdin.close()
        parent.wait()
    wait_for(lambda: not is_alive(again))


def is_alive(pid):
    """Whether a process runs; one that only waits to be reaped does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


async def commit(dsn):
    """Commit one row."""
    connection = await asyncpg.connect(dsn)
    await connection.execute("CREATE TABLE kept (value integer)")
    await connection.execute("INSERT INTO kept VALUES (1)")
    await connection.close()


async def count(dsn):
    """Count the rows committed."""
    connection = await asyncpg.connect(dsn)
    try:
        return await connection.fetchval("SELECT count(*) FROM kept")
    finally:
        await connection.close()


def test_ordinary_user_runs_it():
    """An ordinary account needs nothing special."""
    if os.geteuid() != 0:
        pytest.skip("the other tests run as an ordinary user already")
    if shutil.which("runuser") is None:
        pytest.skip("runuser is not installed")
    script = "import sys; sys.path[:0] = sys.argv[3].split(':')\n" + PARENT
    path = ":".join(entry for entry in sys.path if entry)
    readable = subprocess.run(
        ["runuser", "-u", "nobody", "--", sys.executable, "-c", ""], check=False, capture_output=True
    )
    if readable.returncode:
        pytest.skip("the environment cannot be read by the account nobody")
    home = Path(tempfile.mkdtemp(prefix="hj212-test-"))
    shutil.chown(home, "nobody")
    command = ["runuser", "-u", "nobody", "--", sys.executable, "-c", script, str(home / "pg"), "", path]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as parent:
        assert "postgresql://" in parent.stdout.readline()
        assert (home / "pg").owner() == "nobody"
        parent.stdin.close()
        parent.wait()
    shutil.rmtree(home)


def test_account_gets_a_copy_of_closed_programs(folder):
    """Programs under a closed home are copied to where the account can read them."""
    if os.geteuid() != 0:
        pytest.skip("only root changes the account")
    binaries = find_binaries()
    if not binaries.roots:
        pytest.skip("the programs are the system's own")
    closed = folder / "closed"
    closed.mkdir(mode=0o700)
    for root in binaries.roots:
        shutil.copytree(root, closed / "lib" / root.relative_to(binaries.roots[0].parents[1]), symlinks=True)
    moved = closed / "lib" / binaries.bin_dir.relative_to(binaries.roots[0].parents[1])
    script = f"""
import sys
from pathlib import Path
from hj212gw.store.binaries import Binaries, find_launcher
roots = tuple(Path(name) for name in sys.argv[4:])
binaries = Binaries(Path(sys.argv[1]), {binaries.major}, roots)
launcher, found = find_launcher(binaries, Path(sys.argv[2]), way="account")
print(launcher.account, found.bin_dir)
"""
    roots = [str(closed / "lib" / root.relative_to(binaries.roots[0].parents[1])) for root in binaries.roots]
    done = subprocess.run(
        [sys.executable, "-c", script, str(moved), str(folder), "", *roots], capture_output=True, text=True, check=True
    )
    account, bin_dir = done.stdout.split()
    assert account in {"postgres", "nobody"}
    assert bin_dir.startswith(str(folder / "postgres-"))


async def test_half_made_directory_is_made_again(folder):
    """What an interrupted initdb left is not taken for a database."""
    draft = folder / "pg.draft"
    draft.mkdir()
    (draft / "PG_VERSION").write_text("18\n")
    server = EmbeddedServer(folder / "pg", OPTIONS)
    await server.start()
    assert await query(server, "SELECT 1") == 1
    await server.stop()
    assert not draft.exists()


async def test_foreign_directory_is_refused(folder):
    """A directory with something else in it is left alone."""
    (folder / "pg").mkdir()
    (folder / "pg" / "letter.txt").write_text("dear")
    with pytest.raises(ConfigError, match="--data-dir"):
        await EmbeddedServer(folder / "pg", OPTIONS).start()
    assert (folder / "pg" / "letter.txt").read_text() == "dear"


async def test_other_version_is_refused(folder):
    """A directory of another major version is named with both versions."""
    (folder / "pg").mkdir(mode=0o700)
    (folder / "pg" / "PG_VERSION").write_text("9\n")
    with pytest.raises(ConfigError, match="made by PostgreSQL 9"):
        await EmbeddedServer(folder / "pg", OPTIONS).start()


async def test_missing_programs_are_named(folder):
    """A folder without PostgreSQL's programs is an error that says so."""
    with pytest.raises(ConfigError, match="PostgreSQL's programs"):
        await EmbeddedServer(folder / "pg", OPTIONS._replace(bin_dir=folder)).start()


async def test_long_path_gets_a_short_socket(folder):
    """A data directory whose path is too long for a socket puts it elsewhere, and takes it away again."""
    deep = folder / ("d" * 60) / ("e" * 60)
    server = EmbeddedServer(deep / "pg", OPTIONS)
    await server.start()
    socket_dir = Path(server.dsn.partition("host=")[2].partition("&")[0])
    assert len(str(socket_dir)) < 80
    assert await query(server, "SELECT 1") == 1
    await server.stop()
    assert not socket_dir.exists()  # noqa: ASYNC240 - a look at a local folder


async def test_second_server_on_a_directory_is_refused(folder):
    """A directory in use is refused with the process that uses it; a stale pid file is not."""
    first = EmbeddedServer(folder / "pg", OPTIONS)
    await first.start()
    with pytest.raises(ConfigError, match=f"process {first.pid}"):
        await EmbeddedServer(folder / "pg", OPTIONS._replace(start_timeout_secs=1)).start()
    await first.stop()
    (folder / "pg" / "postmaster.pid").write_text(f"{os.getpid()}\n{folder / 'pg'}\n")
    await first.start()
    await first.stop()


async def test_server_that_cannot_start_says_why(folder):
    """The end of the server's log is in the error."""
    options = OPTIONS._replace(settings={**FAST, "shared_buffers": "nonsense"})
    with pytest.raises(StoreUnavailable, match="shared_buffers"):
        await EmbeddedServer(folder / "pg", options).start()
