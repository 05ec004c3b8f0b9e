-- Purpose: the counts of the outlets' days that changed.
-- Basis gfsw: COD, NH3-N; soot, SO2, NOx (assessment.md section 7).
INSERT INTO new_rates (period, period_start, level, id, stage, basis, expected_values, reported_values, expected_groups,
    groups_not_taking_part, groups_received, valid_groups)
SELECT 'day', a.day, 'outlet', a.outlet, a.stage, b.basis, sum(expected_values), sum(reported_values), sum(expected_groups),
       sum(groups_not_taking_part), sum(groups_received), sum(valid_groups)
FROM changed_days c
JOIN hj212.assessed_days a USING (outlet, day)
LEFT JOIN day_owners o ON o.outlet = a.outlet AND o.day = a.day
CROSS JOIN LATERAL (VALUES ('all'), (o.medium),
    (CASE WHEN a.factor IN ('w01018', 'w21003', 'a34013', 'a21026', 'a21002') THEN 'gfsw' END)) AS b (basis)
WHERE b.basis IN ('all', 'gas', 'water', 'gfsw')
GROUP BY a.day, a.outlet, a.stage, b.basis
