-- Purpose: a session's staging table for readings; the newest arrival of each key is the winner. Of the stored row it
-- meets: is_earlier, its first arrival is later than the staged one; is_settled, its value stands.
CREATE TEMPORARY TABLE IF NOT EXISTS staged_readings (
    LIKE hj212.readings_hour, staged_id bigint GENERATED ALWAYS AS IDENTITY, first_at timestamptz, is_winner boolean,
    is_earlier boolean, is_settled boolean
) ON COMMIT DELETE ROWS
