-- Purpose: take the stale days of the newest month that has any, and leave the rest of longer ranges.
-- Parameters: $1 first day there is, $2 today.
-- Returns a row an outlet and day; a NULL outlet means all of them.
WITH pending AS (
    SELECT stale_id, outlet, greatest(first_day, $1::date) AS first_day, least(last_day, $2::date) AS last_day, reason
    FROM hj212.stale_days FOR UPDATE
), gone AS (  -- what lies outside of what there is, or in the future: time will tell
    DELETE FROM hj212.stale_days s USING pending p WHERE p.stale_id = s.stale_id AND p.first_day > p.last_day
), month AS (
    SELECT date_trunc('month', max(last_day)::timestamp)::date AS first_day FROM pending WHERE first_day <= last_day
), met AS (
    SELECT p.* FROM pending p CROSS JOIN month m WHERE p.last_day >= m.first_day AND p.first_day <= p.last_day
), done AS (
    DELETE FROM hj212.stale_days s USING met p CROSS JOIN month m
    WHERE p.stale_id = s.stale_id AND p.first_day >= m.first_day
), cut AS (
    UPDATE hj212.stale_days s SET last_day = m.first_day - 1 FROM met p CROSS JOIN month m
    WHERE p.stale_id = s.stale_id AND p.first_day < m.first_day
)
SELECT p.outlet, d.day::date AS day, string_agg(DISTINCT p.reason, '; ' ORDER BY p.reason) AS reason
FROM met p CROSS JOIN month m
CROSS JOIN LATERAL generate_series(greatest(p.first_day, m.first_day)::timestamp, p.last_day::timestamp, '1 day') AS d (day)
GROUP BY p.outlet, d.day
