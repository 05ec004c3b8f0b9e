-- Purpose: the higher platforms of which there are hours, by name. Goes from name to name: their hours are millions.
WITH RECURSIVE found AS (
    (SELECT source FROM hj212.upstream_hours ORDER BY source LIMIT 1)
    UNION ALL
    SELECT (SELECT h.source FROM hj212.upstream_hours h WHERE h.source > f.source ORDER BY h.source LIMIT 1)
    FROM found f WHERE f.source IS NOT NULL
)
SELECT source FROM found WHERE source IS NOT NULL
