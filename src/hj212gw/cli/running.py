"""Build the gateway's components from settings, run them, and stop them in order."""

import asyncio
import gc
import json
import os
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import NamedTuple

from hj212gw import telemetry_gateway, telemetry_store
from hj212gw.cli.files import raise_file_limit
from hj212gw.cli.reloading import Reloader, make_limits, make_retention
from hj212gw.clock import Clock
from hj212gw.config import Settings
from hj212gw.errors import StoreUnavailable
from hj212gw.gateway.batches import BatchMaker
from hj212gw.gateway.drain import Drain, DrainLimits
from hj212gw.gateway.keeper import Keeper
from hj212gw.gateway.orphans import Orphans
from hj212gw.gateway.server import Gateway
from hj212gw.http import HttpServer, Readiness
from hj212gw.journal import Journal, JournalSettings
from hj212gw.journal.layout import find_orphans
from hj212gw.store.migrate import migrate
from hj212gw.store.pool import connected
from hj212gw.store.writer import Writer

SECS_A_DAY = 86_400
_IDLE_WAIT_SECS = 1.0
_GC_YOUNG_OBJECTS = 50_000


class Running(NamedTuple):
    """Where a started gateway can be reached; addresses are host:port, `tls` None where there is no such port."""

    gateway: str
    http: str
    dsn: str | None
    tls: str | None = None


class Part(NamedTuple):
    """What a process does of a gateway's work: all of it, or a worker's part.

    Attributes:
        journals: the directory of the journal, or under which all workers have theirs; None leaves to another worker
            what one process does for all: past days are sealed, and journals nobody fills are drained.
        worker_count: how many processes share the port.
    """

    journals: Path | None
    worker_count: int = 1


def make_clock(settings: Settings) -> Clock:
    """Make the clock that the settings ask for."""
    return Clock(settings.clock.epoch, settings.clock.speed, origin=settings.clock.origin)


def make_journal_settings(settings: Settings) -> JournalSettings:
    """Say how the journal is kept."""
    journal = settings.journal
    return JournalSettings(
        directory=journal.directory,
        max_bytes=journal.max_bytes,
        segment_bytes=journal.segment_bytes,
        keep_secs=journal.keep_days * SECS_A_DAY,
        group_records=journal.group_records,
        group_bytes=journal.group_bytes,
        group_wait_secs=journal.group_wait_ms / 1000,
        reserve_bytes=journal.reserve_bytes,
        reject_share=journal.reject_share,
        low_priority_share=journal.low_priority_share,
    )


def make_gateway(settings: Settings, dsn: str | None, clock: Clock, *, shares_port: bool = False) -> Gateway:
    """Build a gateway from settings; without a DSN the journal only fills."""
    return Gateway(
        make_limits(settings)._replace(shares_port=shares_port),
        make_journal_settings(settings),
        _writer_factory(settings, dsn),
        _drain_limits(settings),
        clock,
    )


@asynccontextmanager
async def open_gateway(
    settings: Settings, dsn: str | None, part: Part, *, accepts_unknown: bool
) -> AsyncIterator[tuple[Gateway, str]]:
    """Run a gateway without HTTP for as long as the context lasts; gives it and the address it listens on.

    Raises:
        Hj212Error: the port or the journal cannot be had; or, at the end, the fault that stopped the gateway.
    """
    _calm_garbage_collector()
    raise_file_limit()
    clock = make_clock(settings)
    gateway = make_gateway(settings, dsn, clock, shares_port=part.worker_count > 1)
    async with AsyncExitStack() as stack:
        host, port = await gateway.start(accepts_unknown=accepts_unknown, keys_file=settings.registry.keys_file)
        stack.push_async_callback(gateway.stop)
        if dsn is not None and part.journals is not None:
            keeper = Keeper(dsn, clock)
            keeper.start()
            stack.push_async_callback(keeper.stop)
            gateway.orphans = _make_orphans(settings, dsn, part, gateway, clock)
            gateway.orphans.start()
            stack.push_async_callback(gateway.orphans.stop)
        stopper = asyncio.create_task(_stop_on_failure(gateway))
        stack.callback(stopper.cancel)
        yield gateway, f"{host}:{port}"
    if gateway.failed.done():
        raise gateway.failed.result()


@asynccontextmanager
async def run_gateway(
    settings: Settings, dsn: str | None, *, accepts_unknown: bool, load: Callable[[], Settings] | None = None
) -> AsyncIterator[Running]:
    """Run gateway and HTTP in this process for as long as the context lasts.

    Args:
        settings: what holds at the start.
        dsn: the database; without one the journal only fills.
        accepts_unknown: whether an unknown MN is registered as found, or its packets are held.
        load: reads the settings again on SIGHUP; None takes those of the start, so that files are read anew.

    Raises:
        Hj212Error: a port or the journal cannot be had; or, at the end, the fault that stopped the gateway.
    """
    part = Part(settings.journal.directory)
    async with open_gateway(settings, dsn, part, accepts_unknown=accepts_unknown) as (gateway, address):

        def _readiness() -> Readiness:
            gateway.publish()
            fault = gateway.find_fault()
            return Readiness(fault is None, fault or "")

        http = HttpServer(settings.http.host, settings.http.port, _readiness)
        http_host, http_port = await http.start()
        try:
            telemetry_gateway.gateway_ready()
            with Reloader(gateway, settings, load or (lambda: settings)).listening():
                tls = gateway.tls_address
                yield Running(address, f"{http_host}:{http_port}", dsn, f"{tls[0]}:{tls[1]}" if tls else None)
        finally:
            await http.stop()


def _calm_garbage_collector() -> None:
    """Look for cycles rarely: the hot path makes none, and each look walks what waits for disk and database."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(_GC_YOUNG_OBJECTS, 50, 100)


async def migrate_once(dsn: str, clock: Clock) -> None:
    """Bring the schema up to date.

    Raises:
        StoreUnavailable: the database is away.
        SchemaMismatch: the database is another version's.
    """
    async with connected(dsn, name="hj212gw migrate") as connection:
        await migrate(connection, now=clock.now())


async def migrate_when_possible(dsn: str, clock: Clock, *, retry_secs: float = 2.0) -> None:
    """Bring the schema up to date as soon as the database answers."""
    while True:
        try:
            await migrate_once(dsn, clock)
            return
        except StoreUnavailable as error:
            telemetry_store.store_failed(error)
        await asyncio.sleep(retry_secs)


def write_ready_file(path: Path, running: Running) -> None:
    """Tell other programs, at once and whole, where everything listens."""
    content = {**running._asdict(), "pid": os.getpid()}
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        json.dump(content, file)
    draft.replace(path)


async def wait_for_stop() -> str:
    """Wait for SIGINT or SIGTERM and return its name; a second one ends the process at once."""
    loop = asyncio.get_running_loop()
    stopped: asyncio.Future[str] = loop.create_future()

    def _stop(name: str) -> None:
        if stopped.done():
            os._exit(1)
        stopped.set_result(name)

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, _stop, signal.Signals(number).name)
    return await stopped


async def _stop_on_failure(gateway: Gateway) -> None:
    """End the process in order when the gateway cannot go on."""
    await asyncio.shield(gateway.failed)
    os.kill(os.getpid(), signal.SIGTERM)


def _writer_factory(settings: Settings, dsn: str | None) -> Callable[[Journal], Writer] | None:
    if dsn is None:
        return None
    timeout = settings.database.statement_timeout_secs
    return lambda journal: Writer(dsn, journal.uuid, statement_timeout_secs=timeout)


def _make_orphans(settings: Settings, dsn: str, part: Part, gateway: Gateway, clock: Clock) -> Orphans:
    make_writer = _writer_factory(settings, dsn)
    base = part.journals
    assert make_writer is not None
    assert base is not None

    def _make_drain(journal: Journal) -> Drain:
        admission = gateway.admission
        return Drain(journal, make_writer(journal), BatchMaker(admission), admission, clock)

    def _find() -> list[Path]:
        return find_orphans(base, part.worker_count)

    return Orphans(_find, make_journal_settings(settings), _make_drain, _drain_limits(settings), clock)


def _drain_limits(settings: Settings) -> DrainLimits:
    database = settings.database
    return DrainLimits(
        batch_packets=database.batch_packets,
        batch_wait_secs=database.batch_wait_ms / 1000,
        idle_wait_secs=_IDLE_WAIT_SECS,
        retry_first_secs=database.retry_first_secs,
        retry_max_secs=database.retry_max_secs,
        refresh_secs=settings.registry.refresh_secs,
        retention=make_retention(settings),
    )
