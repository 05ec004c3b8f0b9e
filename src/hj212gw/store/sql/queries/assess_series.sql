-- Purpose: hour readings as masks of hours, a row a data logger, ST, code as sent and day; those that came by the
-- cut-off of each stage. What was corrected after a cut-off is in fix_i and fix_c, and looked up one by one.
-- Parameters: $1 and $2 first moment and moment after the last, $3 and $4 how long after the day the stages end,
-- $5 good flags, $6 array of logger_id or NULL for all, $7 array of logger_id to leave out.
-- Index: sequential, or the primary key where $6 is given. In parallel: no temporary table is read.
CREATE TEMP TABLE series_days ON COMMIT DROP AS
WITH hours AS (
    SELECT h.at, w.local::date AS day, 1 << extract(hour FROM w.local)::integer AS bit,
           hj212.day_start(w.local::date + 1) + $3::interval AS until_i,
           hj212.day_start(w.local::date + 1) + $4::interval AS until_c
    FROM generate_series($1::timestamptz, $2::timestamptz - interval '1 hour', interval '1 hour') AS h (at)
    CROSS JOIN LATERAL (SELECT h.at AT TIME ZONE 'UTC' + interval '8 hours' AS local) AS w
)
SELECT r.logger_id, r.st, r.factor, h.day,
    coalesce(bit_or(h.bit) FILTER (WHERE r.avg IS NOT NULL), 0) AS ever,
    coalesce(bit_or(h.bit) FILTER (WHERE r.avg IS NOT NULL AND coalesce(r.updated_at, r.received_at) <= h.until_i), 0) AS mean_i,
    coalesce(bit_or(h.bit) FILTER (WHERE r.cou IS NOT NULL AND coalesce(r.updated_at, r.received_at) <= h.until_i), 0) AS cou_i,
    coalesce(bit_or(h.bit) FILTER (WHERE r.zs_avg IS NOT NULL AND coalesce(r.updated_at, r.received_at) <= h.until_i), 0) AS zs_i,
    coalesce(bit_or(h.bit) FILTER (WHERE coalesce(r.updated_at, r.received_at) <= h.until_i
        AND coalesce(r.data_flag, 'N') = ANY ($5::text[])), 0) AS good_i,
    coalesce(bit_or(h.bit) FILTER (WHERE r.avg = 0 AND coalesce(r.updated_at, r.received_at) <= h.until_i), 0) AS zero_i,
    coalesce(bit_or(h.bit) FILTER (WHERE r.updated_at > h.until_i AND r.received_at <= h.until_i), 0) AS fix_i,
    coalesce(bit_or(h.bit) FILTER (WHERE r.avg IS NOT NULL AND coalesce(r.updated_at, r.received_at) <= h.until_c), 0) AS mean_c,
    coalesce(bit_or(h.bit) FILTER (WHERE r.cou IS NOT NULL AND coalesce(r.updated_at, r.received_at) <= h.until_c), 0) AS cou_c,
    coalesce(bit_or(h.bit) FILTER (WHERE r.zs_avg IS NOT NULL AND coalesce(r.updated_at, r.received_at) <= h.until_c), 0) AS zs_c,
    coalesce(bit_or(h.bit) FILTER (WHERE coalesce(r.updated_at, r.received_at) <= h.until_c
        AND coalesce(r.data_flag, 'N') = ANY ($5::text[])), 0) AS good_c,
    coalesce(bit_or(h.bit) FILTER (WHERE r.avg = 0 AND coalesce(r.updated_at, r.received_at) <= h.until_c), 0) AS zero_c,
    coalesce(bit_or(h.bit) FILTER (WHERE r.updated_at > h.until_c AND r.received_at <= h.until_c), 0) AS fix_c
FROM hj212.readings_hour r
JOIN hours h ON h.at = date_bin('1 hour', r.data_time, timestamptz '2000-01-01 00:00+00')
WHERE r.cn = '2061' AND r.data_time >= $1 AND r.data_time < $2
  AND ($6::integer[] IS NULL OR r.logger_id = ANY ($6)) AND r.logger_id <> ALL ($7::integer[])
GROUP BY r.logger_id, r.st, r.factor, h.day
