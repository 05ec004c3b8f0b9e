"""`hj212-sim load`: a load, with a report of what became of it."""

import asyncio
import json
import os
import sys
import time
from contextlib import ExitStack
from typing import Annotated, Any, NamedTuple, NoReturn

import typer
from rich.console import Console
from rich.live import Live
from rich.text import Text

from hj212gw.errors import ConfigError, Hj212Error, StoreError
from hj212gw.protocol import Edition
from hj212sim.load.frames import FrameSource
from hj212sim.load.plan import MAX_PROCESSES, Plan, check_plan
from hj212sim.load.report import describe_progress, find_faults, summarise
from hj212sim.load.run import Run
from hj212sim.load.tally import Progress
from hj212sim.schedule import KNOWN_CNS

_FAILED = 1
_WRONG_USAGE = 2
_NO_DATABASE = 4
_MAX_RATE = "max"
_DEFAULT_SECS = 10.0
_DEFAULT_PROCESSES = 2
_LINE_SECS = 10.0  # between two lines where there is no terminal to keep one up to date
_SEED_BITS = 32

Host = Annotated[str, typer.Option("--host", help="The gateway's address.")]
Port = Annotated[int, typer.Option("--port", min=1, max=65_535, help="The gateway's port.")]
Processes = Annotated[
    int | None, typer.Option("--processes", min=1, max=MAX_PROCESSES, help="That share the connections; usual: 2.")
]
Connections = Annotated[int, typer.Option("--connections", min=1, max=100_000, help="Open at a time.")]
Loggers = Annotated[
    int | None, typer.Option("--loggers", min=1, max=1_000_000, help="MNs; usual: one a connection, or more.")
]
Rate = Annotated[str, typer.Option("--rate", help="Packets/s over all connections, due evenly; or max.")]
Packets = Annotated[int | None, typer.Option("--packets", min=1, help="Stop after so many packets.")]
Duration = Annotated[
    float | None, typer.Option("--duration", min=0.01, help="Stop so many seconds after the ramp; usual: 10.")
]
Cns = Annotated[str, typer.Option("--cn", help=f"Commands, in turn, of {','.join(KNOWN_CNS)}.")]
Factors = Annotated[int, typer.Option("--factors", min=1, help="Factors a packet.")]
Window = Annotated[int, typer.Option("--window", min=1, max=100_000, help="Unacked packets a connection.")]
Ramp = Annotated[float, typer.Option("--ramp", min=0, help="Seconds over which the connections are opened.")]
Storm = Annotated[
    float | None, typer.Option("--reconnect-storm", min=0.05, help="Cut all connections every so many seconds.")
]
Linger = Annotated[float, typer.Option("--linger-secs", min=0.01, help="Seconds without any answer that end it.")]
EditionOption = Annotated[Edition, typer.Option("--edition", help="Of the packets.")]
Seed = Annotated[int | None, typer.Option("--seed", min=0, help="Of MNs and values; usual: a new one each time.")]
Dsn = Annotated[str | None, typer.Option("--dsn", help="Prove there that what was acked is stored exactly once.")]
DrainWait = Annotated[
    float, typer.Option("--drain-wait-secs", min=0, help="Longest wait for the next packet to be stored.")
]
Json = Annotated[bool, typer.Option("--json", help="Print the report as JSON.")]
Quiet = Annotated[bool, typer.Option("--quiet", help="Say nothing while it runs.")]


def run_load(
    *,
    host: Host = "127.0.0.1",
    port: Port = 9212,
    processes: Processes = None,
    connections: Connections = 20,
    loggers: Loggers = None,
    rate: Rate = _MAX_RATE,
    packets: Packets = None,
    duration: Duration = None,
    cn: Cns = "2011",
    factors: Factors = 8,
    window: Window = 200,
    ramp: Ramp = 0.0,
    reconnect_storm: Storm = None,
    linger_secs: Linger = 10.0,
    edition: EditionOption = Edition.V2017,
    seed: Seed = None,
    dsn: Dsn = None,
    drain_wait_secs: DrainWait = 60.0,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Load a gateway; exit 1 when a packet stayed unacked, or an acked one is not stored exactly once.

    With a rate, an answer's time counts from the moment its packet was due, however late it could be sent.

    Example: hj212-sim load --port 9212 --connections 20 --loggers 600 --rate 10000 --duration 30 --json
    """
    spread = _Spread(host, port, processes, connections, loggers or connections)
    pace = _Pace(_read_rate(rate), packets, duration, window, ramp, reconnect_storm, linger_secs)
    plan = _make_plan(spread, pace, _Content(_read_cns(cn), factors, edition, seed))
    if dsn is not None:
        _probe(dsn)
    report = _run(plan, (dsn, drain_wait_secs), is_quiet=quiet)
    typer.echo(json.dumps(report) if as_json else "\n".join(summarise(report)))
    raise typer.Exit(_FAILED if find_faults(report) else 0)


class _Spread(NamedTuple):
    """The options that say where to and over what."""

    host: str
    port: int
    processes: int | None
    connections: int
    loggers: int


class _Pace(NamedTuple):
    """The options that say how much, how fast, and with which interruptions."""

    rate: float | None
    packets: int | None
    duration: float | None
    window: int
    ramp_secs: float
    storm_secs: float | None
    linger_secs: float


class _Content(NamedTuple):
    """The options that say what the packets hold."""

    cns: tuple[str, ...]
    factors: int
    edition: Edition
    seed: int | None


def _make_plan(spread: _Spread, pace: _Pace, content: _Content) -> Plan:
    """Make the plan, or refuse it before anything is sent."""
    plan = Plan(
        host=spread.host,
        port=spread.port,
        processes=spread.processes or min(_DEFAULT_PROCESSES, os.cpu_count() or 1, spread.connections),
        connections=spread.connections,
        loggers=spread.loggers,
        rate=pace.rate,
        packets=pace.packets,
        secs=_DEFAULT_SECS if pace.packets is None and pace.duration is None else pace.duration,
        window=pace.window,
        ramp_secs=pace.ramp_secs,
        storm_secs=pace.storm_secs,
        linger_secs=pace.linger_secs,
        cns=content.cns,
        factors=content.factors,
        edition=content.edition,
        seed=time.time_ns() % (1 << _SEED_BITS) if content.seed is None else content.seed,
    )
    try:
        check_plan(plan)
        plan = plan.place_in_time(int(time.time()))
        FrameSource(plan)  # refuses packets that would be too long
    except ConfigError as error:
        _give_up(str(error), _WRONG_USAGE)
    return plan


class _Watch:
    """Shows how far a run is: a line kept up to date on a terminal, else a line now and then."""

    def __init__(self, stack: ExitStack) -> None:
        is_terminal = sys.stderr.isatty()
        console = Console(stderr=True)
        self._live = (
            stack.enter_context(Live(console=console, auto_refresh=False, transient=True)) if is_terminal else None
        )
        self._before = (0.0, 0, 0)
        self._said_at = 0.0

    def show(self, progress: Progress, seconds: float) -> None:
        """Take the counts of all processes."""
        since, sent, acked = self._before
        passed = max(seconds - since, 0.001)
        rates = ((progress.sent - sent) / passed, (progress.acked - acked) / passed)
        if self._live is not None:
            self._live.update(
                Text(describe_progress(progress, rates, seconds), no_wrap=True, overflow="ellipsis"), refresh=True
            )
        elif seconds - self._said_at < _LINE_SECS:
            return
        else:
            self._said_at = seconds
            typer.echo(describe_progress(progress, rates, seconds), err=True)
        self._before = (seconds, progress.sent, progress.acked)


def _run(plan: Plan, database: tuple[str | None, float], *, is_quiet: bool) -> dict[str, Any]:
    """Run, then check against the database where there is one."""
    try:
        with ExitStack() as stack:
            run = Run(plan, _show_nothing if is_quiet else _Watch(stack).show)
            report = run.run()
    except Hj212Error as error:
        _give_up(str(error), _FAILED)
    dsn, wait_secs = database
    if dsn is not None:
        from hj212sim.load.check import Check, Verifier  # noqa: PLC0415 - slow to import, like asyncpg

        try:
            checked = asyncio.run(Verifier(plan, run.tally.issued).check(dsn, wait_secs=wait_secs))
            report["check"] = checked.report()
        except KeyboardInterrupt:
            report["check"] = {**Check().report(), "faults": ["the check was broken off"]}
        except Hj212Error as error:
            _give_up(str(error), _NO_DATABASE)
    return report


def _show_nothing(_progress: Progress, _seconds: float) -> None:
    """Be quiet."""


def _probe(dsn: str) -> None:
    from hj212sim.load.check import probe  # noqa: PLC0415 - slow to import, like asyncpg

    try:
        asyncio.run(probe(dsn))
    except StoreError as error:
        _give_up(f"{error}; start the gateway first, its ready file names the DSN", _NO_DATABASE)
    except ConfigError as error:
        _give_up(str(error), _WRONG_USAGE)


def _read_rate(text: str) -> float | None:
    if text == _MAX_RATE:
        return None
    try:
        rate = float(text)
    except ValueError:
        rate = 0.0
    if not 0.001 <= rate <= 10_000_000:  # noqa: PLR2004 - one in a quarter of an hour, and what no machine reaches
        _give_up(f"--rate {text!r}: expected packets a second, 0.001 or more, or max", _WRONG_USAGE)
    return rate


def _read_cns(text: str) -> tuple[str, ...]:
    cns = tuple(part.strip() for part in text.split(",") if part.strip())
    if not cns or not set(cns) <= set(KNOWN_CNS):
        _give_up(f"--cn {text!r}: expected some of {','.join(KNOWN_CNS)}", _WRONG_USAGE)
    return cns


def _give_up(message: str, code: int) -> NoReturn:
    typer.echo(message, err=True)
    raise typer.Exit(code)
