-- Purpose: a base list without a date is due from the first hour data there is; when older data comes, the days in between
-- become due for all, also for those who sent nothing.

ALTER TABLE hj212.assessment_state ADD COLUMN reached_day date;
COMMENT ON COLUMN hj212.assessment_state.reached_day IS 'days before this one were never looked at';
UPDATE hj212.assessment_state SET reached_day = least(first_day, (
    SELECT hj212.local_day(min(valid_from)) FROM hj212.base_list WHERE superseded_at IS NULL AND valid_from > '1990-01-01'))
WHERE passed_at IS NOT NULL;

COMMENT ON VIEW hj212.v_rate_versions IS
    'figures with when and why they were computed and replaced; of those that only hours and data made, while provisional, the last of each day';
