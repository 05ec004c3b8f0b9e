-- Purpose: every hour of computed_days that counts against a rate, with its state and what tells the reason: the first that
-- holds, as v_lost_hours and `why` tell it. A group not received comes before marks, those before its flag: a mark tells why
-- the flag is what it is. An hour others are to blame for can be due in transmission alone; its mean came, then a value lacks.
-- Parameters: $1 rules as JSON, $2 stages.
WITH masks AS (
    SELECT outlet, factor, day, stage, fields, due, got, good, valid, marked, ever, dry, refused, planes,
           (due & ~valid) | (CASE $1::jsonb ->> 'not_responsible' WHEN 'validity' THEN due | excused ELSE due END
               & ~manual & ~hj212.whole_hours(planes, fields)) AS lost
    FROM computed_days
    WHERE stage = ANY ($2::text[])
)
SELECT m.outlet, m.factor, m.day, h.hour, m.stage, m.fields, x.came,
       CASE WHEN m.got & h.bit <> 0 THEN
                CASE WHEN m.marked & ~m.valid & h.bit <> 0 THEN 'mark' WHEN ~m.good & ~m.valid & h.bit <> 0 THEN 'flag'
                     ELSE 'partial' END
            WHEN m.due & h.bit = 0 AND x.has_mean THEN 'partial'
            WHEN m.refused & h.bit <> 0 THEN 'flag'
            WHEN m.ever & h.bit <> 0 THEN 'late'
            WHEN x.came > 0 THEN 'partial'
            ELSE 'missing' END AS state,
       x.has_mean, m.dry & h.bit <> 0 AS is_dry
FROM masks m
JOIN (SELECT hour, 1 << hour AS bit FROM generate_series(0, 23) AS g (hour)) AS h ON m.lost & h.bit <> 0
CROSS JOIN LATERAL (
    SELECT m.planes[1] & h.bit <> 0 AS has_mean,
           (SELECT count(*) FROM unnest(m.planes[1:m.fields]) AS plane WHERE plane & h.bit <> 0)::integer AS came
) AS x
ORDER BY m.outlet, m.day, h.hour, m.factor, m.stage DESC
