-- Purpose: readings of one hour of one factor of an outlet, as analysts see them.
-- Parameters: $1 outlet, $2 factor, $3 hour. Index: the readings' primary keys.
SELECT mn, role, st, factor AS code, nth, data_time, time_label, avg, cou, zs_avg, min, max, data_flag, unit, unit_state, scale,
       qn, received_at, nullif(updated_at, received_at) AS updated_at
FROM hj212.v_readings
WHERE outlet = $1 AND cn = '2061' AND catalogue_factor = $2
  AND data_time >= $3 AND data_time < $3::timestamptz + interval '2 hours'
  AND date_bin('1 hour', period_start, timestamptz '2000-01-01 00:00+00') = $3
ORDER BY mn, st, code, data_time, nth
