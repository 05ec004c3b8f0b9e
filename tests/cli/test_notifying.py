"""A service tells systemd when it is ready, that it lives, and that it stops: heard on a real socket."""

import asyncio
import os
import socket
import subprocess
import sys

import pytest
from tests.support import GatewayProcess, secs, wait_for

from hj212gw.cli.notifying import announced, find_watchdog_secs, notify

SHORT_SECS = 0.3


@pytest.fixture
def manager(tmp_path):
    """A service manager's socket."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as line:
        line.bind(str(tmp_path / "notify"))
        line.settimeout(secs(30))
        yield line


def hear(manager):
    """The fields of the next message."""
    return manager.recv(4096).decode().splitlines()


def hear_until(manager, field):
    """All messages up to one with a field."""
    heard = []
    while not heard or field not in heard[-1]:
        heard.append(hear(manager))
    return heard


def environment_of(manager, watchdog_secs=None):
    """What systemd gives a service."""
    env = {"NOTIFY_SOCKET": manager.getsockname()}
    return env | ({"WATCHDOG_USEC": str(int(watchdog_secs * 1_000_000))} if watchdog_secs else {})


def test_message_reaches_the_manager(manager):
    """Fields are lines of one datagram."""
    assert notify("READY=1", "STATUS=listening", environ=environment_of(manager))
    assert hear(manager) == ["READY=1", "STATUS=listening"]


def test_abstract_socket():
    """An address that begins with @ is an abstract one."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as line:
        line.bind(f"\0hj212-test-{os.getpid()}")
        line.settimeout(secs(30))
        assert notify("READY=1", environ={"NOTIFY_SOCKET": f"@hj212-test-{os.getpid()}"})
        assert line.recv(100) == b"READY=1"


@pytest.mark.parametrize("address", [None, "", "relative", "/nowhere/notify"])
def test_without_a_manager_nothing_happens(address):
    """No manager, or one that does not listen, is no fault."""
    assert not notify("READY=1", environ={} if address is None else {"NOTIFY_SOCKET": address})


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "30000000"}, 30.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": str(os.getpid())}, 30.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
    ],
)
def test_watchdog_is_for_whom_it_names(environ, expected):
    """Another process's watchdog is not ours."""
    assert find_watchdog_secs(environ) == expected


async def test_hanging_loop_gives_no_sign_of_life(manager, monkeypatch):
    """While the event loop is held up nothing is sent; when it goes on, signs come again, and the end is told."""
    for name, value in environment_of(manager, SHORT_SECS).items():
        monkeypatch.setenv(name, value)
    async with announced("here"):
        assert hear(manager)[0] == "READY=1"
        await asyncio.sleep(0)
        assert hear(manager) == ["WATCHDOG=1"]
        manager.settimeout(3 * SHORT_SECS)
        with pytest.raises(TimeoutError):
            hear(manager)  # holds the loop up
        manager.settimeout(secs(30))
        assert await asyncio.to_thread(hear, manager) == ["WATCHDOG=1"]
    assert hear_until(manager, "STOPPING=1")


@pytest.mark.parametrize("workers", [1, 2])
def test_gateway_is_ready_when_it_listens(manager, tmp_path, workers):
    """READY comes when a connection is taken, signs of life follow, a stop is told at once."""
    options = ("--dsn", "postgresql://nobody@127.0.0.1:1/nothing", "--workers", str(workers))
    gateway = GatewayProcess(tmp_path, "serve", *options, env=environment_of(manager, SHORT_SECS))
    gateway.launch()
    try:
        ready = hear(manager)
        assert ready[0] == "READY=1"
        port = int(ready[1].rpartition(":")[2])
        with socket.create_connection(("127.0.0.1", port), timeout=secs(10)):
            assert hear_until(manager, "WATCHDOG=1")
            assert hear_until(manager, "WATCHDOG=1")
        assert gateway.stop() == 0
        heard = hear_until(manager, "STOPPING=1")
        assert all(fields == ["WATCHDOG=1"] for fields in heard[:-1])
    finally:
        if gateway.process.poll() is None:
            gateway.kill()


def test_gateway_that_cannot_listen_is_never_ready(manager, tmp_path):
    """A port that is taken: exit, and READY was not said."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        gateway = GatewayProcess(
            tmp_path, "serve", "--dsn", "postgresql://nobody@127.0.0.1:1/nothing", env=environment_of(manager)
        )
        gateway.port = taken.getsockname()[1]
        gateway.launch()
        assert gateway.wait() != 0
    manager.settimeout(0.1)
    with pytest.raises(TimeoutError):
        hear(manager)


def test_aggregator_tells_as_well(manager, tmp_path):
    """The other service of systemd is told of in the same way."""
    command = [sys.executable, "-m", "hj212gw", "aggregate", "--http", "127.0.0.1:0"]
    command += ["--dsn", "postgresql://nobody@127.0.0.1:1/nothing"]
    process = subprocess.Popen(
        command, env={**os.environ, **environment_of(manager, SHORT_SECS)}, stderr=subprocess.DEVNULL
    )
    try:
        assert hear(manager)[0] == "READY=1"
        assert hear_until(manager, "WATCHDOG=1")
        process.terminate()
        assert hear_until(manager, "STOPPING=1")
        wait_for(lambda: process.poll() is not None)
        assert process.returncode == 0
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
