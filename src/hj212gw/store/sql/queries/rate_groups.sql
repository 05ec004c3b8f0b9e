-- Purpose: the counts of all enterprises, counties and the city on the days that changed, pooled over their outlets
-- (assessment.md section 6), each outlet by the registry at the end of the day; where it ended before, by the last that was.
-- Parameter: $1 name of the city. Index: rate_counts_period.
INSERT INTO new_rates (period, period_start, level, id, stage, basis, expected_values, reported_values, expected_groups,
    groups_not_taking_part, groups_received, valid_groups)
WITH days AS (
    SELECT day, hj212.day_start(day) AS start_at, hj212.day_start(day + 1) AS end_at
    FROM (SELECT DISTINCT day FROM changed_days) AS c
), owners AS MATERIALIZED (  -- once an outlet and day, not once a row
    SELECT DISTINCT ON (o.outlet, d.day) o.outlet, d.day, o.enterprise, coalesce(o.county, e.county) AS county
    FROM days d
    JOIN hj212.current_outlets o ON o.valid_from < d.end_at AND (o.valid_to IS NULL OR o.valid_to > d.start_at)
    LEFT JOIN hj212.current_enterprises e ON e.enterprise = o.enterprise AND e.valid_from < d.end_at
        AND (e.valid_to IS NULL OR e.valid_to > d.start_at)
    ORDER BY o.outlet, d.day, o.valid_from DESC, e.valid_from DESC
)
SELECT 'day', r.period_start, g.level, g.id, r.stage, r.basis, sum(r.expected_values), sum(r.reported_values),
       sum(r.expected_groups), sum(r.groups_not_taking_part), sum(r.groups_received), sum(r.valid_groups)
FROM days
JOIN hj212.rate_counts r ON r.period = 'day' AND r.period_start = days.day AND r.level = 'outlet' AND r.replaced_at IS NULL
LEFT JOIN owners o ON o.outlet = r.id AND o.day = r.period_start
CROSS JOIN LATERAL (VALUES ('enterprise', o.enterprise), ('county', o.county), ('city', $1::text)) AS g (level, id)
WHERE g.id IS NOT NULL
GROUP BY r.period_start, g.level, g.id, r.stage, r.basis
