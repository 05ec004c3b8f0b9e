"""Proof that what was acknowledged is stored exactly once, without holding it in memory.

Frames follow from their numbers, so they are made again, a data logger at a time, and compared with the database as
sets: count, count of different ones, and the sum of their digests; for the readings their count, that each packet has
each factor once, and sums over DataTimes and values. Only where a data logger differs are its digests fetched.

A packet that was sent and stayed without an answer may be stored or not; it is left out of account.
"""

import asyncio
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from hashlib import blake2b
from importlib import resources
from typing import Any, NamedTuple

from hj212gw.errors import StoreUnavailable
from hj212gw.store.pool import CONNECTION_ERRORS, Connection, connect, sort_error
from hj212sim.load.frames import FrameSource
from hj212sim.load.plan import Plan
from hj212sim.load.tally import Issued

_STATEMENT_SECS = 900.0
_FIRST_WAIT_SECS = 0.2
_DIGEST_BYTES = 16
_MAX_EXAMPLES = 5


class Expected(NamedTuple):
    """What the database must hold of one data logger.

    Attributes:
        packets: count of those acknowledged.
        total: sum of the first halves of their digests, each a signed 64-bit number.
        steps, weight: sums over their readings, as `sum_readings.sql` makes them.
    """

    packets: int
    total: int
    steps: int
    weight: int


@dataclass(slots=True)
class Check:
    """What the comparison gave.

    Attributes:
        packets_acked, packets_stored: acknowledged, and how many of these are stored.
        packets_missing: acknowledged and not stored.
        packets_doubled: rows beyond the first of a packet.
        packets_foreign: of these MNs and times, but not of this run.
        packets_held: stored without readings, because their MN is not registered or they are in quarantine.
        readings_acked, readings_stored: what the packets hold, and what is there.
        loggers_differing: whose readings are not as they were sent.
        waited_secs: for the gateway to store what it had acknowledged.
        examples: MN and QN of some that are missing.
    """

    packets_acked: int = 0
    packets_stored: int = 0
    packets_missing: int = 0
    packets_doubled: int = 0
    packets_foreign: int = 0
    packets_held: int = 0
    readings_acked: int = 0
    readings_stored: int = 0
    loggers_differing: int = 0
    waited_secs: float = 0.0
    examples: list[str] = field(default_factory=list)

    def report(self) -> dict[str, Any]:
        """Return the figures, with what is not as it must be in `faults`."""
        figures = {name: getattr(self, name) for name in self.__slots__}
        named = f", such as {'; '.join(self.examples)}" if self.examples else ""
        faults = {
            f"{self.packets_missing} acknowledged packets are not stored{named}": self.packets_missing,
            f"{self.packets_doubled} packets are stored twice": self.packets_doubled,
            f"{self.packets_foreign} stored packets are of another run: use another --seed": self.packets_foreign,
            f"{self.packets_held} packets are held without readings: register their MNs": self.packets_held,
            f"the readings of {self.loggers_differing} data loggers are not what was sent": self.loggers_differing,
        }
        return {**figures, "faults": [text for text, count in faults.items() if count]}


class Verifier:
    """Compares a run with the database.

    Args:
        plan: placed in time.
        issued: what its connections came to.

    Attributes:
        mns: of the run's data loggers.
    """

    def __init__(self, plan: Plan, issued: list[Issued]) -> None:
        self._plan = plan
        self._source = FrameSource(plan)
        self._sent: dict[int, int] = {}  # steps by data logger
        self._unacked: dict[int, set[int]] = {}
        for connection, sent, unacked in issued:
            loggers = plan.loggers_of(connection)
            for place, logger in enumerate(loggers):
                self._sent[logger] = max(0, -(-(sent - place) // len(loggers)))
            for number in unacked:
                step, place = divmod(number, len(loggers))
                self._unacked.setdefault(loggers[place], set()).add(step)
        self.mns = [self._source.mn_of(logger) for logger in self._sent]
        self._bounds = (self.mns, self._moment(0), self._moment(max(self._sent.values(), default=0) + 1))
        left_out = [(logger, step) for logger, steps in self._unacked.items() for step in steps]
        self._left_out_digests = [_digest(self._segment(logger, step)) for logger, step in left_out]
        self._left_out_mns = [self._source.mn_of(logger) for logger, _ in left_out]
        self._left_out_moments = [self._moment(step) for _, step in left_out]

    async def check(self, dsn: str, *, wait_secs: float) -> Check:
        """Wait until the gateway has stored what it acknowledged, and compare.

        Args:
            dsn: of a login that may read the views.
            wait_secs: longest time without a newly stored packet.

        Raises:
            StoreUnavailable: the database is away.
            ConfigError: the DSN cannot be read.
        """
        connection = await connect(dsn, name="hj212-sim load", statement_timeout_secs=_STATEMENT_SECS)
        try:
            check = Check()
            check.packets_acked = sum(self._sent.values()) - sum(map(len, self._unacked.values()))
            check.readings_acked = check.packets_acked * self._plan.factors
            check.waited_secs = await self._wait_stored(connection, check.packets_acked, wait_secs)
            await self._compare(connection, check)
            return check
        except CONNECTION_ERRORS as error:
            raise StoreUnavailable(str(sort_error(error))) from error
        finally:
            connection.terminate()

    def expect(self, logger: int) -> Expected:
        """Make one data logger's acknowledged packets again and sum them up."""
        lane, source = self._source.make_lane(logger), self._source
        count = total = steps = weight = 0
        for step in self._acked_steps(logger):
            total += int.from_bytes(_digest(source.segment(lane, step))[:8], "big", signed=True)
            weight += (step + 1) * source.millis(lane, step)
            steps += step
            count += 1
        return Expected(count, total, steps, weight)

    def _acked_steps(self, logger: int) -> Any:
        unacked = self._unacked.get(logger, ())
        return (step for step in range(self._sent[logger]) if step not in unacked)

    async def _wait_stored(self, connection: Connection, count: int, wait_secs: float) -> float:
        began_at = moved_at = time.monotonic()
        before, pause_secs = -1, _FIRST_WAIT_SECS
        while True:
            asked_at = time.monotonic()
            stored = await connection.fetchval(_load("count_packets"), *self._bounds, self._left_out_digests)
            now = time.monotonic()
            if stored >= count:
                return round(now - began_at, 3)
            if stored > before:
                before, moved_at = stored, now
            elif now - moved_at > wait_secs:
                return round(now - began_at, 3)
            # A count of many rows takes its time from the gateway's own work.
            pause_secs = max(_FIRST_WAIT_SECS, 4 * (now - asked_at))
            await asyncio.sleep(pause_secs)

    async def _compare(self, connection: Connection, check: Check) -> None:
        rows = await connection.fetch(_load("sum_packets"), *self._bounds, self._left_out_digests)
        packets = {row["mn"]: row for row in rows}
        rows = await connection.fetch(
            _load("sum_readings"),
            *self._bounds,
            self._moment(0),
            list(self._source.codes),
            self._left_out_mns,
            self._left_out_moments,
        )
        readings = {row["mn"]: row for row in rows}
        for logger in self._sent:
            mn, expected = self._source.mn_of(logger), self.expect(logger)
            await self._compare_packets(connection, check, (logger, expected), packets.get(mn))
            row = readings.get(mn)
            found = (row["whole"], int(row["steps"]), int(row["weight"]), row["readings"]) if row else (0, 0, 0, 0)
            check.readings_stored += found[3]
            wanted = (expected.packets, expected.steps, expected.weight, expected.packets * self._plan.factors)
            check.loggers_differing += found != wanted

    async def _compare_packets(
        self, connection: Connection, check: Check, wanted: tuple[int, Expected], row: Any
    ) -> None:
        logger, expected = wanted
        check.packets_held += row["held"] if row else 0
        found = (row["packets"], row["different"], int(row["total"])) if row else (0, 0, 0)
        if found == (expected.packets, expected.packets, expected.total):
            check.packets_stored += expected.packets
            return
        mn = self._source.mn_of(logger)
        rows = await connection.fetch(_load("list_packets"), mn, *self._bounds[1:])
        stored: dict[bytes, int] = {row["digest"]: row["times"] for row in rows}
        for step in range(self._sent[logger]):
            times = stored.pop(_digest(self._segment(logger, step)), 0)
            check.packets_doubled += max(0, times - 1)
            if step in self._unacked.get(logger, ()):
                continue
            check.packets_stored += times > 0
            check.packets_missing += not times
            if not times and len(check.examples) < _MAX_EXAMPLES:
                place = logger // self._plan.connections
                check.examples.append(f"MN {mn} QN {self._source.moment(step).text.decode()}{place:03d}")
        check.packets_foreign += sum(stored.values())

    def _segment(self, logger: int, step: int) -> bytes:
        return self._source.segment(self._source.make_lane(logger), step)

    def _moment(self, step: int) -> datetime:
        return datetime.fromtimestamp(self._plan.begin_secs + step, UTC)


async def probe(dsn: str) -> None:
    """Make sure, before a run, that there is a database to check it with.

    Raises:
        StoreUnavailable: the database or its views are away.
        ConfigError: the DSN cannot be read.
    """
    connection = await connect(dsn, name="hj212-sim load")
    try:
        await connection.fetchval("SELECT count(*) FROM (SELECT FROM hj212.v_packets LIMIT 1) AS one")
    except CONNECTION_ERRORS as error:
        raise StoreUnavailable(str(sort_error(error))) from error
    finally:
        connection.terminate()


def _digest(segment: bytes) -> bytes:
    """The identity the gateway gives a packet."""
    return blake2b(segment, digest_size=_DIGEST_BYTES).digest()


@cache
def _load(name: str) -> str:
    return (resources.files("hj212sim.load") / f"{name}.sql").read_text(encoding="utf-8")
