-- Purpose: tell of each winner what the stored row it meets asks for; as many rows as are met.
-- {table} is one of the four reading tables. Parameters: $1 and $2 first and last data_time, $3 array of logger_id:
-- they choose the chunks and, in the columnstore, the segments to look into. Index: its primary key.
UPDATE staged_readings s SET
    is_earlier = s.first_at < r.received_at,
    is_settled = s.received_at < coalesce(r.updated_at, r.received_at)
        OR (r.rtd, r.min, r.avg, r.max, r.cou, r.zs_rtd, r.zs_min, r.zs_avg, r.zs_max, r.data_flag, r.extra)
        IS NOT DISTINCT FROM (s.rtd, s.min, s.avg, s.max, s.cou, s.zs_rtd, s.zs_min, s.zs_avg, s.zs_max, s.data_flag, s.extra)
FROM hj212.{table} r
WHERE s.is_winner AND r.data_time BETWEEN $1 AND $2 AND r.logger_id = ANY ($3::integer[])
  AND (r.logger_id, r.cn, r.data_time, r.factor, r.st, r.nth) = (s.logger_id, s.cn, s.data_time, s.factor, s.st, s.nth)
