"""Processes that tests end, or let fail: `python child.py ACTION DIRECTORY`; what happens is printed line by line."""

import asyncio
import ctypes
import json
import platform
import sys
from pathlib import Path

from hj212gw.journal import Journal, JournalObserver, JournalSettings, Record

MIB = 1024 * 1024
SYSCALLS = {"x86_64": (317, 74, 75), "aarch64": (277, 82, 83)}  # seccomp, fsync, fdatasync


def say(**facts):
    """Print one line; whoever ends this process has read it or never will."""
    sys.stdout.write(json.dumps(facts) + "\n")
    sys.stdout.flush()


def settings_for(directory):
    """Segments so small that many are begun, checkpointed and removed."""
    return JournalSettings(
        directory=Path(directory), max_bytes=64 * MIB, segment_bytes=MIB // 4, keep_secs=0, reserve_bytes=MIB
    )


def make_record(number):
    """A record that can be told from all others."""
    return Record(
        1_700_000_000_000_000 + number, 0, "127.0.0.1:40001", "", f"<{number:010d}>".encode().ljust(300, b".")
    )


async def until(condition):
    """Let the event loop run until something is true."""
    while not condition():  # noqa: ASYNC110 - callbacks of the journal, which are what is tested
        await asyncio.sleep(0)


async def hold(directory):
    """Open the journal and wait to be ended."""
    Journal.open(settings_for(directory))
    say(event="open")
    await asyncio.Event().wait()


async def append(directory, start):
    """Submit numbered records for ever and print the last durable one of each group."""
    durable = 0

    def committed(*_):
        asyncio.get_running_loop().call_soon(lambda: say(durable=durable))

    journal = Journal.open(settings_for(directory), observer=JournalObserver(on_commit=committed))

    def settle(number):
        nonlocal durable
        assert number == durable + 1 or durable == 0
        durable = number

    for number in range(start, 1 << 40):
        journal.submit(make_record(number), lambda number=number: settle(number))
        if number % 20 == 0:
            await asyncio.sleep(0)
        await until(lambda: journal.stats().queued_records <= 400)


def refuse_fsync():
    """Let the kernel answer every later fsync and fdatasync of this process with EIO."""
    seccomp, fsync, fdatasync = SYSCALLS[platform.machine()]

    class Instruction(ctypes.Structure):
        _fields_ = (("code", ctypes.c_uint16), ("jt", ctypes.c_uint8), ("jf", ctypes.c_uint8), ("k", ctypes.c_uint32))

    class Program(ctypes.Structure):
        _fields_ = (("length", ctypes.c_uint16), ("filter", ctypes.POINTER(Instruction)))

    instructions = (Instruction * 5)(
        Instruction(0x20, 0, 0, 0),
        Instruction(0x15, 2, 0, fsync),
        Instruction(0x15, 1, 0, fdatasync),
        Instruction(0x06, 0, 0, 0x7FFF0000),
        Instruction(0x06, 0, 0, 0x00050005),
    )
    libc = ctypes.CDLL(None, use_errno=True)
    assert libc.prctl(38, 1, 0, 0, 0) == 0
    program = Program(5, instructions)
    assert libc.syscall(seccomp, 1, 1, ctypes.byref(program)) == 0, ctypes.get_errno()


async def fail_fsync(directory):
    """Make one record durable, let fsync fail, submit another."""
    failed = asyncio.Event()
    durable = []
    journal = Journal.open(settings_for(directory), observer=JournalObserver(on_failure=lambda _: failed.set()))
    journal.submit(make_record(1), lambda: durable.append(1))
    await until(lambda: durable)
    refuse_fsync()
    journal.submit(make_record(2), lambda: durable.append(2))
    await failed.wait()
    failure = journal.failure
    await journal.close()
    say(durable=durable, failure=type(failure).__name__, text=str(failure))


if __name__ == "__main__":
    actions = {
        "hold": lambda: hold(sys.argv[2]),
        "append": lambda: append(sys.argv[2], int(sys.argv[3])),
        "fail-fsync": lambda: fail_fsync(sys.argv[2]),
    }
    asyncio.run(actions[sys.argv[1]]())
