"""A small city in a database, and what may happen to it."""

from datetime import UTC, date, datetime, timedelta

from hj212gw.assessment.aggregator import Aggregator, Plan
from hj212gw.assessment.rules import make_rules
from hj212gw.clock import Clock
from hj212gw.config_assessment import AssessmentSettings
from hj212gw.store.migrate import migrate

DAY = date(2026, 3, 1)
FACTORS = ("w01018", "w21003")
OUTLETS = ("O1", "O2", "O3")

_REGISTRY = """
INSERT INTO enterprises (enterprise, name, county) VALUES ('E1', 'Mill', 'North'), ('E2', 'Works', 'South');
INSERT INTO outlets (outlet, enterprise, name, medium) VALUES
    ('O1', 'E1', 'Outlet 1', 'water'), ('O2', 'E1', 'Outlet 2', 'water'), ('O3', 'E2', 'Outlet 3', 'water');
INSERT INTO data_loggers (mn, st, outlet) SELECT 'MN-' || outlet, '32', outlet FROM outlets;
INSERT INTO loggers (mn) SELECT mn FROM data_loggers ORDER BY mn;
INSERT INTO base_list (outlet, factor, fields, valid_from)
    SELECT outlet, factor, 1, '2026-03-01 00:00+08' FROM outlets CROSS JOIN unnest('{w01018,w21003}'::text[]) AS factor;
"""
_READING = """
INSERT INTO readings_hour AS r (logger_id, nth, data_time, received_at, st, cn, factor, avg, data_flag)
SELECT logger_id, 0, $2, $3, '32', '2061', $4, 1, $5 FROM loggers WHERE mn = 'MN-' || $1
ON CONFLICT (logger_id, cn, data_time, factor, st, nth) DO UPDATE SET updated_at = $3, data_flag = $5
WHERE coalesce(r.updated_at, r.received_at) < $3
"""
_HISTORY = """
INSERT INTO reading_history (logger_id, nth, data_time, received_at, replaced_at, st, cn, factor, avg, data_flag, origin)
SELECT r.logger_id, 0, r.data_time, coalesce(r.updated_at, r.received_at), $3, '32', '2061', r.factor, r.avg, r.data_flag,
       'resent'
FROM readings_hour r JOIN loggers USING (logger_id)
WHERE mn = 'MN-' || $1 AND r.data_time = $2 AND r.factor = $4 AND coalesce(r.updated_at, r.received_at) < $3
"""
_DIRTY = """
INSERT INTO dirty AS d (logger_id, cn, day) SELECT logger_id, '2061', $2 FROM loggers WHERE mn = 'MN-' || $1
ON CONFLICT (logger_id, cn, day) DO UPDATE SET version = d.version + 1
"""


def local(day, hour=0, minute=0):
    """A moment of UTC+8, `day` days after the first."""
    return datetime(DAY.year, DAY.month, DAY.day, hour, minute, tzinfo=UTC) + timedelta(days=day, hours=-8)


async def found(connection):
    """Migrate a database and register the city."""
    await migrate(connection, now=local(0))
    await connection.execute("SET search_path = hj212, public")
    await connection.execute(_REGISTRY)


async def send(connection, outlet, hour_at, *, after=timedelta(minutes=5), flag="N", factors=FACTORS):
    """Let an hour arrive, so long after its end; a later arrival of the same hour is a correction."""
    arrived_at = hour_at + timedelta(hours=1) + after
    async with connection.transaction():
        for factor in factors:
            await connection.execute(_HISTORY, outlet, hour_at, arrived_at, factor)
            await connection.execute(_READING, outlet, hour_at, arrived_at, factor, flag)
        await connection.execute(_DIRTY, outlet, (hour_at + timedelta(hours=8)).date())


async def send_day(connection, day, outlets=OUTLETS):
    """Let a whole day arrive in time."""
    for outlet in outlets:
        for hour in range(24):
            await send(connection, outlet, local(day, hour))


async def mark(connection, outlet, kind, start, end, recorded_at, factor="*"):
    """Declare a mark; return its number."""
    return await connection.fetchval(
        "INSERT INTO marks (outlet, factor, kind, from_at, to_at, author, recorded_at)"
        " VALUES ($1, $2, $3, $4, $5, 'li', $6) RETURNING mark_id",
        outlet, factor, kind, start, end, recorded_at,
    )  # fmt: skip


async def decide(connection, mark_id, event, at):
    """Let something become of a mark."""
    await connection.execute(
        "INSERT INTO mark_events (mark_id, event, by_whom, at) VALUES ($1, $2, 'wang', $3)", mark_id, event, at
    )


class StandingClock(Clock):
    """Shows the time it is told."""

    def __init__(self, moment):
        super().__init__()
        self.moment = moment

    def now(self):
        """The time it was told."""
        return self.moment


def make_aggregator(dsn, clock, **settings):
    """An aggregator with the default rules but for some."""
    plan = Plan(make_rules(AssessmentSettings(**settings)), "city", 0.05, timedelta(hours=1))
    return Aggregator(dsn, plan, clock)


async def figures(connection):
    """The newest figures and the days they are made of, in order."""
    days = await connection.fetch("SELECT * FROM assessed_days ORDER BY outlet, day, factor, stage")
    rates = await connection.fetch(
        "SELECT period, period_start, level, id, stage, basis, expected_values, reported_values, expected_groups,"
        " groups_not_taking_part, groups_received, valid_groups, provisional FROM rate_counts WHERE replaced_at IS NULL"
        " ORDER BY period, period_start, level, id, stage, basis"
    )
    return [tuple(row) for row in days], [tuple(row) for row in rates]


async def forget(connection):
    """Drop all figures, so that they are computed from nothing."""
    await connection.execute("TRUNCATE assessed_days, rate_counts, stale_days")
    await connection.execute(
        "UPDATE assessment_state SET rules = NULL, passed_at = NULL, immediate_through = NULL, completed_through = NULL,"
        " reached_day = NULL"
    )
