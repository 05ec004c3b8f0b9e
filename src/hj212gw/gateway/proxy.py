"""The header of the PROXY protocol, version 2, by which a proxy names whom it speaks for.

::

    12 bytes  signature  0D 0A 0D 0A 00 0D 0A 51 55 49 54 0A
     1        version 2 and command: 20 LOCAL (the proxy itself), 21 PROXY
     1        family and transport: 11 TCP over IPv4, 21 TCP over IPv6; others name nobody we know
     2        length of the rest, big endian
     n        source, destination, source port, destination port; then what we skip

Pure: bytes in, header out. A header is judged as soon as its bytes can be wrong, and never longer than `MAX_BYTES`.
Source: The PROXY protocol, versions 1 and 2 (haproxy.org), section 2.2.
"""

import ipaddress
import struct
from typing import Final, NamedTuple

from hj212gw.errors import ProtocolError

SIGNATURE: Final = b"\r\n\r\n\x00\r\nQUIT\n"
MAX_BYTES: Final = 536  # section 2.2: a header fits into the smallest TCP segment

_FIXED_BYTES: Final = 16
_LOCAL: Final = 0x20
_PROXY: Final = 0x21
_TCP4: Final = 0x11
_TCP6: Final = 0x21
_FORMS: Final = {_TCP4: struct.Struct(">4s4sHH"), _TCP6: struct.Struct(">16s16sHH")}


class ProxyHeader(NamedTuple):
    """Whom a proxy speaks for.

    Attributes:
        host, port: the source; "" and 0 where the proxy speaks for itself or names nobody.
        size: bytes of the header; what stands behind is the connection's.
    """

    host: str
    port: int
    size: int


def parse_proxy_header(data: bytes) -> ProxyHeader | None:
    """Read the header at the beginning of a connection.

    Args:
        data: all that came so far; what stands behind the header does not matter.

    Returns:
        None while bytes are missing.

    Raises:
        ProtocolError: this is no header that we take.
    """
    if data[:12] != SIGNATURE[: len(data)]:
        raise _refuse("a PROXY header begins with its signature")
    if len(data) > 12 and data[12] not in (_LOCAL, _PROXY):  # noqa: PLR2004 - see the drawing
        raise _refuse("version 2 and the commands LOCAL and PROXY are known")
    if len(data) < _FIXED_BYTES:
        return None
    size = _FIXED_BYTES + int.from_bytes(data[14:16], "big")
    if size > MAX_BYTES:
        raise _refuse(f"a PROXY header has at most {MAX_BYTES} bytes, this one {size}")
    form = _FORMS.get(data[13]) if data[12] == _PROXY else None
    if form is None:
        return ProxyHeader("", 0, size) if len(data) >= size else None
    if size < _FIXED_BYTES + form.size:
        raise _refuse("the addresses of a PROXY header are cut short")
    if len(data) < size:
        return None
    source, _, port, _ = form.unpack_from(data, _FIXED_BYTES)
    return ProxyHeader(str(ipaddress.ip_address(source)), port, size)


def _refuse(message: str) -> ProtocolError:
    return ProtocolError(message, reason="proxy")
