"""The ports data loggers connect to: a plain one, and one for TLS beside it."""

import asyncio
import ssl
from datetime import UTC, datetime, timedelta

from hj212gw import telemetry_access
from hj212gw.errors import ConfigError
from hj212gw.gateway.certificates import find_endings, find_expiry
from hj212gw.gateway.entrance import Entrance
from hj212gw.gateway.intake import Intake
from hj212gw.gateway.limits import GatewayLimits
from hj212gw.gateway.proxy import ProxyHeader
from hj212gw.gateway.session import Session
from hj212gw.gateway.tls import TlsLine, load_context


class Ports:
    """Listens, and makes a session of each connection.

    Args:
        intake: takes what the sessions bring.
        limits: where to listen, and what a session may hold.

    Raises:
        ConfigError: the certificate or a key cannot be used.

    Attributes:
        tls_address: the address of the TLS port, None where there is none.
    """

    def __init__(self, intake: Intake, limits: GatewayLimits) -> None:
        self._intake = intake
        self._limits = limits
        self._context = _load(limits)
        _tell_expiry(limits)
        self._servers: list[asyncio.Server] = []
        self._sessions_made = 0
        self.tls_address: tuple[str, int] | None = None

    async def open(self) -> tuple[str, int]:
        """Listen on both ports.

        Returns:
            The address of the plain port.

        Raises:
            ConfigError: a port cannot be had.
        """
        address = await self._listen(self._limits.host, self._limits.port, is_tls=False)
        if self._limits.tls_port is not None:
            try:
                self.tls_address = await self._listen(self._limits.tls_host, self._limits.tls_port, is_tls=True)
            except ConfigError:
                self.close()
                raise
        return address

    def close(self) -> None:
        """Listen no more; connections stay."""
        for server in self._servers:
            server.close()

    def prepare(self, limits: GatewayLimits) -> ssl.SSLContext | None:
        """Load what new limits name, changing nothing yet.

        Raises:
            ConfigError: the certificate or a key cannot be used.
        """
        return _load(limits)

    def replace(self, limits: GatewayLimits, context: ssl.SSLContext | None) -> None:
        """Make new sessions by other limits; addresses stay as they are."""
        self._limits = limits
        self._context = context
        _tell_expiry(limits)

    async def _listen(self, host: str, port: int, *, is_tls: bool) -> tuple[str, int]:
        def make() -> asyncio.Protocol:
            access = self._limits.access
            if access.proxies:
                return Entrance(access, lambda header: self._make_line(header, is_tls=is_tls))
            return self._make_line(None, is_tls=is_tls)

        loop = asyncio.get_running_loop()
        try:
            shares = self._limits.shares_port or None
            server = await loop.create_server(make, host, port, backlog=self._limits.backlog, reuse_port=shares)
        except OSError as error:
            message = f"cannot listen on {host}:{port}: {error}; is another gateway running?"
            raise ConfigError(message) from error
        self._servers.append(server)
        bound_host, bound_port = server.sockets[0].getsockname()[:2]
        return bound_host, bound_port

    def _make_line(self, header: ProxyHeader | None, *, is_tls: bool) -> asyncio.Protocol:
        self._sessions_made += 1
        session = Session(
            self._intake,
            self._sessions_made,
            max_segment=self._limits.max_segment_bytes,
            high_water_bytes=self._limits.session_high_water_bytes,
        )
        if header is not None:
            session.name_peer(header.host, header.port)
        if not is_tls:
            return session
        assert self._context is not None, "the TLS port is open"
        return TlsLine(self._context, session, binds_mn=self._limits.tls.binds_mn)


def _load(limits: GatewayLimits) -> ssl.SSLContext | None:
    return None if limits.tls_port is None else load_context(limits.tls)


def _tell_expiry(limits: GatewayLimits) -> None:
    files = (limits.tls.certificate, limits.tls.client_ca) if limits.tls_port is not None else ()
    telemetry_access.certificates_loaded(find_expiry(file for file in files if file is not None))
    for ending in find_endings(files, datetime.now(UTC)):
        telemetry_access.certificate_ending(str(ending.file), ending.at, ending.left / timedelta(days=1))
