-- Purpose: the first day that can be assessed: what the base list dates, or the first hour data.
SELECT least(first_day, (SELECT hj212.local_day(min(valid_from)) FROM hj212.base_list
                         WHERE superseded_at IS NULL AND valid_from > '1990-01-01'))
FROM hj212.assessment_state
