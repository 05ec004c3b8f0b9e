-- Purpose: where the first day that can be assessed has moved back, note the days in between for all outlets.
-- Parameter: $1 first day there is now, by find_first_day.
WITH before AS (
    SELECT reached_day FROM hj212.assessment_state
), noted AS (
    INSERT INTO hj212.stale_days (outlet, first_day, last_day, reason)
    SELECT NULL, $1, b.reached_day - 1, 'older data came' FROM before b WHERE $1::date < b.reached_day
)
UPDATE hj212.assessment_state SET reached_day = $1 WHERE $1::date < coalesce(reached_day, 'infinity')
