-- Purpose: register unknown data loggers as they were found.
-- Parameters: arrays $1 mn, $2 st. Index: data_loggers_current.
INSERT INTO hj212.data_loggers (mn, st, origin)
SELECT t.mn, t.st, 'found' FROM unnest($1::text[], $2::text[]) AS t (mn, st)
WHERE NOT EXISTS (SELECT FROM hj212.data_loggers d WHERE d.mn = t.mn AND d.superseded_at IS NULL) ORDER BY t.mn
ON CONFLICT DO NOTHING
