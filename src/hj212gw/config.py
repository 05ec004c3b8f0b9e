"""Settings: a section per component, and the only reader of environment and TOML file.

A value comes from, strongest first: a command's flag, the environment (`HJ212GW_SECTION__NAME`), the TOML file, the
default. `load_settings` knows of each value where it came from, so that an error and `config show` can say it.
"""

import difflib
import os
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    PrivateAttr,
    SecretStr,
    ValidationError,
    model_validator,
)
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from hj212gw.config_options import Option, options_of
from hj212gw.errors import ConfigError
from hj212gw.logs import clean_text

ENV_PREFIX = "HJ212GW_"
KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30

_DATE_TIME = "a date and time with its offset"
_DATE_TIME_EXAMPLE = "2025-01-01T00:00:00+08:00"


def _check_dsn(dsn: SecretStr) -> SecretStr:
    if not dsn.get_secret_value().startswith(("postgresql://", "postgres://")):
        raise ValueError("not a postgresql:// address")
    return dsn


Dsn = Annotated[SecretStr, AfterValidator(_check_dsn)]
Port = Annotated[int, Field(ge=0, le=65535)]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)


class GatewaySettings(_Section):
    """The port data loggers connect to, and its limits."""

    host: str = Field("0.0.0.0", description="Address the gateway listens on")  # noqa: S104 - loggers are outside
    port: Port = Field(9212, description="TCP port of the gateway; 0 takes any free one")
    unknown_mn: Literal["accept", "hold"] | None = Field(
        None,
        description="What becomes of an unregistered MN: registered as found, or kept without readings until it is"
        " registered; both are acknowledged. Not set: `up` accepts, `serve` holds",
        examples=["hold"],
    )
    max_segment_bytes: int = Field(
        4096, ge=1024, le=9999, description="Longest data segment; HJ 212 allows 1024, more is warned of"
    )
    idle_timeout_secs: float = Field(
        900,
        ge=10,
        le=86_400,
        description="A silent connection is closed after this, or after three intervals",
    )
    high_water_bytes: int = Field(
        16 * MIB,
        ge=MIB,
        le=4 * GIB,
        description="Bytes not yet acknowledged over all connections before reading pauses",
    )
    session_high_water_bytes: int = Field(
        256 * KIB,
        ge=16 * KIB,
        le=64 * MIB,
        description="Bytes not yet acknowledged of one connection before it pauses",
    )
    max_sessions: int = Field(20_000, ge=1, le=1_000_000, description="Connections open at a time")
    backlog: int = Field(1024, ge=1, le=65_535, description="Connections waiting to be accepted")
    noise_sample_bytes: int = Field(
        256, ge=0, le=4096, description="Bytes kept of a span that is no frame; the rest is counted"
    )
    stop_timeout_secs: float = Field(
        10, ge=0, le=600, description="Time to finish what was received when stopping"
    )


class HttpSettings(_Section):
    """The port of /metrics, /healthz and /readyz."""

    host: str = Field("127.0.0.1", description="Address the HTTP server listens on")
    port: Port = Field(9213, description="TCP port of the HTTP server; 0 takes any free one")


class JournalSettings(_Section):
    """The disk packets wait on until the database has them."""

    directory: Path = Field(
        Path("hj212gw-data/journal"),
        description="Its files, one directory per gateway; in `data_dir` if not set",
    )
    max_bytes: int = Field(
        20 * GIB, ge=64 * MIB, le=1 << 50, description="Size at which loggers have to wait"
    )
    segment_bytes: int = Field(64 * MIB, ge=MIB, le=4 * GIB, description="Size of one file")
    keep_days: float = Field(
        7,
        ge=0,
        le=3650,
        description="Time files stay once stored, to fill up a database restored from backup",
    )
    group_records: int = Field(1024, ge=1, le=100_000, description="Records made durable together at most")
    group_bytes: int = Field(MIB, ge=16 * KIB, le=64 * MIB, description="Bytes made durable together at most")
    group_wait_ms: float = Field(
        2, ge=0, le=1000, description="Time a record waits for others to share a commit"
    )
    reserve_bytes: int = Field(
        16 * MIB, ge=MIB, le=GIB, description="Disk space set aside to finish with when the disk is full"
    )
    reject_share: float = Field(0.05, ge=0, le=0.5, description="Share of `max_bytes` rejects may use")
    low_priority_share: float = Field(
        0.80, ge=0.1, le=1, description="Share of `max_bytes` after which only hour and day data are accepted"
    )


class DatabaseSettings(_Section):
    """PostgreSQL or TimescaleDB, and how packets are written to it."""

    dsn: Dsn | None = Field(
        None,
        description="Address of the database; secret, better kept in `dsn_file`",
        examples=["postgresql://gateway@localhost/hj212"],
        json_schema_extra={"accepted": "a postgresql:// address"},
    )
    dsn_file: Path | None = Field(
        None, description="File that holds the address of the database", examples=["/run/secrets/hj212gw-dsn"]
    )
    batch_packets: int = Field(1000, ge=1, le=100_000, description="Packets in one transaction at most")
    batch_readings: int = Field(8000, ge=1, le=1_000_000, description="Readings in one transaction at most")
    batch_wait_ms: float = Field(50, ge=0, le=10_000, description="Time a packet waits for a fuller batch")
    retry_first_secs: float = Field(
        0.2, gt=0, le=60, description="Pause before the first attempt to reconnect"
    )
    retry_max_secs: float = Field(
        10, gt=0, le=3600, description="Longest pause between attempts to reconnect"
    )
    statement_timeout_secs: float = Field(60, ge=1, le=3600, description="Time a statement may take")


class RetentionSettings(_Section):
    """How long stored data stays; hour and day readings and rejects always do."""

    real_time_days: int | None = Field(
        90, ge=1, le=36_500, description="Days real-time readings (2011) stay", examples=[90]
    )
    minute_days: int | None = Field(
        None,
        ge=1,
        le=36_500,
        description="Days minute readings (2051) stay; not set: for ever",
        examples=[730],
    )
    packets_days: int | None = Field(
        None, ge=30, le=36_500, description="Days whole packets stay; not set: for ever", examples=[3650]
    )


class RegistrySettings(_Section):
    """The registered data loggers as the gateway knows them."""

    refresh_secs: float = Field(5, ge=0.1, le=3600, description="Time between two looks for changes")


class ClockSettings(_Section):
    """Simulated time; refused without --simulated-clock."""

    epoch: AwareDatetime | None = Field(
        None,
        description="Simulated time at `origin`; not set: the real time",
        examples=[_DATE_TIME_EXAMPLE],
        json_schema_extra={"accepted": _DATE_TIME},
    )
    origin: AwareDatetime | None = Field(
        None,
        description="Real moment of `epoch`, so that processes agree and a restart goes on; not set: the start",
        examples=[_DATE_TIME_EXAMPLE],
        json_schema_extra={"accepted": _DATE_TIME},
    )
    speed: float = Field(1.0, gt=0, le=1_000_000, description="Simulated seconds in a real second")


class LogSettings(_Section):
    """What is logged to stderr, and how."""

    level: Literal["debug", "info", "warning", "error"] = Field("info", description="Lowest level printed")
    format: Literal["auto", "console", "json"] = Field(
        "auto", description="Lines for people or for machines; auto: console on a terminal, else JSON"
    )


class Settings(BaseSettings):
    """Every option of the product; made by `load_settings`."""

    model_config = SettingsConfigDict(
        frozen=True, extra="forbid", env_prefix=ENV_PREFIX, env_nested_delimiter="__", validate_default=True
    )

    data_dir: Path = Field(Path("hj212gw-data"), description="Directory of everything kept on this machine")
    gateway: GatewaySettings = GatewaySettings()
    http: HttpSettings = HttpSettings()
    journal: JournalSettings = JournalSettings()
    database: DatabaseSettings = DatabaseSettings()
    retention: RetentionSettings = RetentionSettings()
    registry: RegistrySettings = RegistrySettings()
    clock: ClockSettings = ClockSettings()
    log: LogSettings = LogSettings()

    _origins: Mapping[str, str] = PrivateAttr(default_factory=dict)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003 - the library's signature
        init_settings: PydanticBaseSettingsSource,
        **_others: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Read nothing by itself: `load_settings` merges, because it has to know each value's source."""
        return (init_settings,)

    @model_validator(mode="before")
    @classmethod
    def _put_journal_into_data_dir(cls, values: dict[str, Any]) -> dict[str, Any]:
        journal = values.get("journal", {})
        if isinstance(values.get("data_dir"), str | Path) and isinstance(journal, dict):
            return {**values, "journal": {"directory": Path(values["data_dir"]) / "journal", **journal}}
        return values


class SourcedValue(NamedTuple):
    """An option's value, fit for printing, and where it came from: default, file …, env … or flag."""

    name: str
    value: Any
    source: str


class _Given(NamedTuple):
    """What one layer says of one option."""

    value: Any
    source: str


_NOT_ABOVE = (  # the first may not be greater than the second
    ("gateway.session_high_water_bytes", "gateway.high_water_bytes"),
    ("journal.group_bytes", "journal.segment_bytes"),
    ("journal.segment_bytes", "journal.max_bytes"),
    ("journal.reserve_bytes", "journal.max_bytes"),
    ("database.retry_first_secs", "database.retry_max_secs"),
)


def options() -> dict[str, Option]:
    """List every option by its name, in the order of the documentation."""
    return options_of(Settings, ENV_PREFIX)


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
    given = {**_read_file(file), **_read_env(), **_read_overrides(overrides)}
    _refuse_unknown(given)
    _read_dsn_file(given)
    nested: dict[str, Any] = {}
    for name, (value, _) in given.items():
        section, _, inner = name.rpartition(".")
        target = nested.setdefault(section, {}) if section else nested
        target[inner] = value
    try:
        settings = Settings(**nested)
    except ValidationError as error:
        raise ConfigError("\n".join(_explain(error, given))) from None
    settings._origins = MappingProxyType({name: source for name, (_, source) in given.items()})  # noqa: SLF001
    _check_together(settings, simulated_clock=simulated_clock)
    return settings


def sources(settings: Settings) -> list[SourcedValue]:
    """List every option with its value and source; secrets are masked."""
    found = []
    for option in options().values():
        value = _value(settings, option.name)
        shown = value if value is None or isinstance(value, bool | int | float) else str(value)
        found.append(SourcedValue(option.name, shown, settings._origins.get(option.name, "default")))  # noqa: SLF001
    return found


def _value(settings: Settings, name: str) -> Any:
    section, _, inner = name.rpartition(".")
    return getattr(getattr(settings, section) if section else settings, inner)


def _read_file(file: Path | None) -> dict[str, _Given]:
    if file is None:
        return {}
    if not file.is_file():
        raise ConfigError(f"the settings file {file} does not exist")
    try:
        layer = TomlConfigSettingsSource(Settings, toml_file=file)()
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"the settings file {file} is not TOML: {error}") from error
    except OSError as error:
        raise ConfigError(f"the settings file {file} cannot be read: {error.strerror}") from error
    return {name: _Given(value, f"file {file}") for name, value in _flatten(layer)}


def _flatten(layer: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, value in layer.items():
        if isinstance(value, dict):
            yield from ((f"{name}.{inner}", held) for inner, held in value.items())
        else:
            yield name, value


def _read_env() -> dict[str, _Given]:
    by_env = {option.env: option for option in options().values()}
    unknown = sorted(name for name in os.environ if name.upper().startswith(ENV_PREFIX))
    unknown = [name for name in unknown if name.upper() not in by_env]
    if unknown:
        raise ConfigError("\n".join(_unknown(name, "the environment", list(by_env)) for name in unknown))
    layer = EnvSettingsSource(Settings)()
    return {name: _Given(value, f"env {options()[name].env}") for name, value in _flatten(layer)}


def _read_overrides(overrides: Mapping[str, Any]) -> dict[str, _Given]:
    return {name: _Given(value, "flag") for name, value in overrides.items() if value is not None}


def _read_dsn_file(given: dict[str, _Given]) -> None:
    """Take the database's address from its file, unless a stronger source gives it directly."""
    ranks = {"file": 1, "env": 2, "flag": 3}
    file, direct = given.get("database.dsn_file"), given.get("database.dsn")
    if file is None or not isinstance(file.value, str | Path):
        return
    if direct is not None:
        stronger = ranks[direct.source.split()[0]] - ranks[file.source.split()[0]]
        if stronger > 0:
            return
        if stronger == 0:
            raise ConfigError(
                f"database.dsn and database.dsn_file are both given ({file.source}): keep one of them"
            )
    try:
        text = Path(file.value).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"database.dsn_file = {file.value} ({file.source}) cannot be read: {error}"
        ) from error
    given["database.dsn"] = _Given(text, f"file {file.value}")


def _refuse_unknown(given: Mapping[str, _Given]) -> None:
    known = options()
    unknown = [(name, source) for name, (_, source) in given.items() if name not in known]
    if unknown:
        raise ConfigError("\n".join(_unknown(name, source, list(known)) for name, source in unknown))


def _unknown(name: str, source: str, known: list[str]) -> str:
    close = difflib.get_close_matches(name, known, n=1)
    hint = f"; did you mean {close[0]}?" if close else ""
    return f"unknown option {clean_text(name, 80)} ({source}){hint}"


def _explain(error: ValidationError, given: Mapping[str, _Given]) -> Iterator[str]:
    known = options()
    for fault in error.errors(include_url=False):
        name = ".".join(str(part) for part in fault["loc"][:2])
        option = known[name]
        value = "(secret)" if option.is_secret else clean_text(repr(fault["input"]), 80)
        yield f"{name} = {value} ({given[name].source}): expected {option.accepted}"


def _check_together(settings: Settings, *, simulated_clock: bool) -> None:
    origins = settings._origins  # noqa: SLF001
    for low, high in _NOT_ABOVE:
        if _value(settings, low) > _value(settings, high):
            source = origins.get(low) or origins.get(high, "default")
            raise ConfigError(
                f"{low} = {_value(settings, low)} ({source}): expected at most {high} = {_value(settings, high)}"
            )
    simulated = [name for name in origins if name.startswith("clock.")]
    if simulated and not simulated_clock:
        raise ConfigError(
            f"{simulated[0]} ({origins[simulated[0]]}) needs --simulated-clock: the time would not be real"
        )
