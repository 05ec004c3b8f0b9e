-- Purpose: which moment DataTime means for whom at a moment, for what the gateway proposes.
-- Parameters: $1 the moment. Sequential scan of the current rows, read once a change.
SELECT mn, st, cn, label FROM hj212.time_labels
WHERE superseded_at IS NULL AND valid_from <= $1 AND (valid_to IS NULL OR $1 < valid_to)
