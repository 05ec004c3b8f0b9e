-- Purpose: the counts of computed_days by outlet, with the enterprise and county it was of at the end of each day; where its
-- row of the registry ended before, by the last that was.
-- Parameters: $1 day, month, quarter, year or total, $2 first day of a total, $3 basis of the policy: all, gfsw, gas,
-- water (assessment.md section 7), $4 whether by day besides, $5 stages. `listed` are the groups due where none is left out.
WITH counts AS (
    SELECT outlet, day, stage, $3 = 'all' OR ($3 = 'gfsw' AND factor IN ('w01018', 'w21003', 'a34013', 'a21026', 'a21002'))
               AS is_basis,
           sum(expected_values) AS expected_values, sum(reported_values) AS reported_values,
           sum(expected_groups) AS expected_groups, sum(groups_not_taking_part) AS groups_not_taking_part,
           sum(groups_received) AS groups_received, sum(valid_groups) AS valid_groups,
           sum(hj212.hour_count(listed)) AS listed
    FROM computed_days WHERE stage = ANY ($5::text[]) GROUP BY 1, 2, 3, 4
), owners AS MATERIALIZED (
    SELECT DISTINCT ON (o.outlet, d.day) o.outlet, d.day, o.medium, o.enterprise, coalesce(o.county, e.county) AS county
    FROM (SELECT DISTINCT outlet, day, hj212.day_start(day) AS start_at, hj212.day_start(day + 1) AS end_at FROM counts) AS d
    JOIN hj212.current_outlets o ON o.outlet = d.outlet AND o.valid_from < d.end_at
        AND (o.valid_to IS NULL OR o.valid_to > d.start_at)
    LEFT JOIN hj212.current_enterprises e ON e.enterprise = o.enterprise AND e.valid_from < d.end_at
        AND (e.valid_to IS NULL OR e.valid_to > d.start_at)
    ORDER BY o.outlet, d.day, o.valid_from DESC, e.valid_from DESC
)
SELECT c.outlet, o.enterprise, o.county, c.stage,
       CASE $1 WHEN 'total' THEN $2::date WHEN 'day' THEN c.day ELSE date_trunc($1, c.day::timestamp)::date END AS period_start,
       CASE WHEN $4::boolean THEN c.day END AS day,
       coalesce(sum(c.expected_values) FILTER (WHERE c.is_basis OR o.medium = $3), 0)::bigint AS expected_values,
       coalesce(sum(c.reported_values) FILTER (WHERE c.is_basis OR o.medium = $3), 0)::bigint AS reported_values,
       coalesce(sum(c.expected_groups) FILTER (WHERE c.is_basis OR o.medium = $3), 0)::bigint AS expected_groups,
       coalesce(sum(c.groups_not_taking_part) FILTER (WHERE c.is_basis OR o.medium = $3), 0)::bigint AS groups_not_taking_part,
       coalesce(sum(c.groups_received) FILTER (WHERE c.is_basis OR o.medium = $3), 0)::bigint AS groups_received,
       coalesce(sum(c.valid_groups) FILTER (WHERE c.is_basis OR o.medium = $3), 0)::bigint AS valid_groups,
       coalesce(sum(c.listed) FILTER (WHERE c.is_basis OR o.medium = $3), 0)::bigint AS listed
FROM counts c
LEFT JOIN owners o ON o.outlet = c.outlet AND o.day = c.day
GROUP BY 1, 2, 3, 4, 5, 6
