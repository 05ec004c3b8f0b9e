-- Purpose: the rows of the base list for a factor of an outlet in an hour. Parameters: $1 outlet, $2 factor, $3 hour.
-- Index: base_list_current.
SELECT fields, nullif(valid_from, '-infinity') AS valid_from, valid_to, recorded_at FROM hj212.base_list
WHERE superseded_at IS NULL AND outlet = $1 AND factor = $2 AND valid_from < $3::timestamptz + interval '1 hour'
  AND (valid_to IS NULL OR valid_to > $3)
ORDER BY valid_from
