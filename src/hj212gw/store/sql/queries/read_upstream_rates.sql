-- Purpose: the standing rates of a source, in order.
-- Parameters: $1 source, $2 first day, $3 day after the last, $4 array of outlets or NULL for all.
-- Index: primary key of upstream_rates.
SELECT outlet, day, stage, transmission_pct, validity_pct, effective_pct
FROM hj212.standing_upstream_rates
WHERE source = $1 AND day >= $2 AND day < $3 AND ($4::text[] IS NULL OR outlet = ANY ($4))
ORDER BY outlet, day, stage DESC
