-- Purpose: every data logger the registry holds at a moment, with its dialects and networks then, for admission.
-- Parameters: $1 the moment. Sequential scans of the current rows, read once a change.
SELECT d.mn, d.pw, d.st, d.rtd_interval_secs, d.min_interval_mins,
       coalesce((SELECT array_agg(x.dialect ORDER BY x.dialect) FROM hj212.dialects x
                 WHERE x.superseded_at IS NULL AND x.mn = d.mn AND x.valid_from <= $1
                     AND (x.valid_to IS NULL OR $1 < x.valid_to)), '{}') AS dialects,
       coalesce((SELECT array_agg(n.network ORDER BY n.network) FROM hj212.networks n
                 WHERE n.superseded_at IS NULL AND n.mn = d.mn AND n.valid_from <= $1
                     AND (n.valid_to IS NULL OR $1 < n.valid_to)), '{}') AS networks
FROM hj212.current_data_loggers d
WHERE d.valid_from <= $1 AND (d.valid_to IS NULL OR $1 < d.valid_to)
