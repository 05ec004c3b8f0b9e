-- Purpose: keep every value that does not stand any more, or came too late to stand.
-- {table} is one of the four reading tables; $1 how long after DataTime an arrival still counts as live.
-- Index: reading_history_key.
WITH winners AS (SELECT * FROM staged_readings WHERE is_winner),
met AS (
    SELECT r.*, s.received_at AS new_at, coalesce(r.updated_at, r.received_at) AS stands_since
    FROM hj212.{table} r JOIN winners s USING (logger_id, cn, data_time, factor, st, nth)
    WHERE (r.rtd, r.min, r.avg, r.max, r.cou, r.zs_rtd, r.zs_min, r.zs_avg, r.zs_max, r.data_flag, r.extra)
        IS DISTINCT FROM (s.rtd, s.min, s.avg, s.max, s.cou, s.zs_rtd, s.zs_min, s.zs_avg, s.zs_max, s.data_flag, s.extra)
),
gone AS (
    -- the stored value is replaced by a newer one
    SELECT logger_id, nth, data_time, stands_since AS received_at, new_at AS replaced_at, qn, st, cn, factor,
           rtd, min, avg, max, cou, zs_rtd, zs_min, zs_avg, zs_max, data_flag, extra
    FROM met WHERE new_at >= stands_since
    UNION ALL
    -- the new value arrived before the one that stands
    SELECT s.logger_id, s.nth, s.data_time, s.received_at, m.stands_since, s.qn, s.st, s.cn, s.factor,
           s.rtd, s.min, s.avg, s.max, s.cou, s.zs_rtd, s.zs_min, s.zs_avg, s.zs_max, s.data_flag, s.extra
    FROM winners s JOIN met m USING (logger_id, cn, data_time, factor, st, nth) WHERE m.new_at < m.stands_since
    UNION ALL
    -- both came in this batch
    SELECT l.logger_id, l.nth, l.data_time, l.received_at, w.received_at, l.qn, l.st, l.cn, l.factor,
           l.rtd, l.min, l.avg, l.max, l.cou, l.zs_rtd, l.zs_min, l.zs_avg, l.zs_max, l.data_flag, l.extra
    FROM staged_readings l JOIN winners w USING (logger_id, cn, data_time, factor, st, nth)
    WHERE NOT l.is_winner
      AND (l.rtd, l.min, l.avg, l.max, l.cou, l.zs_rtd, l.zs_min, l.zs_avg, l.zs_max, l.data_flag, l.extra)
        IS DISTINCT FROM (w.rtd, w.min, w.avg, w.max, w.cou, w.zs_rtd, w.zs_min, w.zs_avg, w.zs_max, w.data_flag, w.extra)
)
INSERT INTO hj212.reading_history (logger_id, nth, data_time, received_at, replaced_at, qn, st, cn, factor,
    rtd, min, avg, max, cou, zs_rtd, zs_min, zs_avg, zs_max, data_flag, extra, origin)
SELECT gone.*, CASE WHEN received_at - data_time <= $1 THEN 'live' ELSE 'resent' END FROM gone
-- A replay meets again what was replaced long ago.
WHERE NOT EXISTS (SELECT FROM hj212.reading_history h
    WHERE (h.logger_id, h.cn, h.data_time, h.factor, h.st, h.nth, h.received_at)
        = (gone.logger_id, gone.cn, gone.data_time, gone.factor, gone.st, gone.nth, gone.received_at)
      AND h.qn IS NOT DISTINCT FROM gone.qn)
