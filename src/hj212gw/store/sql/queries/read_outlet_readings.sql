-- Purpose: an outlet's readings as analysts see them. Parameters: $1 outlet, $2 from, $3 to (DataTime).
-- Index: the readings' primary keys.
SELECT * FROM hj212.v_readings WHERE outlet = $1 AND data_time >= $2 AND data_time < $3
ORDER BY data_time, mn, st, cn, factor, nth
