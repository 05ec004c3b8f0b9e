"""A private PostgreSQL: started as our child, stopped with us, reachable over a Unix socket alone.

It ends when we do, even by `kill -9`. A directory that exists is never initialised again.
"""

import asyncio
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import IO, NamedTuple

import asyncpg

from hj212gw.errors import ConfigError, StoreUnavailable
from hj212gw.store.binaries import Binaries, Launcher, die_with_parent, find_binaries, find_launcher
from hj212gw.store.pool import CONNECTION_ERRORS

USER = DATABASE = "hj212"
PORT = 5432  # part of the socket's name only

_LONGEST_SOCKET = 106  # bytes of sun_path without the closing NUL
_BUILTIN_LOCALE_MAJOR = 17
_LOG_BYTES = 4 << 20
_TAIL_BYTES = 2000
_POLL_SECS = 0.03
_SETTINGS = {
    "shared_buffers": "256MB",
    "max_wal_size": "4GB",
    "checkpoint_timeout": "15min",
    "wal_compression": "on",
    "max_connections": "60",
    "synchronous_commit": "on",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_min_messages": "warning",
}


class EmbeddedOptions(NamedTuple):
    """How the server is run.

    Attributes:
        bin_dir: folder with `initdb` and `postgres`; None finds one.
        settings: of PostgreSQL, over ours.
        start_timeout_secs: longest wait for the server, and for one before it to go.
        stop_timeout_secs: longest wait for an orderly stop before a quick one.
        way: how root runs it, `namespace` or `account`; None finds out.
    """

    bin_dir: Path | None = None
    settings: Mapping[str, str] = MappingProxyType({})
    start_timeout_secs: float = 60.0
    stop_timeout_secs: float = 30.0
    way: str | None = None


class EmbeddedServer:
    """A PostgreSQL server of our own in one directory.

    Args:
        data_dir: of the server; made where it is missing.
        options: how it is run.

    Start it from the main thread: the server is told to stop when the thread that started it ends.
    """

    def __init__(self, data_dir: Path, options: EmbeddedOptions | None = None) -> None:
        self.data_dir = data_dir.absolute()
        self._options = options or EmbeddedOptions()
        self._process: subprocess.Popen[bytes] | None = None
        self._socket_dir = self.data_dir
        self._log = self.data_dir.with_name(f"{self.data_dir.name}.log")

    @property
    def dsn(self) -> str:
        """Address of the database, for any tool on this machine."""
        return f"postgresql://{USER}@/{DATABASE}?host={self._socket_dir}&port={PORT}"

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

        Raises:
            ConfigError: no programs, no way to run them, or the directory is not ours to use; with the next step.
            StoreUnavailable: the server did not come up; with the end of its log.
        """
        if self.running:
            return
        parent = self.data_dir.parent
        parent.mkdir(parents=True, exist_ok=True)
        programs = find_binaries(self._options.bin_dir)
        launcher, programs = find_launcher(programs, parent, way=self._options.way)
        await self._wait_for_predecessor()
        if not (self.data_dir / "PG_VERSION").exists():
            await asyncio.to_thread(self._initialise, launcher, programs)
        self._check_version(programs)
        launcher.give(self.data_dir)
        self._socket_dir = self._choose_socket_dir(launcher)
        self._process = self._launch(launcher, programs)
        try:
            await self._wait_until_ready()
            await self._make_database()
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Stop the server: in order, then quickly, then at once; nothing committed is lost by any of them."""
        process = self._process
        if process is not None:
            for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGKILL):
                if process.poll() is None:
                    process.send_signal(number)
                try:
                    await asyncio.to_thread(process.wait, self._options.stop_timeout_secs)
                    break
                except subprocess.TimeoutExpired:
                    continue
            self._process = None
        if self._socket_dir != self.data_dir:
            shutil.rmtree(self._socket_dir, ignore_errors=True)
            self._socket_dir = self.data_dir

    async def _wait_for_predecessor(self) -> None:
        """Wait for a server whose gateway was killed: it is stopping. One that stays is in use."""
        deadline = time.monotonic() + self._options.start_timeout_secs / 4
        while (pid := _find_postmaster(self.data_dir)) is not None:
            if time.monotonic() > deadline:
                message = (
                    f"{self.data_dir} is served by process {pid}: stop the other gateway first, or give another "
                    "--data-dir"
                )
                raise ConfigError(message)
            await asyncio.sleep(_POLL_SECS)  # another process's end has no event here

    def _initialise(self, launcher: Launcher, programs: Binaries) -> None:
        """Make the directory beside its place, then rename it: a half-made one is never taken for whole."""
        if self.data_dir.exists() and any(self.data_dir.iterdir()):
            message = f"{self.data_dir} should be empty or hold PostgreSQL data, it does not: give another --data-dir"
            raise ConfigError(message)
        draft = self.data_dir.with_name(f"{self.data_dir.name}.draft")
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(mode=0o700)
        launcher.give(draft)
        builtin = programs.major >= _BUILTIN_LOCALE_MAJOR
        locale = ["--locale-provider=builtin", "--builtin-locale=C.UTF-8"] if builtin else ["--locale=C"]
        command = [*launcher.prefix, str(programs.bin_dir / "initdb"), "--pgdata", str(draft), "--encoding=UTF8"]
        command += [*locale, f"--username={USER}", "--auth=trust", "--data-checksums", "--no-instructions"]
        done = subprocess.run(  # noqa: S603 - our own command
            command,
            capture_output=True,
            text=True,
            check=False,
            env=_environment(),
            cwd="/",
            **launcher.options(),
        )
        if done.returncode:
            raise StoreUnavailable(f"initdb failed in {draft}: {done.stderr.strip()[-_TAIL_BYTES:]}")
        draft.rename(self.data_dir)

    def _check_version(self, programs: Binaries) -> None:
        major = int((self.data_dir / "PG_VERSION").read_text().strip() or 0)
        if major != programs.major:
            message = (
                f"{self.data_dir} was made by PostgreSQL {major}, the programs in {programs.bin_dir} are "
                f"{programs.major}: install the matching version, or dump and restore"
            )
            raise ConfigError(message)

    def _choose_socket_dir(self, launcher: Launcher) -> Path:
        """The data directory is closed to others and does, unless its path is too long for a socket."""
        if len(os.fsencode(self.data_dir / f".s.PGSQL.{PORT}")) <= _LONGEST_SOCKET:
            return self.data_dir
        folder = Path(tempfile.mkdtemp(prefix="hj212gw-"))
        launcher.give(folder)
        return folder

    def _launch(self, launcher: Launcher, programs: Binaries) -> subprocess.Popen[bytes]:
        settings = {
            **_SETTINGS,
            **self._options.settings,
            "listen_addresses": "",
            "port": str(PORT),
            "unix_socket_directories": str(self._socket_dir),
            "unix_socket_permissions": "0700",
        }
        command = [*launcher.prefix, str(programs.bin_dir / "postgres"), "-D", str(self.data_dir)]
        for name, value in settings.items():
            command += ["-c", f"{name}={value}"]
        # A session of its own: Ctrl-C on the terminal must not stop it before the gateway has drained.
        with self._open_log() as log:
            return subprocess.Popen(  # noqa: S603 - our own command
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=_environment(),
                cwd="/",
                start_new_session=True,
                preexec_fn=die_with_parent,  # noqa: PLW1509 - one system call, no lock is taken
                **launcher.options(),
            )

    def _open_log(self) -> IO[bytes]:
        """Open the server's log; it begins anew when it has become long."""
        is_long = self._log.exists() and self._log.stat().st_size > _LOG_BYTES
        return self._log.open("wb" if is_long else "ab")

    async def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + self._options.start_timeout_secs
        while True:
            if not self.running:
                raise StoreUnavailable(f"PostgreSQL ended while starting: {self._log_tail()}")
            try:
                connection = await self._connect()
            except CONNECTION_ERRORS as error:
                if time.monotonic() > deadline:
                    waited = self._options.start_timeout_secs
                    message = f"PostgreSQL did not answer within {waited:g} s: {error}; {self._log_tail()}"
                    raise StoreUnavailable(message) from error
                await asyncio.sleep(_POLL_SECS)  # recovery has no event to wait for
                continue
            await connection.close()
            return

    async def _make_database(self) -> None:
        connection = await self._connect()
        try:
            if not await connection.fetchval("SELECT count(*) FROM pg_database WHERE datname = $1", DATABASE):
                await connection.execute(f"CREATE DATABASE {DATABASE} OWNER {USER}")
                await connection.execute(f"ALTER DATABASE {DATABASE} SET search_path = hj212, public")
        finally:
            await connection.close()

    async def _connect(self) -> asyncpg.Connection:
        return await asyncpg.connect(
            host=str(self._socket_dir), port=PORT, user=USER, database="postgres", timeout=5, ssl=False
        )

    def _log_tail(self) -> str:
        data = self._log.read_bytes()[-_TAIL_BYTES:]
        return f"{data.decode(errors='replace').strip()} (whole log: {self._log})"


def _find_postmaster(data_dir: Path) -> int | None:
    """Return the process that serves a directory; a pid file that names another process means nothing."""
    try:
        pid = int((data_dir / "postmaster.pid").read_text().splitlines()[0])
        name = Path(f"/proc/{pid}/comm").read_text()
        folder = Path(f"/proc/{pid}/cwd").readlink()
    except (OSError, ValueError, IndexError):
        return None
    return pid if re.match("postgres|postmaster", name) and folder == data_dir.resolve() else None


def _environment() -> dict[str, str]:
    """Nothing of ours that changes how PostgreSQL runs: no PG* variables, no other locale."""
    return {"PATH": os.environ.get("PATH", "/usr/bin:/bin"), "LC_ALL": "C", "TZ": "UTC"}
