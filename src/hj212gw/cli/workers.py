"""A gateway of one process, or a supervisor with several workers; and what a worker does."""

import asyncio
import signal
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hj212gw import telemetry_gateway
from hj212gw.cli import options, running
from hj212gw.cli.output import say
from hj212gw.cli.reloading import Reloader
from hj212gw.config import MIB, Settings
from hj212gw.errors import ConfigError
from hj212gw.gateway.control import Handover, Report, WorkerLine, read_handover
from hj212gw.gateway.ports import HeldPort
from hj212gw.gateway.supervisor import Supervisor, WorkerLimits
from hj212gw.http import HttpServer, Readiness
from hj212gw.journal.directory import make_directory
from hj212gw.journal.layout import worker_directory
from hj212gw.merging import take_snapshot
from hj212gw.store.lock import DirectoryLock

if TYPE_CHECKING:
    from hj212gw.gateway.server import Gateway

LOCK_NAME = "workers.lock"

_LEAST_SEGMENTS = 4
_LEAST_JOURNAL_BYTES = 64 * MIB  # of journal.max_bytes
_STOP_MARGIN_SECS = 5.0


@asynccontextmanager
async def run_service(
    settings: Settings, dsn: str, given: options.Given, *, accepts_unknown: bool
) -> AsyncIterator[running.Running]:
    """Run the gateway with as many processes as the settings say, for as long as the context lasts.

    Raises:
        Hj212Error: a port or a journal cannot be had; or, at the end, the fault that stopped the gateway.
    """
    if settings.gateway.workers == 1:
        load = partial(options.read, *given[:2], simulated_clock=given.simulated_clock)
        async with running.run_gateway(settings, dsn, accepts_unknown=accepts_unknown, load=load) as started:
            yield started
        return
    share = _share_journal(settings)
    async with AsyncExitStack() as stack:
        lock = await _lock(settings)
        stack.callback(lock.release)
        port = await HeldPort.take(settings.gateway.host, settings.gateway.port)
        stack.callback(port.release)
        told = {
            **{name: value for name, value in given.overrides.items() if value is not None},
            **_overrides(settings, dsn, port, accepts_unknown=accepts_unknown),
            "journal.max_bytes": share,
        }
        tls = ""
        if settings.tls.port is not None:
            tls_port = await HeldPort.take(settings.tls.host, settings.tls.port)
            stack.callback(tls_port.release)
            told["tls.port"] = tls_port.port
            tls = tls_port.address
        supervisor = Supervisor(
            _hand_over(settings, given, told),
            WorkerLimits(_command, (lock.descriptor,), 2 * settings.gateway.stop_timeout_secs + _STOP_MARGIN_SECS),
        )
        started = await _supervise(supervisor, settings, port, dsn, stack)
        yield started._replace(tls=tls or None)


async def _supervise(
    supervisor: Supervisor, settings: Settings, port: HeldPort, dsn: str, stack: AsyncExitStack
) -> running.Running:
    """Start the workers and HTTP; the stack stops them."""

    async def _readiness() -> Readiness:
        fault = await supervisor.find_fault()
        return Readiness(fault is None, fault or "")

    stack.push_async_callback(supervisor.stop)
    await supervisor.start()
    http = HttpServer(settings.http.host, settings.http.port, _readiness, metrics=supervisor.metrics)
    http_host, http_port = await http.start()
    stack.push_async_callback(http.stop)
    stack.enter_context(_forwarding(supervisor))
    telemetry_gateway.gateway_ready()
    return running.Running(port.address, f"{http_host}:{http_port}", dsn)


def work() -> None:
    """Be a worker from its handover to its end."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # it asks for settings to be read again, never for our end
    handover = read_handover()
    config = None if handover.config is None else Path(handover.config)
    facts = {"worker": handover.worker}
    settings = options.load(config, handover.overrides, simulated_clock=handover.simulated_clock, facts=facts)
    options.run(_work(settings, handover))


def _read(handover: Handover) -> Settings:
    """Read a worker's settings again."""
    config = None if handover.config is None else Path(handover.config)
    return options.read(config, handover.overrides, simulated_clock=handover.simulated_clock)


async def _work(settings: Settings, handover: Handover) -> None:
    signalled = asyncio.ensure_future(running.wait_for_stop())
    line = await WorkerLine.open()
    journals = Path(handover.journals) if handover.worker == 0 else None
    part = running.Part(journals, handover.worker_count)
    accepts_unknown = settings.gateway.unknown_mn == "accept"
    try:
        dsn = options.need_dsn(settings)
        async with running.open_gateway(settings, dsn, part, accepts_unknown=accepts_unknown) as (gateway, address):
            telemetry_gateway.gateway_ready()
            line.begin(address, lambda: _report(gateway))
            with Reloader(gateway, settings, partial(_read, handover), {"worker": handover.worker}).listening():
                await asyncio.wait({signalled, line.stopped}, return_when=asyncio.FIRST_COMPLETED)
            say(f"worker {handover.worker} stopping on {_why(signalled, line)}")
        line.tell(_report(gateway))
    finally:
        await line.close()


def _why(signalled: "asyncio.Future[str]", line: WorkerLine) -> str:
    return signalled.result() if signalled.done() else line.stopped.result()


def _report(gateway: "Gateway") -> Report:
    gateway.publish()
    return Report(gateway.find_fault(), take_snapshot())


def _command(index: int) -> list[str]:
    return [sys.executable, "-m", "hj212gw", "serve", "--worker", str(index)]


def _hand_over(settings: Settings, given: options.Given, told: dict[str, Any]) -> list[Handover]:
    """Say what each worker is told; the last word on its journal's place is ours."""
    base = settings.journal.directory
    config = None if given.config is None else str(given.config)
    count = settings.gateway.workers
    return [
        Handover(
            index,
            count,
            str(base),
            config,
            given.simulated_clock,
            told | {"journal.directory": str(worker_directory(base, index))},
        )
        for index in range(count)
    ]


def _overrides(settings: Settings, dsn: str, port: HeldPort, *, accepts_unknown: bool) -> dict[str, Any]:
    """Name the settings that are ours to decide for all workers."""
    overrides: dict[str, Any] = {
        "database.dsn": dsn,
        "gateway.port": port.port,
        "gateway.unknown_mn": "accept" if accepts_unknown else "hold",
    }
    if running.make_clock(settings).is_simulated and settings.clock.origin is None:
        overrides["clock.origin"] = datetime.now(UTC).isoformat()  # each would begin with its own start
    return overrides


def _share_journal(settings: Settings) -> int:
    """Return a worker's share of the journal's size.

    Raises:
        ConfigError: it is less than a journal needs.
    """
    journal, count = settings.journal, settings.gateway.workers
    least = max(_LEAST_JOURNAL_BYTES, _LEAST_SEGMENTS * journal.segment_bytes)
    if journal.max_bytes // count < least:
        raise ConfigError(
            f"journal.max_bytes is {journal.max_bytes}: expected at least {count * least} for {count} workers, "
            f"which is {least} for each"
        )
    return journal.max_bytes // count


async def _lock(settings: Settings) -> DirectoryLock:
    """Keep a second supervisor out, and wait for workers that the one before us left behind."""
    base = settings.journal.directory
    try:
        make_directory(base)
        patience_secs = 2 * settings.gateway.stop_timeout_secs + _STOP_MARGIN_SECS
        return await DirectoryLock.take(base / LOCK_NAME, base, patience_secs=patience_secs)
    except OSError as error:
        raise ConfigError(f"journal.directory {base} cannot be written: {error}") from error


@contextmanager
def _forwarding(supervisor: Supervisor) -> Iterator[None]:
    """Have settings read again by the workers, who use them."""
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGHUP, supervisor.forward, signal.SIGHUP)
    try:
        yield
    finally:
        loop.remove_signal_handler(signal.SIGHUP)
