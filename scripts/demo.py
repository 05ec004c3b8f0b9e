#!/usr/bin/env python3
"""A gateway, its database and a simulated city on this machine, until Ctrl-C.

Everything is kept in one folder. Data loggers stop first and wait for their answers, then the gateway drains and
stops, then its PostgreSQL. The exit code is 1 when a packet that was acknowledged is not in the database.
"""

import argparse
import asyncio
import fcntl
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from functools import partial
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any

import asyncpg
from odd_logger import MN as ODD_MN
from odd_logger import send_odd_frames

from hj212gw.cli.output import print_table, say
from hj212gw.store.binaries import die_with_parent

ROOT = Path(__file__).resolve().parents[1]
DEFAULT_FOLDER, FAST_FOLDER = ROOT / "demo", ROOT / "demo" / "fast"
PROGRAMS = Path(sys.executable).parent
GATEWAY_PORT, HTTP_PORT = 9212, 9213
START_SECS = 120.0
STOP_SECS = 90.0
LOG_TAIL_LINES = 15
BUSY_SHARE = 20  # the count over all rows may take one part in so many of the time

COUNTS = """SELECT (SELECT count(*) FROM hj212.v_packets) AS packets,
       (SELECT count(*) FROM hj212.v_readings) AS readings,
       (SELECT count(*) FROM hj212.v_loggers WHERE connected) AS loggers"""
LATEST = """SELECT data_time, outlet_name, factor_name, rtd, unit, data_flag FROM hj212.v_readings
 WHERE cn = '2011' ORDER BY data_time DESC LIMIT 10"""


# What asking a gateway that ends, and its database, can raise.
UNREACHABLE = (OSError, HTTPException, asyncpg.PostgresError, asyncpg.InterfaceError)


class DemoFailed(Exception):
    """Something that the demonstration needs did not work; the message says what and where to look."""


class Demo:
    """The processes of one run.

    Args:
        options: the command line's.
        folder: what they keep is kept here.
    """

    def __init__(self, options: argparse.Namespace, folder: Path) -> None:
        self.options = options
        self.folder = folder
        self.ready_file = folder / "ready.json"
        self.report_file = folder / "fleet.json"
        self.ready: dict[str, Any] = {}
        self.gateway: subprocess.Popen[bytes] | None = None
        self.fleet: subprocess.Popen[bytes] | None = None
        self.stopping = threading.Event()

    def run(self) -> None:
        """Start, watch, stop.

        Raises:
            DemoFailed: with what to look at.
        """
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._stop)
        self.folder.mkdir(parents=True, exist_ok=True)
        with lock(self.folder / "lock"):
            self._run_locked()

    def _run_locked(self) -> None:
        try:
            self._start_gateway()
            self._import_registry()
            self._start_fleet()
            if not send_odd_frames(*self._address()):
                raise DemoFailed(f"the gateway closed a connection:\n{self._tail('gateway')}")
            self._say_where()
            self._watch()
            report = self._end_fleet()
            stored = self._count_stored(report["acked"])
            self._end_gateway()
        finally:
            self._kill()
            self.ready_file.unlink(missing_ok=True)
        say_result(report, stored)

    def _stop(self, _number: int, _frame: object) -> None:
        """Ask for the end; the second time, end at once."""
        if self.stopping.is_set():
            self._kill()
        elif self.gateway is not None:
            say("stopping: data loggers first, then gateway and database; Ctrl-C again ends all at once")
        self.stopping.set()

    def _spawn(self, name: str, *arguments: str, stdout: Path | None = None) -> subprocess.Popen[bytes]:
        """Start a program whose words go to its log; Ctrl-C on the terminal does not reach it."""
        with self._log(name).open("ab") as log, (stdout or self._log(name)).open("wb" if stdout else "ab") as out:
            return subprocess.Popen(  # noqa: S603 - our own programs
                [str(PROGRAMS / arguments[0]), *arguments[1:]],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=log,
                env=self._environment(),
                start_new_session=True,
                preexec_fn=partial(die_with_parent, os.getpid()),  # noqa: PLW1509 - two system calls, no lock is taken
            )

    def _environment(self) -> dict[str, str]:
        """The gateway's settings are the demonstration's own, whatever the shell has."""
        plain = {name: value for name, value in os.environ.items() if not name.upper().startswith("HJ212GW_")}
        return {**plain, **({"HJ212GW_CLOCK__ORIGIN": self.options.origin} if self._clock() else {})}

    def _clock(self) -> list[str]:
        """Options that make time pass faster, the same for both sides."""
        if self.options.speed == 1:
            return []
        return ["--simulated-clock", "--clock-epoch", self.options.origin, "--clock-speed", str(self.options.speed)]

    def _log(self, name: str) -> Path:
        return self.folder / f"{name}.log"

    def _start_gateway(self) -> None:
        self.ready_file.unlink(missing_ok=True)
        arguments = ["--data-dir", str(self.folder), "--host", "127.0.0.1", "--unknown-mn", "accept"]
        arguments += ["--port", str(find_port(self.options.port))]
        arguments += ["--http", f"127.0.0.1:{find_port(self.options.http_port)}"]
        arguments += ["--ready-file", str(self.ready_file), *self._clock()]
        self.gateway = self._spawn("gateway", "hj212gw", "up", *arguments)
        deadline = time.monotonic() + START_SECS
        while not self.ready_file.exists():
            if self.gateway.poll() is not None:
                raise DemoFailed(f"the gateway ended:\n{self._tail('gateway')}")
            if time.monotonic() > deadline:
                raise DemoFailed(f"the gateway is not ready after {START_SECS:.0f} s:\n{self._tail('gateway')}")
            if self.stopping.wait(0.05):
                raise DemoFailed("stopped while the gateway was starting")
        self.ready = json.loads(self.ready_file.read_text())

    def _address(self) -> tuple[str, int]:
        host, _, port = self.ready["gateway"].rpartition(":")
        return host, int(port)

    def _fleet_options(self) -> list[str]:
        size = [] if self.options.monitors is None else ["--monitors", str(self.options.monitors)]
        return ["fleet", "--preset", "yuxi", *size]

    def _import_registry(self) -> None:
        """Register the city, so that readings carry the names of outlets and enterprises."""
        registry = self.folder / "registry"
        self._call("hj212-sim", *self._fleet_options(), "--registry-out", str(registry))
        files = map(str, sorted(registry.glob("*.csv")))
        self._call("hj212gw", "registry", "import", *files, "--dsn", self.ready["dsn"])

    def _call(self, *arguments: str) -> None:
        if self._spawn("registry", *arguments).wait():
            raise DemoFailed(f"{' '.join(arguments[:3])} failed:\n{self._tail('registry')}")

    def _start_fleet(self) -> None:
        host, port = self._address()
        clock = [*self._clock(), "--clock-origin", self.options.origin] if self._clock() else []
        arguments = [*self._fleet_options(), "--host", host, "--port", str(port), *clock, "--json"]
        self.fleet = self._spawn("fleet", "hj212-sim", *arguments, stdout=self.report_file)

    def _say_where(self) -> None:
        place = "" if self.folder == DEFAULT_FOLDER else f" --data-dir {self.folder}"
        say(f"gateway   {self.ready['gateway']}")
        say(f"metrics   http://{self.ready['http']}/metrics")
        say(f"database  {self.ready['dsn']}")
        say(f"logs      {self.folder}/*.log")
        say(f'ask       in another terminal: ./demo.sh{place} --sql "SELECT ..."')
        say(f"\nCtrl-C ends. Every few seconds: answers counted by the gateway, and the result of\n\n{COUNTS}\n")
        say(f"{'time':<8}{'acked':>12}{'packets':>12}{'readings':>12}{'loggers':>12}")

    def _watch(self) -> None:
        """Print one line every few seconds until the end is asked for or due."""
        ends_at = time.monotonic() + (self.options.seconds or float("inf"))
        while not self.stopping.is_set():
            began = time.monotonic()
            try:
                self._print_counts()
            except UNREACHABLE as error:
                say(f"no counts: {error}")
            left = ends_at - time.monotonic()
            if left <= 0:
                return
            self.stopping.wait(min(left, max(self.options.every, BUSY_SHARE * (time.monotonic() - began))))
            for name, process in (("gateway", self.gateway), ("fleet", self.fleet)):
                if process is not None and process.poll() is not None and not self.stopping.is_set():
                    raise DemoFailed(f"the {name} ended by itself:\n{self._tail(name)}")

    def _print_counts(self) -> None:
        acked = read_acked(self.ready["http"])
        counts = asyncio.run(ask(self.ready["dsn"], COUNTS))[0]
        cells = "".join(f"{count:>12,}" for count in (acked, *counts))
        sys.stdout.write(f"{time.strftime('%H:%M:%S')}{cells}\n")
        sys.stdout.flush()

    def _end_fleet(self) -> dict[str, Any]:
        """Let the data loggers finish, and return their report.

        Raises:
            DemoFailed: there is none.
        """
        if self.fleet is not None:
            end(self.fleet)
        try:
            report: dict[str, Any] = json.loads(self.report_file.read_text())
        except ValueError as error:
            raise DemoFailed(f"the fleet left no report:\n{self._tail('fleet')}") from error
        return report

    def _count_stored(self, acked: int) -> int:
        """Wait until the database holds as many packets as were acknowledged in this run; return how many it holds."""
        deadline = time.monotonic() + STOP_SECS
        statement = "SELECT count(*) FROM hj212.v_packets WHERE received_at >= $1 AND mn <> $2"
        while True:
            stored = int(asyncio.run(ask(self.ready["dsn"], statement, self.options.began_at, ODD_MN))[0][0])
            if stored >= acked or time.monotonic() > deadline:
                return stored
            time.sleep(0.2)  # the database has no event for it

    def _end_gateway(self) -> None:
        if self.gateway is not None and end(self.gateway):
            raise DemoFailed(f"the gateway did not stop in order:\n{self._tail('gateway')}")

    def _kill(self) -> None:
        """End at once what still runs; its PostgreSQL ends with the gateway."""
        for process in (self.fleet, self.gateway):
            if process is not None and process.poll() is None:
                process.kill()
                process.wait()

    def _tail(self, name: str) -> str:
        path = self._log(name)
        lines = path.read_text(errors="replace").splitlines()[-LOG_TAIL_LINES:] if path.exists() else []
        return "\n".join([*lines, f"(whole log: {path})"])


@contextmanager
def lock(path: Path) -> Iterator[None]:
    """Hold a lock file, so that two runs do not share a folder.

    Raises:
        DemoFailed: another run holds it.
    """
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise DemoFailed(f"a demo runs in {path.parent} already: stop it, or give another --data-dir") from error
        yield


def end(process: "subprocess.Popen[bytes]") -> int:
    """Stop a process in order, or at once when it takes too long; return its exit code."""
    if process.poll() is None:
        process.send_signal(signal.SIGINT)
    try:
        return process.wait(STOP_SECS)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait()


def say_result(report: dict[str, Any], stored: int) -> None:
    """Compare what the data loggers saw acknowledged with what the database holds.

    Raises:
        DemoFailed: packets are missing.
    """
    say(f"fleet     sent {report['sent']:,}, acknowledged {report['acked']:,}, unacknowledged {report['unacked']:,}")
    say(f"database  {stored:,} packets of this run")
    if stored < report["acked"]:
        raise DemoFailed(f"{report['acked'] - stored} acknowledged packets are not in the database")
    if report["unacked"]:
        raise DemoFailed(f"{report['unacked']} packets were not acknowledged")


def find_port(wanted: int) -> int:
    """Return the port if it is free on this machine, else 0 for any other."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", wanted))
        except OSError:
            say(f"port {wanted} is in use: another one is taken")
            return 0
    return wanted


async def ask(dsn: str, statement: str, *values: object) -> list[asyncpg.Record]:
    """Run one statement and return its rows."""
    connection = await asyncpg.connect(dsn)
    try:
        return list(await connection.fetch(statement, *values))
    finally:
        await connection.close()


def read_acked(http: str) -> int:
    """Read how many answers to uploads the gateway has sent."""
    with closing(HTTPConnection(http, timeout=10)) as line:
        line.request("GET", "/metrics")
        lines = line.getresponse().read().decode().splitlines()
    values = [text.rpartition(" ")[2] for text in lines if text.startswith('hj212gw_acks_sent_total{cn="9014"}')]
    return int(float(values[0])) if values else 0


def print_query(folder: Path, statement: str) -> None:
    """Run a statement on the database of the demonstration that is running.

    Raises:
        DemoFailed: none is running, or the statement is wrong.
    """
    try:
        dsn = json.loads((folder / "ready.json").read_text())["dsn"]
    except FileNotFoundError as error:
        raise DemoFailed("no demo runs here: start ./demo.sh first") from error
    try:
        rows = asyncio.run(ask(dsn, statement))
    except UNREACHABLE as error:
        raise DemoFailed(f"{type(error).__name__}: {error}") from error
    if rows:
        print_table(list(rows[0].keys()), [list(row.values()) for row in rows])
    say(f"{len(rows)} rows")


def read_options() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="./demo.sh", description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--seconds", type=float, help="end after so many seconds; else Ctrl-C ends")
    parser.add_argument("--monitors", type=int, help="a smaller or larger city; else the whole one, 600")
    parser.add_argument("--speed", type=float, default=1, help="simulated seconds in a real one, such as 60")
    parser.add_argument("--port", type=int, default=GATEWAY_PORT, help=f"of the gateway; {GATEWAY_PORT} if free")
    parser.add_argument("--http-port", type=int, default=HTTP_PORT, help=f"of /metrics; {HTTP_PORT} if free")
    parser.add_argument("--every", type=float, default=5, help="seconds between two lines")
    parser.add_argument("--data-dir", type=Path, help="what is kept; demo, or demo/fast with --speed")
    parser.add_argument(
        "--sql", metavar="QUERY", nargs="?", const=LATEST, help="ask the demo that is running; the newest readings"
    )
    options = parser.parse_args()
    options.began_at = datetime.now(UTC)
    options.origin = options.began_at.isoformat()
    return options


def main() -> None:
    """Run the demonstration, or ask the running one."""
    options = read_options()
    folder = options.data_dir or (DEFAULT_FOLDER if options.speed == 1 else FAST_FOLDER)
    try:
        if options.sql:
            print_query(folder.absolute(), options.sql)
        else:
            Demo(options, folder.absolute()).run()
    except (DemoFailed, *UNREACHABLE) as failure:
        say(f"error: {failure}")
        sys.exit(1)


if __name__ == "__main__":
    main()
