-- Purpose: proposals for a person, the most frequent first within a data logger.
-- Parameters: $1 mn, $2 what, NULL for any; $3 whether decided ones are wanted too. Index: proposals_pkey for an mn.
SELECT mn, st, cn, outlet, what, value, evidence, times, first_seen_at, last_seen_at, state
FROM hj212.v_proposals
WHERE ($1::text IS NULL OR mn = $1) AND ($2::text IS NULL OR what = $2) AND ($3::boolean OR state = 'open')
ORDER BY mn, what, times DESC, st, cn, value
