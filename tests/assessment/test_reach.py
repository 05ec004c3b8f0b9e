"""What the aggregator looks at for one changed day: that day and its periods, however many years of figures there are."""

from datetime import timedelta

from tests.assessment.city import DAY, StandingClock, local, make_aggregator, send, send_day
from tests.support import wait_until

YEARS_OF_FIGURES = """
INSERT INTO rate_counts
SELECT 'day', $1::date - n, 'outlet', 'X' || x, stage, 'all', 24, 24, 24, 0, 24, 24, false, now(), NULL, 'data came'
FROM generate_series(1, 400) AS n, generate_series(1, 40) AS x, unnest('{immediate,completed}'::text[]) AS stage
"""
YEARS_OF_DAYS = """
INSERT INTO assessed_days
SELECT (jsonb_populate_record(a, jsonb_build_object('day', a.day - n, 'outlet', 'X' || x))).*
FROM assessed_days AS a, generate_series(1, 400) AS n, generate_series(1, 10) AS x WHERE a.outlet = 'O1' AND a.day = $1
"""
READ = """
SELECT relname, seq_tup_read, idx_tup_fetch FROM pg_stat_user_tables
WHERE schemaname = 'hj212' AND relname IN ('rate_counts', 'assessed_days')
"""
OTHERS = (
    "SELECT count(*) = 0 FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    " AND backend_type = 'client backend'"
)


async def rows_read(connection):
    """Rows of figures and days that were read one after the other, and by index, until now."""
    await wait_until(lambda: connection.fetchval(OTHERS))  # a session tells what it did when it ends
    return {row["relname"]: (row["seq_tup_read"], row["idx_tup_fetch"]) for row in await connection.fetch(READ)}


async def test_changed_day_is_found_by_index(admin, postgres_dsn):
    """All figures of a year, looked at for each change, would be seconds of it in a city and minutes in a province."""
    await send_day(admin, 0)
    clock = StandingClock(local(1, 3))
    await make_aggregator(postgres_dsn, clock).work()
    await admin.execute(YEARS_OF_FIGURES, DAY)
    await admin.execute(YEARS_OF_DAYS, DAY)
    await admin.execute("VACUUM ANALYZE rate_counts, assessed_days")
    before = await rows_read(admin)
    await send(admin, "O1", local(0, 5), after=timedelta(hours=20), flag="D")
    clock.moment = local(1, 4)
    assert await make_aggregator(postgres_dsn, clock).work() > 0
    after = await rows_read(admin)
    for table, (one_by_one, by_index) in after.items():
        assert one_by_one - before[table][0] == 0, table
        assert 0 < by_index - before[table][1] < 2000, table
