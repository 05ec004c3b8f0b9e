"""What the load generator can do by itself: against a host that answers everything and does nothing else.

    python bench/load_generator.py [--packets 1000000] [--processes 1] [--connections 20] [--window 400] [--json]

Prints packets/s, and the generator's CPU time a packet, whose inverse is what one process of it could do on a core of
its own. The host finds the QN and MN of each frame by their places, so that it is faster than what it measures.
"""

import argparse
import asyncio
import json
import multiprocessing
import os
import subprocess
import sys
import threading

from figures import print_figures

from hj212gw.protocol import crc_text


class Host(asyncio.Protocol):
    """Answers each frame with a 9014 without reading more of it than QN and MN."""

    def connection_made(self, transport):
        """Begin."""
        self.transport = transport
        self.rest = b""

    def data_received(self, data):
        """Answer whole frames."""
        lines = (self.rest + data).split(b"\r\n")
        self.rest = lines.pop()
        answers = []
        for line in lines:
            # the heads of its frames are all of one length
            segment = b"QN=%b;ST=91;CN=9014;PW=123456;MN=%b;Flag=4;CP=&&&&" % (line[9:26], line[54:78])
            answers.append(b"##%04d%b%b\r\n" % (len(segment), segment, crc_text(segment)))
        self.transport.write(b"".join(answers))


def run_host(pipe):
    """Answer until the parent is done."""
    import uvloop  # noqa: PLC0415 - only this process needs it

    async def serve():
        loop = asyncio.get_running_loop()
        server = await loop.create_server(Host, "127.0.0.1", 0)
        pipe.send(server.sockets[0].getsockname()[1])
        done = loop.create_future()
        threading.Thread(target=lambda: (pipe.recv(), loop.call_soon_threadsafe(done.set_result, None))).start()
        await done
        usage = os.times()
        pipe.send(usage.user + usage.system)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve())


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--packets", type=int, default=1_000_000)
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--connections", type=int, default=20)
    parser.add_argument("--loggers", type=int, default=600)
    parser.add_argument("--window", type=int, default=400)
    parser.add_argument("--rate", default="max")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    context = multiprocessing.get_context("spawn")
    pipe, theirs = context.Pipe()
    host = context.Process(target=run_host, args=(theirs,))
    host.start()
    command = [sys.executable, "-c", "from hj212sim.cli import main; main()", "load", "--port", str(pipe.recv())]
    for name in ("packets", "processes", "connections", "loggers", "window", "rate"):
        command += [f"--{name}", str(getattr(options, name))]
    done = subprocess.run([*command, "--quiet", "--json"], stdout=subprocess.PIPE, check=False)
    pipe.send(None)
    host_secs = pipe.recv()
    host.join()
    report = json.loads(done.stdout)
    generator = report["generator"]
    figures = {
        "packets": report["acked"],
        "packets_per_sec": report["acked_per_sec"],
        "generator_cpu_us_a_packet": generator["cpu_us_a_packet"],
        "packets_per_cpu_sec": round(1e6 / generator["cpu_us_a_packet"]),
        "host_cpu_us_a_packet": round(host_secs / report["acked"] * 1e6, 2),
        "ack_p50_ms": report["ack_p50_ms"],
        "ack_p99_ms": report["ack_p99_ms"],
        "lag_p99_ms": generator["lag_p99_ms"],
        "generator_memory_bytes": generator["memory_bytes"],
        "load_average": report["load_average"],
    }
    print_figures(figures, as_json=options.json)
    sys.exit(done.returncode)


if __name__ == "__main__":
    main()
