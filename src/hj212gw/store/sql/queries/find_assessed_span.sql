-- Purpose: what the base list and the hours span, as moments; NULL where nothing tells.
-- Parameter: $1 source of upstream_hours, NULL for local arrivals: those run on until now.
SELECT CASE WHEN b.is_open_start THEN least(b.from_at, h.from_at) ELSE b.from_at END AS from_at,
       CASE WHEN b.is_open_end THEN CASE WHEN $1::text IS NULL THEN NULL ELSE greatest(b.to_at, h.to_at) END ELSE b.to_at
           END AS to_at
FROM (
    SELECT min(valid_from) FILTER (WHERE isfinite(valid_from)) AS from_at, max(valid_to) AS to_at,
           bool_or(NOT isfinite(valid_from)) AS is_open_start, bool_or(valid_to IS NULL) AS is_open_end
    FROM hj212.base_list WHERE superseded_at IS NULL
) AS b
LEFT JOIN LATERAL (
    SELECT min(hour_at) AS from_at, max(hour_at) + interval '1 hour' AS to_at FROM hj212.upstream_hours
    WHERE source = $1 AND (b.is_open_start OR b.is_open_end)
    UNION ALL
    SELECT min(data_time), NULL FROM hj212.readings_hour WHERE $1 IS NULL AND b.is_open_start AND cn = '2061'
) AS h ON h.from_at IS NOT NULL
