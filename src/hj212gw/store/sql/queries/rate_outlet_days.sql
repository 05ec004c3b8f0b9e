-- Purpose: the counts of the outlets' days that changed; the medium is that at the end of the day, or the last that was.
-- Basis gfsw: COD, NH3-N; soot, SO2, NOx (assessment.md section 7).
INSERT INTO new_rates (period, period_start, level, id, stage, basis, expected_values, reported_values, expected_groups,
    groups_not_taking_part, groups_received, valid_groups)
SELECT 'day', a.day, 'outlet', a.outlet, a.stage, b.basis, sum(expected_values), sum(reported_values), sum(expected_groups),
       sum(groups_not_taking_part), sum(groups_received), sum(valid_groups)
FROM changed_days c
JOIN hj212.assessed_days a USING (outlet, day)
LEFT JOIN (
    SELECT DISTINCT ON (o.outlet, d.day) o.outlet, d.day, o.medium
    FROM changed_days d
    JOIN hj212.current_outlets o ON o.outlet = d.outlet AND o.valid_from < hj212.day_start(d.day + 1)
        AND (o.valid_to IS NULL OR o.valid_to > hj212.day_start(d.day))
    ORDER BY o.outlet, d.day, o.valid_from DESC
) AS o ON o.outlet = a.outlet AND o.day = a.day
CROSS JOIN LATERAL (VALUES ('all'), (o.medium),
    (CASE WHEN a.factor IN ('w01018', 'w21003', 'a34013', 'a21026', 'a21002') THEN 'gfsw' END)) AS b (basis)
WHERE b.basis IN ('all', 'gas', 'water', 'gfsw')
GROUP BY a.day, a.outlet, a.stage, b.basis
