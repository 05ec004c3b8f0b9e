"""The PROXY header: read whole or in pieces, from trusted networks alone."""

import ipaddress
import struct

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from tests.gateway.certificates import Authority
from tests.gateway.support import Counts, eventually, frame, live_gateway, on_both_loops

from hj212gw.errors import ProtocolError
from hj212gw.gateway import entrance
from hj212gw.gateway.networks import Access, NetworkList
from hj212gw.gateway.proxy import MAX_BYTES, SIGNATURE, ProxyHeader, parse_proxy_header
from hj212gw.gateway.tls import TlsFiles

PROXIED = Access(proxies=NetworkList(["127.0.0.0/8"]))


def header(host="203.0.113.7", port=40_000, *, command=0x21, more=b""):
    """A header as a proxy writes it, TLVs behind the addresses."""
    address = ipaddress.ip_address(host)
    form, family = (">4s4sHH", 0x11) if address.version == 4 else (">16s16sHH", 0x21)
    body = struct.pack(form, address.packed, address.packed, port, 9212) + more
    return SIGNATURE + bytes([command, family]) + len(body).to_bytes(2, "big") + body


def parse_in_pieces(data):
    """Feed one byte more at a time; return the first answer."""
    for end in range(len(data) + 1):
        found = parse_proxy_header(data[:end])
        if found is not None:
            return found
    return None


@given(st.ip_addresses(), st.integers(0, 65535), st.binary(max_size=400), st.binary(max_size=50))
def test_header_is_read_in_whatever_pieces(address, port, more, behind):
    """What stands behind it does not matter, and TLVs are skipped."""
    sent = header(str(address), port, more=more)
    expected = ProxyHeader(str(address), port, len(sent))
    assert parse_proxy_header(sent + behind) == expected
    assert parse_in_pieces(sent) == expected


@pytest.mark.parametrize(
    "sent",
    [
        SIGNATURE + b"\x20\x00\x00\x00",
        SIGNATURE + b"\x20\x11\x00\x0c" + bytes(12),
        SIGNATURE + b"\x21\x00\x00\x03abc",
        SIGNATURE + b"\x21\x31\x00\xd8" + bytes(216),
    ],
    ids=["local", "local with addresses", "unspecified", "unix"],
)
def test_header_without_an_address_names_nobody(sent):
    """The proxy speaks for itself, or for somebody without an address."""
    assert parse_in_pieces(sent) == ProxyHeader("", 0, len(sent))


@pytest.mark.parametrize(
    "sent",
    [
        b"##0101QN=",
        b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\n",
        SIGNATURE + b"\x11\x11\x00\x0c",
        SIGNATURE + b"\x22\x11\x00\x0c",
        SIGNATURE + b"\x21\x11\x00\x0b" + bytes(11),
        SIGNATURE + b"\x21\x21\x00\x0c" + bytes(12),
        SIGNATURE + b"\x21\x11\xff\xff",
        SIGNATURE + b"\x21\x11" + (MAX_BYTES - 15).to_bytes(2, "big"),
    ],
)
def test_what_is_no_header_is_refused(sent):
    """As soon as the bytes can be wrong, and before a length lets memory be taken."""
    with pytest.raises(ProtocolError) as caught:
        parse_in_pieces(sent)
    assert caught.value.reason == "proxy"


@given(st.binary(max_size=600))
@example(SIGNATURE)
@example(SIGNATURE + b"\x21\x11\x02\x08" + bytes(520))
def test_any_bytes_give_an_answer_or_an_error(data):
    """Total: a header within its bounds, a wait that ends, or a refusal."""
    try:
        found = parse_proxy_header(data)
    except ProtocolError:
        return
    if found is None:
        assert len(data) < MAX_BYTES
    else:
        assert 16 <= found.size <= min(len(data), MAX_BYTES)


@on_both_loops
async def test_peer_is_whom_the_proxy_names(tmp_path):
    """In the journal and for the lists, however the header and the first frame are cut."""
    sent = header() + frame(1)
    async with live_gateway(tmp_path, access=PROXIED) as live:
        for cut in (len(sent), 5, 28, 40):
            line = await live.connect()
            await line.send(sent[:cut])
            await line.send(sent[cut:])
            assert len(await line.answers(1)) == 1
        assert {record.peer for record in live.records()} == {"203.0.113.7:40000"}


@on_both_loops
async def test_denied_peer_behind_a_proxy_is_refused(tmp_path):
    """The proxy itself is not asked for."""
    counts = Counts()
    access = PROXIED._replace(denied=NetworkList(["203.0.113.0/24"]), allowed=NetworkList(["203.0.0.0/16"]))
    async with live_gateway(tmp_path, access=access) as live:
        line = await live.connect()
        await line.send(header() + frame())
        assert await line.rest() == []
        other = await live.connect()
        await other.send(header("203.0.5.5") + frame())
        assert len(await other.answers(1)) == 1
        assert counts("sessions_closed_total", reason="refused") == 1


@on_both_loops
async def test_proxy_without_header_is_closed(tmp_path):
    """Nobody is guessed at; a look whether somebody listens is no fault."""
    counts = Counts()
    async with live_gateway(tmp_path, access=PROXIED) as live:
        look = await live.connect()
        await look.close()
        line = await live.connect()
        await line.send(frame())
        assert await line.rest() == []
        assert counts("proxies_refused_total") == 1
        assert counts("sessions_opened_total") == 0
        itself = await live.connect()
        await itself.send(SIGNATURE + b"\x20\x00\x00\x00" + frame())
        assert len(await itself.answers(1)) == 1
        assert live.records()[0].peer.startswith("127.0.0.1:")


@on_both_loops
async def test_header_that_does_not_come_is_not_waited_for(tmp_path, monkeypatch):
    """A proxy that stalls holds no socket."""
    monkeypatch.setattr(entrance, "HEADER_SECS", 0.01)
    counts = Counts()
    async with live_gateway(tmp_path, access=PROXIED) as live:
        line = await live.connect()
        await line.send(header()[:20])
        assert await line.rest() == []
        assert counts("proxies_refused_total") == 1


@on_both_loops
async def test_header_from_elsewhere_is_noise(tmp_path):
    """Who is no proxy cannot be somebody else."""
    counts = Counts()
    for name, access in (("none", Access()), ("others", Access(proxies=NetworkList(["10.0.0.0/8"])))):
        async with live_gateway(tmp_path / name, access=access) as live:
            line = await live.connect()
            await line.send(header(), frame())
            assert len(await line.answers(1)) == 1
            assert live.records()[0].peer.startswith("127.0.0.1:")
    await eventually(lambda: counts("noise_discarded_bytes_total") == 2 * len(header()))


@on_both_loops
async def test_proxy_in_front_of_tls(tmp_path):
    """The header comes in plain before the handshake."""
    authority = Authority(tmp_path / "ca")
    files = TlsFiles(*authority.sign_gateway())
    async with live_gateway(tmp_path, access=PROXIED, tls_host="127.0.0.1", tls_port=0, tls=files) as live:
        line = await live.connect_proxied_tls(authority.client_context(), header())
        await line.send(frame())
        assert len(await line.answers(1)) == 1
        assert live.records()[0].peer == "203.0.113.7:40000"
