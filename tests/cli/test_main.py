"""The program itself: exit codes, errors as a sentence and a next step, and a quick start."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from hj212gw import __version__, cli, errors


@pytest.fixture
def run(monkeypatch, capsys):
    """Run the command line in this process: exit code, stdout, stderr."""

    def _run(*arguments):
        monkeypatch.setattr("sys.argv", ["hj212gw", *arguments])
        with pytest.raises(SystemExit) as caught:
            cli.main()
        return (caught.value.code, *capsys.readouterr())

    return _run


def test_version_is_data(run):
    """It goes to stdout, exit 0."""
    assert run("--version") == (0, f"hj212gw {__version__}\n", "")


def test_help_begins_with_an_example_and_names_every_command(run):
    """Help needs no settings."""
    code, out, _ = run("--help")
    assert code == 0
    assert "Example: hj212gw up" in out
    for command in cli._COMMANDS:
        assert f" {command} " in out


@pytest.mark.parametrize("command", cli._COMMANDS)
def test_command_explains_itself(run, command):
    """Each module of the list registers a command of its name."""
    assert run(command, "--help")[0] == 0


@pytest.mark.parametrize("arguments", [["nonsense"], ["config", "nonsense"], ["config", "check", "--nonsense"]])
def test_wrong_usage_exits_2(run, arguments):
    """The words go to stderr."""
    code, out, err = run(*arguments)
    assert (code, out) == (2, "")
    assert "nonsense" in err


@pytest.mark.parametrize(
    ("error", "code", "step"),
    [
        (errors.ConfigError("gateway.port is wrong"), 3, "config show"),
        (errors.StoreUnavailable("no connection"), 4, "doctor"),
        (errors.SchemaMismatch("run hj212gw db migrate"), 4, "db migrate"),
        (errors.JournalCorrupt("segment 7"), 1, "journal verify"),
        (errors.PositionMoved("moved"), 1, "Stop the other gateway"),
        (errors.JournalUnwritable("fsync failed"), 1, ""),
        (OSError(28, "No space left on device", "/data"), 1, "/data"),
    ],
)
def test_error_is_a_sentence_with_the_next_step(run, monkeypatch, error, code, step):
    """No traceback for what can go wrong, and an exit code by its kind."""

    def refuse(_arguments):
        raise error

    monkeypatch.setattr(cli, "build_app", refuse)
    exit_code, out, err = run("config", "check")
    assert (exit_code, out) == (code, "")
    assert err.startswith(f"error: {error}\n")
    assert step in err


def test_only_the_module_of_the_command_is_imported():
    """A quick command does not pay for asyncpg, pydantic and the rest."""
    script = (
        "import sys; from hj212gw.cli import build_app; import hj212gw.cli as cli; cli._COMMANDS = ('quick',);"
        "sys.modules['hj212gw.cli.quick'] = type('Quick', (), {'register': staticmethod(lambda app: None)});"
        "build_app(['quick', '-']);"
        "print(*sorted({'asyncpg', 'pydantic', 'structlog', 'prometheus_client', 'rich'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "\n"


def test_module_runs_as_a_program():
    """`python -m hj212gw` is the same command."""
    done = subprocess.run([sys.executable, "-m", "hj212gw", "--version"], capture_output=True, text=True, check=True)
    assert done.stdout == f"hj212gw {__version__}\n"


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("hj212gw d", {"db", "decode", "doctor"}),
        ("hj212gw db up", {"upgrade-embedded"}),
        ("hj212gw up --work", {"--workers"}),
    ],
)
def test_shell_completes(words, expected):
    """The shell's completion knows commands and options; `--install-completion` sets it up."""
    env = {**os.environ, "_HJ212GW_COMPLETE": "complete_bash", "COMP_WORDS": words}
    env["COMP_CWORD"] = str(len(words.split()) - 1)
    program = Path(sys.executable).parent / "hj212gw"
    done = subprocess.run([program], env=env, capture_output=True, text=True, timeout=60, check=False)
    assert set(done.stdout.split()) == expected, done.stderr


# Ctrl-C at the moment when a module is imported.
INTERRUPT = """
import os, signal, sys
class Interrupting:
    def find_spec(self, name, path=None, target=None):
        if name == wanted:
            os.kill(os.getpid(), signal.SIGINT)
wanted = sys.argv.pop(1)
signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored in what a shell starts in the background
sys.meta_path.insert(0, Interrupting())
from hj212gw.__main__ import main
main()
"""


@pytest.mark.parametrize("module", ["hj212gw.cli", "typer", "hj212gw.errors", "hj212gw.config", "asyncpg"])
@pytest.mark.parametrize("command", [("db", "migrate"), ("aggregate",)], ids=" ".join)
def test_ctrl_c_while_modules_are_imported(module, command):
    """Exit 130 and no traceback, whichever module is just being read."""
    arguments = [sys.executable, "-c", INTERRUPT, module, *command, "--dsn", "postgresql://127.0.0.1:1/nowhere"]
    done = subprocess.run(arguments, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, "Traceback" in done.stderr) == (130, False), done.stderr
