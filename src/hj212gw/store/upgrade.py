"""The embedded server's move to another major version of PostgreSQL: dump, new directory, restore, change of names.

Beside `<name>` stands `.<name>.upgrade` for as long as it takes, with the plan, the dump and the new directory; while
it is there nobody else serves `<name>`, and a gateway keeps its packets in the journal. The old server answers at an
address of its own meanwhile: what a drain wrote into it behind the dump would be lost. The old directory is renamed to
`<name>-<major>` at the end, and never deleted. An upgrade that fails takes its folder away and leaves all as it was;
one that is killed goes on where it was when it is started again.
"""

import asyncio
import json
import os
import shutil
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import NamedTuple

from hj212gw.errors import ConfigError, DirectoryInUse, StoreError
from hj212gw.store.binaries import Binaries, find_binaries
from hj212gw.store.embedded import DATABASE, USER, EmbeddedOptions, EmbeddedServer, read_major
from hj212gw.store.lock import DirectoryLock, sync_folder, upgrade_folder, upgrade_lock
from hj212gw.store.pool import Connection, connected

_PROGRAMS = ("pg_dump", "pg_dumpall", "pg_restore", "psql")
_PLAN, _ROLES, _DUMP, _COUNTS, _RESTORED = "plan.json", "roles.sql", "dump", "counts.json", "restored"
_JOBS = 2
_ROOM = 1.5  # of the data's bytes: the new directory, and the dump, which is packed
_WAL_BYTES = 1 << 30  # what the new server keeps of its log while it is filled
_MARGIN_BYTES = 1 << 30  # packets go on coming into the journal, as a rule on the same disk
_LONGEST_STATEMENT_SECS = 7 * 86_400.0
_POLL_SECS = 0.2
_PATIENCE_SECS = 10.0  # for the programs that a killed upgrade was just starting
_TAIL_CHARS = 1000
# Nobody but us uses the new server, and it is stopped in order before its directory takes the old one's place.
_WHILE_RESTORING = {
    "autovacuum": "off",
    "synchronous_commit": "off",
    "max_wal_size": f"{_WAL_BYTES >> 30}GB",
    "wal_level": "minimal",  # rows of tables made by the same restore are not logged at all
    "max_wal_senders": "0",
}


class UpgradeOptions(NamedTuple):
    """How an upgrade is done.

    Attributes:
        old_bin_dir: programs of the version that made the directory; None finds them.
        new_bin_dir: programs to upgrade to; None takes the newest there are.
        let_go_secs: longest wait for a gateway that runs to let go of the directory.
        server: how both servers are run.
    """

    old_bin_dir: Path | None = None
    new_bin_dir: Path | None = None
    let_go_secs: float = 60.0
    server: EmbeddedOptions = EmbeddedOptions()


class Upgraded(NamedTuple):
    """What an upgrade did; `kept` is the old directory's new place."""

    old_major: int
    new_major: int
    kept: Path
    rows: int


class _Plan(NamedTuple):
    """What was decided at the beginning and holds for a resumed upgrade as well."""

    old: Binaries
    new: Binaries
    kept: Path


class EmbeddedUpgrade:
    """One upgrade of one directory.

    Args:
        data_dir: of the embedded server.
        options: how it is done.
        on_step: told what comes next.
    """

    def __init__(self, data_dir: Path, options: UpgradeOptions, on_step: Callable[[str], None]) -> None:
        self._data_dir = data_dir.expanduser().resolve()
        self._options = options
        self._tell = on_step
        self._folder = upgrade_folder(self._data_dir)

    async def run(self) -> Upgraded | None:
        """Upgrade, or go on with an upgrade that was cut off; None where there is nothing to do.

        Raises:
            ConfigError: a server that does not let go, missing programs, too little disk; with the next step.
            StoreError: dump or restore failed; all is as it was before.
        """
        if not self._data_dir.parent.is_dir():
            raise ConfigError(f"{self._data_dir} is not there: give the --data-dir of the gateway")
        lock = await self._lock()
        try:
            plan = self._resume() or self._begin_or_leave()
            return None if plan is None else await self._carry_out(plan)
        finally:
            lock.release()

    async def _lock(self) -> DirectoryLock:
        try:
            return await DirectoryLock.take(upgrade_lock(self._data_dir), self._data_dir, patience_secs=_PATIENCE_SECS)
        except DirectoryInUse as error:
            raise DirectoryInUse(f"another upgrade of {self._data_dir} is running: wait for its end") from error

    def _resume(self) -> _Plan | None:
        """Read the plan of an upgrade that was cut off."""
        if not (self._folder / _PLAN).exists():
            return None  # cut off before it had one
        text = json.loads((self._folder / _PLAN).read_text())
        self._tell("an upgrade was cut off: going on with it")
        return self._find_programs(text["old"], text["new"], Path(text["kept"]))

    def _begin_or_leave(self) -> _Plan | None:
        plan = None
        try:
            plan = self._begin()
        finally:
            if plan is None:
                self._clear()
        return plan

    def _begin(self) -> _Plan | None:
        """Decide what to do, and refuse what cannot end well, before anything is touched."""
        major = read_major(self._data_dir)
        if major is None:
            raise ConfigError(f"{self._data_dir} holds no database: give the --data-dir of the gateway")
        newest = find_binaries(self._options.new_bin_dir)
        if newest.major <= major:
            self._tell(
                f"{self._data_dir} was made by PostgreSQL {major}, the newest here is {newest.major}: nothing to do"
            )
            return None
        kept = self._data_dir.with_name(f"{self._data_dir.name}-{major}")
        if kept.exists():
            raise ConfigError(f"{kept} is in the way, the old directory would be kept there: move it away")
        plan = self._find_programs(major, newest.major, kept)
        self._check_renaming()
        self._check_disk()
        self._folder.mkdir(mode=0o711, exist_ok=True)  # another account may run the new server in it
        _write(self._folder / _PLAN, json.dumps({"old": major, "new": newest.major, "kept": str(kept)}))
        sync_folder(self._folder.parent)
        return plan

    def _find_programs(self, old_major: int, new_major: int, kept: Path) -> _Plan:
        old = find_binaries(self._options.old_bin_dir, major=old_major)
        if old.major != old_major:
            message = f"{self._data_dir} was made by PostgreSQL {old_major}, whose programs are needed once more"
            raise ConfigError(f"{message}: install them, or name their folder with --old-programs")
        new = find_binaries(self._options.new_bin_dir, major=new_major)
        missing = [name for name in _PROGRAMS if not (new.bin_dir / name).exists()]
        if new.major != new_major or missing:
            what = f"PostgreSQL {new_major}" if new.major != new_major else ", ".join(missing)
            raise ConfigError(f"{new.bin_dir} has no {what}: install PostgreSQL {new_major} with its client programs")
        return _Plan(old, new, kept)

    def _check_renaming(self) -> None:
        if os.path.ismount(self._data_dir):
            message = f"{self._data_dir} is a mount point, so that no other directory can take its place"
            step = "stop the gateway and mount its disk one folder higher"
            raise ConfigError(f"{message}: {step}, then try again; nothing was changed")

    def _check_disk(self) -> None:
        rows = sum(path.lstat().st_size for path in (self._data_dir / "base").rglob("*"))
        needed = int(_ROOM * rows) + _WAL_BYTES + _MARGIN_BYTES
        free = shutil.disk_usage(self._data_dir.parent).free
        if free < needed:
            message = (
                f"the upgrade needs {needed >> 20:,} MiB of disk in {self._data_dir.parent}, {free >> 20:,} are free"
            )
            raise ConfigError(f"{message}: make room, nothing was changed")

    async def _carry_out(self, plan: _Plan) -> Upgraded:
        try:
            if not (self._folder / _DUMP).exists() and not self._is_switching(plan):
                await self._dump(plan)
            if not (self._folder / _RESTORED).exists():
                await self._restore(plan)
            self._switch(plan)
        except BaseException:
            if not self._is_switching(plan):
                self._tell("given up: the database is as it was before")
                self._clear()
            raise
        rows = sum(self._read_counts().values())
        self._clear()
        return Upgraded(plan.old.major, plan.new.major, plan.kept, rows)

    def _clear(self) -> None:
        """Take the folder away: at once by its name, then what is in it. The old directory never is."""
        done = self._folder.with_name(f"{self._folder.name}.done")
        shutil.rmtree(done, ignore_errors=True)
        if self._folder.exists():
            self._folder.rename(done)
            sync_folder(done.parent)
            shutil.rmtree(done, ignore_errors=True)

    def _is_switching(self, plan: _Plan) -> bool:
        """Tell whether the old directory has been moved, so that there is no way back but forward."""
        return plan.kept.exists()

    async def _dump(self, plan: _Plan) -> None:
        """Write roles, rows and how many there are; the dump takes its name when it is whole."""
        draft = self._folder / f"{_DUMP}.draft"
        shutil.rmtree(draft, ignore_errors=True)
        options = self._options.server._replace(bin_dir=plan.old.bin_dir, is_upgrade=True)
        async with self._serving(self._data_dir, options) as server:
            self._tell(f"dumping the database of PostgreSQL {plan.old.major}")
            await self._refuse_other_databases(server.dsn)
            counts = await _count_rows(server.dsn)
            _write(self._folder / _COUNTS, json.dumps(counts))
            bin_dir = plan.new.bin_dir
            roles = await _run(bin_dir / "pg_dumpall", "--roles-only", f"--dbname={server.dsn}")
            # The new directory's own superuser is there already.
            _write(self._folder / _ROLES, roles.replace(f"\nCREATE ROLE {USER};\n", "\n"))
            await _run(
                bin_dir / "pg_dump",
                "--format=directory",
                f"--jobs={_JOBS}",
                "--compress=1",
                f"--file={draft}",
                server.dsn,
            )
        os.sync()
        draft.rename(self._folder / _DUMP)
        sync_folder(self._folder)

    async def _restore(self, plan: _Plan) -> None:
        """Fill a new directory from the dump; what a cut-off attempt left of one is made anew."""
        new_dir = self._folder / self._data_dir.name
        await self._wait_for_end(new_dir)
        if new_dir.exists():
            shutil.rmtree(new_dir)
        settings = {**self._options.server.settings, **_WHILE_RESTORING}
        options = self._options.server._replace(bin_dir=plan.new.bin_dir, settings=settings)
        async with self._serving(new_dir, options) as server:
            self._tell(f"restoring it into a new directory of PostgreSQL {plan.new.major}")
            bin_dir = plan.new.bin_dir
            roles = ("--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1", f"--file={self._folder / _ROLES}")
            await _run(bin_dir / "psql", *roles, f"--dbname={server.dsn}")
            dump = str(self._folder / _DUMP)
            await _run(bin_dir / "pg_restore", "--exit-on-error", f"--jobs={_JOBS}", f"--dbname={server.dsn}", dump)
            self._tell("comparing what is there")
            found = await _count_rows(server.dsn)
            differing = [name for name, count in self._read_counts().items() if found.get(name) != count]
            if differing:
                raise StoreError(f"not all rows came across: {', '.join(differing[:10])}")
            async with _connected(server.dsn) as connection:
                await connection.execute("ANALYZE")
        _write(self._folder / _RESTORED, "")
        sync_folder(self._folder)

    async def _wait_for_end(self, new_dir: Path) -> None:
        """Wait until a server has gone that a killed upgrade left behind: it ends by itself, and writes until then."""
        lock = await DirectoryLock.take(
            new_dir.with_name(f".{new_dir.name}.lock"), new_dir, patience_secs=self._options.server.start_timeout_secs
        )
        lock.release()

    def _switch(self, plan: _Plan) -> None:
        """Put the new directory into the place of the old one: two renames, after each of which all may end."""
        self._tell(f"the old directory is kept as {plan.kept}")
        if not plan.kept.exists():
            self._data_dir.rename(plan.kept)
            sync_folder(self._data_dir.parent)
        if not self._data_dir.exists():
            (self._folder / self._data_dir.name).rename(self._data_dir)
            sync_folder(self._data_dir.parent)

    @asynccontextmanager
    async def _serving(self, directory: Path, options: EmbeddedOptions) -> AsyncIterator[EmbeddedServer]:
        """Serve a directory for as long as the context lasts; wait for a gateway to let go of it."""
        server = EmbeddedServer(directory, options)
        deadline = time.monotonic() + self._options.let_go_secs
        while True:
            try:
                await server.start()
                break
            except DirectoryInUse as error:
                if time.monotonic() > deadline:
                    raise DirectoryInUse(f"{error}; it did not let go of it") from error
            await asyncio.sleep(_POLL_SECS)  # another process's end has no event here
        try:
            yield server
        finally:
            await server.stop()

    async def _refuse_other_databases(self, dsn: str) -> None:
        async with _connected(dsn) as connection:
            rows = await connection.fetch(
                "SELECT datname FROM pg_database WHERE NOT datistemplate AND datname NOT IN ('postgres', $1)", DATABASE
            )
        if rows:
            names = ", ".join(row["datname"] for row in rows)
            raise ConfigError(
                f"{self._data_dir} also holds {names}: dump and drop what is not the gateway's, then try again"
            )

    def _read_counts(self) -> dict[str, int]:
        counts: dict[str, int] = json.loads((self._folder / _COUNTS).read_text())
        return counts


def _connected(dsn: str) -> AbstractAsyncContextManager[Connection]:
    return connected(dsn, name="hj212gw upgrade", statement_timeout_secs=_LONGEST_STATEMENT_SECS)


async def _count_rows(dsn: str) -> dict[str, int]:
    """Count the rows of every table."""
    tables = (
        "SELECT format('%I.%I', nspname, relname) AS name FROM pg_class JOIN pg_namespace n ON n.oid = relnamespace"
        " WHERE relkind = 'r' AND nspname !~ '^pg_' AND nspname <> 'information_schema' ORDER BY 1"
    )
    async with _connected(dsn) as connection:
        names = [row["name"] for row in await connection.fetch(tables)]
        return {name: await connection.fetchval(f"SELECT count(*) FROM {name}") for name in names}  # noqa: S608 - quoted above


async def _run(program: Path, *arguments: str) -> str:
    """Run one of PostgreSQL's programs to its end and return what it printed.

    Raises:
        StoreError: it failed; with the end of what it said.
    """
    process = await asyncio.create_subprocess_exec(
        program,
        *arguments,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C"},  # no PG* of the caller's
    )
    try:
        output, words = await process.communicate()
    except BaseException:
        if process.returncode is None:
            process.terminate()
            await process.wait()
        raise
    if process.returncode:
        raise StoreError(f"{program.name} failed: {words.decode(errors='replace').strip()[-_TAIL_CHARS:]}")
    return output.decode()


def _write(path: Path, text: str) -> None:
    """Write a small file of our own, whole and durable."""
    draft = path.with_name(f"{path.name}.new")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
