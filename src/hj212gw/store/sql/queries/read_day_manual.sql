-- Purpose: the manual values of a factor of an outlet on a day, whatever became of them: fewer than the least count for nothing.
-- Parameters: $1 outlet, $2 factor, $3 day, $4 origin. Index: marks_outlet, mark_events_mark.
SELECT effect, state, from_at, to_at, recorded_at, voucher_due, proof_at
FROM hj212.standing_marks
WHERE outlet = $1 AND factor IN ($2, '*') AND origin = $4 AND effect = 'manual'
  AND from_at < hj212.day_start($3::date + 1) AND (to_at IS NULL OR to_at > hj212.day_start($3::date))
ORDER BY mark_id
