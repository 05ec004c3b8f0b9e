-- Purpose: which moment of an hour DataTime is, by data logger and ST, an empty one for all.
-- Parameters: $1 array of mn, $2 hour. Sequential scan: a registry is small.
SELECT mn, st, label FROM hj212.time_labels
WHERE superseded_at IS NULL AND cn = '2061' AND mn = ANY ($1::text[]) AND valid_from < $2::timestamptz + interval '2 hours'
  AND (valid_to IS NULL OR valid_to > $2)
