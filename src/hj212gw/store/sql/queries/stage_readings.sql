-- Purpose: a session's staging table for readings; the newest arrival of each key is the winner.
CREATE TEMPORARY TABLE IF NOT EXISTS staged_readings (
    LIKE hj212.readings_hour, staged_id bigint GENERATED ALWAYS AS IDENTITY, first_at timestamptz, is_winner boolean
) ON COMMIT DELETE ROWS
