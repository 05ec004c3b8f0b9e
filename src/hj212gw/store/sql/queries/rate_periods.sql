-- Purpose: the counts of periods in which a shorter one changed: months of days, quarters and years of months.
-- Parameters: $1 the period, $2 the shorter one it is pooled of. Index: rate_counts_newest.
INSERT INTO new_rates (period, period_start, level, id, stage, basis, expected_values, reported_values, expected_groups,
    groups_not_taking_part, groups_received, valid_groups)
SELECT $1, w.period_start, w.level, w.id, r.stage, r.basis, sum(r.expected_values), sum(r.reported_values),
       sum(r.expected_groups), sum(r.groups_not_taking_part), sum(r.groups_received), sum(r.valid_groups)
FROM rate_scope w
JOIN hj212.rate_counts r ON r.level = w.level AND r.id = w.id AND r.period = $2 AND r.replaced_at IS NULL
    AND r.period_start >= w.period_start AND r.period_start < hj212.period_end($1, w.period_start)
GROUP BY w.period_start, w.level, w.id, r.stage, r.basis
