-- Purpose: registry rows that hold in a range, superseded ones too. {table}, {columns} and {key} are names of ours.
-- Parameters: $1 array of ids, $2 from, $3 to. Sequential scan: a registry is small.
SELECT {columns} FROM hj212.{table}
WHERE {key} = ANY ($1::text[]) AND valid_from < $3 AND (valid_to IS NULL OR valid_to > $2) ORDER BY row_id
