"""The rates of a city: a month from nothing, a changed day of one outlet, and with `--days 365` a year by months.

    python bench/assessment.py [--monitors 600] [--days 30] [--dsn DSN] [--json]

Fills a database with hour data of `--monitors` outlets, nine counted factors each and of water the flow besides, for
the days that end with yesterday: about 1 % of the hours never came, came late, came with a bad flag or were corrected,
and marks lie on some days. Then times, month by month, the calculation from readings to groups (`compute`) and with the
figures kept and pooled up to the city (`kept`), beside a bare count of the same rows by series and day: by data logger
instead of outlet, since readings know no outlet. Without `--dsn` the database is a private one with the product's
settings; its memory is what its processes hold beyond shared buffers, sampled.
"""

import argparse
import asyncio
import os
import resource
import time
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

import asyncpg
from stage import describe_machine, own_database, print_figures

from hj212gw.assessment.rules import make_rules
from hj212gw.config_assessment import AssessmentSettings
from hj212gw.store.assessment import Scope, compute_days
from hj212gw.store.migrate import migrate
from hj212gw.store.rates import StaleDay, begin_days, roll_up, store_days

DAY = timedelta(days=1)
MONTH_DAYS = 30
CHANGED_ROUNDS = 15
SAMPLE_SECS = 0.1
GAS = "{a34013,a21026,a21002,a19001,a01011,a01012,a01014,a01013,a00000}"
WATER = "{w01018,w21003,w21011,w21001,w01012,w01009,w20116,w21016,w22001,w00000}"  # the last one, flow, is not counted

# A fifth of the outlets is of water. Numbers that look random and are the same each time decide what is exceptional.
REGISTRY = f"""
    INSERT INTO hj212.enterprises (enterprise, name, county)
    SELECT 'E' || n, 'Enterprise ' || n, 'County ' || n % 9 FROM generate_series(0, $1 / 3) AS n;
    INSERT INTO hj212.outlets (outlet, enterprise, name, medium)
    SELECT 'O' || n, 'E' || n / 3, 'Outlet ' || n, CASE n % 5 WHEN 0 THEN 'water' ELSE 'gas' END
    FROM generate_series(1, $1) AS n;
    INSERT INTO hj212.loggers (mn) SELECT 'MN' || n FROM generate_series(1, $1) AS n;
    INSERT INTO hj212.data_loggers (mn, outlet) SELECT 'MN' || n, 'O' || n FROM generate_series(1, $1) AS n;
    INSERT INTO hj212.base_list (outlet, factor, fields)
    SELECT outlet, factor, CASE WHEN factor IN ('a34013', 'a21026', 'a21002') THEN 3 ELSE 1 END
    FROM hj212.outlets CROSS JOIN LATERAL
        unnest(CASE medium WHEN 'water' THEN '{WATER}'::text[] ELSE '{GAS}' END) AS factor;
"""
READINGS = f"""
    INSERT INTO hj212.readings_hour (logger_id, nth, data_time, received_at, updated_at, qn, st, cn, factor, min, avg, max,
                                     cou, zs_avg, data_flag)
    SELECT l.logger_id, 0, t, CASE WHEN dice < 30 THEN t + interval '3 days' ELSE t + interval '65 minutes' END,
           CASE WHEN dice BETWEEN 80 AND 99 THEN t + interval '4 days' END, 20260301120000001,
           CASE o.medium WHEN 'water' THEN '32' ELSE '31' END, '2061', factor, 1.5,
           CASE WHEN factor = 'w00000' AND dice = 79 THEN 0 ELSE 2.5 END, 3.5,
           12.5, CASE WHEN o.medium = 'gas' THEN 2.75 END, CASE WHEN dice BETWEEN 30 AND 59 THEN 'D' ELSE 'N' END
    FROM generate_series($1::timestamptz, $2::timestamptz - interval '1 hour', interval '1 hour') AS t
    CROSS JOIN hj212.loggers l
    JOIN hj212.data_loggers d USING (mn)
    JOIN hj212.outlets o USING (outlet)
    CROSS JOIN LATERAL unnest(CASE o.medium WHEN 'water' THEN '{WATER}'::text[] ELSE '{GAS}' END) AS factor
    CROSS JOIN LATERAL (SELECT abs(hashint8(extract(epoch FROM t)::bigint + 31 * l.logger_id) + hashtext(factor)::bigint) % 10000
                        AS dice) AS x
    WHERE dice NOT BETWEEN 60 AND 78
"""
HISTORY = """
    INSERT INTO hj212.reading_history (logger_id, nth, data_time, received_at, replaced_at, st, cn, factor, avg, data_flag, origin)
    SELECT logger_id, nth, data_time, received_at, updated_at, st, cn, factor, 2.25, 'N', 'live'
    FROM hj212.readings_hour WHERE updated_at IS NOT NULL AND data_time >= $1 AND data_time < $2
"""
MARKS = """
    INSERT INTO hj212.marks (outlet, factor, kind, from_at, to_at, author, recorded_at)
    SELECT 'O' || n, CASE n % 3 WHEN 0 THEN '*' ELSE (SELECT min(factor) FROM hj212.base_list WHERE outlet = 'O' || n) END,
           (ARRAY['stop', 'device', 'standard_check', 'not_responsible'])[1 + (n + day) % 4],
           $1::timestamptz + day * interval '1 day 7 minutes', $1::timestamptz + day * interval '1 day 7 minutes'
           + interval '200 minutes', 'bench', $1::timestamptz + day * interval '1 day' + interval '20 hours'
    FROM generate_series(0, $3 - 1) AS day, generate_series(1, $2) AS n WHERE (n + 7 * day) % 30 = 0
"""
BARE = """
    SELECT count(*) FROM (
        SELECT count(*) FROM hj212.readings_hour
        WHERE cn = '2061' AND data_time >= $1 AND data_time < $2
        GROUP BY logger_id, factor, (data_time AT TIME ZONE 'UTC' + interval '8 hours')::date
    ) AS series
"""


def start_of(day):
    """Midnight of UTC+8."""
    return datetime(day.year, day.month, day.day, tzinfo=UTC) - timedelta(hours=8)


def months_of(first, last):
    """The spans of up to a month that a range is computed in."""
    while first < last:
        ends = min(first + MONTH_DAYS * DAY, last)
        yield first, ends
        first = ends


async def fill(connection, monitors, first, last):
    """Make the registry, the marks and all readings."""
    for statement in REGISTRY.split(";")[:-1]:
        await connection.execute(statement, *([monitors] if "$1" in statement else []))
    for from_day, to_day in months_of(first, last):
        await connection.execute(READINGS, start_of(from_day), start_of(to_day))
        await connection.execute(HISTORY, start_of(from_day), start_of(to_day))
    await connection.execute(MARKS, start_of(first), monitors, (last - first).days)
    for table in ("readings_hour", "reading_history", "base_list", "outlets", "loggers", "data_loggers", "marks"):
        await connection.execute(f"VACUUM ANALYZE hj212.{table}")


def anonymous_bytes(pids):
    """Memory of processes that is theirs alone."""
    total = 0
    for pid in pids:
        with suppress(OSError):  # a worker that has ended
            for line in Path(f"/proc/{pid}/status").read_text().splitlines():
                if line.startswith("RssAnon:"):
                    total += int(line.split()[1]) * 1024
    return total


def children_of(pid):
    """The processes another one started."""
    return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()


def parent_of(pid):
    """The process that started a server's, 0 where the server is elsewhere."""
    with suppress(OSError):
        name, _, fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")
        return int(fields.split()[1]) if "postgres" in name else 0
    return 0


def server_cpu_secs(pid):
    """CPU time of a server with all its processes, those that have ended too."""
    total = 0
    for process in [pid, *children_of(pid)] if pid else []:
        with suppress(OSError):
            fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
            total += sum(map(int, fields[11:15] if process == pid else fields[11:13]))
    return total / os.sysconf("SC_CLK_TCK")


@asynccontextmanager
async def watched(pid, peaks):
    """Note the largest memory a server's processes have meanwhile; nothing where the server is elsewhere."""

    async def watch():
        while pid:
            peaks.append(anonymous_bytes([pid, *children_of(pid)]))
            await asyncio.sleep(SAMPLE_SECS)

    task = asyncio.create_task(watch())
    try:
        yield
    finally:
        task.cancel()


class Spent(NamedTuple):
    """What something took: seconds, and CPU seconds of the server."""

    secs: float
    cpu_secs: float


class Watch:
    """Tells what has been spent since it was made."""

    def __init__(self, pid):
        self.pid = pid
        self.began, self.cpu_began = time.perf_counter(), server_cpu_secs(pid)

    def spent(self):
        """Seconds until now."""
        return Spent(time.perf_counter() - self.began, server_cpu_secs(self.pid) - self.cpu_began)


async def count_bare(connection, pid, scope):
    """Time the yardstick, under the settings the calculation has."""
    async with connection.transaction():
        for setting in ("jit = off", "work_mem = '128MB'"):
            await connection.execute(f"SET LOCAL {setting}")
        watch = Watch(pid)
        await connection.fetchval(BARE, start_of(scope.from_day), start_of(scope.to_day))
        return watch.spent()


async def compute(connection, pid, scope, rules):
    """Compute a scope as the aggregator does; return what was spent up to the groups, and until the figures are kept."""
    stale = [
        StaleDay(None, scope.from_day + timedelta(days=n), "data came; first look")
        for n in range((scope.to_day - scope.from_day).days)
    ]
    async with connection.transaction():
        watch = Watch(pid)
        await begin_days(connection)
        await compute_days(connection, scope, rules)
        computed = watch.spent()
        await store_days(connection, scope.from_day, scope.to_day, scope.outlets)
        await roll_up(connection, scope.now, "City", stale)
    return computed, watch.spent()


async def compute_month(connection, pid, scope, rules):
    """Compute a month between two yardsticks; ratios are to the mean of the two."""
    before = await count_bare(connection, pid, scope)
    computed, kept = await compute(connection, pid, scope, rules)
    after = await count_bare(connection, pid, scope)
    bare = Spent((before.secs + after.secs) / 2, (before.cpu_secs + after.cpu_secs) / 2)
    return {"bare": bare, "compute": computed, "kept": kept}


async def compute_changed(connection, pid, scope, rules):
    """Change one value of one outlet a time, and compute its day again; return what was spent, least first."""
    found = []
    for number in range(CHANGED_ROUNDS):
        await connection.execute(
            "UPDATE hj212.readings_hour SET data_flag = CASE data_flag WHEN 'N' THEN 'D' ELSE 'N' END"
            " WHERE logger_id = 7 AND cn = '2061' AND data_time = $1",
            start_of(scope.from_day) + number * timedelta(hours=1),
        )
        found.append((await compute(connection, pid, scope._replace(outlets=["O7"]), rules))[1])
    return sorted(found)


async def measure(connection, options):
    """Fill the database and run all; return the figures."""
    rules = make_rules(AssessmentSettings())
    now = datetime.now(UTC)
    last = (now + timedelta(hours=8)).date()
    first = last - options.days * DAY
    began = time.perf_counter()
    await fill(connection, options.monitors, first, last)
    fill_secs = time.perf_counter() - began
    pid = parent_of(await connection.fetchval("SELECT pg_backend_pid()"))
    peaks, months = [0], []
    async with watched(pid, peaks):
        for from_day, to_day in months_of(first, last):
            months.append(await compute_month(connection, pid, Scope(from_day, to_day, now), rules))
    changed = await compute_changed(connection, pid, Scope(last - DAY, last, now), rules)
    worst = max(months, key=lambda month: month["kept"].secs)
    groups = "SELECT sum(expected_groups) FROM hj212.assessed_days WHERE stage = 'completed'"
    return {
        "at": describe_machine(),
        "monitors": options.monitors,
        "days": options.days,
        "groups": await connection.fetchval(groups),
        "filled_secs": round(fill_secs, 1),
        **{f"month_{name}_secs": round(worst[name].secs, 2) for name in worst},
        **{f"month_{name}_cpu_secs": round(worst[name].cpu_secs, 2) for name in worst},
        "ratio_compute": round(worst["compute"].secs / worst["bare"].secs, 2),
        "ratio_kept": round(worst["kept"].secs / worst["bare"].secs, 2),
        "months": len(months),
        "months_kept_secs": round(sum(month["kept"].secs for month in months), 1),
        "changed_day_secs_p50": round(changed[len(changed) // 2].secs, 3),
        "changed_day_secs_longest": round(changed[-1].secs, 3),
        "changed_day_cpu_secs": round(sum(spent.cpu_secs for spent in changed) / len(changed), 3),
        "process_peak_mib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1),
        "server_peak_mib": round(max(peaks) / 2**20, 1) or None,
    }


async def run(options):
    """Take a database of our own, or the one given."""
    if options.dsn:
        connection = await asyncpg.connect(options.dsn, server_settings={"search_path": "hj212, public"})
        await migrate(connection, now=datetime.now(UTC))
        return await measure(connection, options)
    async with own_database() as (_, database):
        connection = await asyncpg.connect(database.dsn, server_settings={"search_path": "hj212, public"})
        try:
            return await measure(connection, options)
        finally:
            await connection.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--monitors", type=int, default=600)
    parser.add_argument("--days", type=int, default=30)
    parser.add_argument("--dsn", help="an empty database")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    print_figures(asyncio.run(run(options)), as_json=options.json)
