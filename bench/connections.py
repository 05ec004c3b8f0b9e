"""Many data loggers at a time: what a connection costs, how long answers take, and how a restart goes.

    python bench/connections.py [--loggers 10000] [--every 30] [--secs 60] [--processes 4] [--json]

Each logger keeps a connection of its own and sends a packet every 30 s. Prints the gateway's memory a connection
(resident size with all connected and heard, less what it was with one, over their number), the ack latencies of
`--secs` seconds, and, after a `kill -9` of the gateway, how long it takes until every logger is connected and
acknowledged again. Each process of senders has a share of the loggers; the figures are the gateway's alone.
"""

import argparse
import asyncio
import multiprocessing
import random
import resource
import time
from datetime import UTC, datetime

from stage import (
    GatewayProcess,
    count_files,
    count_packets,
    describe_machine,
    own_database,
    print_figures,
    wait_drained,
)

from hj212gw.protocol import encode_frame
from hj212gw.protocol.times import format_data_time, format_qn

RECONNECT_SECS = 3.0  # within which all come back after a cut
VALUES = ";".join(f"{code}-Rtd=12.5,{code}-Flag=N" for code in ("w01018", "w21003", "w21011", "w01001", "w00000"))


class Logger(asyncio.Protocol):
    """One data logger: a packet at its turn, again on a new connection what was not acknowledged."""

    __slots__ = ("_frame", "_number", "_sent_at", "_share", "_transport", "acked_at", "mn")

    def __init__(self, share, number):
        self._share = share
        self._number = number
        self.mn = f"CONN{number:010d}"
        self._transport = None
        self._frame = None
        self._sent_at = 0.0
        self.acked_at = 0.0

    def connection_made(self, transport):
        """Send what is due."""
        self._transport = transport
        self._share.connected += 1
        if self._frame is not None or self._share.is_hurried:
            self.send()

    def send(self):
        """Send the packet of this turn, or the last one again."""
        if self._frame is None:
            now = datetime.now(UTC)
            segment = (
                f"QN={format_qn(now)};ST=32;CN=2011;PW=123456;MN={self.mn};Flag=5;"
                f"CP=&&DataTime={format_data_time(now)};{VALUES}&&"
            )
            self._frame = encode_frame(segment.encode())
            self._share.sent += 1
        if self._transport is not None:
            self._sent_at = time.monotonic()
            self._transport.write(self._frame)

    def data_received(self, data):
        """Take the answer."""
        if self._frame is not None and b"CN=9014" in data:
            self._frame = None
            self.acked_at = time.monotonic()
            self._share.acked += 1
            self._share.latencies.append(self.acked_at - self._sent_at)

    def connection_lost(self, _exc):
        """Come back, as all do, within a few seconds."""
        self._share.connected -= 1
        self._transport = None
        self._share.again(self, random.uniform(0.1, RECONNECT_SECS))


class Share:
    """The loggers of one process."""

    def __init__(self, port, numbers, every_secs):
        self.port, self.numbers, self.every_secs = port, numbers, every_secs
        self.connected = self.sent = self.acked = 0
        self.latencies = []
        self.is_hurried = False
        self.loggers = [Logger(self, number) for number in numbers]
        self.tasks = set()

    def again(self, logger, secs):
        """Connect a logger after a while."""
        asyncio.get_running_loop().call_later(secs, self._spawn, logger)

    def _spawn(self, logger):
        task = asyncio.ensure_future(self._connect(logger))
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def _connect(self, logger):
        try:
            await asyncio.get_running_loop().create_connection(lambda: logger, "127.0.0.1", self.port)
        except OSError:
            self.again(logger, random.uniform(0.1, RECONNECT_SECS))

    async def send_for_ever(self):
        """Give every logger its turn, evenly."""
        loop = asyncio.get_running_loop()
        due = loop.time()
        gap = self.every_secs / len(self.loggers)
        while True:
            for logger in self.loggers:
                due += gap
                await asyncio.sleep(max(0.0, due - loop.time()))
                logger.send()

    async def run(self, pipe):
        """Answer the parent until it hangs up."""
        loop = asyncio.get_running_loop()
        over = loop.create_future()
        marked_at = 0.0
        sending = None

        def hear():
            nonlocal marked_at, sending
            try:
                word = pipe.recv()
            except EOFError:
                loop.remove_reader(pipe.fileno())
                over.set_result(None)
                return
            if word == "connect":
                for place, logger in enumerate(self.loggers):
                    self.again(logger, 5.0 * place / len(self.loggers))
            elif word == "send":
                sending = asyncio.ensure_future(self.send_for_ever())
            elif word == "mark":
                marked_at, self.latencies, self.is_hurried = time.monotonic(), [], True
            acked = sum(logger.acked_at > marked_at for logger in self.loggers)
            told = {"connected": self.connected, "acked": acked, "sent": self.sent, "acks": self.acked}
            pipe.send((told, self.latencies if word == "latencies" else None))

        loop.add_reader(pipe.fileno(), hear)
        await over


def run_share(pipe, port, numbers, every_secs):
    """Run one process."""
    import uvloop  # noqa: PLC0415 - the parent does without

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(Share(port, numbers, every_secs).run(pipe))


class Crowd:
    """All senders, seen from the parent."""

    def __init__(self, port, options):
        context = multiprocessing.get_context("spawn")
        self.pipes, self.processes = [], []
        for number in range(options.processes):
            ours, theirs = context.Pipe()
            numbers = range(number, options.loggers, options.processes)
            process = context.Process(target=run_share, args=(theirs, port, numbers, options.every), daemon=True)
            process.start()
            theirs.close()
            self.pipes.append(ours)
            self.processes.append(process)

    def ask(self, word="tell"):
        """Tell every process a word; return the sums and the latencies."""
        for pipe in self.pipes:
            pipe.send(word)
        told = [pipe.recv() for pipe in self.pipes]
        sums = {name: sum(counts[name] for counts, _ in told) for name in told[0][0]}
        return sums, [value for _, values in told for value in values or ()]

    async def wait(self, condition, timeout_secs):
        """Wait until a condition on the sums holds; return the seconds it took."""
        began = time.monotonic()
        while not condition(self.ask()[0]):
            if time.monotonic() - began > timeout_secs:
                raise SystemExit(f"not within {timeout_secs} s: {self.ask()[0]}")
            await asyncio.sleep(0.1)
        return time.monotonic() - began

    def end(self):
        """Hang up."""
        for pipe in self.pipes:
            pipe.close()
        for process in self.processes:
            process.join(10)
            process.kill()


def quantile(values, share):
    """Return a quantile in milliseconds."""
    return round(sorted(values)[min(len(values) - 1, int(share * len(values)))] * 1000, 1) if values else None


async def measure(folder, database, options):
    """Run all phases; return the figures."""
    gateway = GatewayProcess(folder, "serve", "--dsn", database.dsn, "--unknown-mn", "accept", env={})
    gateway.start()
    warm = Crowd(gateway.port, argparse.Namespace(loggers=1, processes=1, every=0.01))
    warm.ask("connect")
    warm.ask("send")
    await warm.wait(lambda sums: sums["acks"] >= 1000, 60)
    warm.end()
    await wait_drained(gateway)
    alone, before = gateway.memory_bytes(), await count_packets(database.dsn)
    crowd = Crowd(gateway.port, options)
    count = options.loggers
    crowd.ask("connect")
    await crowd.wait(lambda sums: sums["connected"] == count, 120)
    connected = gateway.memory_bytes()
    crowd.ask("send")
    await crowd.wait(lambda sums: sums["acked"] == count, 60 + 2 * options.every)
    crowd.ask("mark")
    await asyncio.sleep(options.secs)
    sums, latencies = crowd.ask("latencies")
    heard, files = gateway.memory_bytes(), count_files(gateway.ready["pid"])
    assert sums["connected"] == count, sums
    killed_at = time.monotonic()
    gateway.kill()
    crowd.ask("mark")
    gateway.start()
    up_secs = time.monotonic() - killed_at
    crowd.ask("mark")
    back_secs = await crowd.wait(lambda sums: sums["acked"] == count, 120)
    _, again = crowd.ask("latencies")
    after = gateway.memory_bytes()
    sums = crowd.ask()[0]
    crowd.end()
    drain_secs = await wait_drained(gateway)
    stored = await count_packets(database.dsn) - before
    assert gateway.stop() == 0
    assert stored >= sums["acks"], (stored, sums)
    return {
        "loggers": count,
        "gateway_mib_with_one": round(alone / 2**20, 1),
        "gateway_mib_with_all": round(heard / 2**20, 1),
        "kib_a_connection_unheard": round((connected - alone) / count / 1024, 2),
        "kib_a_connection_heard": round((heard - alone) / count / 1024, 2),
        "kib_a_connection_after_restart": round((after - alone) / count / 1024, 2),
        "open_files": files,
        "acks": len(latencies),
        "ack_p50_ms": quantile(latencies, 0.5),
        "ack_p99_ms": quantile(latencies, 0.99),
        "ack_max_ms": quantile(latencies, 1.0),
        "restart_secs_until_listening": round(up_secs, 2),
        "restart_secs_until_all_acked": round(back_secs, 2),
        "restart_ack_p99_ms": quantile(again, 0.99),
        "restart_ack_max_ms": quantile(again, 1.0),
        "drain_secs_after": round(drain_secs, 1),
        "packets_acked": sums["acks"],
        "packets_stored": stored,
    }


async def main(options):
    """Run with a database of its own."""
    async with own_database() as (folder, database):
        return await measure(folder, database, options)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--loggers", type=int, default=10_000)
    parser.add_argument("--every", type=float, default=30.0, help="seconds between two packets of a logger")
    parser.add_argument("--secs", type=float, default=60.0, help="how long latencies are taken")
    parser.add_argument("--processes", type=int, default=4)
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    machine = describe_machine()
    figures = asyncio.run(main(chosen))
    print_figures({"machine": machine, **figures}, as_json=chosen.json)
