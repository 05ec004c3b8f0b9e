"""A port that several processes of ours are to listen on."""

import asyncio
import errno
import os
import socket
from typing import NamedTuple, Self

from hj212gw.errors import ConfigError


class HeldPort(NamedTuple):
    """A port kept for our workers: bound, so that no stranger takes it while none of them listens, but not listened on.

    Attributes:
        host: the address as it was asked for.
        port: the port; the one that was found where 0 was asked for.
        sockets: what holds it, one an address.
    """

    host: str
    port: int
    sockets: tuple[socket.socket, ...]

    @classmethod
    async def take(cls, host: str, port: int) -> Self:
        """Bind a port.

        Raises:
            ConfigError: there is no such address, or others listen there. Another gateway of the same account, which
                could share the port unseen, counts as others.
        """
        held: list[socket.socket] = []
        try:
            loop = asyncio.get_running_loop()
            found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
            for family, _, _, _, address in dict.fromkeys(found):
                place = (address[0], port, *address[2:])
                _bind(family, place, shared=False).close()
                held.append(_bind(family, place, shared=True))
                port = held[0].getsockname()[1]
        except OSError as error:
            for bound in held:
                bound.close()
            why = os.strerror(error.errno) if error.errno == errno.EADDRINUSE else str(error)
            raise ConfigError(f"cannot listen on {host}:{port}: {why}; is another gateway running?") from error
        return cls(host, port, tuple(held))

    @property
    def address(self) -> str:
        """The first address and the port, as host:port."""
        return f"{self.sockets[0].getsockname()[0]}:{self.port}"

    def release(self) -> None:
        """Let go of the port."""
        for bound in self.sockets:
            bound.close()


def _bind(family: int, place: tuple[object, ...], *, shared: bool) -> socket.socket:
    bound = socket.socket(family, socket.SOCK_STREAM)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family == socket.AF_INET6:
            bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        bound.bind(place)
    except OSError:
        bound.close()
        raise
    return bound
