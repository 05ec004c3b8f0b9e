-- Purpose: the hour readings that assess_plain leaves, one by one: late, flagged, without a mean or corrected.
-- Parameters: those of assess_plain.
-- Index: sequential, or the primary key where $6 is given. In parallel: no temporary table is read.
CREATE TEMP TABLE odd_hours ON COMMIT DROP AS
SELECT NULL::text COLLATE "C" AS outlet, NULL::text COLLATE "C" AS factor, r.logger_id, r.st, r.factor AS code, r.nth,
       r.data_time, r.received_at, r.updated_at, r.avg, r.cou, r.zs_avg, r.data_flag, h.day, h.bit
FROM hj212.readings_hour r
JOIN (
    SELECT t AS at, w.local::date AS day, 1 << extract(hour FROM w.local)::integer AS bit,
           hj212.day_start(w.local::date + 1) + least($3::interval, $4::interval) AS until
    FROM generate_series($1::timestamptz, $2::timestamptz - interval '1 hour', interval '1 hour') AS t
    CROSS JOIN LATERAL (SELECT t AT TIME ZONE 'UTC' + interval '8 hours' AS local) AS w
    OFFSET 0  -- computed once an hour, not once a reading
) AS h ON h.at = date_bin('1 hour', r.data_time, timestamptz '2000-01-01 00:00+00')
                 - CASE WHEN r.logger_id = ANY ($8::integer[]) THEN interval '1 hour' ELSE interval '0' END
    AND (r.received_at > h.until OR r.updated_at IS NOT NULL OR r.avg IS NULL
         OR (r.data_flag = ANY ($5::text[]) OR (r.data_flag IS NULL OR r.data_flag = '') AND 'N' = ANY ($5)) IS NOT TRUE)
WHERE r.cn = '2061' AND r.data_time >= $1 AND r.data_time < $2::timestamptz + interval '1 hour'
  -- Nearly all readings fall out here already, before they are joined: what came so soon came by the cut-off.
  AND (r.updated_at IS NOT NULL OR r.avg IS NULL
       OR r.received_at > r.data_time + least($3::interval, $4::interval) - interval '1 hour'
       OR (r.data_flag = ANY ($5::text[]) OR (r.data_flag IS NULL OR r.data_flag = '') AND 'N' = ANY ($5)) IS NOT TRUE)
  AND ($6::integer[] IS NULL OR r.logger_id = ANY ($6)) AND r.logger_id <> ALL ($7::integer[])
