"""The database stands still under load: who notices, what it costs, how fast the journal is drained afterwards.

    python bench/database_paused.py [--secs 300] [--rate 5000] [--json]

Freezes every process of the database (SIGSTOP) for `--secs` while `hj212-sim load` sends at `--rate`, then lets it go
on and stops the senders. Prints whether every packet was acknowledged and how fast, the gateway's resident memory
before, at its largest while the database stood, and after, and the speed at which the journal was filled and drained,
with the share of a core and the CPU time a packet that the gateway had for it.
"""

import argparse
import asyncio

from stage import (
    GatewayProcess,
    Load,
    count_packets,
    cpu_secs,
    describe_machine,
    own_database,
    print_figures,
    wait_drained,
)

WARM_SECS = 15.0
SAMPLE_SECS = 1.0
CONNECTIONS, LOGGERS, WINDOW = 20, 600, 4000


async def watch(gateway, secs):
    """Sample the gateway's memory for a while; return the largest."""
    loop = asyncio.get_running_loop()
    deadline, most = loop.time() + secs, 0
    while loop.time() < deadline:
        most = max(most, gateway.memory_bytes())
        await asyncio.sleep(SAMPLE_SECS)
    return most


async def measure(folder, database, options):
    """Run all phases; return the figures."""
    gateway = GatewayProcess(folder, "serve", "--dsn", database.dsn, "--unknown-mn", "accept").start()
    loop = asyncio.get_running_loop()
    duration = options.secs + WARM_SECS + 3600
    size = ("--connections", CONNECTIONS, "--loggers", LOGGERS, "--window", WINDOW)
    load = Load(gateway.port, "--rate", options.rate, "--duration", duration, *size)
    await watch(gateway, WARM_SECS / 3)
    before = await watch(gateway, 2 * WARM_SECS / 3)
    database.freeze()
    began = loop.time()
    first = gateway.metrics()
    during = await watch(gateway, options.secs)
    filled_secs = loop.time() - began
    last = gateway.metrics()
    code, report = await load.finish(120, now=True)
    pending = gateway.metrics()["hj212gw_journal_pending_packets"]
    database.thaw()
    cpu = cpu_secs(gateway.ready["pid"])
    drain_secs = await wait_drained(gateway, 1800)
    cpu = cpu_secs(gateway.ready["pid"]) - cpu
    after = gateway.memory_bytes()
    stored = await count_packets(database.dsn)
    assert gateway.stop() == 0
    accepted = "hj212gw_frames_accepted_total"
    fill = (last[accepted] - first[accepted]) / filled_secs
    return {
        "paused_secs": round(filled_secs, 1),
        "rate_asked": options.rate,
        "packets_sent": report["sent"],
        "packets_acked": report["acked"],
        "packets_stored": stored,
        "exit_code_of_load": code,
        "ack_p50_ms": report["ack_p50_ms"],
        "ack_p99_ms": report["ack_p99_ms"],
        "ack_max_ms": report["ack_max_ms"],
        "memory_mib_before": round(before / 2**20, 1),
        "memory_mib_paused_max": round(during / 2**20, 1),
        "memory_mib_after": round(after / 2**20, 1),
        "memory_ratio": round(during / before, 3),
        "filled_per_sec": round(fill),
        "pending_at_the_end": round(pending),
        "drain_secs": round(drain_secs, 1),
        "drained_per_sec": round(pending / drain_secs),
        "gateway_cpu_share": round(cpu / drain_secs, 2),
        "gateway_cpu_us_a_packet": round(cpu / pending * 1e6, 1),
        "drained_to_filled": round(pending / drain_secs / fill, 2),
    }


async def main(options):
    """Run with a database of its own."""
    async with own_database() as (folder, database):
        return await measure(folder, database, options)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--secs", type=float, default=300.0, help="how long the database stands still")
    parser.add_argument("--rate", type=int, default=5000, help="packets/s")
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args()
    machine = describe_machine()
    figures = asyncio.run(main(chosen))
    print_figures({"machine": machine, **figures}, as_json=chosen.json)
