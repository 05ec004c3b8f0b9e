"""The gateway as a whole: how it starts, when it is ready, and how it stops."""

import asyncio
import os

import pytest
from tests.gateway.support import (
    DRAIN_LIMITS,
    JOURNAL,
    LIMITS,
    MIB,
    Counts,
    big_frame,
    eventually,
    frame,
    live_gateway,
    on_both_loops,
)
from tests.support import secs

from hj212gw.clock import Clock
from hj212gw.errors import ConfigError, JournalUnwritable, StoreUnavailable
from hj212gw.gateway.server import Gateway
from hj212gw.journal import JournalSettings, inspect
from hj212gw.store.writer import Writer

NOWHERE = "postgresql://nobody@127.0.0.1:1/nothing"


class BrokenWriter(Writer):
    """A writer with a fault nobody thought of, in what it does first."""

    async def open(self, _now):
        """Fail."""
        raise RuntimeError("a bug")


class StuckWriter(Writer):
    """A writer whose database never answers."""

    async def open(self, _now):
        """Wait for ever."""
        await asyncio.Event().wait()


def make_gateway(folder, writer_of=None, **limits):
    """A gateway that is not started yet."""
    settings = JournalSettings(directory=folder / "journal", **JOURNAL)
    return Gateway(LIMITS._replace(**limits), settings, writer_of, DRAIN_LIMITS, Clock())


async def test_port_that_is_taken_is_named(tmp_path):
    """The message names the address, and the journal is free again."""
    async with live_gateway(tmp_path / "first") as live:
        host, port = live.address
        with pytest.raises(ConfigError, match=f"cannot listen on {host}:{port}: .*is another gateway running"):
            await make_gateway(tmp_path / "second", host=host, port=port).start(accepts_unknown=True)
        assert inspect(tmp_path / "second" / "journal").owner_pid is None
        await live.gateway.stop()
    async with live_gateway(tmp_path / "second", host=host, port=port) as live:
        assert live.address == (host, port)


async def test_keys_file_that_is_wrong_stops_the_start(tmp_path):
    """Who names a keys file is told what is wrong with it before a port opens or the journal is touched."""
    with pytest.raises(ConfigError, match=r"registry\.keys_file = .*none.csv cannot be read"):
        await make_gateway(tmp_path).start(accepts_unknown=True, keys_file=tmp_path / "none.csv")
    assert not (tmp_path / "journal").exists()


async def test_keys_file_is_followed_while_running(tmp_path):
    """A key that is written into the file while the gateway runs counts a second later."""
    keys = tmp_path / "keys.csv"
    keys.write_text("mn,key_id,secret,valid_from,valid_to\n")
    gateway = make_gateway(tmp_path)
    await gateway.start(accepts_unknown=True, keys_file=keys)
    try:
        assert gateway._admission.dialect_of("MN1") is None
        keys.write_text(f"mn,key_id,secret,valid_from,valid_to\nMN1,k1,{'0' * 32},,\n")
        dialect = await eventually(lambda: gateway._admission.dialect_of("MN1"))
        assert [key.secret for key in dialect.keys] == [bytes(16)]
    finally:
        await gateway.stop()


async def test_journal_in_use_is_refused(tmp_path):
    """A second gateway on the same directory is told who has it; the first goes on."""
    async with live_gateway(tmp_path) as live:
        with pytest.raises(JournalUnwritable, match=f"process {os.getpid()}"):
            await make_gateway(tmp_path).start(accepts_unknown=True)
        line = await live.connect()
        await line.send(frame())
        assert len(await line.answers(1)) == 1


@on_both_loops
async def test_stop_answers_what_came(tmp_path):
    """What was taken is on disk and answered before the line is closed; nothing is taken afterwards."""
    counts = Counts()
    async with live_gateway(tmp_path, journal={"group_wait_secs": 0.3}) as live:
        line = await live.connect()
        await line.send(b"".join(map(frame, range(100))))
        await eventually(lambda: live.intake.waiting_bytes > 0)
        await live.gateway.stop()
        assert len(await line.rest()) == 100
        with pytest.raises(OSError):
            await live.connect()
        assert live.gateway.find_fault() == "the gateway is stopping"
    assert counts("sessions_closed_total", reason="stopped") == 1
    assert inspect(tmp_path / "journal").records == 100
    assert inspect(tmp_path / "journal").owner_pid is None


@on_both_loops
async def test_stop_cuts_off_who_does_not_read(tmp_path):
    """A data logger that takes no answers does not hold up the stop."""
    async with live_gateway(tmp_path) as live:
        line = await live.connect()
        line.reader._transport.pause_reading()
        sending = asyncio.create_task(line.send(*[frame() * 50] * 2000))
        await eventually(lambda: live.intake.sessions and "answers" in live.session()._pauses)
        async with asyncio.timeout(secs(5)):
            await live.gateway.stop()
        assert not live.intake.sessions
        sending.cancel()
        await asyncio.wait({sending})


async def test_stop_twice_is_stop_once(tmp_path):
    """A second call returns at once."""
    counts = Counts()
    async with live_gateway(tmp_path) as live:
        await live.connect()
        await asyncio.gather(live.gateway.stop(), live.gateway.stop())
    assert counts("sessions_closed_total", reason="stopped") <= 1


@on_both_loops
async def test_session_without_room_is_not_idle(tmp_path):
    """While the journal is full a line stays open, unless its other end has gone; it is answered when there is room."""
    counts = Counts()
    journal = {"max_bytes": 4 * MIB, "segment_bytes": MIB // 4}
    async with live_gateway(tmp_path, idle_timeout_secs=0.2, journal=journal) as live:
        line = await live.connect()
        sending = asyncio.create_task(line.send(*[big_frame(number, "2061") for number in range(1500)]))
        await eventually(lambda: live.intake._blocked)
        session = live.session()
        gone = await live.connect()
        await gone.send(frame(1))
        await eventually(lambda: len(live.intake._blocked) == 2)
        gone.reset()
        await eventually(lambda: live.intake.sessions == {session})
        await eventually(lambda: session.now() - session.heard_at > 1.3)  # past the timeout and a tick
        assert live.intake.sessions == {session}
        answering = asyncio.create_task(line.answers(1500))
        await live.drain_until(answering.done)
        await sending
        await eventually(lambda: not live.intake.sessions, timeout=5)
    assert counts("sessions_closed_total", reason="idle") == 2


async def test_database_that_is_away_does_not_matter_at_the_door(tmp_path):
    """Packets are answered, the gateway is ready, and it stops without delay."""
    counts = Counts()
    async with live_gateway(tmp_path, dsn=NOWHERE) as live:
        line = await live.connect()
        for number in range(10):
            await line.send(frame(number))
            await line.answers(1)
        await eventually(lambda: counts("store_retries_total") >= 2)
        assert live.gateway.find_fault() is None
        live.gateway.publish()
        assert counts("journal_pending_packets") == 10
        async with asyncio.timeout(secs(3)):
            await live.gateway.stop()


async def test_drain_survives_what_nobody_thought_of(tmp_path):
    """A bug in the drain is told, tried again, and does not stop intake."""
    counts = Counts()
    told = []
    gateway = make_gateway(tmp_path, lambda journal: BrokenWriter(NOWHERE, journal.uuid))
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: told.append(context))
    await gateway.start(accepts_unknown=True)
    await eventually(lambda: len(told) >= 2)
    assert str(told[0]["exception"]) == "a bug"
    assert counts("store_failures_total", reason="other") >= 2
    assert gateway.find_fault() is None
    async with asyncio.timeout(secs(3)):
        await gateway.stop()
    assert not gateway.failed.done()


async def test_stop_does_not_wait_for_ever_for_a_database(tmp_path):
    """A database that accepts a connection and then says nothing holds a stop up for its timeout alone."""
    gateway = make_gateway(tmp_path, lambda journal: StuckWriter(NOWHERE, journal.uuid), stop_timeout_secs=0.2)
    await gateway.start(accepts_unknown=True)
    async with asyncio.timeout(secs(5)):
        await gateway.stop()
    assert inspect(tmp_path / "journal").owner_pid is None


async def test_unreadable_dsn_stops_the_gateway(tmp_path):
    """A DSN that cannot be read is a fault of the settings, not of the database."""
    counts = Counts()
    gateway = make_gateway(tmp_path, lambda journal: Writer("postgresql://[", journal.uuid))
    await gateway.start(accepts_unknown=True)
    async with asyncio.timeout(secs(5)):
        error = await asyncio.shield(gateway.failed)
    assert isinstance(error, ConfigError)
    assert "DSN" in gateway.find_fault()
    assert counts("journal_failures_total") == 0
    await gateway.stop()


async def test_store_errors_are_not_failures_of_the_gateway(tmp_path):
    """StoreUnavailable is for the drain to wait out."""
    with pytest.raises(StoreUnavailable):
        await Writer(NOWHERE, None).open(Clock().now())
    async with live_gateway(tmp_path, dsn=NOWHERE) as live:
        await asyncio.sleep(0)
        assert not live.gateway.failed.done()


async def test_publish_shows_what_the_journal_holds(tmp_path):
    """Pending records, bytes and the oldest arrival."""
    counts = Counts()
    async with live_gateway(tmp_path) as live:
        line = await live.connect()
        await line.send(frame(1), frame(2))
        await line.answers(2)
        live.gateway.publish()
        assert counts("journal_pending_packets") == 2
        live.journal.confirm(live.journal.stats().head_seq, 1)
        live.gateway.publish()
        assert counts("journal_pending_packets") == 0
