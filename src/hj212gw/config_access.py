"""Sections of the settings that say who may connect and how much: networks, TLS, limits."""

import ipaddress
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field
from pydantic_settings import NoDecode

from hj212gw.config_options import Section

_NETWORKS = {"accepted": "a list of networks such as 10.0.0.0/8 or fd00::/8"}


def _split(value: Any) -> Any:
    """Take the text of an environment variable, commas between its networks, for the list it means."""
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


def _check_networks(networks: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(str(ipaddress.ip_network(network)) for network in networks)


Networks = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split), AfterValidator(_check_networks)]


def networks_field(description: str, *examples: str) -> Any:
    """Make the field of an option that takes networks; none is the default."""
    return Field(default=(), description=description, examples=[list(examples)], json_schema_extra=dict(_NETWORKS))


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
