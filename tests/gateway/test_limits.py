"""Rates and numbers of connections: slowed down first, cut off only when abusive, the stalest first."""

import asyncio
from types import SimpleNamespace

from hypothesis import given
from hypothesis import strategies as st
from tests.gateway.support import CP, LIMITS, Counts, eventually, frame, live_gateway, on_both_loops
from tests.support import secs

from hj212gw.gateway import limits as limits_module
from hj212gw.gateway.limits import Pace, Shares
from hj212gw.gateway.networks import Access, NetworkList
from hj212gw.store.retention import Retention

BAD = b"##0005abcde0000\r\n"


def make_session(packet_count=0):
    """What the pace of rejects remembers of a session."""
    return SimpleNamespace(rejects_until=0.0, packet_count=packet_count, forgiven_count=0)


def test_rate_lets_a_burst_pass_and_then_keeps_its_pace():
    """Ten a minute after a burst of five: the sixth rests six seconds, and time gives them back."""
    pace = Pace(Shares(packets_per_minute_per_mn=10, burst_packets_per_mn=5))
    assert [pace.spend("MN", 100.0) for _ in range(7)] == [0.0] * 5 + [6.0, 12.0]
    assert pace.spend("OTHER", 100.0) == 0.0
    assert pace.spend("MN", 112.0) == 6.0
    assert pace.spend("MN", 1000.0) == 0.0


def test_no_limit_remembers_nothing():
    """And a limit that is lifted holds no more."""
    pace = Pace(Shares(packets_per_minute_per_mn=1, burst_packets_per_mn=1))
    assert pace.spend("MN", 0.0) + pace.spend("MN", 0.0) > 0
    pace.replace(Shares())
    assert pace.spend("MN", 0.0) == 0.0
    assert pace.spend_reject(make_session(), 1000, 0.0) == 0.0


def test_rates_of_many_mns_are_bounded(monkeypatch):
    """Somebody who invents MNs takes no memory."""
    monkeypatch.setattr(limits_module, "_MAX_RATES", 10)
    pace = Pace(Shares(packets_per_minute_per_mn=10))
    for number in range(1000):
        pace.spend(f"MN{number}", 0.0)
        assert len(pace._rates) <= 10


@given(st.lists(st.floats(0, 5), min_size=1, max_size=300), st.integers(1, 600), st.integers(1, 100))
def test_who_rests_as_told_never_passes_the_rate(waits, per_minute, burst):
    """Over any time at most the burst and what the rate allows come through."""
    pace = Pace(Shares(packets_per_minute_per_mn=per_minute, burst_packets_per_mn=burst))
    now = 0.0
    for count, wait in enumerate(waits, 1):
        now += wait + pace.spend("MN", now + wait)
        assert count <= burst + 1 + (now + 1e-6) * per_minute / 60


def test_rejects_slow_down_and_then_cut():
    """A minute's worth at once is free; ten minutes' worth without a good packet is abuse."""
    pace = Pace(Shares(rejects_per_minute=60))
    session = make_session()
    answers = [pace.spend_reject(session, 10, 0.0) for _ in range(661)]
    assert answers[:60] == [0.0] * 60
    assert answers[60:660] == [float(number) for number in range(1, 601)]
    assert answers[660] < 0


def test_large_noise_counts_for_more():
    """By the KiB."""
    pace = Pace(Shares(rejects_per_minute=60))
    session = make_session()
    assert pace.spend_reject(session, 100 * 1024, 0.0) == 41.0


def test_one_that_sends_good_packets_too_is_slowed_down_only():
    """A data logger may have one upload that is always wrong."""
    pace = Pace(Shares(rejects_per_minute=60))
    session = make_session()
    for _ in range(20):
        session.packet_count += 1
        assert min(pace.spend_reject(session, 10, 0.0) for _ in range(400)) >= 0
    answers = [pace.spend_reject(session, 10, 0.0) for _ in range(1200)]
    assert min(answers) < 0, "and once the good ones stop it is abuse again"


@on_both_loops
async def test_fast_mn_is_not_read_for_a_while(tmp_path):
    """All that came is answered; others go on meanwhile; nothing is lost."""
    counts = Counts()
    shares = Shares(packets_per_minute_per_mn=600, burst_packets_per_mn=10)
    async with live_gateway(tmp_path, shares=shares) as live:
        fast, calm = await live.connect(), await live.connect()
        await fast.send(b"".join(frame(number) for number in range(12)))
        assert len(await fast.answers(12)) == 12
        session = next(session for session in live.intake.sessions if session.packet_count)
        assert not session._transport.is_reading()
        await calm.send(frame(1, mn="CALM0000000001"))
        assert len(await calm.answers(1)) == 1
        await fast.send(frame(500))
        assert len(await fast.answers(1)) == 1, "0.2 s later"
        assert counts("sessions_rested_total") >= 1


@on_both_loops
async def test_flood_of_rejects_is_cut(tmp_path):
    """With its reason, every reject kept and counted."""
    counts = Counts()
    async with live_gateway(tmp_path, shares=Shares(rejects_per_minute=1)) as live:
        line = await live.connect()
        await line.send(frame(0, cp=CP + "x")[:-6] + b"0000\r\n")
        await eventually(lambda: counts.reject_total() == 1)
        await line.send(b"".join(frame(number)[:-6] + b"0000\r\n" for number in range(50)))
        assert await line.rest() == []
        await eventually(lambda: not live.intake.sessions)
        assert counts("sessions_closed_total", reason="abuse") == 1
        await eventually(lambda: len(live.rejects()) == counts.reject_total() == 51)


@on_both_loops
async def test_stalest_line_of_an_mn_is_closed(tmp_path):
    """Of more than three; the others go on, and so do those of other MNs."""
    counts = Counts()
    async with live_gateway(tmp_path, shares=Shares(connections_per_mn=3)) as live:
        lines = [await live.connect() for _ in range(4)]
        other = await live.connect()
        await other.send(frame(9, mn="OTHER000000001"))
        await other.answers(1)
        for number in (1, 0, 2):
            await lines[number].send(frame(number))
            await lines[number].answers(1)
        await lines[1].send(frame(4))
        await lines[1].answers(1)
        await lines[3].send(frame(3))
        assert len(await lines[3].answers(1)) == 1
        assert await lines[0].rest() == []
        assert counts("sessions_closed_total", reason="limit") == 1
        for line in (lines[1], lines[2], lines[3]):
            await line.send(frame(5))
            assert len(await line.answers(1)) == 1


@on_both_loops
async def test_many_share_an_address_unless_told_otherwise(tmp_path):
    """Sixty behind one address is a province's usual; a cap is a setting."""
    counts = Counts()
    async with live_gateway(tmp_path / "open") as live:
        lines = [await live.connect() for _ in range(60)]
        for number, line in enumerate(lines):
            await line.send(frame(number, mn=f"SHARED{number:08d}"))
            assert len(await line.answers(1)) == 1
    async with live_gateway(tmp_path / "capped", shares=Shares(connections_per_peer=2)) as live:
        first, second, third = [await live.connect() for _ in range(3)]
        assert await third.rest() == []
        await first.close()
        await eventually(lambda: len(live.intake.sessions) == 1)
        fourth = await live.connect()
        await fourth.send(frame(1))
        assert len(await fourth.answers(1)) == 1
        await second.send(frame(2))
        assert len(await second.answers(1)) == 1
    assert counts("sessions_closed_total", reason="limit") == 1


@on_both_loops
async def test_half_open_sockets_give_way(tmp_path):
    """A thousand that never say a word do not keep one data logger out, nor cut one that was heard."""
    counts = Counts()
    async with live_gateway(tmp_path, max_sessions=50, backlog=1000) as live:
        heard = await live.connect()
        await heard.send(frame(0))
        await heard.answers(1)
        for _ in range(20):
            await asyncio.gather(*(live.connect() for _ in range(50)))
            await eventually(lambda: len(live.intake.sessions) <= 50)
        newcomer = await live.connect()
        await newcomer.send(frame(1, mn="NEWCOMER000001"))
        assert len(await newcomer.answers(1)) == 1
        await heard.send(frame(2))
        assert len(await heard.answers(1)) == 1
        assert counts("sessions_closed_total", reason="limit") == 1000 + 2 - 50


@on_both_loops
async def test_line_without_a_frame_is_closed(tmp_path):
    """One that keeps sending what is none, too; one with a packet stays."""
    counts = Counts()
    async with live_gateway(tmp_path, shares=Shares(first_frame_secs=secs(0.5))) as live:
        good, mute = await live.connect(), await live.connect()
        await good.send(frame(0))
        await good.answers(1)
        assert await mute.rest() == []
        assert counts("sessions_closed_total", reason="silent") == 1
        await good.send(frame(1))
        assert len(await good.answers(1)) == 1


@on_both_loops
async def test_limits_hold_from_a_reload_on(tmp_path):
    """Without a line being lost, but for those of networks that are shut out now."""
    counts = Counts()
    async with live_gateway(tmp_path) as live:
        line = await live.connect()
        await line.send(frame(0))
        await line.answers(1)
        live.gateway.replace(LIMITS._replace(shares=Shares(packets_per_minute_per_mn=600)), Retention(minute_days=9))
        await line.send(frame(1))
        assert len(await line.answers(1)) == 1
        assert live.intake._pace._rates
        access = Access(denied=NetworkList(["127.0.0.1/32"]))
        live.gateway.replace(LIMITS._replace(access=access), Retention())
        assert await line.rest() == []
        assert counts("sessions_closed_total", reason="refused") == 1
