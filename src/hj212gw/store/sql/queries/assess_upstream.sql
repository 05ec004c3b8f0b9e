-- Purpose: the same of hours as a higher platform recorded them or files give them; of those that arrived by a cut-off
-- the newest counts.
-- Parameters: $1 and $2 first moment and moment after the last, $3 and $4 how long after the day the stages end,
-- $5 good flags, $6 array of outlets or NULL for all, $7 the source, $8 whether what was filled in is not immediate.
-- Index: primary key of upstream_hours.
CREATE TEMP TABLE arrived_days ON COMMIT DROP AS
WITH versions AS (
    SELECT u.outlet, u.factor, hj212.local_day(u.hour_at) AS day, u.hour_at, u.arrived_at, u.fields, u.mean_present,
           coalesce(nullif(u.data_flag, ''), 'N') = ANY ($5::text[]) AS is_good, u.is_filled,
           1 << extract(hour FROM u.hour_at AT TIME ZONE 'UTC' + interval '8 hours')::integer AS bit
    FROM hj212.upstream_hours u
    WHERE u.source = $7 AND u.hour_at >= $1 AND u.hour_at < $2 AND ($6::text[] IS NULL OR u.outlet = ANY ($6))
), stood AS (
    (SELECT DISTINCT ON (outlet, factor, hour_at) 'immediate' AS stage, * FROM versions
     WHERE CASE WHEN $8 THEN NOT is_filled AND arrived_at <= hj212.day_start(day + 1) + $4::interval
                ELSE arrived_at <= hj212.day_start(day + 1) + $3::interval END
     ORDER BY outlet, factor, hour_at, arrived_at DESC)
    UNION ALL
    (SELECT DISTINCT ON (outlet, factor, hour_at) 'completed', * FROM versions
     WHERE arrived_at <= hj212.day_start(day + 1) + $4::interval ORDER BY outlet, factor, hour_at, arrived_at DESC)
    UNION ALL
    (SELECT DISTINCT ON (outlet, factor, hour_at) 'ever', * FROM versions ORDER BY outlet, factor, hour_at, arrived_at DESC)
)
SELECT v.outlet, v.factor, v.day, s.stage, coalesce(bit_or(v.bit) FILTER (WHERE v.stage = 'ever' AND v.mean_present), 0) AS ever,
       coalesce(bit_or(v.bit) FILTER (WHERE v.stage = s.stage AND v.mean_present), 0) AS mean,
       coalesce(bit_or(v.bit) FILTER (WHERE v.stage = s.stage AND v.is_good), 0) AS good, 0 AS zero,
       coalesce(bit_or(v.bit) FILTER (WHERE v.stage = s.stage AND v.fields >= 1), 0) AS p1,
       coalesce(bit_or(v.bit) FILTER (WHERE v.stage = s.stage AND v.fields >= 2), 0) AS p2,
       coalesce(bit_or(v.bit) FILTER (WHERE v.stage = s.stage AND v.fields >= 3), 0) AS p3,
       coalesce(bit_or(v.bit) FILTER (WHERE v.stage = s.stage AND v.fields >= 4), 0) AS p4,
       coalesce(bit_or(v.bit) FILTER (WHERE v.stage = s.stage AND v.fields >= 5), 0) AS p5,
       coalesce(bit_or(v.bit) FILTER (WHERE v.stage = s.stage AND v.fields >= 6), 0) AS p6,
       coalesce(bit_or(v.bit) FILTER (WHERE v.stage = s.stage AND v.fields >= 7), 0) AS p7,
       coalesce(bit_or(v.bit) FILTER (WHERE v.stage = s.stage AND v.fields >= 8), 0) AS p8
FROM (VALUES ('immediate'), ('completed')) AS s (stage)
JOIN stood v ON v.stage IN (s.stage, 'ever')
GROUP BY v.outlet, v.factor, v.day, s.stage
