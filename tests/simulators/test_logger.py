"""A data logger keeps account of every packet, whatever its host does."""

import asyncio
import random

import pytest
from tests.simulators.support import (
    ACK,
    CLOSE,
    DROP,
    EPOCH_US,
    ManualClock,
    always,
    eventually,
    make_habits,
    make_profile,
    make_span,
    never,
    only_time,
    run_fleet,
    running_fleet,
    running_host,
)
from tests.support import secs

from hj212gw.protocol import Edition, Packet, encode_frame, encode_packet, parse_data_area
from hj212sim.fleet import is_complete
from hj212sim.report import open_witnesses

EDITIONS = [pytest.param(edition, id=str(edition)) for edition in Edition]


def make_request(cn, *, qn="20260101080000123", flag=5):
    """A frame by which a host asks for something."""
    packet = Packet(
        qn=qn,
        st="32",
        cn=cn,
        pw="123456",
        mn="530402A00000001F00000001",
        flag=flag,
        pnum=None,
        pno=None,
        rf=False,
        cp=b"",
        extra=(),
        edition=Edition.V2017,
        warnings=(),
    )
    return encode_frame(encode_packet(packet))


@pytest.mark.parametrize("edition", EDITIONS)
async def test_all_is_acked_once_by_a_good_host(edition):
    """Each packet goes out once, over one connection, and is counted as acknowledged."""
    async with running_host() as host:
        report = await run_fleet([make_profile(edition)], make_span(packets=20), make_habits(host))
    assert len(host.came) == len({came.raw for came in host.came}) == 20
    assert {came.connection for came in host.came} == {1}
    assert report["by_cn"] == {"2011": {"sent": 20, "acked": 20, "unacked": 0}}
    counts = ("sent", "acked", "unacked", "unsent", "resent", "connects", "errors")
    assert [report[name] for name in counts] == [20, 20, 0, 0, 0, 1, 0]
    assert 0 < report["ack_p50_ms"] <= report["ack_p99_ms"] <= report["ack_max_ms"]
    assert is_complete(report)


async def test_the_next_packet_waits_for_the_answer():
    """With one packet unanswered no other is sent, though many are due."""
    async with running_host(never) as host:
        clock = ManualClock(EPOCH_US)
        async with running_fleet([make_profile()], make_span(packets=5), make_habits(host), clock) as (fleet, _):
            await host.wait_for_frames(1)
            clock.pass_secs(300)
            host.answer(host.came[0])
            await host.wait_for_frames(2)
            assert len(host.came) == 2
            assert (fleet.tally.sent.total(), fleet.tally.acked.total()) == (2, 1)


@pytest.mark.parametrize("edition", EDITIONS)
async def test_same_bytes_are_sent_again_without_an_answer(edition):
    """Two answers that get lost cost two more transmissions of the same bytes, same QN included."""
    async with running_host(only_time(3)) as host:
        habits = make_habits(host, timeout_secs=0.05)
        report = await run_fleet([make_profile(edition)], make_span(packets=3), habits)
    assert len(host.came) == 9
    assert len({came.raw for came in host.came}) == 3
    assert [report[name] for name in ("sent", "acked", "unacked", "resent")] == [3, 3, 0, 6]


async def test_three_resends_then_a_new_connection():
    """Nobody answers: four transmissions on a connection, then another connection and the same packet again."""
    async with running_host(never) as host:
        habits = make_habits(host, timeout_secs=0.03)
        report_task = asyncio.create_task(run_fleet([make_profile()], make_span(packets=1, linger_secs=0.5), habits))
        await host.wait_for_frames(8)
        report = await report_task
    assert [came.connection for came in host.came[:8]] == [1, 1, 1, 1, 2, 2, 2, 2]
    assert len({came.raw for came in host.came}) == 1
    assert (report["sent"], report["acked"], report["unacked"]) == (1, 0, 1)
    assert report["resent"] == len(host.came) - 1
    assert not is_complete(report)


async def test_late_answers_count_once():
    """The answers to a packet sent twice both come: it is acknowledged once, and the next one is not."""
    async with running_host(never) as host:
        habits = make_habits(host, timeout_secs=secs(0.3))
        async with running_fleet([make_profile()], make_span(packets=2), habits) as (fleet, task):
            await host.wait_for_frames(2)
            assert host.came[0].raw == host.came[1].raw
            host.answer(host.came[0])
            host.answer(host.came[1])
            await host.wait_for_frames(3)
            assert fleet.tally.acked.total() == 1
            host.decide = always
            report = await task
    assert (report["sent"], report["acked"]) == (2, 2)


async def test_a_repeated_packet_without_qn_is_followed_by_a_new_connection():
    """An answer of 2005 has no QN: the second one to a repeated packet must not count for the next packet."""
    async with running_host(only_time(2)) as host:
        habits = make_habits(host, timeout_secs=secs(0.1))
        report = await run_fleet([make_profile(Edition.V2005)], make_span(packets=3), habits)
    assert [came.connection for came in host.came] == [1, 1, 2, 2, 3, 3]
    assert (report["acked"], report["errors"]) == (3, 0)


async def test_backlog_is_delivered_after_an_outage():
    """What falls due while the host is away is kept, and all of it arrives when the host is back."""
    async with running_host() as host:
        clock = ManualClock(EPOCH_US)
        async with running_fleet([make_profile()], make_span(packets=40), make_habits(host), clock) as (fleet, task):
            clock.pass_secs(270)
            await host.wait_for(lambda: len(host.acked) == 10)
            await eventually(lambda: fleet.tally.acked.total() == 10)
            await host.stop()
            clock.pass_secs(900)
            await eventually(lambda: fleet.tally.errors > 3)
            assert fleet.tally.sent.total() == 10
            await host.start()
            report = await task
    assert len({came.raw for came in host.came}) == 40
    assert [report[name] for name in ("sent", "acked", "unsent")] == [40, 40, 0]
    assert report["connects"] == 2
    assert report["lag_max_secs"] >= 870


async def test_new_data_goes_before_the_backlog():
    """A packet that falls due while the backlog is being delivered goes out next."""
    async with running_host(never) as host:
        await host.stop()
        clock = ManualClock(EPOCH_US + 120_000_000)
        async with running_fleet([make_profile()], make_span(packets=6), make_habits(host), clock) as (fleet, task):
            await eventually(lambda: fleet.tally.errors > 0)
            await host.start()
            await host.wait_for_frames(1)
            clock.pass_secs(30)
            host.decide = always
            host.answer(host.came[0])
            await task
    times = [parse_data_area(packet.cp).find("DataTime")[-4:] for packet in host.packets]
    assert times == ["0000", "0230", "0030", "0100", "0130", "0200"]


async def test_schedule_waits_when_the_backlog_is_full():
    """Memory stays bounded in an outage and nothing is lost: what has no room is made when it can be sent."""
    async with running_host() as host:
        await host.stop()
        habits = make_habits(host, backlog_limit=5)
        async with running_fleet([make_profile()], make_span(packets=100), habits) as (fleet, task):
            await eventually(lambda: fleet.tally.errors > 2)
            assert sum(logger.unsent_count for logger in fleet._loggers) == 5
            await host.start()
            report = await task
    assert len({came.raw for came in host.came}) == 100
    assert [report[name] for name in ("sent", "acked", "unsent")] == [100, 100, 0]


async def test_a_host_that_is_never_there_is_reported():
    """Packets that never left are counted apart from those that were sent and not acknowledged."""
    async with running_host() as host:
        await host.stop()
        report = await run_fleet([make_profile()], make_span(packets=7, linger_secs=0.1), make_habits(host))
        await host.start()
    assert [report[name] for name in ("sent", "acked", "unacked", "unsent", "connects")] == [0, 0, 0, 7, 0]
    assert report["errors"] > 0
    assert report["ack_p50_ms"] is None
    assert not is_complete(report)


@pytest.mark.parametrize("edition", EDITIONS)
async def test_accounts_are_exact_when_the_host_is_erratic(edition, tmp_path):
    """Answers dropped and connections cut at random: each packet is in both files once, and none that was not acked."""
    rng = random.Random(20260101)
    sent_path, acked_path = tmp_path / "sent", tmp_path / "acked"

    def decide(came, nth):
        return rng.choices((ACK, DROP, CLOSE), (8, 1, 1))[0]

    async with running_host(decide) as host:
        with open_witnesses(sent_path, acked_path) as witnesses:
            habits = make_habits(host, timeout_secs=0.05)
            profile = make_profile(edition, cns=("2011", "2051"))
            report = await run_fleet([profile], make_span(packets=150), habits, witnesses=witnesses)
    frames = {came.raw for came in host.came}
    assert len(frames) == report["sent"] == report["acked"] == 150
    assert report["resent"] == len(host.came) - 150
    assert frames == set(host.acked)
    sent, acked = (path.read_text().splitlines() for path in (sent_path, acked_path))
    assert len(sent) == len(acked) == 150
    assert set(sent) == set(acked)
    assert len(set(acked)) == 150


async def test_requests_of_the_host_are_answered():
    """A request gets 9011 and 9012 with its QN, a notice 9013, and an answer nothing."""
    async with running_host() as host:
        clock = ManualClock(EPOCH_US)
        async with running_fleet([make_profile()], make_span(), make_habits(host), clock):
            await host.wait_for_frames(1)
            link = host.connections[1]
            link.transport.write(make_request("9013") + make_request("1012") + make_request("2012"))
            await host.wait_for_frames(4)
            answers = [(packet.cn, packet.qn, packet.st, packet.flag) for packet in host.packets[1:]]
            cps = [packet.cp for packet in host.packets[1:]]
    qn = "20260101080000123"
    assert answers == [("9011", qn, "91", 4), ("9012", qn, "91", 4), ("9013", qn, "91", 4)]
    assert cps == [b"QnRtn=1", b"ExeRtn=1", b""]


async def test_requests_are_answered_in_the_shape_of_2005():
    """A data logger of 2005 repeats the request's QN inside CP."""
    async with running_host() as host:
        clock = ManualClock(EPOCH_US)
        async with running_fleet([make_profile(Edition.V2005)], make_span(), make_habits(host), clock):
            await host.wait_for_frames(1)
            host.connections[1].transport.write(make_request("1012", flag=1))
            await host.wait_for_frames(3)
            answers = [(packet.cn, packet.qn, packet.cp) for packet in host.packets[1:]]
    qn = b"QN=20260101080000123"
    assert answers == [("9011", "", qn + b";QnRtn=1"), ("9012", "", qn + b";ExeRtn=1")]


async def test_answers_without_crlf_and_noise_between_them_are_read():
    """A host that leaves CR LF out is understood; what is no packet is counted and changes nothing."""
    async with running_host(never) as host:
        habits = make_habits(host)
        async with running_fleet([make_profile()], make_span(packets=2), habits) as (fleet, task):
            await host.wait_for_frames(1)
            qn = host.packets[0].qn
            answer = make_request("9014", qn=qn, flag=4)
            no_header = encode_frame(b"QN=1;CP=&&&&")
            host.connections[1].transport.write(b"HTTP/1.1 400\r\n\r\n" + no_header + answer.removesuffix(b"\r\n"))
            await host.wait_for_frames(2)
            assert fleet.tally.acked.total() == 1
            assert fleet.tally.errors == 2
            host.answer(host.came[1])
            report = await task
    assert report["acked"] == 2


async def test_stop_waits_for_answers_and_a_second_one_does_not():
    """After the first stop nothing new is made; a second ends the run with what is unacknowledged in the report."""
    async with running_host(never) as host:
        clock = ManualClock(EPOCH_US)
        async with running_fleet([make_profile()], make_span(), make_habits(host), clock) as (fleet, task):
            await host.wait_for_frames(1)
            fleet.stop()
            assert fleet.is_stopping
            host.answer(host.came[0])
            report = await task
            assert is_complete(report)
        assert len(host.came) == 1
        async with running_fleet([make_profile()], make_span(), make_habits(host), clock) as (fleet, task):
            await host.wait_for_frames(2)
            fleet.stop()
            fleet.stop()
            report = await task
    assert (report["sent"], report["unacked"]) == (1, 1)
