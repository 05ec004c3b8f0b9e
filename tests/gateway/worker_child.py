"""A worker that takes no packets: it speaks the supervisor's line and does what its handover says.

`do` is a list of what its lives do, one after the other, the last one again and again; `notes` a folder for what
happened to it.
"""

import asyncio
import os
import signal
import sys
from pathlib import Path

from hj212gw.gateway.control import Report, WorkerLine, read_handover
from hj212gw.merging import Snapshot


async def run(notes, worker, deed, number):
    """Live one life."""
    loop = asyncio.get_running_loop()
    heard = notes / f"{worker}.hup"
    loop.add_signal_handler(signal.SIGHUP, lambda: heard.write_text("heard"))
    line = await WorkerLine.open()
    counted = Snapshot({"hj212gw_frames_received_total": 10.0}, {"hj212gw_journal_pending_packets": 5.0})
    fault = "its journal is full" if deed == "ill" else None
    line.begin("127.0.0.1:1", lambda: Report(fault, counted))
    if deed == "die":
        while not (notes / f"{worker}.die{number}").exists():  # noqa: ASYNC110 - a file has no event
            await asyncio.sleep(0.01)
        os.kill(os.getpid(), signal.SIGKILL)
    if deed == "babble":
        line._writer.write(b"what is no document\n")
    why = await line.stopped
    if deed == "stay":
        loop.add_signal_handler(signal.SIGTERM, lambda: None)
        await asyncio.sleep(600)
    (notes / f"{worker}.end").write_text(why)
    line.tell(Report("stopping", counted))
    await line.close()


def main():
    """Find out which life this is."""
    handover = read_handover()
    notes = Path(handover.journals)
    lives = list(notes.glob(f"{handover.worker}.life*"))
    (notes / f"{handover.worker}.life{len(lives)}").write_text(str(os.getpid()))
    deeds = handover.overrides["do"]
    deed = deeds[min(len(lives), len(deeds) - 1)]
    if deed.startswith("exit"):
        sys.exit(int(deed.split()[1]))
    asyncio.run(run(notes, handover.worker, deed, len(lives)))


main()
