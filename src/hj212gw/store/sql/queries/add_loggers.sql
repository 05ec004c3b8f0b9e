-- Purpose: numbers for MNs, made where there is none yet.
-- Parameters: $1 array of mn without repeats. Index: loggers_mn_key.
WITH added AS (
    INSERT INTO hj212.loggers (mn) SELECT mn FROM unnest($1::text[]) AS t (mn) ORDER BY mn
    ON CONFLICT (mn) DO NOTHING RETURNING mn, logger_id
)
SELECT mn, logger_id FROM added
UNION ALL SELECT mn, logger_id FROM hj212.loggers WHERE mn = ANY ($1)
