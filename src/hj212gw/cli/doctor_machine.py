"""The doctor's look at this machine: directories, disk, files of secrets, clock."""

import ctypes
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from hj212gw.cli.check import GIB, Check, find_existing, judge_days_left
from hj212gw.cli.files import SPARE_FILES, read_hard_limit
from hj212gw.config import Settings, options
from hj212gw.config_options import read_value
from hj212gw.errors import JournalError
from hj212gw.journal.layout import list_journals
from hj212gw.journal.status import SegmentReport, inspect

# Before this the program was not written: a clock that shows it was never set.
_EARLIEST = datetime(2025, 1, 1, tzinfo=UTC)
_LATEST = datetime(2100, 1, 1, tzinfo=UTC)
_UNSYNCHRONISED = 5  # adjtimex(2): TIME_ERROR
_TIMEX_BYTES = 256  # struct timex takes 208; all zeros asks and sets nothing

_RECENT_US = 24 * 3600 * 1_000_000
_LEAST_SPAN_US = 10 * 60 * 1_000_000  # a shorter time says nothing of a rate
_DAY_US = 86_400_000_000
_LEAST_DAYS = 3.0
_PUBLIC_WORDS = ("cert", "ca_")


def check_machine(settings: Settings) -> Iterator[Check]:
    """Look at what a gateway needs of its machine."""
    yield _check_directory("data directory", settings.data_dir)
    yield _check_directory("journal directory", settings.journal.directory)
    yield _check_disk(settings)
    yield from _check_journal_days(settings)
    yield from check_files({name: read_value(settings, name) for name in options() if name.endswith("_file")})
    yield check_open_files(settings.gateway.max_sessions, read_hard_limit())
    yield _check_clock(datetime.now(UTC))
    yield _check_sync(read_sync())


def _check_directory(name: str, path: Path) -> Check:
    place = find_existing(path)
    try:
        with tempfile.TemporaryFile(dir=place) as probe:
            probe.write(b"hj212gw")
            probe.flush()
            os.fsync(probe.fileno())
    except OSError as error:
        step = f"let this user write there, or choose another {name}"
        return Check(name, "failed", f"{place}: {error.strerror}", step)
    found = f"{path} can be written" if place == path.absolute() else f"{path} can be made in {place}"
    return Check(name, "ok", found)


def _check_disk(settings: Settings) -> Check:
    journal = settings.journal
    try:
        free = shutil.disk_usage(find_existing(journal.directory)).free
        used = sum(file.stat().st_size for file in journal.directory.rglob("*") if file.is_file())
    except OSError as error:
        return Check("disk", "failed", f"{journal.directory}: {error.strerror}", "see whether the disk is well")
    found = f"{free / GIB:.1f} GiB free for a journal of at most {journal.max_bytes / GIB:.1f} GiB"
    if free < journal.reserve_bytes + journal.segment_bytes:
        return Check("disk", "failed", found, "make room: loggers would have to wait at once")
    if free + used < journal.max_bytes:
        step = "make room or lower journal.max_bytes: the disk is full before the journal is"
        return Check("disk", "warning", found, step)
    return Check("disk", "ok", found)


def _check_journal_days(settings: Settings) -> Iterator[Check]:
    """Tell how long the journal can stand in for the database at the rate it was filled lately."""
    journal = settings.journal
    try:
        reports = [inspect(directory) for directory in list_journals(journal.directory)]
        free = shutil.disk_usage(journal.directory).free
    except (JournalError, OSError):
        return  # there is none yet; whether one can be made was told
    segments = [segment for report in reports for segment in report.segments]
    bytes_a_day = _rate([segment for segment in segments if segment.records])
    if bytes_a_day:
        room = min(journal.max_bytes, free + sum(report.file_bytes for report in reports))
        waiting = sum(report.waiting_file_bytes for report in reports)
        detail = f"{bytes_a_day / GIB:.2f} GiB a day lately; with the database away there is room for"
        if waiting:
            detail = (
                f"{bytes_a_day / GIB:.2f} GiB a day lately, at most {waiting / GIB:.2f} GiB wait; there is room for"
            )
        step = "make room, or raise journal.max_bytes: a repair of the database takes days at times"
        yield judge_days_left("journal days left", detail, max(room - waiting, 0) / bytes_a_day, _LEAST_DAYS, step)


def _rate(segments: list[SegmentReport]) -> float:
    """Return bytes a day over the segments of the last day, 0 where that is too short a time to say."""
    newest = max((segment.newest_us for segment in segments), default=0)
    recent = [segment for segment in segments if segment.newest_us > newest - _RECENT_US]
    span = newest - min((segment.oldest_us for segment in recent), default=0)
    return sum(segment.file_bytes for segment in recent) / span * _DAY_US if recent and span >= _LEAST_SPAN_US else 0.0


def check_files(files: dict[str, Path | None]) -> Iterator[Check]:
    """Look whether files that settings name can be read, and secrets by nobody else.

    Args:
        files: by the option that names them; None where it names none.
    """
    for option, path in files.items():
        if path is None:
            continue
        try:
            with path.open("rb") as file:
                file.read(1)
            status = path.stat()
        except OSError as error:
            yield Check(option, "failed", f"{path}: {error.strerror}", "name a file that this user can read")
            continue
        mode = status.st_mode
        is_secret = not any(word in option.rpartition(".")[2] for word in _PUBLIC_WORDS)
        if is_secret and mode & (stat.S_IROTH | stat.S_IWOTH):
            groups = {os.getegid(), *os.getgroups()}
            step = close_to_others(path, (status.st_uid, status.st_gid), os.geteuid(), groups)
            yield Check(option, "warning", f"{path} can be read by every user", step)
        elif mode & stat.S_IWOTH:
            yield Check(option, "warning", f"{path} can be written by every user", f"run: chmod o-w {path}")
        else:
            yield Check(option, "ok", f"{path} can be read")


def close_to_others(path: Path, owner: tuple[int, int], uid: int, groups: set[int]) -> str:
    """Say how a secret is closed to all but those who need it.

    Args:
        path: the secret.
        owner: its user and group.
        uid: who reads it now, which must stay so.
        groups: that this account is in.
    """
    if uid in (0, owner[0]) or owner[1] in groups:
        return f"run: chmod o= {path}"
    return f"chgrp {path} to a group of the account that reads it, then run: chmod o= {path}"


def check_open_files(max_sessions: int, limit: int | None) -> Check:
    """Tell whether the gateway may open as many connections as its settings say.

    Args:
        max_sessions: that the settings allow.
        limit: the hard limit of open files, to which the gateway raises its own; None where there is none.
    """
    if limit is None or limit >= max_sessions + SPARE_FILES:
        found = "no limit" if limit is None else f"up to {limit}, which the gateway takes at its start"
        return Check("open files", "ok", found)
    found = f"up to {limit} for at most {max_sessions} connections"
    step = f"raise the hard limit (LimitNOFILE={max_sessions + SPARE_FILES}), or lower gateway.max_sessions"
    return Check("open files", "warning", found, step)


def _check_clock(now: datetime) -> Check:
    if not _EARLIEST < now < _LATEST:
        return Check("clock", "failed", f"it shows {now:%Y-%m-%d %H:%M} UTC", "set the clock, best by NTP")
    return Check("clock", "ok", f"{now:%Y-%m-%d %H:%M:%S} UTC")


def _check_sync(is_synchronised: bool | None) -> Check:
    if is_synchronised is None:
        return Check("time service", "ok", "the system does not say whether its clock is kept right")
    if is_synchronised:
        return Check("time service", "ok", "the kernel's clock is synchronised")
    step = "run an NTP client such as chrony: arrival times are evidence, and lateness is judged by them"
    return Check("time service", "warning", "the kernel's clock is not synchronised by NTP", step)


def read_sync() -> bool | None:
    """Ask the kernel whether something keeps its clock right; None where it cannot be asked."""
    try:
        state = ctypes.CDLL(None).adjtimex(ctypes.create_string_buffer(_TIMEX_BYTES))
    except (OSError, AttributeError):
        return None
    return None if state < 0 else state != _UNSYNCHRONISED
