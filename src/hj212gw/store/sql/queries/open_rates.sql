-- Purpose: write the figures that are new.
-- Parameters: $1 now, $2 reason. Index: rate_counts_newest.
WITH written AS (
    INSERT INTO hj212.rate_counts
    SELECT n.period, n.period_start, n.level, n.id, n.stage, n.basis, n.expected_values, n.reported_values, n.expected_groups, n.groups_not_taking_part, n.groups_received, n.valid_groups,
           coalesce(hj212.period_end(n.period, n.period_start)
               > CASE n.stage WHEN 'immediate' THEN s.immediate_through ELSE s.completed_through END + 1, true),
           $1, NULL, $2
    FROM new_rates n CROSS JOIN hj212.assessment_state s
    -- Not an anti-join: without statistics one was made that scanned the rows as they were being written, for each again.
    ON CONFLICT (level, id, period, period_start, stage, basis) WHERE replaced_at IS NULL DO NOTHING
    RETURNING level, id, period, period_start
)
INSERT INTO changed_rates SELECT DISTINCT level, id, period, period_start FROM written
