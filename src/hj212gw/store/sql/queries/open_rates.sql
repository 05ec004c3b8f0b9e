-- Purpose: write the figures that are new. One whose days are not all computed yet is provisional.
-- Parameters: $1 now, $2 reason where none is known of the figure alone. Index: rate_counts_newest.
WITH written AS (
    INSERT INTO hj212.rate_counts
    SELECT n.period, n.period_start, n.level, n.id, n.stage, n.basis, n.expected_values, n.reported_values, n.expected_groups, n.groups_not_taking_part, n.groups_received, n.valid_groups,
           coalesce(p.period_end > CASE n.stage WHEN 'immediate' THEN s.immediate_through ELSE s.completed_through END + 1
               OR EXISTS (SELECT FROM hj212.stale_days d WHERE d.first_day < p.period_end AND d.last_day >= n.period_start), true),
           $1, NULL, coalesce((SELECT w.reasons FROM rate_reasons w
               WHERE (w.period, w.period_start, w.level, w.id) = (n.period, n.period_start, n.level, n.id)), $2)
    FROM new_rates n CROSS JOIN hj212.assessment_state s
    CROSS JOIN LATERAL (SELECT hj212.period_end(n.period, n.period_start)) AS p (period_end)
    -- Not an anti-join: without statistics one was made that scanned the rows as they were being written, for each again.
    ON CONFLICT (level, id, period, period_start, stage, basis) WHERE replaced_at IS NULL DO NOTHING
    RETURNING level, id, period, period_start
)
INSERT INTO changed_rates SELECT DISTINCT level, id, period, period_start FROM written
