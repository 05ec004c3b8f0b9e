"""Tests of what the store's connections do to the loop they run on."""

import asyncio
import gc
import logging

import asyncpg
import pytest

from hj212gw.store.pool import quiet_lost_lines

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
