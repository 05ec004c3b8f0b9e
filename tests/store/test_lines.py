"""A line to the database that fails in the midst of a batch: a fault of the store, told in time and completely."""

import asyncio
import gc
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import asyncpg
import pytest
import uvloop
from tests.proxy import Proxy
from tests.support import secs

from hj212gw.errors import StoreUnavailable
from hj212gw.gateway.rows import make_rows, read_arrival
from hj212gw.protocol import encode_frame
from hj212gw.store.loggers import add_loggers
from hj212gw.store.migrate import migrate
from hj212gw.store.rows import Batch
from hj212gw.store.writer import Writer

NOW = datetime(2026, 3, 1, 4, 0, 5, tzinfo=UTC)
MN = "010000A8900016F000169DC0"
VALUES = ";".join(f"w{number:05d}-Rtd={number}.5,w{number:05d}-Flag=N" for number in range(60))


def make_batch(logger_id, packets):
    """A batch whose readings do not fit what the kernel keeps for a line."""
    rows = []
    for number in range(packets):
        qn = f"{NOW - timedelta(hours=2) + timedelta(seconds=number):%Y%m%d%H%M%S}"
        segment = f"QN={qn}001;ST=32;CN=2011;PW=123456;MN={MN};Flag=5;CP=&&DataTime={qn};{VALUES}&&"
        rows.append(make_rows(read_arrival(encode_frame(segment.encode()), NOW, "127.0.0.1:1"), logger_id=logger_id))
    return Batch(rows, [], [], 0, 1, NOW)


def run(work):
    """Run a coroutine on the event loop of the product; nothing may be left behind that asyncio complains of."""
    complaints = []
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.get_loop().set_exception_handler(lambda _loop, context: complaints.append(context))
        runner.run(work)
        gc.collect()
        runner.run(asyncio.sleep(0))
    assert complaints == []


@asynccontextmanager
async def writing(dsn):
    """A line, a writer at its other end, and the number of a data logger."""
    admin = await asyncpg.connect(dsn)
    await migrate(admin, now=NOW)
    await admin.close()
    async with Proxy(dsn) as line:
        writer = Writer(line.dsn, uuid4(), statement_timeout_secs=1.0)
        await writer.open(NOW)
        yield line, writer, (await add_loggers(writer.numbering, [MN]))[MN]
        line.cut()
        await writer.close()


async def lose_line(dsn, ending):
    """Hold a line up in the midst of the readings, and cut it or leave it so."""
    async with writing(dsn) as (line, writer, logger_id):
        line.hold_at = b"readings_rtd"
        storing = asyncio.create_task(writer.write(make_batch(logger_id, 1500)))
        async with asyncio.timeout(secs(30)):
            while not line.is_held:  # noqa: ASYNC110 - the line tells nobody
                await asyncio.sleep(0.01)
        if ending == "cut":
            await asyncio.sleep(0.05)  # the kernel's room for the line fills up
            line.cut()
        async with asyncio.timeout(10):
            with pytest.raises(StoreUnavailable):
                await storing


@pytest.mark.parametrize("ending", ["cut", "silent"])
def test_line_lost_in_the_midst_of_readings(postgres_dsn, ending):
    """Cut, or silent for longer than a statement may take: the writer says so, and leaves nothing behind."""
    run(lose_line(postgres_dsn, ending))


async def lose_answer(dsn):
    """Cut the line in place of the answer to COMMIT."""
    async with writing(dsn) as (line, writer, logger_id):
        for position, is_repeated in enumerate((False, True)):
            line.cut_after = b"COMMIT;"
            batch = make_batch(logger_id, 3)._replace(after=position, upto=position + 1)
            with pytest.raises(StoreUnavailable):
                await writer.write(batch)
            assert await writer.open(NOW) == position + 1
            outcome = writer.take_unanswered(position + 1)
            assert (outcome.stored, outcome.repeated) == ((0, 3) if is_repeated else (3, 0))
            assert writer.take_unanswered(position + 1) is None
        line.hold_at = b"readings_rtd"
        with pytest.raises(StoreUnavailable):
            await writer.write(make_batch(logger_id, 4)._replace(after=2, upto=3))
        line.go_on()
        assert await writer.open(NOW) == 2
        assert writer.take_unanswered(2) is None
        await writer.write(make_batch(logger_id, 4)._replace(after=2, upto=3))
        assert await writer.open(NOW) == 3
        assert writer.take_unanswered(3) is None, "the answer came, and it was counted by then"


def test_answer_to_commit_lost(postgres_dsn):
    """What was stored is known by the position found afterwards, by plain COPY and by the careful way."""
    run(lose_answer(postgres_dsn))
