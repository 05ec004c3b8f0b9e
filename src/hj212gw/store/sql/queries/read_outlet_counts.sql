-- Purpose: the counts of each outlet, day and stage in computed_days.
SELECT outlet, day, stage, sum(expected_values)::bigint AS expected_values, sum(reported_values)::bigint AS reported_values,
       sum(expected_groups)::bigint AS expected_groups, sum(groups_not_taking_part)::bigint AS groups_not_taking_part,
       sum(groups_received)::bigint AS groups_received, sum(valid_groups)::bigint AS valid_groups
FROM computed_days GROUP BY outlet, day, stage
