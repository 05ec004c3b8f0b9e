-- Purpose: what stood at a cut-off where a correction came after it: the newest value that had arrived by then. Without
-- one in the history the value that stands is the same as that which came first.
-- Parameters: $1 and $2 how long after the day the stages end, $3 good flags.
-- Index: primary key of readings_hour, reading_history_key.
WITH wanted AS (
    SELECT s.logger_id, s.st, s.factor, s.day, t.stage, 1 << h.hour AS bit,
           hj212.day_start(s.day) + h.hour * interval '1 hour' AS hour_at,
           hj212.day_start(s.day + 1) + t.after AS until
    FROM series_days s
    CROSS JOIN generate_series(0, 23) AS h (hour)
    CROSS JOIN LATERAL (VALUES ('i', $1::interval, s.fix_i), ('c', $2::interval, s.fix_c)) AS t (stage, after, mask)
    WHERE t.mask & (1 << h.hour) <> 0
), stood AS (
    SELECT w.logger_id, w.st, w.factor, w.day, w.stage, w.bit, v.avg, v.cou, v.zs_avg, v.data_flag
    FROM wanted w
    JOIN hj212.readings_hour r ON r.logger_id = w.logger_id AND r.cn = '2061' AND r.st = w.st AND r.factor = w.factor
        AND r.data_time >= w.hour_at AND r.data_time < w.hour_at + interval '1 hour'
        AND r.received_at <= w.until AND r.updated_at > w.until
    CROSS JOIN LATERAL (
        SELECT * FROM (
            SELECT 1 AS place, h.received_at, h.avg, h.cou, h.zs_avg, h.data_flag FROM hj212.reading_history h
            WHERE h.logger_id = r.logger_id AND h.cn = r.cn AND h.data_time = r.data_time AND h.factor = r.factor
              AND h.st = r.st AND h.nth = r.nth AND h.received_at <= w.until
            UNION ALL SELECT 2, r.received_at, r.avg, r.cou, r.zs_avg, r.data_flag
        ) AS known ORDER BY place, received_at DESC LIMIT 1
    ) AS v
), masks AS (
    SELECT logger_id, st, factor, day, stage,
           bit_or(bit) FILTER (WHERE avg IS NOT NULL) AS mean, bit_or(bit) FILTER (WHERE cou IS NOT NULL) AS cou,
           bit_or(bit) FILTER (WHERE zs_avg IS NOT NULL) AS zs,
           bit_or(bit) FILTER (WHERE coalesce(data_flag, 'N') = ANY ($3::text[])) AS good,
           bit_or(bit) FILTER (WHERE avg = 0) AS zero
    FROM stood GROUP BY logger_id, st, factor, day, stage
)
UPDATE series_days s SET
    mean_i = s.mean_i | coalesce(i.mean, 0), cou_i = s.cou_i | coalesce(i.cou, 0), zs_i = s.zs_i | coalesce(i.zs, 0),
    good_i = s.good_i | coalesce(i.good, 0), zero_i = s.zero_i | coalesce(i.zero, 0),
    mean_c = s.mean_c | coalesce(c.mean, 0),
    cou_c = s.cou_c | coalesce(c.cou, 0), zs_c = s.zs_c | coalesce(c.zs, 0), good_c = s.good_c | coalesce(c.good, 0), zero_c = s.zero_c | coalesce(c.zero, 0)
FROM (SELECT DISTINCT logger_id, st, factor, day FROM masks) AS m
LEFT JOIN masks i ON i.stage = 'i' AND (i.logger_id, i.st, i.factor, i.day) = (m.logger_id, m.st, m.factor, m.day)
LEFT JOIN masks c ON c.stage = 'c' AND (c.logger_id, c.st, c.factor, c.day) = (m.logger_id, m.st, m.factor, m.day)
WHERE (s.logger_id, s.st, s.factor, s.day) = (m.logger_id, m.st, m.factor, m.day)
