-- Purpose: hold the stored rows that the staged ones meet, in key order against deadlocks.
-- {table} is one of the four reading tables. Index: its primary key.
SELECT count(*) FROM (
    SELECT 1 FROM hj212.{table} r JOIN staged_readings s USING (logger_id, cn, data_time, factor, st, nth)
    WHERE s.is_winner ORDER BY logger_id, cn, data_time, factor, st, nth FOR UPDATE OF r
) AS locked
