"""Past days of the raw archive are sealed in the background, over a connection of their own: the drain never waits."""

import asyncio
from contextlib import suppress
from datetime import timedelta

from hj212gw import telemetry_gateway, telemetry_store
from hj212gw.clock import Clock
from hj212gw.errors import StoreError, StoreUnavailable
from hj212gw.store.archive import JOURNAL_LIFE, MARGIN, STATEMENT_TIMEOUT_SECS, seal_days
from hj212gw.store.digests import Entry
from hj212gw.store.migrate import check_schema
from hj212gw.store.pool import CONNECTION_ERRORS, GATEWAY_ROLE, connected

_EVERY = timedelta(hours=1)
_LEAST_WAIT_SECS = 1.0  # real ones, however fast a simulated clock runs


class Keeper:
    """Seals past days once an hour, `MARGIN` after the full hour, so that a day is sealed soon after midnight.

    Several gateways may each have one: the database lets one of them seal at a time.

    Args:
        dsn: the database.
        clock: the gateway's.
    """

    def __init__(self, dsn: str, clock: Clock) -> None:
        self._dsn = dsn
        self._clock = clock
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin in the background."""
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """Stop, in the midst of a day where it must be: that day is sealed next time."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    async def seal_once(self) -> None:
        """Seal what can be sealed now; a fault is told and waits for the next time."""
        try:
            opened = connected(
                self._dsn,
                name="hj212gw keeper",
                role=GATEWAY_ROLE,
                statement_timeout_secs=STATEMENT_TIMEOUT_SECS,
            )
            async with opened as connection:
                await check_schema(connection)
                life = timedelta(seconds=self._clock.real_secs(JOURNAL_LIFE.total_seconds()))
                seal = await seal_days(connection, self._clock.now(), journal_life=life, on_sealed=_tell)
        except (StoreError, *CONNECTION_ERRORS) as error:
            telemetry_store.seal_failed(error)
            return
        except Exception as error:  # noqa: BLE001 - whatever it is, the next hour's try must come
            telemetry_gateway.fault_contained("seal", error)
            return
        if seal.waits_for is not None:
            telemetry_store.seal_failed(StoreUnavailable(f"past days wait for {seal.waits_for}"))

    async def _run(self) -> None:
        while True:
            now = self._clock.now()
            hour = (now - MARGIN).replace(minute=0, second=0, microsecond=0)
            wait_secs = self._clock.real_secs((hour + _EVERY + MARGIN - now).total_seconds())
            await asyncio.sleep(max(_LEAST_WAIT_SECS, wait_secs))
            await self.seal_once()


def _tell(entry: Entry) -> None:
    telemetry_store.day_sealed(entry.day, entry.part, entry.rows, entry.written - entry.rows, entry.chained.hex())
