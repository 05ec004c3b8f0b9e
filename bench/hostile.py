"""Well-behaved data loggers beside hostile ones: how long they wait for their answers, and what it costs.

    python bench/hostile.py [--inputs 1000000] [--connections 40] [--slow 200] [--loggers 50] [--kinds crc,shapes] [--json]

A process of its own sends hostile inputs over many connections from 127.0.0.2: mutated and cut frames, noise, frames
that lie about their length, wrong CRCs, frames of made-up data loggers, of made-up shapes, of 4 kB, with nasty text,
connections that send a byte at a time and half-closed ones. Data loggers at 127.0.0.1 send a packet a second each and
wait for its answer. Prints p50, p99 and the longest of their waits, before and during, and the gateway's memory and CPU.
"""

import argparse
import asyncio
import itertools
import os
import random
import statistics
import subprocess
import sys
import time
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from figures import cpu_secs, print_figures
from up import running_gateway

from hj212gw.protocol import encode_frame
from hj212gw.protocol.times import format_data_time, format_qn

FACTORS = ("w01018", "w21003", "w01001", "w00000")
CHUNK_INPUTS = 20  # inputs of one write
RECONNECT_INPUTS = 2000  # inputs of one connection
SLOW_SECS = 0.2  # between two bytes of a slow sender
NASTY = "\x1b[2J\n\r\0=cmd|'/c calc'!A1';DROP TABLE x;--%s{}\U0001f4a9\u2028"


def make_frame(mn, number, cp=None, flag=5):
    """One upload; `number` makes it distinct."""
    now = datetime.now(UTC)
    values = cp or ";".join(f"{code}-Rtd={number % 90 + 0.25},{code}-Flag=N" for code in FACTORS)
    qn = f"{format_qn(now)[:14]}{number % 1000:03d}"
    head = f"QN={qn};ST=32;CN=2011;PW=123456;MN={mn};Flag={flag};CP=&&DataTime={format_data_time(now)};"
    return encode_frame((head + values + "&&").encode())


def make_mutated(number, chance):
    """A good frame with some bytes changed, taken out or put in."""
    raw = bytearray(make_frame(f"M{number % 500}", number))
    for _ in range(chance.randrange(1, 6)):
        at = chance.randrange(len(raw))
        raw[at : at + chance.randrange(3)] = chance.randbytes(chance.randrange(3))
    return bytes(raw)


def make_noise(_number, chance):
    """Bytes of no protocol, or of another."""
    return chance.choice((chance.randbytes(300), b"GET / HTTP/1.1\r\n\r\n", b"#" * 100, b"\0" * 64, b"&&1C80\r\n"))


def make_lie(number, chance):
    """A frame whose length is not what it declares."""
    raw = make_frame(f"M{number % 500}", number)
    return b"##%04d" % chance.randrange(10_000) + raw[6:]


def make_wrong_crc(number, _chance):
    """A frame with a wrong CRC."""
    return make_frame(f"M{number % 500}", number)[:-6] + b"0000\r\n"


def make_unknown(number, _chance):
    """A good frame of a data logger that does not exist, another each time."""
    return make_frame(f"X{number:013d}", number)


def make_shape(number, _chance):
    """A good frame with factors nobody has, sixteen times the same so that it is learnt."""
    names = ";".join(f"z{number // 17:05x}{place:x}-Rtd=1.5,z{number // 17:05x}{place:x}-Flag=N" for place in range(30))
    return make_frame(f"M{number % 50}", number, names)


def make_huge(number, _chance):
    """A good frame of nearly 4 kB."""
    return make_frame(f"M{number % 50}", number, ";".join(f"w{place:05d}-Rtd={number % 97}.5" for place in range(180)))


def make_odd(number, _chance):
    """A good frame full of what has to be warned of."""
    cp = ";".join(f"q{number % 1000:03d}{place}-Rtd=NaN,q{place}-Foo=x{number}" for place in range(20))
    return make_frame(f"O{number % 500}", number, cp, flag=7)


def make_nasty(number, _chance):
    """A good frame with text that is meant for terminals, spreadsheets and databases."""
    return make_frame(f"N{number % 50}", number, f"w01018-Rtd={NASTY},w01018-Flag={NASTY};{NASTY}-Rtd=1")


KINDS = {
    "mutated": make_mutated,
    "noise": make_noise,
    "lie": make_lie,
    "crc": make_wrong_crc,
    "unknown": make_unknown,
    "shapes": make_shape,
    "huge": make_huge,
    "odd": make_odd,
    "nasty": make_nasty,
}


async def flood(options, numbers, sent):
    """Send inputs over one connection after the other, until there are no more; half of them end half-closed."""
    host, port = options.address.rsplit(":", 1)
    makers = [KINDS[kind] for kind in options.kinds.split(",")] if options.kinds else list(KINDS.values())
    chance = random.Random(id(sent) ^ next(numbers))
    while sent[0] < options.inputs:
        with suppress(OSError, asyncio.TimeoutError):
            reader, writer = await asyncio.open_connection(host, int(port), local_addr=("127.0.0.2", 0))
            reading = asyncio.ensure_future(swallow(reader))
            try:
                for _ in range(RECONNECT_INPUTS // CHUNK_INPUTS):
                    count = min(CHUNK_INPUTS, options.inputs - sent[0])
                    sent[0] += count
                    writer.write(b"".join(chance.choice(makers)(next(numbers), chance) for _ in range(count)))
                    await writer.drain()
                    await asyncio.sleep(0)
                if chance.random() < 0.5:
                    writer.write_eof()
            finally:
                reading.cancel()
                writer.close()


async def swallow(reader):
    """Take answers and drop them."""
    with suppress(OSError):
        while await reader.read(65536):
            pass


async def dribble(options, number):
    """Send frames a byte at a time, for ever."""
    host, port = options.address.rsplit(":", 1)
    while True:
        with suppress(OSError):
            reader, writer = await asyncio.open_connection(host, int(port), local_addr=("127.0.0.2", 0))
            reading = asyncio.ensure_future(swallow(reader))
            try:
                for byte in make_frame(f"S{number}", number):
                    writer.write(bytes([byte]))
                    await asyncio.sleep(SLOW_SECS)
            finally:
                reading.cancel()
                writer.close()
        await asyncio.sleep(SLOW_SECS)


async def be_hostile(options):
    """Send all inputs, then end."""
    numbers, sent = itertools.count(), [0]
    slow = [asyncio.create_task(dribble(options, number)) for number in range(options.slow)]
    await asyncio.gather(*(flood(options, numbers, sent) for _ in range(options.connections)))
    for task in slow:
        task.cancel()
    await asyncio.wait(slow or [asyncio.create_task(asyncio.sleep(0))])
    print(sent[0])


async def behave(address, number, waits, is_over):
    """Send a packet a second and note how long its answer takes."""
    host, port = address.rsplit(":", 1)
    reader, writer = await asyncio.open_connection(host, int(port))
    await asyncio.sleep(number % 50 / 50)
    count = 0
    while not is_over.is_set():
        began = time.perf_counter()
        writer.write(make_frame(f"010000A8900016F0{number:08d}", count))
        await reader.readuntil(b"\r\n")
        waited = time.perf_counter() - began
        waits.append(waited)
        count += 1
        with suppress(TimeoutError):
            await asyncio.wait_for(is_over.wait(), max(0.0, 1 - waited))
    writer.close()


async def watch(address, loggers, is_done, least_secs):
    """Run the well-behaved ones until the others are done; return their waits, sorted."""
    waits, is_over = [], asyncio.Event()
    running = [asyncio.create_task(behave(address, number, waits, is_over)) for number in range(loggers)]
    began = time.monotonic()
    while time.monotonic() - began < least_secs or not is_done():  # another process's end has no event
        await asyncio.sleep(0.1)
        for task in running:
            if task.done():
                task.result()
    is_over.set()
    await asyncio.gather(*running)
    return sorted(waits)


def quantiles(waits, name):
    """Name p50, p99 and the longest, milliseconds."""
    return {
        f"{name}_ack_p50_ms": round(statistics.median(waits) * 1000, 1),
        f"{name}_ack_p99_ms": round(waits[int(len(waits) * 0.99)] * 1000, 1),
        f"{name}_ack_max_ms": round(waits[-1] * 1000, 1),
    }


def memory_mb(pid):
    """Resident memory of a process."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def measure(options, ready):
    """Run one measurement against a started gateway."""
    address, pid = ready["gateway"], ready["pid"]
    quiet = asyncio.run(watch(address, options.loggers, lambda: True, options.quiet_secs))
    memory, cpu, began = memory_mb(pid), cpu_secs(pid), time.monotonic()
    command = [sys.executable, __file__, "--address", address, *sys.argv[1:]]
    # Sessions of their own: Linux shares a machine's cores between sessions, and the hostile ones are elsewhere.
    hostile = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True)
    try:
        waits = asyncio.run(watch(address, options.loggers, lambda: hostile.poll() is not None, 1))
    finally:
        if hostile.poll() is None:
            hostile.kill()
        out = hostile.communicate()[0]
    secs = time.monotonic() - began
    return {
        "hostile_inputs": int(out),
        "hostile_inputs_per_sec": round(int(out) / secs),
        "well_behaved_packets": len(waits),
        **quantiles(quiet, "quiet"),
        **quantiles(waits, "hostile"),
        "gateway_mb_before": round(memory, 1),
        "gateway_mb_after": round(memory_mb(pid), 1),
        "gateway_cpu_share": round((cpu_secs(pid) - cpu) / secs, 2),
        "load_average": round(os.getloadavg()[0], 2),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--inputs", type=int, default=1_000_000)
    parser.add_argument("--connections", type=int, default=40, help="that flood")
    parser.add_argument("--slow", type=int, default=200, help="connections that send a byte at a time")
    parser.add_argument("--loggers", type=int, default=50, help="well-behaved ones")
    parser.add_argument("--kinds", default="", help=f"of {','.join(KINDS)}; all unless given")
    parser.add_argument("--unknown", default="accept", choices=("accept", "hold"), help="what unknown MNs meet")
    parser.add_argument("--quiet-secs", type=float, default=10)
    parser.add_argument("--dsn", help="an empty database to use in place of the embedded one")
    parser.add_argument("--address", help=argparse.SUPPRESS)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    if options.address:
        asyncio.run(be_hostile(options))
        return
    unknown = {"HJ212GW_GATEWAY__UNKNOWN_MN": options.unknown}
    with running_gateway(options.dsn, unknown, own_session=True) as ready:
        figures = measure(options, ready)
    print_figures(figures, as_json=options.json)


if __name__ == "__main__":
    main()
