"""Options that several commands share, and how a command reads its settings and runs."""

import asyncio
import getpass
import os
import re
from collections.abc import Callable, Coroutine, Mapping
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import typer

from hj212gw import logs
from hj212gw.config import Settings
from hj212gw.config_loading import load_settings
from hj212gw.errors import ConfigError

_DIGEST = re.compile(r"[0-9a-fA-F]{64}")

Config = Annotated[Path | None, typer.Option("--config", help="TOML file with settings.")]
DataDir = Annotated[Path | None, typer.Option("--data-dir", help="Directory of everything kept on this machine.")]
Dsn = Annotated[str | None, typer.Option("--dsn", help="The database, as postgresql://user@host:port/name.")]
Host = Annotated[str | None, typer.Option("--host", help="Address to listen on for data loggers.")]
PortNumber = Annotated[int | None, typer.Option("--port", help="TCP port for data loggers; 0 takes any free one.")]
Http = Annotated[str | None, typer.Option("--http", help="host:port of /metrics, /healthz and /readyz.")]
Workers = Annotated[int | None, typer.Option("--workers", help="Processes that share the port; 1 if not given.")]
Worker = Annotated[int | None, typer.Option("--worker", hidden=True, help="Be a worker of a supervisor.")]
ReadyFile = Annotated[Path | None, typer.Option("--ready-file", help="JSON file written once everything listens.")]
UnknownMn = Annotated[
    str | None, typer.Option("--unknown-mn", help="accept: register as found; hold: keep apart until registered.")
]
SimulatedClock = Annotated[bool, typer.Option("--simulated-clock", help="Allow a clock that is not the real one.")]
ClockEpoch = Annotated[str | None, typer.Option("--clock-epoch", help="Simulated time at the origin, with offset.")]
ClockOrigin = Annotated[
    str | None, typer.Option("--clock-origin", help="Real moment of the epoch, so that processes agree.")
]
ClockSpeed = Annotated[float | None, typer.Option("--clock-speed", help="Simulated seconds in a real second.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON to stdout.")]

_HTTP = re.compile(r"(?:(?P<host>.+):)?(?P<port>[0-9]{1,5})")
_PASSWORD = re.compile(r"(//[^/@:]*):[^@/]*@")


class Given(NamedTuple):
    """What a command was given, for processes that have to read the same settings.

    Attributes:
        config: the settings file, None for none.
        overrides: settings by flags, by full name; None for a flag that was not given.
        simulated_clock: whether the settings may change the clock.
    """

    config: Path | None
    overrides: Mapping[str, Any]
    simulated_clock: bool


def load(
    config: Path | None,
    overrides: Mapping[str, Any],
    *,
    simulated_clock: bool = False,
    facts: Mapping[str, Any] | None = None,
) -> Settings:
    """Read the settings of a command and set the log up by them; `facts` stand in every line of an event.

    Raises:
        ConfigError: an option is unknown or wrong.
    """
    settings = read(config, overrides, simulated_clock=simulated_clock)
    logs.configure(settings.log, facts=facts)
    return settings


def read(config: Path | None, overrides: Mapping[str, Any], *, simulated_clock: bool = False) -> Settings:
    """Read the settings of a command, as for a reload; the log stays as it is.

    Raises:
        ConfigError: an option is unknown or wrong.
    """
    return load_settings(config, overrides, simulated_clock=simulated_clock)


def split_http(http: str | None) -> dict[str, Any]:
    """Turn `--http host:port`, or a port alone, into settings.

    Raises:
        ConfigError: it is neither.
    """
    if http is None:
        return {}
    match = _HTTP.fullmatch(http)
    if match is None:
        raise ConfigError(f"--http {http!r}: expected host:port or a port, such as 127.0.0.1:9213")
    return {"http.host": match["host"], "http.port": int(match["port"])}


def need_dsn(settings: Settings) -> str:
    """Return the DSN of the settings.

    Raises:
        ConfigError: there is none; with the next step.
    """
    if settings.database.dsn is None:
        message = "no database is named: give --dsn, database.dsn_file or HJ212GW_DATABASE__DSN"
        raise ConfigError(message)
    return settings.database.dsn.get_secret_value()


def read_moment(text: str, option: str) -> datetime:
    """Read a moment on UTC+8.

    Raises:
        typer.BadParameter: with what is expected.
    """
    from hj212gw.registry.cells import parse_moment  # noqa: PLC0415 - slow to import

    try:
        return parse_moment(text)
    except ValueError as error:
        message = f"expected {str(error).removesuffix(', or nothing')}, came {text[:80]!r}"
        raise typer.BadParameter(message, param_hint=option) from error


def name_user() -> str:
    """Name who runs the command; a container's account may have a number alone."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"uid {os.getuid()}"


def read_digest(text: str | None, printed_by: str) -> str | None:
    """Read the SHA-256 of `--expect`, in either case; None where none was given.

    Raises:
        typer.BadParameter: with what is expected.
    """
    if text is not None and not _DIGEST.fullmatch(text):
        raise typer.BadParameter(f"expected the 64 hexadecimal digits that {printed_by}", param_hint="--expect")
    return text


def mask(dsn: str | None) -> str:
    """Cover the password of a DSN."""
    return _PASSWORD.sub(r"\1:******@", dsn or "none")


def run(main: Coroutine[Any, Any, None]) -> None:
    """Run a command's coroutine on uvloop, or on asyncio where it has no build."""
    from hj212gw.store.pool import quiet_lost_lines  # noqa: PLC0415 - asyncpg is slow to import

    factory: Callable[[], asyncio.AbstractEventLoop] = asyncio.new_event_loop
    with suppress(ImportError):
        import uvloop  # noqa: PLC0415 - optional, and only for commands that run a loop

        factory = uvloop.new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        quiet_lost_lines(runner.get_loop())
        runner.run(main)
