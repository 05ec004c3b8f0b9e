-- Purpose: mark proposals as decided; returns the ST and CN of each that is.
-- Parameters: $1 mn, $2 what, $3 value, $4 st and $5 cn, NULL for any, $6 state, $7 when, $8 by whom.
-- Index: proposals_pkey.
UPDATE hj212.proposals SET state = $6, decided_at = $7, decided_by = $8
WHERE mn = $1 AND what = $2 AND value = $3
  AND ($4::text IS NULL OR st = $4) AND ($5::text IS NULL OR cn = $5)
RETURNING st, cn
