-- Purpose: replaced values of some data loggers. Parameters: $1 array of mn, $2 from, $3 to (DataTime).
-- Index: reading_history_key.
SELECT * FROM hj212.v_history WHERE mn = ANY ($1::text[]) AND data_time >= $2 AND data_time < $3
ORDER BY data_time, mn, st, cn, factor, nth, received_at, replaced_at
