"""The gateway itself ends, at once and again and again; and the load check, in the short form that runs everywhere."""

import asyncio
import json
import os
import random
import sys

import pytest
from tests.faults.scene import ACCEPT, LONG, scene
from tests.support import secs

pytestmark = [pytest.mark.slow, pytest.mark.faults]

KILLS = int(os.environ.get("HJ212_TEST_KILLS", "20" if LONG else "3"))
LOAD_SECS = 60 if LONG else 4


async def test_acked_packets_survive_kill(serve, dsn):
    """Killed at random moments under load: all that any sender saw acknowledged is stored once."""
    rng = random.Random(7)
    mns = [f"KILL{number:010d}" for number in range(8)]
    async with scene(serve(dsn, *ACCEPT), mns=mns) as gateway:
        for _ in range(KILLS):
            await gateway.acks(50)
            await asyncio.sleep(rng.uniform(0, 0.4))  # the random moment
            await gateway.restarts(killed=True)
        await gateway.acks(50)
    assert len(gateway.acked) > 50 * KILLS


async def test_load_is_acknowledged_and_stored_once(serve, dsn):
    """`hj212-sim load` with storms of connections finds every acknowledged packet and reading in the database, once."""
    gateway = serve(dsn, *ACCEPT)
    await asyncio.to_thread(gateway.start)
    options = ["--rate", 1000, "--duration", LOAD_SECS, "--connections", 10, "--loggers", 60, "--cn", "2011,2061"]
    options += ["--reconnect-storm", LOAD_SECS / 3, "--dsn", dsn, "--json", "--quiet", "--port", gateway.port]
    program = (sys.executable, "-c", "from hj212sim.cli import main; main()", "load")
    process = await asyncio.create_subprocess_exec(
        *program, *map(str, options), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    try:
        async with asyncio.timeout(secs(60 + 2 * LOAD_SECS)):
            out, err = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
    assert process.returncode == 0, err.decode() + out.decode()
    report = json.loads(out)
    assert report["acked"] == report["sent"] == report["check"]["packets_stored"] > 500 * LOAD_SECS
    assert report["check"]["faults"] == []
    assert await asyncio.to_thread(gateway.stop) == 0
