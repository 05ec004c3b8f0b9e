-- Purpose: every data logger the registry holds at a moment, for admission.
-- Parameters: $1 the moment. Sequential scan of the current rows, read once a change.
SELECT mn, pw, st, rtd_interval_secs FROM hj212.current_data_loggers
WHERE valid_from <= $1 AND (valid_to IS NULL OR $1 < valid_to)
