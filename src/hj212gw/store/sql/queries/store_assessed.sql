-- Purpose: bring assessed_days up to computed_days, and note which days of which outlets that changed.
-- Parameters: $1 first day, $2 day after the last, $3 array of outlets or NULL for all.
-- Index: primary key; sorted against deadlocks.
WITH gone AS (
    DELETE FROM hj212.assessed_days a
    WHERE a.day >= $1 AND a.day < $2 AND ($3::text[] IS NULL OR a.outlet = ANY ($3))
      AND NOT EXISTS (SELECT FROM computed_days c
        WHERE (c.outlet, c.day, c.factor, c.stage) = (a.outlet, a.day, a.factor, a.stage))
    RETURNING a.outlet, a.day
), stored AS (
    INSERT INTO hj212.assessed_days AS a
    SELECT * FROM computed_days ORDER BY outlet, day, factor, stage
    ON CONFLICT (outlet, day, factor, stage) DO UPDATE SET
        (fields, listed, stopped, excused, checked, due, got, good, marked, manual, valid, ever, planes, expected_values, reported_values, expected_groups, groups_not_taking_part, groups_received, valid_groups, dry, refused)
        = (excluded.fields, excluded.listed, excluded.stopped, excluded.excused, excluded.checked, excluded.due, excluded.got, excluded.good, excluded.marked, excluded.manual, excluded.valid, excluded.ever, excluded.planes, excluded.expected_values, excluded.reported_values, excluded.expected_groups, excluded.groups_not_taking_part, excluded.groups_received, excluded.valid_groups, excluded.dry, excluded.refused)
    WHERE (a.fields, a.listed, a.stopped, a.excused, a.checked, a.due, a.got, a.good, a.marked, a.manual, a.valid, a.ever, a.planes, a.expected_values, a.reported_values, a.expected_groups, a.groups_not_taking_part, a.groups_received, a.valid_groups, a.dry, a.refused)
        IS DISTINCT FROM (excluded.fields, excluded.listed, excluded.stopped, excluded.excused, excluded.checked, excluded.due, excluded.got, excluded.good, excluded.marked, excluded.manual, excluded.valid, excluded.ever, excluded.planes, excluded.expected_values, excluded.reported_values, excluded.expected_groups, excluded.groups_not_taking_part, excluded.groups_received, excluded.valid_groups, excluded.dry, excluded.refused)
    RETURNING a.outlet, a.day
)
INSERT INTO changed_days SELECT outlet, day FROM gone UNION SELECT outlet, day FROM stored
ON CONFLICT DO NOTHING
