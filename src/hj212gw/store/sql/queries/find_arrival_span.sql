-- Purpose: when the values of an outlet's readings of a range arrived, replaced ones included.
-- Parameters: $1 outlet, $2 from, $3 to (DataTime), $4 array of mn. Index: the readings' primary keys.
SELECT min(first_at) AS first_at, max(last_at) AS last_at FROM (
    SELECT min(received_at) AS first_at, max(updated_at) AS last_at FROM hj212.v_readings
    WHERE outlet = $1 AND data_time >= $2 AND data_time < $3
    UNION ALL
    SELECT min(received_at), max(received_at) FROM hj212.v_history
    WHERE mn = ANY ($4::text[]) AND data_time >= $2 AND data_time < $3
) AS spans
