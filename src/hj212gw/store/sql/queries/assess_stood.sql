-- Purpose: the hours of assess_odd and assess_moving as they stood at each cut-off, as masks. Where a value was corrected
-- after it, the newest that had arrived by then; without one in the history the value that stands is the same as that
-- which came first.
-- Parameters: $1 and $2 how long after the day the stages end, $3 good flags.
-- Index: reading_history_key.
CREATE TEMP TABLE stood_days ON COMMIT DROP AS
SELECT o.outlet, o.factor, o.logger_id, o.st, o.code, o.day, s.stage,
       coalesce(bit_or(o.bit) FILTER (WHERE o.avg IS NOT NULL), 0) AS ever,
       coalesce(bit_or(o.bit) FILTER (WHERE came AND v.avg IS NOT NULL), 0) AS mean,
       coalesce(bit_or(o.bit) FILTER (WHERE came AND coalesce(nullif(v.data_flag, ''), 'N') = ANY ($3::text[])), 0) AS good,
       coalesce(bit_or(o.bit) FILTER (WHERE came AND v.avg = 0), 0) AS zero,
       coalesce(bit_or(o.bit) FILTER (WHERE came AND v.cou IS NOT NULL), 0) AS cou,
       coalesce(bit_or(o.bit) FILTER (WHERE came AND v.zs_avg IS NOT NULL), 0) AS zs
FROM odd_hours o
CROSS JOIN LATERAL (VALUES ('immediate', hj212.day_start(o.day + 1) + $1::interval),
                           ('completed', hj212.day_start(o.day + 1) + $2::interval)) AS s (stage, until)
LEFT JOIN LATERAL (
    SELECT p.received_at, p.avg, p.cou, p.zs_avg, p.data_flag FROM hj212.reading_history p
    WHERE o.updated_at > s.until AND o.received_at <= s.until  -- else nothing is read
      AND p.logger_id = o.logger_id AND p.cn = '2061' AND p.data_time = o.data_time AND p.factor = o.code
      AND p.st = o.st AND p.nth = o.nth AND p.received_at <= s.until
    ORDER BY p.received_at DESC LIMIT 1
) AS p ON true
CROSS JOIN LATERAL (SELECT o.received_at <= s.until AS came,
    CASE WHEN p.received_at IS NULL THEN o.avg ELSE p.avg END AS avg,
    CASE WHEN p.received_at IS NULL THEN o.cou ELSE p.cou END AS cou,
    CASE WHEN p.received_at IS NULL THEN o.zs_avg ELSE p.zs_avg END AS zs_avg,
    CASE WHEN p.received_at IS NULL THEN o.data_flag ELSE p.data_flag END AS data_flag) AS v
GROUP BY o.outlet, o.factor, o.logger_id, o.st, o.code, o.day, s.stage
