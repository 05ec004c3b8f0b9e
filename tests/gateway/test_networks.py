"""Networks: who may connect, and who is near whom."""

import pytest
from tests.gateway.support import Counts, eventually, frame, live_gateway, on_both_loops

from hj212gw.gateway.networks import Access, NetworkList, are_near

CASES = [
    ("10.1.2.3", True),
    ("::ffff:10.1.2.3", True),
    ("2001:db8::1", True),
    ("2001:db8::1%eth0", True),
    ("11.1.2.3", False),
    ("2001:db9::1", False),
    ("no address", False),
    ("", False),
]


@pytest.mark.parametrize(("host", "is_in"), CASES)
def test_list_holds_addresses_of_both_kinds(host, is_in):
    """IPv4 in the clothes of IPv6 is IPv4, a scope does not matter, a text that is no address is nowhere."""
    assert NetworkList(["10.0.0.0/8", "2001:db8::/32"]).holds(host) is is_in


def test_denied_is_stronger_than_allowed():
    """And without any list everybody may connect."""
    access = Access(NetworkList(["10.0.0.0/8"]), NetworkList(["10.9.0.0/16"]))
    assert [access.admits(host) for host in ("10.1.1.1", "10.9.1.1", "192.0.2.1")] == [True, False, False]
    assert Access().admits("192.0.2.1")
    assert not Access(denied=NetworkList(["::/0", "0.0.0.0/0"])).admits("192.0.2.1")


@pytest.mark.parametrize(
    ("one", "other", "near"),
    [
        ("10.1.2.3", "10.1.2.200", True),
        ("10.1.2.3", "10.1.3.3", False),
        ("::ffff:10.1.2.3", "10.1.2.4", True),
        ("2001:db8:1::1", "2001:db8:1:ffff::2", True),
        ("2001:db8:1::1", "2001:db8:2::1", False),
        ("10.1.2.3", "2001:db8::1", False),
        ("?", "?", True),
        ("?", "10.1.2.3", False),
    ],
)
def test_near_is_one_network_of_a_provider(one, other, near):
    """A data logger that gets another address of the same network is no stranger."""
    assert are_near(one, other) is near
    assert are_near(other, one) is near


@on_both_loops
async def test_denied_network_is_closed_at_once(tmp_path):
    """Counted with its reason, and nothing of it is read."""
    counts = Counts()
    access = Access(denied=NetworkList(["127.0.0.0/8"]))
    async with live_gateway(tmp_path, access=access) as live:
        line = await live.connect()
        await line.send(frame())
        assert await line.rest() == []
        await eventually(lambda: not live.intake.sessions)
        assert counts("sessions_closed_total", reason="refused") == 1
        assert live.frames() == []


@on_both_loops
async def test_allowed_network_is_let_in(tmp_path):
    """And nobody else."""
    async with live_gateway(tmp_path, access=Access(NetworkList(["127.0.0.0/8"]))) as live:
        line = await live.connect()
        await line.send(frame())
        assert len(await line.answers(1)) == 1
    async with live_gateway(tmp_path / "other", access=Access(NetworkList(["10.0.0.0/8"]))) as live:
        line = await live.connect()
        assert await line.rest() == []
