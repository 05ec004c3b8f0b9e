"""Networks that peers are in: who may connect, who is a proxy, and whether two peers are near each other."""

import ipaddress
from collections.abc import Iterable
from functools import lru_cache
from typing import NamedTuple

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
_Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_NEAR_BITS = {4: 24, 6: 48}  # what a provider hands out as one


class NetworkList:
    """A set of networks.

    Args:
        networks: in the form 10.0.0.0/8 or 2001:db8::/32; host bits are 0.

    Raises:
        ValueError: one is no network.
    """

    def __init__(self, networks: Iterable[str] = ()) -> None:
        self._networks: tuple[_Network, ...] = tuple(ipaddress.ip_network(network) for network in networks)

    def __bool__(self) -> bool:
        return bool(self._networks)

    def holds(self, host: str) -> bool:
        """Tell whether an address is in one of the networks; a text that is no address is in none."""
        address = read_address(host)
        return address is not None and any(address in network for network in self._networks)


class Access(NamedTuple):
    """Who may connect.

    Attributes:
        allowed: networks data loggers may come from; none: all.
        denied: networks nobody may come from, stronger than allowed ones.
        proxies: networks whose connections begin with a PROXY header; they come on behalf of others.
    """

    allowed: NetworkList = NetworkList()
    denied: NetworkList = NetworkList()
    proxies: NetworkList = NetworkList()

    def admits(self, host: str) -> bool:
        """Tell whether a peer may connect."""
        if self.denied and self.denied.holds(host):
            return False
        return not self.allowed or self.allowed.holds(host)


@lru_cache(maxsize=4096)
def read_address(host: str) -> Address | None:
    """Read an address, an IPv4 one in IPv6's clothes as IPv4; None for a text that is none."""
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def are_near(one: str, other: str) -> bool:
    """Tell whether two addresses are in one network of the size a provider hands out (IPv4 /24, IPv6 /48)."""
    if one == other:
        return True
    first, second = read_address(one), read_address(other)
    if first is None or second is None or first.version != second.version:
        return False
    bits = first.max_prefixlen - _NEAR_BITS[first.version]
    return int(first) >> bits == int(second) >> bits
