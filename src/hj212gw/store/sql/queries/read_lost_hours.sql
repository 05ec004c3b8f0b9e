-- Purpose: every hour of computed_days that counts against a rate, with its state and what tells the reason.
-- Parameters: $1 rules as JSON, $2 stages. A group not received comes before its flag, that before marks.
WITH flagged AS (
    SELECT a.outlet, a.factor, a.day, s.stage, bit_or(a.good) AS good FROM arrived_days a
    JOIN unnest($2::text[]) AS s (stage) ON a.stage IS NULL OR a.stage = s.stage GROUP BY 1, 2, 3, 4
), masks AS (
    SELECT c.*, w.whole, coalesce(f.good, 0) AS flagged_good,
           (c.due & ~c.valid) | (CASE $1::jsonb ->> 'not_responsible' WHEN 'validity' THEN c.due | c.excused ELSE c.due END
               & ~c.manual & ~w.whole) AS lost
    FROM computed_days c
    CROSS JOIN LATERAL (SELECT bit_and(plane) AS whole FROM unnest(c.planes[1:c.fields]) AS plane) AS w
    LEFT JOIN flagged f USING (outlet, factor, day, stage)
    WHERE c.stage = ANY ($2::text[])
)
SELECT m.outlet, m.factor, m.day, h.hour, m.stage, m.fields, x.came,
       CASE WHEN m.got & h.bit <> 0 THEN
                CASE WHEN m.good & h.bit = 0 THEN 'flag' WHEN m.marked & h.bit <> 0 THEN 'mark' ELSE 'partial' END
            WHEN x.came > 0 THEN
                CASE WHEN $1::jsonb ->> 'invalid_received' = 'missing' AND m.flagged_good & h.bit = 0 THEN 'flag'
                     ELSE 'partial' END
            WHEN m.ever & h.bit <> 0 THEN 'late'
            ELSE 'missing' END AS state,
       m.got & h.bit <> 0 AS has_mean, m.flagged_good & h.bit <> 0 AS has_good_flag
FROM masks m
JOIN (SELECT hour, 1 << hour AS bit FROM generate_series(0, 23) AS g (hour)) AS h ON m.lost & h.bit <> 0
CROSS JOIN LATERAL (
    SELECT count(*) FILTER (WHERE plane & h.bit <> 0)::integer AS came FROM unnest(m.planes[1:m.fields]) AS plane
) AS x
ORDER BY m.outlet, m.day, h.hour, m.factor, m.stage DESC
