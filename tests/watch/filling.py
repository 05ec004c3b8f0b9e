"""A city's readings made in bulk by the database itself, and the figures the aggregator makes of them.

Numbers that look random are the same each time for a data logger and a moment: about 2 % of the hours never came, came
late or with a bad flag, some outlets are worse than others, and one in thirty data loggers is silent.
"""

import json
from datetime import UTC, datetime, timedelta

import asyncpg

from hj212gw.assessment.aggregator import Aggregator, Plan
from hj212gw.assessment.rules import make_rules
from hj212gw.clock import Clock
from hj212gw.config_assessment import AssessmentSettings
from hj212gw.store.migrate import migrate
from hj212sim.presets import FACTOR_SETS, make_yuxi

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
STILL = 1e-6  # seconds of the clock in a real one

_PUT = (
    """INSERT INTO hj212.{table} ({columns}) SELECT {columns} FROM jsonb_populate_recordset(NULL::hj212.{table}, $1)"""
)
_DICE = "abs(hashint8({moment} + 7919 * l.logger_id) + hashtext(f.factor)::bigint) % 10000"
_VALUE = "20 + 10 * sin(extract(epoch FROM t) / 14400 + l.logger_id) + dice % 100 / 50.0"
_HOURS = f"""
INSERT INTO hj212.readings_hour (logger_id, nth, data_time, received_at, st, cn, factor, min, avg, max, cou, zs_avg, data_flag)
SELECT l.logger_id, 0, t, CASE WHEN dice < 40 THEN t + interval '50 hours' ELSE t + interval '63 minutes' END,
       d.st, '2061', f.factor, {_VALUE} - 1, {_VALUE}, {_VALUE} + 1, 12.5, CASE d.st WHEN '31' THEN {_VALUE} END,
       CASE WHEN dice < 110 THEN (ARRAY['D', 'M', 'C', 'B'])[1 + dice % 4] ELSE 'N' END
FROM generate_series($1::timestamptz, $2::timestamptz - interval '1 hour', interval '1 hour') AS t
CROSS JOIN hj212.loggers l JOIN hj212.data_loggers d USING (mn) CROSS JOIN LATERAL unnest(d.factors) AS f (factor)
CROSS JOIN LATERAL (SELECT {_DICE.format(moment="extract(epoch FROM t)::bigint / 3600")} AS dice) AS x
WHERE NOT (dice BETWEEN 200 AND 260 + 20 * (l.logger_id % 13)) AND NOT (l.logger_id % 30 = 7 AND t > $3)
"""
_RTD = f"""
INSERT INTO hj212.readings_rtd (logger_id, nth, data_time, received_at, st, cn, factor, rtd, data_flag)
SELECT l.logger_id, 0, t, t + interval '2 seconds', d.st, '2011', f.factor, {_VALUE}, CASE WHEN dice < 60 THEN 'D' ELSE 'N' END
FROM hj212.loggers l JOIN hj212.data_loggers d USING (mn) CROSS JOIN LATERAL unnest(d.factors) AS f (factor)
CROSS JOIN LATERAL generate_series($1::timestamptz, $2::timestamptz - interval '1 second',
                                   d.rtd_interval_secs * interval '1 second') AS t
CROSS JOIN LATERAL (SELECT {_DICE.format(moment="extract(epoch FROM t)::bigint / 30")} AS dice) AS x
WHERE NOT (l.logger_id % 30 = 7 AND t > $3)
"""
_ACTIVITY = """
INSERT INTO hj212.logger_activity (mn, last_packet_at, last_data_time, clock_skew_secs)
SELECT mn, CASE WHEN logger_id % 30 = 7 THEN $1::timestamptz - interval '5 hours' ELSE $1 END, $1,
       CASE WHEN logger_id % 11 = 3 THEN 28800 ELSE 0.5 END FROM hj212.loggers
"""
_LIMITS = """
INSERT INTO hj212.limits (outlet, factor, high, unit, basis)
SELECT outlet, factor, 40, 'mg/L', 'GB 18918-2002' FROM hj212.base_list WHERE factor IN ('w01018', 'a21026')
"""


async def fill(dsn, *, monitors, days, rtd, now=None):
    """Migrate a database and fill it with hours of some days and real-time data of a time, both up to now."""
    now = now or datetime.now(UTC)
    this_hour = now.replace(minute=0, second=0, microsecond=0)
    first = this_hour - days * DAY
    connection = await asyncpg.connect(dsn)
    try:
        await migrate(connection, now=first)
        await connection.fetchval("SELECT hj212.ensure_partitions($1)", now)
        await _register(connection, make_yuxi(monitors=monitors))
        silent_from = now - 6 * HOUR
        begins = first
        while begins < this_hour:
            ends = min(begins + 28 * DAY, this_hour)
            await connection.execute(_HOURS, begins, ends, silent_from)
            begins = ends
        await connection.execute(_RTD, now.replace(second=0, microsecond=0) - rtd, now, silent_from)
        await connection.execute(_ACTIVITY, now)
        await connection.execute(_LIMITS)
        await connection.execute("UPDATE hj212.assessment_state SET first_day = hj212.local_day($1)", first)
        # Not the tables that the aggregator fills: known to be empty they would get plans for empty tables.
        for table in (
            "readings_rtd",
            "readings_hour",
            "logger_activity",
            "loggers",
            "data_loggers",
            "outlets",
            "base_list",
        ):
            await connection.execute(f"VACUUM ANALYZE hj212.{table}")
    finally:
        await connection.close()


async def assess(dsn, now=None):
    """Let the aggregator compute all there is."""
    plan = Plan(make_rules(AssessmentSettings()), "玉溪", 1.0, timedelta(seconds=1))
    await Aggregator(dsn, plan, Clock(now or datetime.now(UTC), STILL)).work()
    connection = await asyncpg.connect(dsn)
    await connection.execute("VACUUM ANALYZE hj212.assessed_days, hj212.rate_counts")
    await connection.close()


async def _register(connection, city):
    factors = {}
    for monitor in city.monitors:
        kind = "flue gas" if monitor.medium == "gas" else "process water"
        sent = monitor.profile.factors  # of 2005 have other codes: those outlets get a usual set
        factors[monitor.outlet] = sent if sent in FACTOR_SETS.values() else FACTOR_SETS[kind]
    rows = {
        "enterprises": [
            {"enterprise": each.enterprise, "name": each.name, "county": each.county.name, "level": each.level}
            for each in city.enterprises
        ],
        "outlets": [
            {"outlet": each.outlet, "enterprise": each.enterprise, "name": each.name, "medium": each.medium}
            for each in city.monitors
        ],
        "loggers": [{"mn": each.profile.mn} for each in city.monitors],
        "data_loggers": [
            {
                "mn": each.profile.mn,
                "st": each.profile.st,
                "outlet": each.outlet,
                "rtd_interval_secs": each.profile.rhythm.rtd_interval_secs,
                "factors": list(factors[each.outlet]),
            }
            for each in city.monitors
        ],
        "base_list": [
            {"outlet": outlet, "factor": factor, "fields": 1}
            for outlet, codes in factors.items()
            for factor in codes
            if factor[0] == "w" or factor.startswith(("a2", "a3"))
        ],
    }
    for table, given in rows.items():
        statement = _PUT.format(table=table, columns=", ".join(given[0]))
        await connection.execute(statement, json.dumps(given))
