"""Half load for as long as told, with random faults all the while; then every acknowledged packet is looked for.

    python bench/soak.py [--minutes 10] [--rate 4000] [--every 15] [--seed 1] [--json]

`hj212-sim load` sends at `--rate` and cuts all its connections every minute; beside it senders of garbage come and go.
Every `--every` seconds, about, the database is stopped, killed (`kill -9`) or paused (SIGSTOP) for a few seconds.
In the last quarter the gateway is killed too: before that its process lives on, so that the growth of its memory and
of its open files can be told, as a slope over the second half of that time. The exit code is 1 when an acknowledged
packet is missing or stored twice.
"""

import argparse
import asyncio
import os
import random
import shutil
import sys
from collections import Counter

from stage import GatewayProcess, Load, Series, count_files, describe_machine, own_database, print_figures

STORM_SECS = 60.0
SAMPLE_SECS = 2.0
CALM_SECS = 20.0  # before the end, so that the last answers come
LAST_SHARE = 0.75  # after which the gateway is killed too


class Soak:
    """One run."""

    def __init__(self, gateway, database, options):
        self.gateway, self.database, self.options = gateway, database, options
        self.rng = random.Random(options.seed)
        self.faults = Counter()
        self.memory, self.files = Series(), Series()
        self.garbage = 0
        self.loop = asyncio.get_running_loop()
        self.began = self.loop.time()
        self.gateway_lives = True

    @property
    def secs(self):
        """Seconds since the beginning."""
        return self.loop.time() - self.began

    async def sample(self):
        """Take memory and open files while the first process of the gateway lives."""
        while self.gateway_lives:
            self.memory.add(self.secs, self.gateway.memory_bytes())
            self.files.add(self.secs, count_files(self.gateway.ready["pid"]))
            if self.options.verbose:
                mib = self.memory.points[-1][1] / 2**20
                faults = sum(self.faults.values())
                print(
                    f"{self.secs:7.0f} s {mib:7.1f} MiB {self.files.points[-1][1]:4} files {faults} faults", flush=True
                )
            await asyncio.sleep(SAMPLE_SECS)

    async def send_garbage(self):
        """Come, send what is no packet or only a part of one, and go in one of several ways."""
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", self.gateway.port)
            except OSError:
                await asyncio.sleep(0.5)
                continue
            kind = self.rng.randrange(4)
            junk = self.rng.randbytes(self.rng.randrange(1, 3000))
            parts = (junk, b"##0100QN=" + junk[:40], b"##9999", b"##0012" + b"A" * 12 + b"FFFF\r\n")
            writer.write(parts[kind] * self.rng.randrange(1, 20))
            self.garbage += 1
            await asyncio.sleep(self.rng.uniform(0.05, 1.0))
            writer.transport.abort() if self.rng.random() < 0.5 else writer.close()

    async def break_things(self, until_secs):
        """Have one fault after the other."""
        while self.secs < until_secs:
            await asyncio.sleep(self.rng.uniform(0.5, 1.5) * self.options.every)
            may_kill = self.secs > LAST_SHARE * until_secs
            names = ["database stopped", "database killed", "database paused"] + ["gateway killed"] * 3 * may_kill
            name = self.rng.choice(names)
            self.faults[name] += 1
            pause = self.rng.uniform(0.5, 6.0)
            if name == "gateway killed":
                self.gateway_lives = False
                await asyncio.to_thread(self.gateway.kill)
                await asyncio.to_thread(self.gateway.start)
            elif name == "database paused":
                self.database.freeze()
                await asyncio.sleep(pause)
                self.database.thaw()
            else:
                if name == "database killed":
                    self.database.kill()
                await self.database.stop()
                await asyncio.sleep(pause)
                await self.database.start()

    async def run(self):
        """Run to the end and return the figures."""
        secs = self.options.minutes * 60
        size = ("--connections", 20, "--loggers", 600, "--window", 2000, "--linger-secs", 60)
        storms = ("--reconnect-storm", STORM_SECS, "--drain-wait-secs", 120)
        rate = ("--rate", self.options.rate, "--duration", secs + CALM_SECS)
        load = Load(self.gateway.port, *rate, *size, *storms, "--dsn", self.database.dsn)
        tasks = [asyncio.create_task(self.sample())]
        tasks += [asyncio.create_task(self.send_garbage()) for _ in range(3)]
        try:
            await self.break_things(secs)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
        code, report = await load.finish(900)
        return self.tell(code, report)

    def tell(self, code, report):
        """Put the figures together."""
        check = report.get("check", {})
        memory = [value / 2**20 for _, value in self.memory.points]
        return {
            "seconds": round(self.secs),
            "rate": self.options.rate,
            "faults": dict(self.faults),
            "storms": report.get("storms"),
            "garbage_connections": self.garbage,
            "packets_sent": report.get("sent"),
            "packets_acked": report.get("acked"),
            "packets_unacked": report.get("unacked"),
            "packets_resent": report.get("resent"),
            "packets_stored": check.get("packets_stored"),
            "packets_doubled": check.get("packets_doubled"),
            "faults_found": check.get("faults", report.get("error")),
            "exit_code_of_load": code,
            "ack_p50_ms": report.get("ack_p50_ms"),
            "ack_p99_ms": report.get("ack_p99_ms"),
            "memory_mib_first_quartile": round(sorted(memory)[len(memory) // 4], 1),
            "memory_mib_max": round(max(memory), 1),
            "memory_mib_last": round(memory[-1], 1),
            "memory_mib_an_hour": round(self.memory.slope() / 2**20, 1),
            "files_max": max(value for _, value in self.files.points),
            "files_last": self.files.points[-1][1],
            "files_an_hour": round(self.files.slope(), 1),
            "sampled_secs": round(self.memory.points[-1][0]),
        }


async def main(options):
    """Run with a database of its own; return the figures."""
    async with own_database() as (folder, database):
        quick = {"database.retry_max_secs": 2}
        options_of_gateway = ("--dsn", database.dsn, "--unknown-mn", "accept")
        gateway = GatewayProcess(folder, "serve", *options_of_gateway, settings=quick).start()
        try:
            return await Soak(gateway, database, options).run()
        finally:
            gateway.stop()
            if options.log:
                shutil.copyfile(gateway.log_file, options.log)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--rate", type=int, default=4000, help="packets/s; about half of what the machine can")
    parser.add_argument("--every", type=float, default=15.0, help="seconds between two faults, about")
    parser.add_argument("--seed", type=int, default=int.from_bytes(os.urandom(3), "big"))
    parser.add_argument("--log", help="where to keep the gateway's log")
    parser.add_argument("--verbose", action="store_true", help="print memory and files over time")
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args()
    machine = describe_machine()
    figures = {"machine": machine, "seed": chosen.seed, **asyncio.run(main(chosen))}
    print_figures(figures, as_json=chosen.json)
    sys.exit(1 if figures["exit_code_of_load"] or figures["faults_found"] else 0)
