-- Purpose: the city's rates of the day before, and of the month and year that day is of: the newest that mean something.
-- Parameter: $1 now. Index: rate_counts_period.
SELECT r.period, r.stage, r.effective FROM hj212.v_rates r
CROSS JOIN (SELECT hj212.local_day($1) - 1 AS day) AS y
WHERE r.level = 'city' AND r.policy = 'national_platform_v2' AND r.period IN ('day', 'month', 'year')
  AND r.period_start = date_trunc(r.period, y.day::timestamp)::date
