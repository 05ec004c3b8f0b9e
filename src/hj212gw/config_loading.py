"""Settings put together of flags, environment, file and defaults.

A value comes from, strongest first: a command's flag, the environment (`HJ212GW_SECTION__NAME`), the TOML file,
the default. Where each value came from is remembered, so that an error and `config show` can say it.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from hj212gw import config_layers
from hj212gw.config import ENV_PREFIX, Settings, build_settings, options, origins_of, read_environment, read_toml
from hj212gw.config_layers import Given
from hj212gw.config_options import read_value
from hj212gw.errors import ConfigError


class SourcedValue(NamedTuple):
    """An option's value, fit for printing, and where it came from: default, file …, env … or flag."""

    name: str
    value: Any
    source: str


def load_settings(
    file: Path | None = None,
    overrides: Mapping[str, Any] = MappingProxyType({}),
    *,
    simulated_clock: bool = False,
) -> Settings:
    """Read and check all settings.

    Args:
        file: a TOML file of the example's shape.
        overrides: what flags say, by full name such as `gateway.port`; None means the flag was not given.
        simulated_clock: whether the clock section may be used.

    Raises:
        ConfigError: an option is unknown or has a wrong value; every fault is named, one in a line.
    """
    flags = {name: Given(value, "flag") for name, value in overrides.items() if value is not None}
    given = {**_read_file(file), **_read_env(), **flags}
    known = options()
    config_layers.refuse_unknown(given, known)
    config_layers.read_dsn_file(given)
    settings = build_settings(config_layers.nest(given), {name: source for name, (_, source) in given.items()})
    if isinstance(settings, list):
        raise ConfigError(config_layers.explain(settings, given, known))
    values = {name: read_value(settings, name) for name in known}
    config_layers.check_together(values, given, simulated_clock=simulated_clock)
    return settings


def sources(settings: Settings) -> list[SourcedValue]:
    """List every option with its value and source; secrets are masked."""
    origins = origins_of(settings)
    found = []
    for name in options():
        value = read_value(settings, name)
        if isinstance(value, tuple):
            value = ", ".join(value)
        shown = value if value is None or isinstance(value, bool | int | float) else str(value)
        found.append(SourcedValue(name, shown, origins.get(name, "default")))
    return found


def _read_file(file: Path | None) -> dict[str, Given]:
    if file is None:
        return {}
    return {name: Given(value, f"file {file}") for name, value in config_layers.flatten(read_toml(file))}


def _read_env() -> dict[str, Given]:
    known = options()
    config_layers.refuse_unknown_env([name for name in os.environ if name.upper().startswith(ENV_PREFIX)], known)
    layer = config_layers.flatten(read_environment())
    return {name: Given(value, f"env {known[name].env}") for name, value in layer}
