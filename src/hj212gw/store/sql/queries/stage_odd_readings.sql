-- Purpose: a session's staging table for readings with an impossible DataTime.
CREATE TEMPORARY TABLE IF NOT EXISTS staged_odd_readings (LIKE hj212.odd_readings) ON COMMIT DELETE ROWS
