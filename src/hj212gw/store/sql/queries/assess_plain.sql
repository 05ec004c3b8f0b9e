-- Purpose: hour readings as masks of hours, a row a data logger, ST, code as sent and day: the plain ones, nearly all,
-- which came by the cut-offs of both stages with a mean and a good flag and were never corrected. The others: assess_odd.
-- Parameters: $1 and $2 first moment and moment after the last, $3 and $4 how long after the day the stages end,
-- $5 good flags, $6 array of logger_id or NULL for all, $7 array of logger_id to leave out,
-- $8 array of logger_id that label hours by their end.
-- Index: sequential, or the primary key where $6 is given. In parallel: no temporary table is read.
CREATE TEMP TABLE plain_days ON COMMIT DROP AS
SELECT logger_id, st, factor, day, (masks & ((1 << 24) - 1))::integer AS mean, (masks >> 24)::integer AS zero,
       (more & ((1 << 24) - 1))::integer AS cou, (more >> 24)::integer AS zs
FROM (
    -- Two masks of 24 bits in one number: an aggregate less to keep for every row.
    SELECT r.logger_id, r.st, r.factor, h.day, bit_or(CASE WHEN r.avg = 0 THEN h.both ELSE h.low END) AS masks,
           bit_or(CASE WHEN r.cou IS NULL THEN CASE WHEN r.zs_avg IS NULL THEN 0 ELSE h.high END
                       WHEN r.zs_avg IS NULL THEN h.low ELSE h.both END) AS more
    FROM hj212.readings_hour r
    JOIN (
        SELECT t AS at, w.local::date AS day, 1::bigint << x.hour AS low, 1::bigint << (x.hour + 24) AS high,
               (1::bigint << x.hour) | (1::bigint << (x.hour + 24)) AS both,
               hj212.day_start(w.local::date + 1) + least($3::interval, $4::interval) AS until
        FROM generate_series($1::timestamptz, $2::timestamptz - interval '1 hour', interval '1 hour') AS t
        CROSS JOIN LATERAL (SELECT t AT TIME ZONE 'UTC' + interval '8 hours' AS local) AS w
        CROSS JOIN LATERAL (SELECT extract(hour FROM w.local)::integer AS hour) AS x
        OFFSET 0  -- computed once an hour, not once a reading
    ) AS h ON h.at = date_bin('1 hour', r.data_time, timestamptz '2000-01-01 00:00+00')
                     - CASE WHEN r.logger_id = ANY ($8::integer[]) THEN interval '1 hour' ELSE interval '0' END
          AND r.received_at <= h.until
    WHERE r.cn = '2061' AND r.data_time >= $1 AND r.data_time < $2::timestamptz + interval '1 hour'
      AND r.updated_at IS NULL AND r.avg IS NOT NULL AND (r.data_flag = ANY ($5::text[]) OR (r.data_flag IS NULL OR r.data_flag = '') AND 'N' = ANY ($5))
      AND ($6::integer[] IS NULL OR r.logger_id = ANY ($6)) AND r.logger_id <> ALL ($7::integer[])
    GROUP BY r.logger_id, r.st, r.factor, h.day
) AS packed
