"""Tests of what the store's connections do to the loop they run on, and of what is said of one that is not had."""

import asyncio
import gc
import logging
import socket
import ssl

import asyncpg
import pytest
from tests.gateway.support import on_both_loops

from hj212gw.errors import StoreUnavailable
from hj212gw.store.places import find_place
from hj212gw.store.pool import connect, describe, quiet_lost_lines

LOST = asyncpg.ConnectionDoesNotExistError("connection was closed in the middle of operation")


async def fail():
    """A task that nobody looks at."""
    raise LOST


def leave(loop, error):
    """A future that nobody looks at."""
    loop.create_future().set_exception(error)


@pytest.mark.parametrize(
    ("is_task", "error", "count"),
    [
        pytest.param(False, LOST, 0, id="left by asyncpg"),
        pytest.param(False, ValueError("of ours"), 1, id="left by others"),
        pytest.param(True, LOST, 1, id="a task of ours"),
    ],
)
def test_only_futures_of_lost_lines_are_passed_by(caplog, is_task, error, count):
    """What asyncpg leaves behind says nothing new; tasks and other errors are told."""
    with asyncio.Runner() as runner, caplog.at_level(logging.ERROR, "asyncio"):
        loop = runner.get_loop()
        quiet_lost_lines(loop)
        if is_task:
            loop.create_task(fail())
        else:
            leave(loop, error)
        runner.run(asyncio.sleep(0))
        gc.collect()
        assert len(caplog.records) == count


AWAY = [
    ("postgresql://u:hunter2@127.0.0.1:1/x", "127.0.0.1:1: Connection refused"),
    ("postgresql://u:hunter2@nowhere.invalid/x", "nowhere.invalid:5432: {unknown}"),
    ("postgresql:///x?host={folder}&port=5433&user=u", "{folder}/.s.PGSQL.5433: No such file or directory"),
]


@on_both_loops
@pytest.mark.parametrize(("dsn", "words"), AWAY, ids=["refused", "unknown", "socket"])
async def test_connection_that_is_not_had_is_told_with_its_place(tmp_path, dsn, words):
    """In the system's words, not by its numbers."""
    with pytest.raises(socket.gaierror) as unknown:
        socket.getaddrinfo("nowhere.invalid", 5432)
    with pytest.raises(StoreUnavailable) as caught:
        await connect(dsn.format(folder=tmp_path), name="test")
    words = words.format(folder=tmp_path, unknown=unknown.value.strerror)
    assert str(caught.value) == f"no connection to the database: {words}"


PLACES = [
    ("postgresql://u:p@ss@db.example:6432/x", "db.example:6432"),
    ("postgresql://u@a,b:6432/x", "a:5432, b:6432"),
    ("postgresql://u@[::1]/x", "[::1]:5432"),
    ("postgresql://u@[::1]:6432/x", "[::1]:6432"),
    ("postgresql://u@%2Ftmp%2Fpg/x?port=6432", "/tmp/pg/.s.PGSQL.6432"),
    ("postgresql://u:12/hunter2@db.example/x", ""),
    ("postgresql://u:12?hunter2@db.example/x", ""),
    ("postgresql://u:12#hunter2@db.example/x", ""),
    ("postgresql://[u@db/x", ""),
    ("postgresql:///x?password=hunter2", ""),
]


@pytest.mark.parametrize(("dsn", "place"), PLACES)
def test_place_holds_no_secret(dsn, place):
    """Where a part of a password could be taken for an address there is none."""
    assert find_place(dsn) == place


def test_errors_that_are_not_the_systems_keep_their_names():
    """With SQLSTATE, if any."""
    assert describe(asyncpg.DiskFullError("no room")) == "DiskFullError 53100: no room"
    assert describe(ssl.SSLError(1, "[SSL] bad certificate")) == "SSLError: [SSL] bad certificate"
    assert describe(ConnectionError("rejected SSL upgrade")) == "ConnectionError: rejected SSL upgrade"
    assert describe(TimeoutError(), "postgresql://u@db/x") == "db:5432: no answer in time"
