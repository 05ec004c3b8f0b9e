-- Purpose: every hour of computed_days that counts against a rate, with its state and what tells the reason: the first that
-- holds, as v_lost_hours and `why` tell it. A group not received comes before marks, those before its flag: a mark tells why
-- the flag is what it is. An hour others are to blame for can be due in transmission alone; its mean came, then a value lacks.
-- Parameters: $1 rules as JSON, $2 stages.
WITH came AS (  -- of a higher platform how many values came is known, not which: the first plane may not be the mean's
    SELECT a.outlet, a.factor, a.day, s.stage, bit_or(a.mean) AS mean
    FROM arrived_days a
    JOIN unnest($2::text[]) AS s (stage) ON a.stage IS NULL OR a.stage = s.stage
    GROUP BY a.outlet, a.factor, a.day, s.stage
), masks AS (
    SELECT c.outlet, c.factor, c.day, c.stage, c.fields, c.due, c.got, c.good, c.valid, c.marked, c.ever, c.dry, c.refused, c.planes,
           coalesce(a.mean, 0) & ~c.refused AS mean,
           (c.due & ~c.valid) | (CASE $1::jsonb ->> 'not_responsible' WHEN 'validity' THEN c.due | c.excused ELSE c.due END
               & ~c.manual & ~hj212.whole_hours(c.planes, c.fields)) AS lost
    FROM computed_days c
    LEFT JOIN came a USING (outlet, factor, day, stage)
    WHERE c.stage = ANY ($2::text[])
)
SELECT m.outlet, m.factor, m.day, h.hour, m.stage, m.fields, x.came,
       CASE WHEN m.got & h.bit <> 0 THEN
                CASE WHEN m.marked & ~m.valid & h.bit <> 0 THEN 'mark' WHEN ~m.good & ~m.valid & h.bit <> 0 THEN 'flag'
                     ELSE 'partial' END
            WHEN m.due & h.bit = 0 AND m.mean & h.bit <> 0 THEN 'partial'
            WHEN m.refused & h.bit <> 0 THEN 'flag'
            WHEN m.ever & h.bit <> 0 THEN 'late'
            WHEN x.came > 0 THEN 'partial'
            ELSE 'missing' END AS state,
       m.mean & h.bit <> 0 AS has_mean, m.dry & h.bit <> 0 AS is_dry, o.enterprise
FROM masks m
JOIN (SELECT hour, 1 << hour AS bit FROM generate_series(0, 23) AS g (hour)) AS h ON m.lost & h.bit <> 0
CROSS JOIN LATERAL (
    SELECT count(*) FILTER (WHERE plane & h.bit <> 0)::integer AS came FROM unnest(m.planes[1:m.fields]) AS plane
) AS x
CROSS JOIN LATERAL (SELECT hj212.day_start(m.day) + h.hour * interval '1 hour' AS at) AS t
LEFT JOIN hj212.current_outlets o ON o.outlet = m.outlet AND o.valid_from <= t.at AND (o.valid_to IS NULL OR o.valid_to > t.at)
ORDER BY m.outlet, m.day, h.hour, m.factor, m.stage DESC
