-- Purpose: the counts of all enterprises, counties and the city on the days that changed, pooled over their outlets
-- (assessment.md section 6).
-- Parameter: $1 name of the city. Index: rate_counts_period.
INSERT INTO new_rates (period, period_start, level, id, stage, basis, expected_values, reported_values, expected_groups,
    groups_not_taking_part, groups_received, valid_groups)
SELECT 'day', r.period_start, g.level, g.id, r.stage, r.basis, sum(r.expected_values), sum(r.reported_values),
       sum(r.expected_groups), sum(r.groups_not_taking_part), sum(r.groups_received), sum(r.valid_groups)
FROM (SELECT DISTINCT day FROM changed_days) AS c
JOIN hj212.rate_counts r ON r.period = 'day' AND r.period_start = c.day AND r.level = 'outlet' AND r.replaced_at IS NULL
LEFT JOIN day_owners o ON o.outlet = r.id AND o.day = r.period_start
CROSS JOIN LATERAL (VALUES ('enterprise', o.enterprise), ('county', o.county), ('city', $1::text)) AS g (level, id)
WHERE g.id IS NOT NULL
GROUP BY r.period_start, g.level, g.id, r.stage, r.basis
