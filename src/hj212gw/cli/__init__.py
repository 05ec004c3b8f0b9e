"""The command line: `hj212gw` and its commands, one module per group."""

import sys
from collections.abc import Callable, Sequence
from importlib import import_module

import typer

from hj212gw import __version__
from hj212gw.cli.output import say
from hj212gw.errors import ConfigError, Hj212Error, JournalCorrupt, PositionMoved, SchemaMismatch, StoreUnavailable

_COMMANDS = (
    "up",
    "serve",
    "aggregate",
    "db",
    "registry",
    "evidence",
    "decode",
    "encode",
    "journal",
    "config",
    "doctor",
    "replay",
    "assess",
    "upstream",
    "mark",
    "why",
)

FAILED, WRONG_SETTINGS, NO_DATABASE = 1, 3, 4

# The most special class first; SchemaMismatch names its next step itself.
_NEXT_STEPS: tuple[tuple[type[Exception], int, str], ...] = (
    (ConfigError, WRONG_SETTINGS, "Look at the settings with: hj212gw config show"),
    (StoreUnavailable, NO_DATABASE, "See whether the database runs and its address is right: hj212gw doctor"),
    (SchemaMismatch, NO_DATABASE, ""),
    (JournalCorrupt, FAILED, "See what can be read: hj212gw journal verify"),
    (PositionMoved, FAILED, "Stop the other gateway that uses a copy of this journal"),
    (Hj212Error, FAILED, ""),
    (OSError, FAILED, ""),
)


def build_app(arguments: Sequence[str]) -> typer.Typer:
    """Make the application with the command that is asked for, or with all of them.

    A command's module is imported only when it is asked for: what all of them import takes over half a second, and
    `hj212gw decode` is used in pipes.

    Args:
        arguments: what follows the program's name.
    """
    app = typer.Typer(
        help="Receive, acknowledge, keep and query HJ 212 packets. Example: hj212gw up --data-dir ./data",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
    )
    app.callback()(_global_options)
    wanted = next((argument for argument in arguments if not argument.startswith("-")), None)
    for name in [wanted] if wanted in _COMMANDS else _COMMANDS:
        import_module(f"hj212gw.cli.{name}").register(app)
    return app


def _show_version(is_asked: bool) -> None:
    if is_asked:
        typer.echo(f"hj212gw {__version__}")
        raise typer.Exit


def _global_options(
    _version: bool = typer.Option(
        False, "--version", callback=_show_version, is_eager=True, help="Print the version and exit."
    ),
) -> None:
    """Take what stands before a command."""


def main(on_made: Callable[[], object] | None = None) -> None:
    """Run a command: exit 0 done, 1 failed, 2 usage, 3 settings, 4 no usable database.

    Args:
        on_made: called when its module is imported, before it runs.
    """
    arguments = sys.argv[1:]
    try:
        app = build_app(arguments)
        if on_made is not None:
            on_made()
        app(args=arguments, prog_name="hj212gw")
    except (Hj212Error, OSError) as error:
        sys.exit(_explain(error))


def _explain(error: Exception) -> int:
    """Print what is wrong and the next step; return the exit code."""
    code, step = next((code, step) for kind, code, step in _NEXT_STEPS if isinstance(error, kind))
    say(f"error: {error}")
    if step:
        say(step)
    return code
