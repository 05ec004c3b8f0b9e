-- Purpose: end current rows of a registry table; never before they began.
-- Parameters: $1 array of row_id, $2 the moment. Index: the primary key.
UPDATE hj212.{table} SET superseded_at = greatest($2, recorded_at)
WHERE row_id = ANY ($1::bigint[]) AND superseded_at IS NULL
