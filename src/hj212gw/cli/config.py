"""`hj212gw config`: check the settings, and show them with where each comes from."""

from datetime import UTC, datetime

import typer

from hj212gw.cli import options
from hj212gw.cli.output import print_json, print_table, say
from hj212gw.config import Settings
from hj212gw.config_assessment import find_idle
from hj212gw.config_loading import load_settings, sources

_config = typer.Typer(help="The settings: check them, show them.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(_config, name="config")


@_config.command("check")
def check_command(config: options.Config = None, simulated_clock: options.SimulatedClock = False) -> None:
    """Check file and environment without starting anything; exit 3 when an option or a certificate is wrong.

    Example: hj212gw config check --config /etc/hj212gw.toml
    """
    settings = load_settings(config, simulated_clock=simulated_clock)
    if settings.tls.port is not None:
        _check_certificates(settings)
    for words in find_idle(settings.assessment):
        say(f"warning: {words}")
    found = sources(settings)
    given = sum(option.source != "default" for option in found)
    say(f"the settings are good: {given} given, {len(found) - given} by default")


def _check_certificates(settings: Settings) -> None:
    """Load certificates and key as a gateway does at its start, and warn of those that run out.

    Raises:
        ConfigError: a gateway would not start with them.
    """
    from hj212gw.cli.reloading import make_limits  # noqa: PLC0415 - slow to import
    from hj212gw.gateway.certificates import find_endings  # noqa: PLC0415
    from hj212gw.gateway.tls import load_context  # noqa: PLC0415

    load_context(make_limits(settings).tls)
    for ending in find_endings((settings.tls.certificate_file, settings.tls.client_ca_file), datetime.now(UTC)):
        say(f"warning: {ending.describe()}")


@_config.command("show")
def show_command(
    config: options.Config = None,
    simulated_clock: options.SimulatedClock = False,
    as_json: options.Json = False,
) -> None:
    """Print every option with its value and where that comes from; secrets are masked.

    Example: hj212gw config show --json
    """
    found = sources(load_settings(config, simulated_clock=simulated_clock))
    if as_json:
        print_json({option.name: {"value": option.value, "source": option.source} for option in found})
        return
    shown = [(name, "not set" if value is None else value, source) for name, value, source in found]
    print_table(("option", "value", "source"), shown)
