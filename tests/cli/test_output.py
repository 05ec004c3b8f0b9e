"""What commands print: data, words, tables."""

import io
import json
import sys

import pytest

from hj212gw.cli import output


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self):
        """Say so."""
        return True


def test_words_and_data_have_their_own_streams(capsys):
    """A pipe gets data only."""
    output.say("words")
    output.print_data("data")
    assert capsys.readouterr() == ("data\n", "words\n")


def test_json_keeps_chinese_and_turns_the_rest_into_text(capsys):
    """What JSON does not know is printed as text."""
    output.print_json({"name": "昆明", "value": {1}})
    out = capsys.readouterr().out
    assert "昆明" in out
    assert json.loads(out) == {"name": "昆明", "value": "{1}"}


def test_table_is_aligned_where_nobody_watches(capsys):
    """A Chinese character takes two columns; nothing is empty, nothing trails."""
    output.print_table(("name", "n"), [("昆明", 1), ("x", None), ("long name", 22)])
    assert capsys.readouterr().out.splitlines() == ["name       n", "昆明       1", "x", "long name  22"]


@pytest.mark.parametrize("no_color", [None, "1"])
def test_table_on_a_terminal_is_drawn_and_obeys_no_color(monkeypatch, no_color):
    """Markup in data is shown, not obeyed; NO_COLOR leaves no colour codes."""
    monkeypatch.setattr(sys, "stdout", Terminal())
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.delenv("NO_COLOR", raising=False)
    if no_color:
        monkeypatch.setenv("NO_COLOR", no_color)
    output.print_table(("name", "value"), [("[red]a[/red]", "1")])
    assert "[red]a[/red]" in sys.stdout.getvalue()
    assert "\x1b[3" not in sys.stdout.getvalue()


def test_progress_is_a_bar_on_a_terminal(monkeypatch):
    """Somebody who watches sees what is done, and the bar is gone afterwards."""
    monkeypatch.setattr(sys, "stderr", Terminal())
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "80")
    with output.Progress("imported") as progress:
        output.RowCount(100, progress)("outlets", 50)
        progress._bar.refresh()
        assert "imported 50 rows, outlets" in sys.stderr.getvalue()
        assert "50%" in sys.stderr.getvalue()


def test_progress_is_a_line_now_and_then_elsewhere(monkeypatch, capsys):
    """A log gets plain lines, seconds apart."""
    moments = iter([0.0, 1.0, 6.0, 6.0, 7.0])
    monkeypatch.setattr(output.time, "monotonic", lambda: next(moments))
    with output.Progress("imported") as progress:
        rows = output.RowCount(10, progress)
        rows("outlets", 4)
        rows("data_loggers", 4)
        rows("data_loggers", 4)
    assert capsys.readouterr().err == "imported 80%: 8 rows, data_loggers\n"
