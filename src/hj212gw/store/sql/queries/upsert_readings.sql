-- Purpose: store the winners: the value of the newest arrival stands, received_at stays the first arrival.
-- Where the stored value stands nothing is tried: in the columnstore even that would unpack rows.
-- {table} is one of the four reading tables. Index: its primary key; sorted against deadlocks.
INSERT INTO hj212.{table} AS r (logger_id, nth, data_time, received_at, updated_at, qn, st, cn, factor,
    rtd, min, avg, max, cou, zs_rtd, zs_min, zs_avg, zs_max, data_flag, extra)
SELECT logger_id, nth, data_time, first_at, CASE WHEN received_at > first_at THEN received_at END, qn, st, cn, factor,
    rtd, min, avg, max, cou, zs_rtd, zs_min, zs_avg, zs_max, data_flag, extra
FROM staged_readings WHERE is_winner AND is_settled IS NOT TRUE
ORDER BY logger_id, cn, data_time, factor, st, nth
ON CONFLICT (logger_id, cn, data_time, factor, st, nth) DO UPDATE SET
    received_at = least(r.received_at, excluded.received_at),
    updated_at = coalesce(excluded.updated_at, excluded.received_at),
    qn = excluded.qn, rtd = excluded.rtd, min = excluded.min, avg = excluded.avg, max = excluded.max,
    cou = excluded.cou, zs_rtd = excluded.zs_rtd, zs_min = excluded.zs_min, zs_avg = excluded.zs_avg,
    zs_max = excluded.zs_max, data_flag = excluded.data_flag, extra = excluded.extra
WHERE coalesce(excluded.updated_at, excluded.received_at) >= coalesce(r.updated_at, r.received_at)
  AND (r.rtd, r.min, r.avg, r.max, r.cou, r.zs_rtd, r.zs_min, r.zs_avg, r.zs_max, r.data_flag, r.extra)
    IS DISTINCT FROM (excluded.rtd, excluded.min, excluded.avg, excluded.max, excluded.cou, excluded.zs_rtd,
                      excluded.zs_min, excluded.zs_avg, excluded.zs_max, excluded.data_flag, excluded.extra)
