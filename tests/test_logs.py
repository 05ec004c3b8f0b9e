"""Lines of the log: their shape, their safety, and what is left out."""

import errno
import io
import json
import logging
import os

import pytest

from hj212gw import logs
from hj212gw.config import LogSettings
from hj212gw.logs import MAX_WAITING, PatientStream, RepeatFilter, clean_text, configure, write


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self):
        """Say so."""
        return True


@pytest.fixture(autouse=True)
def _silent_log_afterwards(monkeypatch):
    """Each test begins and ends without logging, and leaves the root logger as it was."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    monkeypatch.setattr(logs, "_event_log", None)
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


def lines(stream):
    """The lines of a JSON log."""
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_nothing_is_printed_before_it_is_configured(capsys):
    """A library user who did not ask for a log gets none."""
    assert write(logging.ERROR, "store.lost", "", {})
    assert capsys.readouterr() == ("", "")


def test_json_line_holds_event_level_time_and_facts():
    """A line is one JSON object; numbers stay numbers."""
    stream = io.StringIO()
    configure(LogSettings(format="json"), stream)
    write(logging.WARNING, "frame.rejected", "", {"offset": 7, "peer": "10.0.0.1:5", "mn": "昆明"})
    [line] = lines(stream)
    assert line.pop("timestamp").endswith("Z")
    assert line == {"event": "frame.rejected", "level": "warning", "offset": 7, "peer": "10.0.0.1:5", "mn": "昆明"}


def test_facts_of_the_process_stand_in_every_line(monkeypatch):
    """Which of several workers wrote it, also when the settings of the log were read again."""
    monkeypatch.setattr(logs, "_facts", {})
    stream = io.StringIO()
    configure(LogSettings(format="json"), stream, facts={"worker": 3})
    write(logging.INFO, "gateway.started", "", {"port": 9212})
    configure(LogSettings(format="json", level="debug"), stream)
    write(logging.DEBUG, "session.opened", "", {"port": 9212})
    assert [(line["worker"], line["port"]) for line in lines(stream)] == [(3, 9212)] * 2


def test_auto_is_json_where_nobody_watches_and_console_on_a_terminal():
    """The format follows the stream."""
    for stream, is_json in [(io.StringIO(), True), (Terminal(), False)]:
        configure(LogSettings(format="auto"), stream)
        write(logging.INFO, "gateway.started", "", {"port": 9212})
        assert stream.getvalue().startswith("{") is is_json
        assert "gateway.started" in stream.getvalue()


@pytest.mark.parametrize(("no_color", "has_escape"), [("", True), ("1", False)])
def test_colours_are_for_terminals_and_no_color_turns_them_off(monkeypatch, no_color, has_escape):
    """NO_COLOR holds for the log too."""
    monkeypatch.setenv("NO_COLOR", no_color)
    stream = Terminal()
    configure(LogSettings(), stream)
    write(logging.INFO, "gateway.started", "", {})
    assert ("\x1b[" in stream.getvalue()) is has_escape


def test_events_below_the_level_are_left_out():
    """At level warning an info event is not printed, and does not count as a repeat."""
    stream = io.StringIO()
    configure(LogSettings(level="warning", format="json"), stream)
    assert write(logging.INFO, "gateway.started", "", {})
    assert write(logging.INFO, "gateway.started", "", {})
    write(logging.WARNING, "store.lost", "", {})
    assert [line["event"] for line in lines(stream)] == ["store.lost"]


def test_repeats_are_counted_instead_of_printed(monkeypatch):
    """The next printed line says how many were left out."""
    stream, now = io.StringIO(), [100.0]
    configure(LogSettings(format="json"), stream)
    monkeypatch.setattr(logs.time, "monotonic", lambda: now[0])
    printed = [write(logging.INFO, "session.closed", "peer", {}) for _ in range(4)]
    now[0] += 11
    printed.append(write(logging.INFO, "session.closed", "peer", {}))
    assert printed == [True, False, False, False, True]
    assert [line.get("suppressed") for line in lines(stream)] == [None, 3]


def test_filter_keeps_events_and_keys_apart():
    """Only the same event about the same thing is a repeat."""
    repeats = RepeatFilter()
    assert repeats.admit("a", "1", 0.0) == 0
    assert repeats.admit("a", "2", 0.0) == 0
    assert repeats.admit("b", "1", 0.0) == 0
    assert repeats.admit("a", "1", 9.9) is None
    assert repeats.admit("a", "1", 10.0) == 1


def test_filter_bounds_memory_and_lines_in_a_flood_of_keys():
    """A million peers cause as many lines as there is room for, and a quiet time later it goes on."""
    repeats = RepeatFilter(max_keys=10)
    admitted = [repeats.admit("a", str(number), 0.0) for number in range(1000)]
    assert sum(one is not None for one in admitted) == 10
    assert len(repeats._seen) == 10
    assert repeats.admit("a", "new", 10.0) == 0
    assert len(repeats._seen) == 10


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("plain", "plain"),
        ("昆明市", "昆明市"),
        ("two\r\nlines", "two\\r\\nlines"),
        ("\x1b[2J", "\\x1b[2J"),
        ("a\u2028b\u202ec", "a\\u2028b\\u202ec"),
        ("half \udc80", "half \\udc80"),
        (b"\xff\n", "b'\\xff\\n'"),
        (["a\n"], "['a\\n']"),
    ],
)
def test_clean_text_is_one_printable_line(value, expected):
    """Control characters, line separators and direction marks are escaped."""
    assert clean_text(value) == expected
    assert clean_text(value).isprintable()


def test_clean_text_is_bounded():
    """Long text is cut with a mark, whatever it consists of."""
    assert clean_text("x" * 1000, 10) == "x" * 10 + "…"
    assert len(clean_text("\x00" * 100_000)) <= 4 * logs.MAX_TEXT + 1


@pytest.mark.parametrize("log_format", ["json", "console"])
def test_text_of_a_packet_cannot_make_a_second_line(log_format):
    """What a logger sends cannot forge a line of the log."""
    stream = io.StringIO()
    configure(LogSettings(format=log_format), stream)
    write(logging.INFO, "frame.rejected", "", {"detail": 'x"}\n{"event": "journal.failed"}\u2028\x1b[31m'})
    assert len(stream.getvalue().splitlines()) == 1
    assert "\x1b" not in stream.getvalue()


def test_warnings_of_libraries_come_in_the_same_shape():
    """What asyncio or asyncpg logs is a line of ours, once, even after configuring twice."""
    stream = io.StringIO()
    configure(LogSettings(format="json"), io.StringIO())
    configure(LogSettings(format="json"), stream)
    logging.getLogger("asyncio").warning("socket.send() raised %s", "an\nexception")
    logging.getLogger("asyncio").info("not of interest")
    [line] = lines(stream)
    assert line["event"] == "socket.send() raised an\\nexception"
    assert line["level"] == "warning"


def test_traceback_of_a_library_stays_in_its_line_and_hides_variables():
    """An exception is printed whole in JSON, without the values of local variables."""
    stream = io.StringIO()
    configure(LogSettings(format="json"), stream)

    def fail(secret):
        raise ValueError(f"lost after {len(secret)}")

    try:
        fail(str(123450 + 6))
    except ValueError:
        logging.getLogger("asyncio").exception("task failed")
    [line] = lines(stream)
    assert "ValueError: lost after 6" in line["exception"]
    assert "123456" not in line["exception"]


def pipe():
    """Both ends of a pipe, the writing one as a text stream."""
    reading, writing = os.pipe()
    return reading, os.fdopen(writing, "w")


@pytest.fixture
def lost(monkeypatch):
    """How many lines were lost, a call each."""
    counts = []
    monkeypatch.setattr(logs, "_listeners", [counts.append])
    return counts


def test_pipe_that_is_read_gets_every_line():
    """In order, by a thread of its own."""
    reading, stream = pipe()
    configure(LogSettings(format="json"), stream)
    for number in range(50):
        write(logging.INFO, "gateway.started", str(number), {"port": number})
    with os.fdopen(reading) as lines_read:
        assert [json.loads(next(lines_read))["port"] for _ in range(50)] == list(range(50))


def test_pipe_that_nobody_reads_holds_nobody_up(lost):
    """What it does not take is lost and counted; the writer never waits."""
    reading, stream = pipe()
    patient = PatientStream(stream, lost.append)
    count = MAX_WAITING + 2000
    for _ in range(count):
        patient.write("x" * 200 + "\n")
    assert 0 < sum(lost) < count
    os.close(reading)


class FullDisk(io.StringIO):
    """A stream whose disk is full."""

    def write(self, _):
        """Refuse."""
        raise OSError(errno.ENOSPC, "No space left on device")


def test_stream_that_fails_loses_the_line_and_raises_nothing(lost):
    """A full disk, a stream that was closed."""
    configure(LogSettings(format="json"), FullDisk())
    write(logging.INFO, "gateway.started", "", {"port": 1})
    closed = io.StringIO()
    closed.close()
    PatientStream(closed, lost.append).write("a line\n")
    assert lost == [1, 1]
