"""The beginning of a connection where there are proxies: whose it is, then the session takes it over."""

import asyncio
from collections.abc import Callable
from typing import cast

from hj212gw import telemetry_access
from hj212gw.errors import ProtocolError
from hj212gw.gateway.networks import Access
from hj212gw.gateway.proxy import ProxyHeader, parse_proxy_header

HEADER_SECS = 5.0  # a proxy sends its header before anything else

MakeLine = Callable[[ProxyHeader | None], asyncio.Protocol]


class Entrance(asyncio.Protocol):
    """Reads a proxy's header and hands the connection over; others are handed over at once.

    Args:
        access: knows the proxies.
        make_line: makes the protocol of a connection, for a header or for a peer that speaks for itself.
    """

    def __init__(self, access: Access, make_line: MakeLine) -> None:
        self._access = access
        self._make_line = make_line
        self._transport: asyncio.Transport | None = None
        self._peer = ""
        self._head = b""
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Hand over, or wait for the header."""
        self._transport = cast("asyncio.Transport", transport)
        self._peer = str((transport.get_extra_info("peername") or ("?", 0))[0])
        if self._access.proxies.holds(self._peer):
            self._timer = asyncio.get_running_loop().call_later(HEADER_SECS, self._refuse, "no PROXY header in time")
        else:
            self._hand_over(None, b"")

    def data_received(self, data: bytes) -> None:
        """Take a piece of the header, and what may stand behind it."""
        self._head += data
        try:
            header = parse_proxy_header(self._head)
        except ProtocolError as error:
            self._refuse(str(error))
            return
        if header is not None:
            self._hand_over(header if header.host else None, self._head[header.size :])

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - the library's signature
        """End before there was a session: a proxy's look whether somebody listens."""
        self._forget_timer()

    def _hand_over(self, header: ProxyHeader | None, rest: bytes) -> None:
        assert self._transport is not None
        self._forget_timer()
        line = self._make_line(header)
        self._transport.set_protocol(line)
        line.connection_made(self._transport)
        if rest and not self._transport.is_closing():
            line.data_received(rest)

    def _refuse(self, why: str) -> None:
        """Close: who speaks is not known, and guessing would let anybody be anybody."""
        assert self._transport is not None
        self._forget_timer()
        telemetry_access.proxy_refused(self._peer, why)
        self._transport.abort()

    def _forget_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
