-- Purpose: note through which day each stage is frozen, and that figures up to there are not provisional any more.
-- Parameters: $1 and $2 last day whose immediate and completed stage is frozen, NULL: none.
WITH moved AS (
    UPDATE hj212.assessment_state SET immediate_through = greatest(immediate_through, $1::date),
                                      completed_through = greatest(completed_through, $2::date)
    RETURNING immediate_through, completed_through
)
UPDATE hj212.rate_counts r SET provisional = false FROM moved m
WHERE r.replaced_at IS NULL AND r.provisional
  AND hj212.period_end(r.period, r.period_start)
    <= CASE r.stage WHEN 'immediate' THEN m.immediate_through ELSE m.completed_through END + 1
