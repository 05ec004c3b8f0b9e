"""How a gateway ends: in order, forced, or because it cannot go on; with the exit code and words for it."""

import asyncio
import signal
import socket

import asyncpg
import pytest
from tests.support import (
    GatewayProcess,
    Logger,
    assert_conserved,
    assert_exactly_once,
    running_loggers,
    wait_acked,
    wait_until,
)

ACCEPT = ("--unknown-mn", "accept")
NOWHERE = "postgresql://nobody@127.0.0.1:1/nothing"


def exits(gateway, timeout=30):
    """Start a gateway that cannot run; return its exit code and what it said."""
    gateway.launch()
    return gateway.wait(timeout), gateway.log()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_signal_stops_in_order_under_load(serve, dsn, number):
    """What was taken is answered, kept and stored; the senders find nothing missing afterwards."""
    gateway = serve(dsn, *ACCEPT)
    await asyncio.to_thread(gateway.start)
    async with running_loggers([Logger(f"STOP{number:010d}", gateway.port) for number in range(4)]) as loggers:
        await wait_acked(loggers, 500)
        gateway.process.send_signal(number)
        assert await asyncio.to_thread(gateway.wait) == 0
        log = gateway.log()
        assert f"stopping on {number.name}" in log
        assert '"pending_packets": 0, "event": "gateway.stopped"' in log
        await asyncio.to_thread(gateway.start)
    frames = [frame for logger in loggers for frame in logger.acked]
    await assert_exactly_once(dsn, frames)
    await assert_conserved(gateway, is_first=False)
    assert await asyncio.to_thread(gateway.stop) == 0


@pytest.mark.slow
@pytest.mark.faults
async def test_second_signal_forces(serve, database):
    """An operator who does not want to wait for the database need not; what was acknowledged is kept."""
    await database.start(migrated=True)
    gateway = serve(database.dsn, *ACCEPT, gateway__stop_timeout_secs=600)
    await asyncio.to_thread(gateway.start)
    async with running_loggers([Logger("FORCE000000001", gateway.port)]) as loggers:
        await wait_acked(loggers, 200)
        database.freeze()
        await wait_acked(loggers, 200)
        gateway.process.send_signal(signal.SIGTERM)
        await wait_until(lambda: is_refused(gateway.port))
        assert gateway.process.poll() is None
        gateway.process.send_signal(signal.SIGTERM)
        assert await asyncio.to_thread(gateway.wait, 5) == 1
        database.thaw()
        await asyncio.to_thread(gateway.start)
    await assert_exactly_once(database.dsn, loggers[0].acked)
    await assert_conserved(gateway, is_first=False)
    assert await asyncio.to_thread(gateway.stop) == 0


async def is_refused(port):
    """Whether nobody listens on a port."""
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return True
    writer.close()
    return False


async def test_port_that_is_taken_is_named(serve):
    """Exit 3, the address, and a next step; for the gateway's port and for HTTP's."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        gateway = serve(NOWHERE, folder="first")
        gateway.port = port
        code, log = exits(gateway)
        assert (code, f"cannot listen on 127.0.0.1:{port}" in log) == (3, True), log
        assert "config show" in log
        code, log = exits(serve(NOWHERE, "--http", f"127.0.0.1:{port}", folder="second"))
        assert (code, f"cannot listen on 127.0.0.1:{port}" in log) == (3, True), log


async def test_wrong_settings_exit_3(serve):
    """Before a port opens or a file is made."""
    gateway = serve(NOWHERE, gateway__idle_timeout_secs=1)
    code, log = exits(gateway)
    assert (code, "gateway.idle_timeout_secs" in log) == (3, True), log
    assert not (gateway.folder / "data").exists()


async def test_journal_in_use_is_refused(serve):
    """Exit 1, and the message names the process that has it; that one goes on."""
    first = serve(NOWHERE)
    await asyncio.to_thread(first.start)
    second = GatewayProcess(first.folder, "serve", "--dsn", NOWHERE)
    second.log_file, second.ready_file = first.folder / "second.log", first.folder / "second.json"
    code, log = exits(second)
    assert (code, f"in use by process {first.ready['pid']}" in log) == (1, True), log
    assert (await asyncio.to_thread(first.get, "/readyz"))[0] == 200
    assert await asyncio.to_thread(first.stop) == 0


async def test_journal_of_another_database_stops_the_gateway(serve, dsn):
    """A journal that is older than what the database has of it is no place to go on: exit 1 with the next step."""
    gateway = serve(dsn, *ACCEPT)
    await asyncio.to_thread(gateway.start)
    async with running_loggers([Logger("OLDCOPY0000001", gateway.port)]) as loggers:
        await wait_acked(loggers, 50)
    await assert_exactly_once(dsn, loggers[0].acked)
    connection = await asyncpg.connect(dsn)
    assert await asyncio.to_thread(gateway.stop) == 0
    await connection.execute("UPDATE hj212.journals SET position = position + 100000")
    await connection.close()
    code, log = await asyncio.to_thread(exits, gateway)
    assert (code, "old copy of the journal" in log) == (1, True), log
