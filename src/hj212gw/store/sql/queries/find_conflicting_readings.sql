-- Purpose: the QNs under which readings stand that the staged ones of one packet contradict.
-- {table} is one of the reading tables. Index: its primary key.
SELECT DISTINCT r.qn FROM hj212.{table} r JOIN staged_readings s USING (logger_id, cn, data_time, factor, st, nth)
WHERE (r.rtd, r.min, r.avg, r.max, r.cou, r.zs_rtd, r.zs_min, r.zs_avg, r.zs_max, r.data_flag, r.extra)
    IS DISTINCT FROM (s.rtd, s.min, s.avg, s.max, s.cou, s.zs_rtd, s.zs_min, s.zs_avg, s.zs_max, s.data_flag, s.extra)
