"""A private PostgreSQL: started as our child, stopped with us, reachable over a Unix socket alone.

It ends when we do, even by `kill -9`. A directory that exists is never initialised again. Beside `<name>` stand
`.<name>.lock`, held by whoever serves the directory; `.<name>.draft`, a directory being made; and `.<name>.programs`,
a copy of the programs where the account that runs them cannot reach them.
"""

import asyncio
import hashlib
import os
import re
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Mapping
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import IO, NamedTuple

import asyncpg

from hj212gw.errors import ConfigError, DirectoryInUse, StoreError, StoreUnavailable
from hj212gw.store.binaries import Binaries, Launcher, die_with_parent, find_binaries, find_launcher
from hj212gw.store.lock import DirectoryLock, in_use, is_upgraded, sync_folder
from hj212gw.store.pool import CONNECTION_ERRORS

USER = DATABASE = "hj212"
PORT = 5432  # part of the socket's name only

_LONGEST_SOCKET = 106  # bytes of sun_path without the closing NUL
_PLAIN_PATH = re.compile(r"[\w/.+@-]+", re.ASCII)  # what no list of hosts, URL or setting takes for something else
_BUILTIN_LOCALE_MAJOR = 17
_TAIL_BYTES = 2000
_POLL_SECS = 0.02
_QUIT_SECS = 5.0
_SETTINGS = {
    "shared_buffers": "256MB",
    "max_wal_size": "4GB",
    "checkpoint_timeout": "15min",
    "wal_compression": "on",
    "max_connections": "60",
    "synchronous_commit": "on",
    "fsync": "on",
    "full_page_writes": "on",
    "timezone": "UTC",
    "log_timezone": "UTC",
    # A week of logs, a file per weekday. Rows and the passwords in them stay out: no statements, no context.
    "logging_collector": "on",
    "log_directory": "log",
    "log_filename": "postgresql-%a.log",
    "log_truncate_on_rotation": "on",
    "log_rotation_size": "0",
    "log_min_messages": "warning",
    "log_min_error_statement": "panic",
    "log_error_verbosity": "terse",
    "log_checkpoints": "off",
}


class EmbeddedOptions(NamedTuple):
    """How the server is run.

    Attributes:
        bin_dir: folder with `initdb` and `postgres`; None finds one.
        settings: of PostgreSQL, over ours.
        start_timeout_secs: longest wait for the server, with its recovery, and for one before it to go.
        stop_timeout_secs: longest wait for an orderly stop before a quick one.
        way: how it is run, `plain`, `namespace` or `account`; None finds out.
        is_upgrade: this is an upgrade of the directory: it may be served meanwhile, at an address nobody else knows.
    """

    bin_dir: Path | None = None
    settings: Mapping[str, str] = MappingProxyType({})
    start_timeout_secs: float = 300.0
    stop_timeout_secs: float = 30.0
    way: str | None = None
    is_upgrade: bool = False


class EmbeddedServer:
    """A PostgreSQL server of our own in one directory.

    Args:
        data_dir: of the server; made where it is missing.
        options: how it is run.

    A plain `Popen` serves any event loop, also several one after the other.
    """

    def __init__(self, data_dir: Path, options: EmbeddedOptions | None = None) -> None:
        self.data_dir = data_dir.expanduser().resolve()
        self._options = options or EmbeddedOptions()
        self._launcher = Launcher()
        self._programs: Binaries | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._lock: DirectoryLock | None = None
        self._socket_dir = self.data_dir

    @property
    def dsn(self) -> str:
        """Address of the database, for any tool on this machine; from the first start on it stays the same."""
        return f"postgresql:///{DATABASE}?host={self._socket_dir}&port={PORT}&user={USER}"

    @property
    def is_address_known(self) -> bool:
        """Whether `dsn` is right before the first start: the path of the directory fits a socket."""
        return self._socket_dir != self.data_dir or _fits_socket(self.data_dir)

    @property
    def bin_dir(self) -> Path | None:
        """Folder of the programs that serve the directory, `psql` and `pg_dump` too; None before the first start."""
        return self._programs.bin_dir if self._programs else None

    @property
    def pid(self) -> int | None:
        """Process id of the server, None when it does not run."""
        return self._process.pid if self.running and self._process else None

    @property
    def running(self) -> bool:
        """Whether the server's process is alive."""
        return self._process is not None and self._process.poll() is None

    async def start(self) -> None:
        """Initialise the directory where needed, start the server and wait until it answers.

        Call it from the main thread: Linux stops the server when the thread that started it ends.

        Raises:
            ConfigError: no programs, no way to run them, or the directory is not ours to use; with the next step.
            DirectoryInUse: another process serves the directory, or upgrades it.
            StoreUnavailable: the server did not come up; with the end of its log.
        """
        if self.running:
            return
        if threading.current_thread() is not threading.main_thread():
            raise StoreError("the server ends with the thread that starts it: start it from the main thread")
        await self.stop()
        async with AsyncExitStack() as undo:
            undo.push_async_callback(self.stop)
            try:
                await self._prepare()
                self._process = self._launch()
            except OSError as error:
                message = f"{self.data_dir} cannot be used: {error}; give another --data-dir or correct its permissions"
                raise ConfigError(message) from error
            await self._wait_until_ready()
            await self._make_database()
            undo.pop_all()

    async def stop(self) -> None:
        """Stop the server: in order, then quickly, then at once; nothing committed is lost by any of them."""
        process = self._process
        if process is not None:
            orderly = self._options.stop_timeout_secs
            quick = min(orderly, _QUIT_SECS)
            for number, patience in ((signal.SIGINT, orderly), (signal.SIGQUIT, quick), (signal.SIGKILL, quick)):
                process.send_signal(number)
                if await _wait_for_exit(process, patience):
                    break
            self._process = None
        if self._socket_dir != self.data_dir:
            shutil.rmtree(self._socket_dir, ignore_errors=True)  # a later start makes it again
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    async def _prepare(self) -> None:
        self.data_dir.parent.mkdir(parents=True, exist_ok=True)
        if is_upgraded(self.data_dir) and not self._options.is_upgrade:
            message = f"{self.data_dir} is being upgraded, or an upgrade was cut off"
            step = f"wait, or go on with: hj212gw db upgrade-embedded --data-dir {self.data_dir.parent}"
            raise DirectoryInUse(f"{message}: {step}")
        self._lock = await DirectoryLock.take(
            self._beside("lock"), self.data_dir, patience_secs=self._options.start_timeout_secs
        )
        await self._refuse_foreign_server()
        major = read_major(self.data_dir)
        programs = find_binaries(self._options.bin_dir, major=major)
        if major not in (None, programs.major):
            message = (
                f"{self.data_dir} was made by PostgreSQL {major}, the programs in {programs.bin_dir} are "
                f"{programs.major}: install PostgreSQL {major}, then move on with hj212gw db upgrade-embedded, "
                "or restore a dump into another --data-dir"
            )
            raise ConfigError(message)
        self._launcher, programs = await asyncio.to_thread(
            find_launcher, programs, self.data_dir, way=self._options.way
        )
        if major is None:
            await self._initialise(programs)
        self._programs = programs
        self._launcher.give(self.data_dir)
        self._socket_dir = self._choose_socket_dir()

    async def _refuse_foreign_server(self) -> None:
        """Refuse a directory that a server started by other means serves; PostgreSQL judges a stale pid file."""
        try:
            pid, _, _, port, socket_dir, *_ = (self.data_dir / "postmaster.pid").read_text().splitlines()
        except (FileNotFoundError, ValueError):
            return
        try:
            connection = await asyncpg.connect(
                host=socket_dir, port=int(port), user=USER, database="postgres", timeout=5, ssl=False
            )
        except (*CONNECTION_ERRORS, ValueError):
            return
        try:
            served = await connection.fetchval("SHOW data_directory")
        finally:
            await connection.close()
        if _is_same(Path(served), self.data_dir):
            raise in_use(self.data_dir, int(pid))

    async def _initialise(self, programs: Binaries) -> None:
        """Make the directory beside its place, then rename it: a half-made one is never taken for whole."""
        draft = self._beside("draft")
        if draft.exists():
            shutil.rmtree(draft)
        draft.mkdir(mode=0o700)
        self._launcher.give(draft)
        command = [str(programs.bin_dir / "initdb"), "-D", str(draft), "--encoding=UTF8", "--locale=C"]
        if programs.major >= _BUILTIN_LOCALE_MAJOR:
            command += ["--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
        command += [f"--username={USER}", "--auth-local=trust", "--auth-host=reject", "--data-checksums"]
        if self._options.settings.get("fsync") == "off":  # what need not outlive a crash need not be synced at first
            command.append("--no-sync")
        with tempfile.TemporaryFile() as output:
            self._process = self._spawn(command, output)
            ended = await _wait_for_exit(self._process, self._options.start_timeout_secs)
            if not ended or self._process.returncode:
                output.seek(0)
                text = output.read().decode(errors="replace").strip()[-_TAIL_BYTES:]
                raise StoreUnavailable(f"initdb failed for {self.data_dir}: {text}")
        self._process = None
        draft.rename(self.data_dir)
        sync_folder(self.data_dir.parent)

    def _choose_socket_dir(self) -> Path:
        """The data directory is closed to others and does, unless its path does not fit a socket or a setting."""
        if _fits_socket(self.data_dir) and not self._options.is_upgrade:
            return self.data_dir
        if self._socket_dir != self.data_dir:
            self._socket_dir.mkdir(mode=0o700)  # as it was, so that the address stays
            self._launcher.give(self._socket_dir)
            return self._socket_dir
        label = f"hj212gw-{hashlib.sha256(os.fsencode(self.data_dir)).hexdigest()[:12]}-"
        for temporary in (Path(tempfile.gettempdir()), Path("/tmp")):  # noqa: S108 - mkdtemp's name is its own
            if _fits_socket(temporary / f"{label}12345678"):
                for left in temporary.glob(f"{label}*"):  # by a gateway that was killed: we hold the lock
                    shutil.rmtree(left, ignore_errors=True)
                folder = Path(tempfile.mkdtemp(prefix=label, dir=temporary))
                self._launcher.give(folder)
                return folder
        raise ConfigError(f"TMPDIR should be a short path of plain characters, it is {tempfile.gettempdir()}")

    def _launch(self) -> subprocess.Popen[bytes]:
        assert self._programs is not None
        settings = {
            **_SETTINGS,
            **self._options.settings,
            "listen_addresses": "",
            "port": str(PORT),
            "unix_socket_directories": str(self._socket_dir),
            "unix_socket_permissions": "0700",
        }
        command = [str(self._programs.bin_dir / "postgres"), "-D", str(self.data_dir)]
        for name, value in settings.items():
            command += ["-c", f"{name}={value}"]
        logs = self.data_dir / "log"
        logs.mkdir(mode=0o700, exist_ok=True)
        with (logs / "start.log").open("wb") as output:  # what comes before the collector takes over
            self._launcher.give(logs)
            return self._spawn(command, output)

    def _spawn(self, command: list[str], output: IO[bytes]) -> subprocess.Popen[bytes]:
        """Start a program that ends with us and holds our lock.

        A session of its own keeps the terminal's Ctrl-C away: the gateway drains before the database stops.
        """
        assert self._lock is not None
        return subprocess.Popen(  # noqa: S603 - our own command
            [*self._launcher.prefix, *command],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env={"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "TZ": "UTC"},  # no PG* of the caller's
            cwd="/",
            umask=0o077,
            start_new_session=True,
            pass_fds=(self._lock.descriptor,),
            preexec_fn=partial(die_with_parent, os.getpid()),  # noqa: PLW1509 - two system calls, nothing else
            **self._launcher.options(),
        )

    async def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + self._options.start_timeout_secs
        while True:
            if not self.running:
                raise StoreUnavailable(f"PostgreSQL ended while starting: {self._read_log_tail()}")
            try:
                connection = await self._connect()
            except asyncpg.InvalidAuthorizationSpecificationError as error:
                message = f"{self.data_dir} was not made by hj212gw: {error}; give another --data-dir"
                raise ConfigError(message) from error
            except CONNECTION_ERRORS as error:
                if time.monotonic() > deadline:
                    waited = self._options.start_timeout_secs
                    message = f"PostgreSQL did not answer within {waited:g} s: {error}; {self._read_log_tail()}"
                    raise StoreUnavailable(message) from error
                await asyncio.sleep(_POLL_SECS)  # recovery has no event to wait for
                continue
            await connection.close()
            return

    async def _make_database(self) -> None:
        """Make the database and its search path; each start completes what an interrupted one left out."""
        try:
            connection = await self._connect()
            try:
                known = "SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)"
                if not await connection.fetchval(known, DATABASE):
                    await connection.execute(f"CREATE DATABASE {DATABASE} OWNER {USER}")
                await connection.execute(f"ALTER DATABASE {DATABASE} SET search_path = hj212, public")
            finally:
                await connection.close()
        except CONNECTION_ERRORS as error:
            raise StoreUnavailable(f"PostgreSQL did not make its database: {error}") from error

    async def _connect(self) -> "asyncpg.Connection":
        return await asyncpg.connect(
            host=str(self._socket_dir), port=PORT, user=USER, database="postgres", timeout=5, ssl=False
        )

    def _read_log_tail(self) -> str:
        """Return the end of what this start wrote."""
        newest = max((self.data_dir / "log").iterdir(), key=lambda path: path.stat().st_mtime)
        text = newest.read_bytes()[-_TAIL_BYTES:].decode(errors="replace").strip()
        return f"{text} (whole log: {newest})"

    def _beside(self, what: str) -> Path:
        return self.data_dir.with_name(f".{self.data_dir.name}.{what}")


def read_major(data_dir: Path) -> int | None:
    """Return the version that made a directory, None when there is nothing yet.

    Raises:
        ConfigError: it is neither empty nor a whole PostgreSQL directory.
    """
    if not data_dir.exists() or not any(data_dir.iterdir()):
        return None
    made = data_dir / "PG_VERSION"
    if not made.exists() or not (data_dir / "global" / "pg_control").exists():
        message = (
            f"{data_dir} should be empty or a whole PostgreSQL directory, it is neither: "
            "move it away, or give another --data-dir"
        )
        raise ConfigError(message)
    return int(made.read_text())


def find_running_dsn(data_dir: Path) -> str | None:
    """Return the address of the server that says it serves a directory, None where there is none."""
    try:
        _, _, _, port, socket_dir, *_ = (data_dir / "postmaster.pid").read_text().splitlines()
    except (OSError, ValueError):
        return None
    return f"postgresql:///{DATABASE}?host={socket_dir}&port={port}&user={USER}"


async def _wait_for_exit(process: subprocess.Popen[bytes], patience_secs: float) -> bool:
    """Wait for a child's end, and reap it; False when it did not end in time."""
    deadline = time.monotonic() + patience_secs
    while process.poll() is None:
        if time.monotonic() > deadline:
            return False
        await asyncio.sleep(_POLL_SECS)
    return True


def _is_same(folder: Path, other: Path) -> bool:
    return folder.exists() and folder.samefile(other)


def _fits_socket(folder: Path) -> bool:
    path = os.fsencode(folder / f".s.PGSQL.{PORT}")
    return len(path) <= _LONGEST_SOCKET and _PLAIN_PATH.fullmatch(str(folder)) is not None
