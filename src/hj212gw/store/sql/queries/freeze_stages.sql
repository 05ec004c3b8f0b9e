-- Purpose: note through which day each stage is frozen, and that figures up to there are not provisional any more. What
-- still has to be computed, or came while it was, holds later days up until the next look.
-- Parameters: $1 and $2 last day whose immediate and completed stage is frozen, NULL: none. Index: rate_counts_provisional.
WITH pending AS (
    SELECT least((SELECT min(first_day) - 1 FROM hj212.stale_days),
                 (SELECT min(day) - 2 FROM hj212.dirty WHERE cn = '2061')) AS before  -- 2: labelled by its end
), moved AS (
    UPDATE hj212.assessment_state SET immediate_through = greatest(immediate_through, least($1::date, p.before)),
                                      completed_through = greatest(completed_through, least($2::date, p.before))
    FROM pending p RETURNING immediate_through, completed_through
)
UPDATE hj212.rate_counts r SET provisional = false
FROM moved m CROSS JOIN LATERAL (VALUES ('immediate', m.immediate_through), ('completed', m.completed_through)) AS s (stage, through)
WHERE r.replaced_at IS NULL AND r.provisional AND r.stage = s.stage AND r.period_start <= s.through
  AND hj212.period_end(r.period, r.period_start) <= s.through + 1
