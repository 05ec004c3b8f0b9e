"""Settings read again while the gateway runs, on SIGHUP: what can change does, what cannot is named."""

import asyncio
import math
import os
import signal
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import MappingProxyType
from typing import Any, Final

from hj212gw import logs, telemetry_access
from hj212gw.config import Settings, options
from hj212gw.config_options import read_value
from hj212gw.errors import ConfigError
from hj212gw.gateway.limits import GatewayLimits, Shares
from hj212gw.gateway.networks import Access, NetworkList
from hj212gw.gateway.server import Gateway
from hj212gw.gateway.tls import TlsFiles
from hj212gw.store.retention import Retention

_STDERR: Final = 2

# Options, and sections with a dot behind, that hold from a reload on; the others take a restart.
CHANGEABLE: Final = (
    "gateway.allow_networks",
    "gateway.deny_networks",
    "gateway.proxy_networks",
    "gateway.idle_timeout_secs",
    "gateway.max_segment_bytes",
    "gateway.session_high_water_bytes",
    "gateway.high_water_bytes",
    "gateway.max_sessions",
    "gateway.stop_timeout_secs",
    "limits.",
    "log.",
    "retention.",
    "tls.certificate_file",
    "tls.key_file",
    "tls.client_ca_file",
    "tls.require_client_certificate",
    "tls.bind_mn",
)


def make_limits(settings: Settings) -> GatewayLimits:
    """Take from settings what a gateway listens on and holds."""
    gateway, tls = settings.gateway, settings.tls
    return GatewayLimits(
        host=gateway.host,
        port=gateway.port,
        max_segment_bytes=gateway.max_segment_bytes,
        idle_timeout_secs=gateway.idle_timeout_secs,
        session_high_water_bytes=gateway.session_high_water_bytes,
        high_water_bytes=gateway.high_water_bytes,
        max_sessions=gateway.max_sessions,
        backlog=gateway.backlog,
        stop_timeout_secs=gateway.stop_timeout_secs,
        access=Access(
            NetworkList(gateway.allow_networks),
            NetworkList(gateway.deny_networks),
            NetworkList(gateway.proxy_networks),
        ),
        shares=_make_shares(settings),
        tls_host=tls.host,
        tls_port=tls.port,
        tls=TlsFiles(
            tls.certificate_file,
            tls.key_file,
            tls.client_ca_file,
            tls.require_client_certificate,
            tls.bind_mn == "warn",
        ),
    )


def _make_shares(settings: Settings) -> Shares:
    """Take from settings what one data logger may send; where the clock runs faster, its minutes are shorter."""
    shares = Shares(**settings.limits.model_dump())
    return shares._replace(
        packets_per_minute_per_mn=math.ceil(shares.packets_per_minute_per_mn * settings.clock.speed),
        rejects_per_minute=math.ceil(shares.rejects_per_minute * settings.clock.speed),
    )


def make_retention(settings: Settings) -> Retention:
    """Take from settings how long data stays."""
    retention = settings.retention
    return Retention(
        real_time_days=retention.real_time_days,
        minute_days=retention.minute_days,
        packets_days=retention.packets_days,
        columnstore_days=retention.columnstore_days,
    )


class Reloader:
    """Applies settings that are read again; a fault in them changes nothing.

    Args:
        gateway: a running one.
        settings: what it runs by.
        load: reads the settings from where they came from.
        facts: stand in every line of the log.
    """

    def __init__(
        self,
        gateway: Gateway,
        settings: Settings,
        load: Callable[[], Settings],
        facts: Mapping[str, Any] = MappingProxyType({}),
    ) -> None:
        self._facts = facts
        self._gateway = gateway
        self._settings = settings
        self._load = load

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Reload on each SIGHUP for as long as the context lasts; where it means a closed terminal, stop."""
        loop = asyncio.get_running_loop()
        has_terminal = os.isatty(_STDERR)

        def _hang_up() -> None:
            if has_terminal and not os.isatty(_STDERR):
                loop.remove_signal_handler(signal.SIGHUP)
                signal.signal(signal.SIGHUP, signal.SIG_IGN)  # a terminal says it more than once
                os.kill(os.getpid(), signal.SIGTERM)
            else:
                self.reload()

        loop.add_signal_handler(signal.SIGHUP, _hang_up)
        try:
            yield
        finally:
            loop.remove_signal_handler(signal.SIGHUP)
            signal.signal(signal.SIGHUP, signal.SIG_IGN)  # what is being stopped is not to be cut

    def reload(self) -> None:
        """Read the settings again and apply what can change; certificates are read anew in any case."""
        try:
            wanted = self._load()
            limits = make_limits(wanted)._replace(tls_port=self._settings.tls.port)
            self._gateway.replace(limits, make_retention(wanted))
        except ConfigError as error:
            telemetry_access.config_refused(error)
            return
        different = [name for name in options() if read_value(wanted, name) != read_value(self._settings, name)]
        changed = [name for name in different if _is_changeable(name)]
        if any(name.startswith("log.") for name in changed):
            logs.configure(wanted.log, facts=self._facts)
        telemetry_access.config_reloaded(changed)
        postponed = [name for name in different if name not in changed]
        if postponed:
            telemetry_access.config_postponed(postponed)
        self._settings = self._settings.model_copy(update=_sections(wanted, self._settings, changed))


def _is_changeable(name: str) -> bool:
    return any(name == option or (option.endswith(".") and name.startswith(option)) for option in CHANGEABLE)


def _sections(wanted: Settings, held: Settings, changed: list[str]) -> dict[str, object]:
    """Return the sections that hold now: what changed is new, what waits for a restart is as it was."""
    sections: dict[str, object] = {}
    for section in {name.partition(".")[0] for name in changed}:
        values = {
            name.partition(".")[2]: read_value(wanted, name) for name in changed if name.startswith(f"{section}.")
        }
        sections[section] = getattr(held, section).model_copy(update=values)
    return sections
