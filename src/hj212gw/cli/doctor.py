"""`hj212gw doctor`: look at what a gateway needs on this machine, before it is started or while it runs."""

from collections.abc import Iterator

import typer

from hj212gw.cli import options
from hj212gw.cli.check import Check
from hj212gw.cli.doctor_database import check_database
from hj212gw.cli.doctor_machine import check_machine
from hj212gw.cli.doctor_ports import check_ports
from hj212gw.cli.output import print_json, print_table
from hj212gw.config import Settings
from hj212gw.config_assessment import find_idle
from hj212gw.config_loading import load_settings
from hj212gw.errors import ConfigError


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("doctor")(doctor)


def doctor(
    config: options.Config = None,
    data_dir: options.DataDir = None,
    dsn: options.Dsn = None,
    as_json: options.Json = False,
) -> None:
    """Check settings, directories, disk, ports, clock and database; exit 1 when one of them fails.

    Example: hj212gw doctor --config /etc/hj212gw.toml
    """
    overrides = {"data_dir": data_dir, "database.dsn": dsn}
    try:
        settings = load_settings(config, overrides, simulated_clock=True)
    except ConfigError as error:
        step = "correct the option, then run: hj212gw config check"
        _print([Check("settings", "failed", str(error), step)], as_json=as_json)
        raise typer.Exit(3) from error
    checks = [Check("settings", "ok", f"read from {config or 'environment and defaults'}"), *_look(settings)]
    _print(checks, as_json=as_json)
    if any(check.state == "failed" for check in checks):
        raise typer.Exit(1)


def _print(checks: list[Check], *, as_json: bool) -> None:
    if as_json:
        print_json([check._asdict() for check in checks])
    else:
        print_table(("check", "state", "found", "next step"), checks)


def _look(settings: Settings) -> Iterator[Check]:
    for words in find_idle(settings.assessment):
        yield Check("assessment", "warning", words, "set assessment.immediate_by to deadline")
    yield from check_machine(settings)
    yield from check_ports(settings)
    yield from check_database(settings)
