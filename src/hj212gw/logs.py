"""Logging set-up: readable lines on a terminal, JSON elsewhere, always to stderr.

Events are written by `telemetry` alone. Until `configure` was called nothing is printed, so that a library
user or a command that only decodes stays silent.
"""

import atexit
import logging
import os
import queue
import stat
import sys
import threading
import time
from collections.abc import Callable, Mapping, MutableMapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TextIO, cast

import structlog

if TYPE_CHECKING:
    from hj212gw.config import LogSettings

MAX_TEXT = 240
QUIET_SECS = 10.0
MAX_KEYS = 1024
MAX_WAITING = 4096  # lines that wait for a pipe nobody reads; what comes then is lost and counted

_LAST_WORDS_SECS = 1.0  # at the end of the process, for lines that still wait


def clean_text(value: object, limit: int = MAX_TEXT) -> str:
    """Make one printable line out of anything: control characters escaped, long text cut.

    Args:
        value: text from a packet, a path, an exception; bytes are shown as their Python literal.
        limit: characters kept before the cut mark.
    """
    text = value if isinstance(value, str) else str(value)
    is_cut = len(text) > limit
    if is_cut:
        text = text[:limit]
    if not text.isprintable():
        text = "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)
    return f"{text}…" if is_cut else text


class PatientStream:
    """A stream that never holds up or fails its writer: a log that nobody reads must not stop a gateway.

    A pipe or socket is written by a thread; what does not fit into `MAX_WAITING` lines, and what a full disk or a
    closed pipe refuses, is lost and told to `on_lost`.

    Args:
        stream: where to write.
        on_lost: told how many lines were lost.

    Attributes:
        stream: where it writes.
    """

    def __init__(self, stream: TextIO, on_lost: Callable[[int], None]) -> None:
        self.stream = stream
        self._on_lost = on_lost
        self._waiting: queue.Queue[str] | None = None
        if _may_block(stream):
            self._waiting = queue.Queue(MAX_WAITING)
            threading.Thread(target=self._drain, args=(self._waiting,), name="log", daemon=True).start()
            atexit.register(self._finish, self._waiting)

    def write(self, text: str) -> int:
        """Write text, or lose it."""
        if self._waiting is None:
            self._put(text)
            return len(text)
        try:
            self._waiting.put_nowait(text)
        except queue.Full:
            self._on_lost(text.count("\n"))
        return len(text)

    def flush(self) -> None:
        """Do nothing: each line is flushed as it is written."""

    def isatty(self) -> bool:
        """Tell whether people watch."""
        return self.stream.isatty()

    def _put(self, text: str) -> None:
        try:
            self.stream.write(text)
            self.stream.flush()
        except (OSError, ValueError):  # ValueError: the stream was closed
            self._on_lost(text.count("\n"))

    def _drain(self, waiting: "queue.Queue[str]") -> None:
        while True:
            self._put(waiting.get())
            waiting.task_done()

    @staticmethod
    def _finish(waiting: "queue.Queue[str]") -> None:
        with waiting.all_tasks_done:
            waiting.all_tasks_done.wait_for(lambda: not waiting.unfinished_tasks, _LAST_WORDS_SECS)


def _may_block(stream: TextIO) -> bool:
    """Tell whether a stream is a pipe or a socket, whose reader may stop reading."""
    try:
        mode = os.fstat(stream.fileno()).st_mode
    except (OSError, ValueError, AttributeError):
        return False
    return stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)


class RepeatFilter:
    """Decides which of many equal events are printed; the rest is counted.

    An (event, key) is printed once in `quiet_secs`. At most `max_keys` of them are remembered: while all of
    them are younger than that, a new one is not printed either, which bounds the memory and a flood's lines.
    """

    def __init__(self, *, quiet_secs: float = QUIET_SECS, max_keys: int = MAX_KEYS) -> None:
        self._quiet_secs = quiet_secs
        self._max_keys = max_keys
        # In order of printing, so the first entry is the oldest: (event, key) -> [printed at, repeats since].
        self._seen: dict[tuple[str, str], list[float]] = {}

    def admit(self, event: str, key: str, now: float) -> int | None:
        """Tell how many repeats were left out before this event, or None to leave it out too.

        Args:
            event: the event's name.
            key: what the event is about; bounded by the caller.
            now: monotonic seconds.
        """
        entry = self._seen.get((event, key))
        if entry is not None:
            if now - entry[0] < self._quiet_secs:
                entry[1] += 1
                return None
            del self._seen[event, key]
        elif not self._has_room(now):
            return None
        self._seen[event, key] = [now, 0]
        return int(entry[1]) if entry is not None else 0

    def _has_room(self, now: float) -> bool:
        if len(self._seen) < self._max_keys:
            return True
        oldest = next(iter(self._seen))
        if now - self._seen[oldest][0] < self._quiet_secs:
            return False
        del self._seen[oldest]
        return True


def _clean_facts(_logger: Any, _method: str, facts: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Keep numbers as they are and make every other fact safe text."""
    for name, value in facts.items():
        if value is not None and not isinstance(value, (bool, int, float)) and name != "exc_info":
            facts[name] = clean_text(value)
    return facts


class EventLog:
    """Writes events at or above a level as one line each; `configure` makes it."""

    def __init__(self, logger: structlog.typing.FilteringBoundLogger) -> None:
        self._logger = logger
        self._repeats = RepeatFilter()

    def write(self, level: int, event: str, key: str, facts: Mapping[str, Any]) -> bool:
        """Print an event unless its level is too low; False when it was left out as a repeat."""
        if not self._logger.is_enabled_for(level):
            return True
        suppressed = self._repeats.admit(event, key, time.monotonic())
        if suppressed is None:
            return False
        if suppressed:
            facts = {**facts, "suppressed": suppressed}
        self._logger.log(level, event, **facts)
        return True


_event_log: EventLog | None = None
_patient: PatientStream | None = None
_facts: Mapping[str, Any] = MappingProxyType({})
_listeners: list[Callable[[int], None]] = []


def tell_lost_lines(listener: Callable[[int], None]) -> None:
    """Have somebody told, in whichever thread, how many lines could not be written."""
    _listeners.append(listener)


def _tell_lost(count: int) -> None:
    for listener in _listeners:
        listener(count)


def write(level: int, event: str, key: str, facts: Mapping[str, Any]) -> bool:
    """Print an event once logging is set up; False when it was left out as a repeat."""
    return _event_log is None or _event_log.write(level, event, key, facts)


def configure(settings: "LogSettings", stream: TextIO | None = None, *, facts: Mapping[str, Any] | None = None) -> None:
    """Send events, and what libraries log, to a stream.

    Args:
        settings: level and format; `auto` is console on a terminal and JSON elsewhere.
        stream: where to write; stderr when None.
        facts: what stands in every line of an event, such as which of several processes wrote it; None leaves what
            stood there before, as when settings are read again.
    """
    global _event_log, _facts  # noqa: PLW0603 - one process has one log, as with the standard library's root logger
    # A library's handler and ours only write and flush.
    out = cast("TextIO", _be_patient(sys.stderr if stream is None else stream))
    is_console = settings.format == "console" or (settings.format == "auto" and out.isatty())
    lowest = logging.getLevelNamesMapping()[settings.level.upper()]
    shared: list[structlog.typing.Processor] = [
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    has_colors = out.isatty() and not os.environ.get("NO_COLOR")
    renderer = _console_renderer(has_colors=has_colors) if is_console else _json_renderer()
    logger = structlog.wrap_logger(
        structlog.WriteLogger(out),
        processors=[*shared, _clean_facts, *renderer],
        wrapper_class=structlog.make_filtering_bound_logger(lowest),
    )
    _facts = _facts if facts is None else facts
    _event_log = EventLog(logger.bind(**_facts))
    _configure_libraries(out, max(lowest, logging.WARNING), [*shared, _clean_facts], renderer)


def _be_patient(stream: TextIO) -> PatientStream:
    """Return the patient form of a stream, the same one at a reload: each has a thread."""
    global _patient  # noqa: PLW0603 - as above
    if _patient is None or _patient.stream is not stream:
        _patient = PatientStream(stream, _tell_lost)
    return _patient


def _console_renderer(*, has_colors: bool) -> list[structlog.typing.Processor]:
    # The plain formatter: the rich one prints local variables, passwords among them.
    plain = structlog.dev.plain_traceback
    return [structlog.dev.ConsoleRenderer(colors=has_colors, exception_formatter=plain)]


def _json_renderer() -> list[structlog.typing.Processor]:
    # `clean_text` has escaped what may not stand in a line, so Chinese stays readable.
    return [structlog.processors.format_exc_info, structlog.processors.JSONRenderer(ensure_ascii=False)]


def _configure_libraries(
    stream: TextIO,
    level: int,
    foreign: list[structlog.typing.Processor],
    renderer: list[structlog.typing.Processor],
) -> None:
    """Bring asyncio's and asyncpg's own warnings into the same lines."""
    remove_meta = structlog.stdlib.ProcessorFormatter.remove_processors_meta
    formatter = structlog.stdlib.ProcessorFormatter(foreign_pre_chain=foreign, processors=[remove_meta, *renderer])
    handler = logging.StreamHandler(stream)
    handler.setFormatter(formatter)
    root = logging.getLogger()
    for old in [held for held in root.handlers if isinstance(held.formatter, structlog.stdlib.ProcessorFormatter)]:
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(level)
