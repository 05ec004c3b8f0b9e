-- Purpose: all hour readings of data loggers whose mapping changes within the range, one by one, labels included, as
-- v_readings maps them.
-- Parameters: $1 and $2 first moment and moment after the last, $3 array of MN. Index: primary key of readings_hour.
INSERT INTO odd_hours
SELECT v.outlet, v.catalogue_factor, l.logger_id, v.st, v.factor, v.nth, v.data_time, v.received_at, v.updated_at, v.avg,
       v.cou, v.zs_avg, v.data_flag, hj212.local_day(v.period_start),
       1 << extract(hour FROM v.period_start AT TIME ZONE 'UTC' + interval '8 hours')::integer
FROM hj212.v_readings v JOIN hj212.loggers l USING (mn)
WHERE v.cn = '2061' AND v.mn = ANY ($3::text[]) AND v.outlet IS NOT NULL AND v.catalogue_factor IS NOT NULL
  AND v.data_time >= $1 AND v.data_time < $2::timestamptz + interval '2 hours'
  AND v.period_start >= $1 AND v.period_start < $2
