-- Purpose: every hour of computed_days that counts against a rate, with its state and what tells the reason.
-- Parameters: $1 rules as JSON, $2 stages. A group not received comes before marks, those before
-- its flag: a mark tells why the flag is what it is. As v_lost_hours tells it.
WITH came AS (  -- whatever its flag, where computed_days may have left out what has a bad one
    SELECT a.outlet, a.factor, a.day, s.stage, bit_or(a.mean) AS mean, bit_or(a.mean & a.good) AS good,
           ARRAY[bit_or(a.p1), bit_or(a.p2), bit_or(a.p3), bit_or(a.p4), bit_or(a.p5), bit_or(a.p6), bit_or(a.p7), bit_or(a.p8)]
               AS planes
    FROM arrived_days a
    JOIN unnest($2::text[]) AS s (stage) ON a.stage IS NULL OR a.stage = s.stage
    GROUP BY a.outlet, a.factor, a.day, s.stage
), masks AS (
    SELECT c.outlet, c.factor, c.day, c.stage, c.fields, c.got, c.good, c.valid, c.marked, c.ever, c.dry, coalesce(a.mean, 0) AS came_mean,
           coalesce(a.good, 0) AS came_good, coalesce(a.planes, '{0,0,0,0,0,0,0,0}') AS planes,
           (c.due & ~c.valid) | (CASE $1::jsonb ->> 'not_responsible' WHEN 'validity' THEN c.due | c.excused ELSE c.due END
               & ~c.manual & ~w.whole) AS lost
    FROM computed_days c
    CROSS JOIN LATERAL (SELECT bit_and(plane) AS whole FROM unnest(c.planes[1:c.fields]) AS plane) AS w
    LEFT JOIN came a USING (outlet, factor, day, stage)
    WHERE c.stage = ANY ($2::text[])
)
SELECT m.outlet, m.factor, m.day, h.hour, m.stage, m.fields, x.came,
       CASE WHEN m.got & h.bit <> 0 THEN
                CASE WHEN m.marked & ~m.valid & h.bit <> 0 THEN 'mark' WHEN ~m.good & ~m.valid & h.bit <> 0 THEN 'flag'
                     ELSE 'partial' END
            WHEN m.came_mean & ~m.came_good & h.bit <> 0 THEN 'flag'
            WHEN x.came > 0 THEN 'partial'
            WHEN m.ever & h.bit <> 0 THEN 'late'
            ELSE 'missing' END AS state,
       m.came_mean & h.bit <> 0 AS has_mean, m.dry & h.bit <> 0 AS is_dry
FROM masks m
JOIN (SELECT hour, 1 << hour AS bit FROM generate_series(0, 23) AS g (hour)) AS h ON m.lost & h.bit <> 0
CROSS JOIN LATERAL (
    SELECT count(*) FILTER (WHERE plane & h.bit <> 0)::integer AS came FROM unnest(m.planes[1:m.fields]) AS plane
) AS x
ORDER BY m.outlet, m.day, h.hour, m.factor, m.stage DESC
