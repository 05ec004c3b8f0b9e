-- Purpose: how many keys the staged readings hold.
SELECT count(*) FROM staged_readings WHERE is_winner
