-- Purpose: MNs that the registry ties to an outlet within a range. {table} is data_loggers or channels.
-- Parameters: $1 outlet, $2 from, $3 to. Sequential scan: a registry is small.
SELECT DISTINCT mn FROM hj212.{table}
WHERE outlet = $1 AND superseded_at IS NULL AND valid_from < $3 AND (valid_to IS NULL OR valid_to > $2) ORDER BY mn
