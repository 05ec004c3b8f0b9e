-- Purpose: take what the gateways marked, and tell which days of which outlets that makes stale. A row that a gateway
-- holds is taken next time, when its data is visible. Only hour data counts; with a label that is not start the hour
-- before midnight belongs to the day before.
-- Parameter: $1 how many at most. Index: primary key of dirty.
WITH taken AS (
    DELETE FROM hj212.dirty d USING (
        SELECT logger_id, cn, day FROM hj212.dirty ORDER BY logger_id, cn, day LIMIT $1 FOR UPDATE SKIP LOCKED
    ) AS t
    WHERE (d.logger_id, d.cn, d.day) = (t.logger_id, t.cn, t.day)
    RETURNING d.logger_id, d.cn, d.day
), noted AS (
    INSERT INTO hj212.stale_days (outlet, first_day, last_day, reason)
    SELECT DISTINCT a.outlet, t.day - CASE WHEN EXISTS (SELECT FROM hj212.time_labels s
               WHERE s.superseded_at IS NULL AND s.mn = l.mn AND s.cn = '2061' AND s.label <> 'start') THEN 1 ELSE 0 END,
           t.day, 'data came'
    FROM taken t
    JOIN hj212.loggers l USING (logger_id)
    JOIN hj212.outlet_candidates a USING (mn)
    WHERE t.cn = '2061' AND a.outlet IS NOT NULL
), begun AS (
    UPDATE hj212.assessment_state SET first_day = least(first_day, t.day)
    FROM (SELECT min(day) AS day FROM taken WHERE cn = '2061') AS t WHERE t.day < coalesce(first_day, t.day + 1)
)
SELECT count(*) FROM taken
