"""The gateway as a whole: listen, keep, drain, stop in order."""

import asyncio
import shutil
from collections.abc import Callable, Coroutine
from contextlib import suppress
from pathlib import Path

from hj212gw import telemetry_gateway, telemetry_store
from hj212gw.clock import Clock
from hj212gw.errors import ConfigError, Hj212Error, JournalError
from hj212gw.gateway.admission import Admission
from hj212gw.gateway.batches import BatchMaker
from hj212gw.gateway.drain import Drain, DrainLimits
from hj212gw.gateway.intake import Intake
from hj212gw.gateway.limits import GatewayLimits
from hj212gw.gateway.listening import Ports
from hj212gw.gateway.orphans import Orphans
from hj212gw.gateway.session import Session
from hj212gw.journal import Journal, JournalObserver, JournalSettings
from hj212gw.registry.keysfile import KeysFile
from hj212gw.store.retention import Retention
from hj212gw.store.writer import Writer

_TICK_SECS = 1.0
_CLOSE_SECS = 1.0  # for answers still in socket buffers, and for a database that was cut off
_IDLE_INTERVALS = 3  # 15 minutes or three of the logger's own intervals, whichever is longer


class Gateway:
    """One gateway process.

    Args:
        limits: where and how much.
        journal_settings: the journal's directory and sizes.
        writer_of: makes the database's writer for a journal; None runs without a database.
        drain_limits: how the journal is drained.
        clock: stamps arrivals.

    Attributes:
        failed: why the gateway cannot go on, as soon as it cannot.
        orphans: journals drained beside its own, for what is shown as pending.
    """

    def __init__(
        self,
        limits: GatewayLimits,
        journal_settings: JournalSettings,
        writer_of: Callable[[Journal], Writer] | None,
        drain_limits: DrainLimits,
        clock: Clock,
    ) -> None:
        self._limits = limits
        self._journal_settings = journal_settings
        self._writer_of = writer_of
        self._drain_limits = drain_limits
        self._clock = clock
        self._drain: Drain | None = None
        self._draining: asyncio.Task[None] | None = None
        self._stopping = False
        self._full_reason = ""
        self.orphans: Orphans | None = None
        self.failed: asyncio.Future[Hj212Error] = asyncio.get_running_loop().create_future()

    async def start(self, *, accepts_unknown: bool, keys_file: Path | None = None) -> tuple[str, int]:
        """Open the journal, begin to drain and listen.

        Args:
            accepts_unknown: whether an unknown MN is registered as found, or its packets are held.
            keys_file: keys beside those of the database.

        Returns:
            The address that is listened on.

        Raises:
            JournalUnwritable: another process holds the journal, or its directory cannot be written.
            ConfigError: the port cannot be had, or the keys file cannot be read.
        """
        self._admission = Admission(
            accepts_unknown=accepts_unknown,
            snapshot=self._journal_settings.directory / "registry.json",
            keys_file=None if keys_file is None else KeysFile(keys_file),
            clock=self._clock,
        )
        self._admission.load_keys()
        self._journal = Journal.open(self._journal_settings, observer=self._observe())
        self._admission.load_snapshot()
        self._intake = Intake(self._journal, self._admission, self._clock, self._limits)
        address = await self._listen()
        self._ticking = asyncio.create_task(self._tick())
        if self._writer_of is not None:
            maker = BatchMaker(self._admission)
            self._intake.on_noise = maker.book.note_noise
            writer = self._writer_of(self._journal)
            self._drain = Drain(self._journal, writer, maker, self._admission, self._clock)
            self._draining = asyncio.create_task(self._keep_draining(self._drain))
        tls = "{}:{}".format(*self.tls_address) if self.tls_address else "none"
        telemetry_gateway.gateway_started(*address, journal=str(self._journal.uuid), tls=tls)
        return address

    @property
    def admission(self) -> Admission:
        """Who is registered, as of the last look; once started."""
        return self._admission

    @property
    def tls_address(self) -> tuple[str, int] | None:
        """The address of the TLS port of a started gateway, None where there is none."""
        return self._ports.tls_address

    def replace(self, limits: GatewayLimits, retention: Retention) -> None:
        """Go on with other limits, networks, certificates and retention; addresses and sizes of the journal stay.

        Raises:
            ConfigError: the certificate or a key cannot be used; nothing has changed then.
        """
        context = self._ports.prepare(limits)
        self._limits = limits
        self._ports.replace(limits, context)
        self._intake.replace_limits(limits)
        self._drain_limits = self._drain_limits._replace(retention=retention)
        if self._drain is not None:
            self._drain.retention = retention
        if self.orphans is not None:
            self.orphans.replace_retention(retention)

    def find_fault(self) -> str | None:
        """Say why the gateway is not ready to take packets, None when it is."""
        if self._stopping:
            return "the gateway is stopping"
        if self.failed.done():
            return str(self.failed.result())
        self._watch_room()
        return self._full_reason or None

    def publish(self) -> None:
        """Bring the metrics up to date; called before each scrape."""
        self._intake.publish_counts()
        all_stats = [self._journal.stats(), *(self.orphans.stats() if self.orphans is not None else ())]
        arrivals = [stats.oldest_pending_us for stats in all_stats if stats.oldest_pending_us is not None]
        telemetry_store.journal_measured(
            sum(stats.pending_records for stats in all_stats),
            sum(stats.pending_bytes for stats in all_stats),
            min(arrivals) / 1_000_000 if arrivals else None,
            sum(stats.total_bytes for stats in all_stats),
        )
        telemetry_gateway.sessions_measured(len(self._intake.sessions), self._limits.max_sessions)
        with suppress(OSError):  # a journal that cannot be reached is told where it is written
            disk = shutil.disk_usage(self._journal_settings.directory)
            telemetry_store.room_measured(self._journal_settings.max_bytes, disk.free, disk.total)

    async def stop(self) -> None:
        """Stop in order: no new lines, no reading, what came is kept and answered, then drained."""
        if self._stopping:
            return
        self._stopping = True
        telemetry_gateway.gateway_stopping("asked" if not self.failed.done() else "failed")
        await self._stop_listening()
        await self._finish_sessions()
        await self._finish_drain()
        self._ticking.cancel()
        self.publish()
        pending = self._journal.stats().pending_records
        try:
            await self._journal.close()
        except JournalError as error:
            self._fail(error)
        telemetry_gateway.gateway_stopped(pending_packets=pending)

    async def _listen(self) -> tuple[str, int]:
        try:
            self._ports = Ports(self._intake, self._limits)
            return await self._ports.open()
        except ConfigError:
            await self._journal.close()
            raise

    def _observe(self) -> JournalObserver:
        return JournalObserver(
            on_commit=self._committed,
            on_full=self._fill,
            on_room=self._room,
            on_damage=lambda damage: telemetry_store.journal_damaged(str(damage.path)),
            on_failure=self._fail,
        )

    def _committed(self, records: int, byte_count: int, secs: float) -> None:
        telemetry_store.journal_committed(records, byte_count, secs)
        if self._drain is not None:
            self._drain.wake()

    def _fill(self, reason: str) -> None:
        """Tell that data loggers have to wait, and why."""
        self._full_reason = f"the journal has no room: {reason}"
        telemetry_store.journal_filled(reason)

    def _watch_room(self) -> None:
        """Tell when real-time data begins to wait, which is before all does, and when nothing waits any more."""
        stats = self._journal.stats()
        if stats.is_nearly_full and not self._full_reason:
            where = self._journal_settings.directory
            self._fill(f"{where} holds {stats.total_bytes} bytes, the rest is for hour and day data")
        elif self._full_reason and not stats.is_nearly_full:
            self._full_reason = ""
            telemetry_store.journal_freed()

    def _room(self) -> None:
        self._watch_room()
        self._intake.resume_blocked()

    def _fail(self, error: Hj212Error) -> None:
        if self.failed.done():
            return
        (telemetry_store.journal_failed if isinstance(error, JournalError) else telemetry_store.store_failed)(error)
        self.failed.set_result(error)

    async def _keep_draining(self, drain: Drain) -> None:
        """Drain until stopped; a fault nobody thought of is told and tried again, for intake can go on without."""
        try:
            while error := await _outcome(drain.run(self._drain_limits)):
                if isinstance(error, JournalError | ConfigError):
                    self._fail(error)
                    return
                telemetry_store.store_failed(error)
                context = {"message": "the drain met a fault it does not know", "exception": error}
                asyncio.get_running_loop().call_exception_handler(context)
                if self._stopping:
                    return
                await drain.pause(self._drain_limits.retry_max_secs)
        finally:
            await drain.close()

    async def _tick(self) -> None:
        """Every second: metrics, and connections that have been silent for too long."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(_TICK_SECS)
            self.publish()
            self._watch_room()
            self._admission.refresh()
            now = loop.time()
            for session in list(self._intake.sessions):
                self._close_silent(session, now)

    def _close_silent(self, session: Session, now: float) -> None:
        """Close a connection that has been silent for too long, or that brought nothing from its beginning on."""
        longest = max(self._limits.idle_timeout_secs, _IDLE_INTERVALS * session.interval_secs)
        first_secs = self._limits.shares.first_frame_secs
        is_mute = first_secs and not session.packet_count and not session.reject_count
        if session.is_held_up:
            return
        if now - session.heard_at > longest:
            session.close("idle")
        elif is_mute and now - session.opened_at > first_secs:
            session.close("silent")

    async def _stop_listening(self) -> None:
        self._ports.close()
        for session in self._intake.sessions:
            session.pause("stopping")

    async def _finish_sessions(self) -> None:
        """Wait until what came is on disk and answered, then close the lines."""
        intake = self._intake
        if not self.failed.done():
            await self._wait_until(lambda: intake.waiting_bytes == 0, self._limits.stop_timeout_secs)
        for session in list(intake.sessions):
            session.close("stopped")
        if not await self._wait_until(lambda: not intake.sessions, _CLOSE_SECS):
            for session in list(intake.sessions):
                session.abort("stopped")
            await asyncio.sleep(0)

    async def _wait_until(self, condition: Callable[[], bool], secs: float) -> bool:
        """Wait for a condition that the intake tells changes of; False when time ran out."""
        changed = asyncio.Event()
        self._intake.on_quiet = changed.set
        try:
            async with asyncio.timeout(secs):
                while not condition():
                    changed.clear()
                    await changed.wait()
        except TimeoutError:
            return False
        return True

    async def _finish_drain(self) -> None:
        if self._drain is None or self._draining is None:
            return
        self._drain.stop()
        _, late = await asyncio.wait({self._draining}, timeout=self._limits.stop_timeout_secs)
        if late:
            self._drain.abort()
            _, late = await asyncio.wait(late, timeout=_CLOSE_SECS)
        for task in late:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)


async def _outcome(work: Coroutine[None, None, None]) -> BaseException | None:
    """Run a coroutine to its end and return what it raised; cancelled with us, whatever it is doing."""
    task = asyncio.ensure_future(work)
    try:
        await asyncio.wait({task})
    finally:
        task.cancel()
    return task.exception()
