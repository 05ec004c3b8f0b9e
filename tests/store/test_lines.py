"""A line to the database that fails in the midst of a batch: a fault of the store, told in time and completely."""

import asyncio
import gc
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import asyncpg
import pytest
import uvloop
from tests.proxy import Proxy

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


async def lose_line(dsn, ending):
    """Hold a line up in the midst of the readings, and cut it or leave it so; return what asyncio complained of."""
    loop = asyncio.get_running_loop()
    complaints = []
    loop.set_exception_handler(lambda _loop, context: complaints.append(context))
    admin = await asyncpg.connect(dsn)
    await migrate(admin, now=NOW)
    await admin.close()
    async with Proxy(dsn) as proxy:
        writer = Writer(proxy.dsn, uuid4(), statement_timeout_secs=1.0)
        await writer.open(NOW)
        logger_id = (await add_loggers(writer.numbering, [MN]))[MN]
        proxy.hold_at = b"readings_rtd"
        storing = asyncio.create_task(writer.write(make_batch(logger_id, 1500)))
        while not proxy.is_held:  # noqa: ASYNC110 - the line tells nobody
            await asyncio.sleep(0.01)
        if ending == "cut":
            await asyncio.sleep(0.05)  # the kernel's room for the line fills up
            proxy.cut()
        async with asyncio.timeout(10):
            with pytest.raises(StoreUnavailable):
                await storing
        proxy.cut()
        await writer.close()
    del storing, writer
    gc.collect()
    await asyncio.sleep(0)
    return complaints


@pytest.mark.parametrize("ending", ["cut", "silent"])
def test_line_lost_in_the_midst_of_readings(postgres_dsn, ending):
    """Cut, or silent for longer than a statement may take: the writer says so, and leaves nothing behind."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        assert runner.run(lose_line(postgres_dsn, ending)) == []
