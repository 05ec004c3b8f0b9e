-- Purpose: the same of data loggers whose mapping changes within the range, reading by reading as v_readings tells it,
-- labels included.
-- Parameters: $1 and $2 first moment and moment after the last, $3 and $4 how long after the day the stages end,
-- $5 good flags, $6 array of logger_id.
INSERT INTO arrived_days
SELECT h.outlet, h.factor, h.day,
       coalesce(bit_or(h.bit) FILTER (WHERE h.avg IS NOT NULL), 0),
       coalesce(bit_or(h.bit) FILTER (WHERE i.avg IS NOT NULL), 0), coalesce(bit_or(h.bit) FILTER (WHERE i.is_good), 0),
       coalesce(bit_or(h.bit) FILTER (WHERE i.avg = 0), 0),
       coalesce(bit_or(h.bit) FILTER (WHERE i.avg IS NOT NULL), 0), coalesce(bit_or(h.bit) FILTER (WHERE i.cou IS NOT NULL), 0),
       coalesce(bit_or(h.bit) FILTER (WHERE i.zs_avg IS NOT NULL), 0), 0, 0, 0, 0, 0,
       coalesce(bit_or(h.bit) FILTER (WHERE c.avg IS NOT NULL), 0), coalesce(bit_or(h.bit) FILTER (WHERE c.is_good), 0),
       coalesce(bit_or(h.bit) FILTER (WHERE c.avg = 0), 0),
       coalesce(bit_or(h.bit) FILTER (WHERE c.avg IS NOT NULL), 0), coalesce(bit_or(h.bit) FILTER (WHERE c.cou IS NOT NULL), 0),
       coalesce(bit_or(h.bit) FILTER (WHERE c.zs_avg IS NOT NULL), 0), 0, 0, 0, 0, 0
FROM (
    SELECT l.logger_id, v.outlet, v.catalogue_factor AS factor, v.st, v.factor AS code, v.nth, v.data_time, v.received_at,
           v.updated_at, v.avg, v.cou, v.zs_avg, v.data_flag, hj212.local_day(v.period_start) AS day,
           1 << extract(hour FROM v.period_start AT TIME ZONE 'UTC' + interval '8 hours')::integer AS bit
    FROM hj212.v_readings v JOIN hj212.loggers l USING (mn)
    WHERE v.cn = '2061' AND l.logger_id = ANY ($6::integer[]) AND v.outlet IS NOT NULL AND v.catalogue_factor IS NOT NULL
      AND v.data_time >= $1 AND v.data_time < $2::timestamptz + interval '2 hours'
      AND v.period_start >= $1 AND v.period_start < $2
) AS h
LEFT JOIN LATERAL (
    SELECT k.avg, k.cou, k.zs_avg, coalesce(k.data_flag, 'N') = ANY ($5::text[]) AS is_good FROM (
        SELECT 1 AS place, p.received_at, p.avg, p.cou, p.zs_avg, p.data_flag FROM hj212.reading_history p
        WHERE h.updated_at > hj212.day_start(h.day + 1) + $3::interval
          AND p.logger_id = h.logger_id AND p.cn = '2061' AND p.data_time = h.data_time AND p.factor = h.code
          AND p.st = h.st AND p.nth = h.nth AND p.received_at <= hj212.day_start(h.day + 1) + $3::interval
        UNION ALL SELECT 2, h.received_at, h.avg, h.cou, h.zs_avg, h.data_flag
    ) AS k ORDER BY k.place, k.received_at DESC LIMIT 1
) AS i ON h.received_at <= hj212.day_start(h.day + 1) + $3::interval
LEFT JOIN LATERAL (
    SELECT k.avg, k.cou, k.zs_avg, coalesce(k.data_flag, 'N') = ANY ($5::text[]) AS is_good FROM (
        SELECT 1 AS place, p.received_at, p.avg, p.cou, p.zs_avg, p.data_flag FROM hj212.reading_history p
        WHERE h.updated_at > hj212.day_start(h.day + 1) + $4::interval
          AND p.logger_id = h.logger_id AND p.cn = '2061' AND p.data_time = h.data_time AND p.factor = h.code
          AND p.st = h.st AND p.nth = h.nth AND p.received_at <= hj212.day_start(h.day + 1) + $4::interval
        UNION ALL SELECT 2, h.received_at, h.avg, h.cou, h.zs_avg, h.data_flag
    ) AS k ORDER BY k.place, k.received_at DESC LIMIT 1
) AS c ON h.received_at <= hj212.day_start(h.day + 1) + $4::interval
GROUP BY h.outlet, h.factor, h.day
