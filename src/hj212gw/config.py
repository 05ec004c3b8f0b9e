"""Settings: a section per component, and the only reader of environment and TOML file.

`config_loading` puts together what comes from where.
"""

import tomllib
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BeforeValidator,
    Field,
    PrivateAttr,
    SecretStr,
    ValidationError,
    model_validator,
)
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from hj212gw.config_assessment import AggregatorSettings, AssessmentSettings
from hj212gw.config_options import Option, Section, check_networks, options_of, split_list
from hj212gw.errors import ConfigError

Fault = tuple[tuple[int | str, ...], Any]  # where it is, and what came

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
_NETWORKS = {"accepted": "a list of networks such as 10.0.0.0/8 or fd00::/8"}
Networks = Annotated[tuple[str, ...], NoDecode, BeforeValidator(split_list), AfterValidator(check_networks)]


def networks_field(description: str, *examples: str) -> Any:
    """Make the field of an option that takes networks; none is the default."""
    return Field(default=(), description=description, examples=[list(examples)], json_schema_extra=dict(_NETWORKS))


class GatewaySettings(Section):
    """The port data loggers connect to, and its limits."""

    host: str = Field(default="0.0.0.0", description="Address the gateway listens on")  # noqa: S104 - loggers are outside
    port: Port = Field(default=9212, description="TCP port of the gateway; 0 takes any free one")
    workers: int = Field(
        default=1,
        ge=1,
        le=24,
        description="Processes that share the port, each with a journal of its own; limits of connections and memory"
        " are of each",
    )
    unknown_mn: Literal["accept", "hold"] | None = Field(
        default=None,
        description="An unregistered MN is registered as found, or kept without readings until registered; both are"
        " acknowledged. Not set: `up` accepts, `serve` holds",
        examples=["hold"],
    )
    max_segment_bytes: int = Field(
        default=4096, ge=1024, le=9999, description="Longest data segment; HJ 212 allows 1024, more is warned of"
    )
    idle_timeout_secs: float = Field(
        default=900,
        ge=10,
        le=86_400,
        description="A silent connection is closed after this, or after three intervals",
    )
    high_water_bytes: int = Field(
        default=16 * MIB,
        ge=MIB,
        le=4 * GIB,
        description="Bytes not yet acknowledged over all connections before reading pauses",
    )
    session_high_water_bytes: int = Field(
        default=256 * KIB,
        ge=16 * KIB,
        le=64 * MIB,
        description="Bytes not yet acknowledged of one connection before it pauses",
    )
    max_sessions: int = Field(default=20_000, ge=1, le=1_000_000, description="Connections open at a time")
    backlog: int = Field(default=1024, ge=1, le=65_535, description="Connections waiting to be accepted")
    stop_timeout_secs: float = Field(
        default=10, ge=0, le=600, description="Time to finish what was received when stopping"
    )
    allow_networks: Networks = networks_field(
        "Networks that data loggers may connect from; none: all", "10.0.0.0/8", "2001:db8::/32"
    )
    deny_networks: Networks = networks_field(
        "Networks that nobody may connect from, stronger than allowed ones", "192.0.2.0/24"
    )
    proxy_networks: Networks = networks_field(
        "Networks of proxies, whose connections begin with a PROXY protocol header of version 2", "10.1.0.10/32"
    )


class TlsSettings(Section):
    """A second port for data loggers that speak TLS; the plain port stays."""

    host: str = Field(default="0.0.0.0", description="Address the TLS port listens on")  # noqa: S104 - loggers are outside
    port: int | None = Field(
        default=None,
        ge=0,
        le=65_535,
        description="TCP port for TLS; 0 takes any free one; not set: no TLS",
        examples=[9214],
    )
    certificate_file: Path | None = Field(
        default=None,
        description="PEM file of the gateway's certificate, those that vouch for it behind it",
        examples=["/etc/hj212gw/gateway.pem"],
    )
    key_file: Path | None = Field(
        default=None,
        description="PEM file of its private key, without a password",
        examples=["/etc/hj212gw/gateway.key"],
    )
    client_ca_file: Path | None = Field(
        default=None,
        description="PEM file of the authorities that check data loggers' certificates; not set: none is asked for",
        examples=["/etc/hj212gw/loggers-ca.pem"],
    )
    require_client_certificate: bool = Field(
        default=False, description="Whether a data logger without a certificate is turned away on the TLS port"
    )
    bind_mn: Literal["off", "warn"] = Field(
        default="warn",
        description="warn: packets of an MN that the client's certificate does not name are acknowledged, stored and"
        " flagged `foreign_certificate`",
    )


class LimitsSettings(Section):
    """How much one data logger or one peer may send; 0 is no limit. Slowed down first, cut off only when abusive."""

    packets_per_minute_per_mn: int = Field(
        default=600, ge=0, le=10_000_000, description="Packets a minute of one MN; its connection is read no faster"
    )
    burst_packets_per_mn: int = Field(
        default=6000, ge=1, le=10_000_000, description="Packets of one MN taken at full speed after a quiet time"
    )
    rejects_per_minute: int = Field(
        default=120,
        ge=0,
        le=10_000_000,
        description="Rejects and KiB of noise a minute of one connection; it is read no faster, and closed when ten"
        " minutes' worth brought no good packet",
    )
    connections_per_mn: int = Field(
        default=3, ge=0, le=10_000, description="Connections that speak for one MN; of more the stalest is closed"
    )
    connections_per_peer: int = Field(
        default=0, ge=0, le=1_000_000, description="Connections of one address; many data loggers may share one"
    )
    first_frame_secs: float = Field(
        default=300, ge=0, le=86_400, description="A connection that brought no frame after this is closed"
    )


class HttpSettings(Section):
    """The port of /metrics, /healthz and /readyz."""

    host: str = Field(default="127.0.0.1", description="Address the HTTP server listens on")
    port: Port = Field(default=9213, description="TCP port of the HTTP server; 0 takes any free one")


class JournalSettings(Section):
    """The disk packets wait on until the database has them."""

    directory: Path = Field(
        default=Path("hj212gw-data/journal"),
        description="Its files, one directory per gateway; in `data_dir` if not set. Of several workers each has its"
        " own below",
    )
    max_bytes: int = Field(
        default=20 * GIB, ge=64 * MIB, le=1 << 50, description="Size at which loggers have to wait; workers share it"
    )
    segment_bytes: int = Field(default=64 * MIB, ge=MIB, le=4 * GIB, description="Size of one file")
    keep_days: float = Field(
        default=7,
        ge=0,
        le=3650,
        description="Time files stay once stored, to fill up a database restored from backup",
    )
    group_records: int = Field(default=1024, ge=1, le=100_000, description="Records made durable together at most")
    group_bytes: int = Field(default=MIB, ge=16 * KIB, le=64 * MIB, description="Bytes made durable together at most")
    group_wait_ms: float = Field(
        default=2, ge=0, le=1000, description="Time a record waits for others to share a commit"
    )
    reserve_bytes: int = Field(
        default=16 * MIB, ge=MIB, le=GIB, description="Disk space set aside to finish with when the disk is full"
    )
    reject_share: float = Field(default=0.05, ge=0, le=0.5, description="Share of `max_bytes` rejects may use")
    low_priority_share: float = Field(
        default=0.80, ge=0.1, le=1, description="Share of `max_bytes` after which only hour and day data are accepted"
    )


class DatabaseSettings(Section):
    """PostgreSQL or TimescaleDB, and how packets are written to it."""

    dsn: Dsn | None = Field(
        default=None,
        description="Address of the database; secret, better kept in `dsn_file`",
        examples=["postgresql://gateway@localhost/hj212"],
        json_schema_extra={"accepted": "a postgresql:// address"},
    )
    dsn_file: Path | None = Field(
        default=None, description="File that holds the address of the database", examples=["/run/secrets/hj212gw-dsn"]
    )
    batch_packets: int = Field(default=1000, ge=1, le=100_000, description="Packets in one transaction at most")
    batch_wait_ms: float = Field(default=50, ge=0, le=10_000, description="Time a packet waits for a fuller batch")
    retry_first_secs: float = Field(default=0.2, gt=0, le=60, description="Pause before the first attempt to reconnect")
    retry_max_secs: float = Field(default=10, gt=0, le=3600, description="Longest pause between attempts to reconnect")
    statement_timeout_secs: float = Field(default=60, ge=1, le=3600, description="Time a statement may take")


class RetentionSettings(Section):
    """How long stored data stays; hour and day readings and rejects always do."""

    real_time_days: int | None = Field(
        default=None,
        ge=1,
        le=36_500,
        description="Days real-time readings (2011) stay; not set: 90, or 730 where there is a columnstore",
        examples=[90],
    )
    minute_days: int | None = Field(
        default=None,
        ge=1,
        le=36_500,
        description="Days minute readings (2051) stay; not set: for ever",
        examples=[730],
    )
    packets_days: int | None = Field(
        default=None, ge=30, le=36_500, description="Days whole packets stay; not set: for ever", examples=[3650]
    )
    columnstore_days: int = Field(
        default=45, ge=1, le=36_500, description="Age at which readings go into TimescaleDB's columnstore"
    )


class RegistrySettings(Section):
    """The registered data loggers as the gateway knows them."""

    keys_file: Path | None = Field(
        default=None,
        description="CSV of keys, columns as of cipher_keys, beside those of the database; followed as it changes",
        examples=["/run/secrets/hj212gw-keys.csv"],
    )

    refresh_secs: float = Field(default=5, ge=0.1, le=3600, description="Time between two looks for changes")


class ClockSettings(Section):
    """Simulated time; refused without --simulated-clock."""

    epoch: AwareDatetime | None = Field(
        default=None,
        description="Simulated time at `origin`; not set: the real time",
        examples=[_DATE_TIME_EXAMPLE],
        json_schema_extra={"accepted": _DATE_TIME},
    )
    origin: AwareDatetime | None = Field(
        default=None,
        description="Real moment of `epoch`, on which processes agree and from which a restart goes on; not set: now",
        examples=[_DATE_TIME_EXAMPLE],
        json_schema_extra={"accepted": _DATE_TIME},
    )
    speed: float = Field(default=1.0, gt=0, le=1_000_000, description="Simulated seconds in a real second")


class LogSettings(Section):
    """What is logged to stderr, and how."""

    level: Literal["debug", "info", "warning", "error"] = Field(default="info", description="Lowest level printed")
    format: Literal["auto", "console", "json"] = Field(
        default="auto", description="Lines for people or for machines; auto: console on a terminal, else JSON"
    )


class Settings(BaseSettings):
    """Every option of the product; made by `config_loading.load_settings`."""

    model_config = SettingsConfigDict(
        frozen=True, extra="forbid", env_prefix=ENV_PREFIX, env_nested_delimiter="__", validate_default=True
    )

    data_dir: Path = Field(default=Path("hj212gw-data"), description="Directory of everything kept on this machine")
    gateway: GatewaySettings = GatewaySettings()
    tls: TlsSettings = TlsSettings()
    limits: LimitsSettings = LimitsSettings()
    http: HttpSettings = HttpSettings()
    journal: JournalSettings = JournalSettings()
    database: DatabaseSettings = DatabaseSettings()
    retention: RetentionSettings = RetentionSettings()
    registry: RegistrySettings = RegistrySettings()
    assessment: AssessmentSettings = AssessmentSettings()
    aggregator: AggregatorSettings = AggregatorSettings()
    clock: ClockSettings = ClockSettings()
    log: LogSettings = LogSettings()

    _origins: Mapping[str, str] = PrivateAttr(default_factory=dict)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003 - the library's signature
        init_settings: PydanticBaseSettingsSource,
        *_others: PydanticBaseSettingsSource,
        **_named: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Read nothing by itself: `config_loading` merges, because it has to know each value's source."""
        return (init_settings,)

    @model_validator(mode="before")
    @classmethod
    def _put_journal_into_data_dir(cls, values: dict[str, Any]) -> dict[str, Any]:
        journal = values.get("journal", {})
        if isinstance(values.get("data_dir"), str | Path) and isinstance(journal, dict):
            return {**values, "journal": {"directory": Path(values["data_dir"]) / "journal", **journal}}
        return values


def build_settings(values: Mapping[str, Any], origins: Mapping[str, str]) -> Settings | list[Fault]:
    """Make settings of nested values, or list what is wrong with them.

    Args:
        values: sections by name, options by theirs; what is not there is the default.
        origins: by full name of an option, where its value came from.
    """
    try:
        settings = Settings(**values)
    except ValidationError as error:
        return [(fault["loc"], fault["input"]) for fault in error.errors(include_url=False)]
    settings._origins = MappingProxyType(dict(origins))  # noqa: SLF001
    return settings


def origins_of(settings: Settings) -> Mapping[str, str]:
    """Tell where values came from, by full name; what is not named is the default."""
    return settings._origins  # noqa: SLF001


def read_toml(file: Path) -> Mapping[str, Any]:
    """Read the nested values of a TOML file.

    Raises:
        ConfigError: it is none, or cannot be read.
    """
    if not file.is_file():
        raise ConfigError(f"the settings file {file} does not exist")
    try:
        return TomlConfigSettingsSource(Settings, toml_file=file)()
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"the settings file {file} is not TOML: {error}") from error
    except OSError as error:
        raise ConfigError(f"the settings file {file} cannot be read: {error.strerror}") from error


def read_environment() -> Mapping[str, Any]:
    """Read the nested values of the environment's variables."""
    return EnvSettingsSource(Settings)()


def options() -> dict[str, Option]:
    """List every option by its name, in the order of the documentation."""
    return options_of(Settings, ENV_PREFIX)
