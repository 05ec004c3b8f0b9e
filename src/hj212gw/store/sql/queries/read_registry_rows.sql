-- Purpose: the current rows of a registry table, whole.
-- Parameters: none. Sequential scan: a registry is read as a whole.
SELECT * FROM hj212.{table} WHERE superseded_at IS NULL ORDER BY row_id
