-- Purpose: the state of every group and its sums (assessment.md section 3), a row an outlet, factor, day and stage.
-- Parameters: $1 rules as JSON. The first rule that matches an hour wins: stopped, not responsible, standard check, due.
CREATE TEMP TABLE computed_days ON COMMIT DROP AS
WITH rules AS (  -- read once, not once a row
    SELECT r -> 'uncounted_factors' AS uncounted_factors, r -> 'qc_factors' AS qc_factors, r -> 'flow_factors' AS flow_factors,
           (r ->> 'qc_exempt_hours')::integer AS qc_exempt_hours, r ->> 'qc_exempt_scope' = 'point' AS is_exempt_by_point,
           r ->> 'zero_flow' = 'invalid' AS zero_is_invalid, r ->> 'invalid_received' = 'missing' AS only_good_counts,
           r ->> 'unconverted' = 'invalid' AS only_whole_is_valid, r ->> 'expected_groups' = 'gross' AS is_gross,
           CASE r ->> 'not_responsible' WHEN 'validity' THEN -1 ELSE 0 END AS excused_values
    FROM (SELECT $1::jsonb AS r) AS given
), arrived AS (
    -- A flag is its own record's: what one data logger of an outlet sent with a bad one, another's good one does not mend.
    SELECT a.outlet, a.factor, a.day, s.stage, bit_or(a.ever) AS ever, bit_or(a.mean & k.counted) AS mean,
           bit_or(a.mean) AS came, bit_or(a.mean & a.good) AS good,
           bit_or(a.p1 & k.counted) AS p1, bit_or(a.p2 & k.counted) AS p2, bit_or(a.p3 & k.counted) AS p3,
           bit_or(a.p4 & k.counted) AS p4, bit_or(a.p5 & k.counted) AS p5, bit_or(a.p6 & k.counted) AS p6,
           bit_or(a.p7 & k.counted) AS p7, bit_or(a.p8 & k.counted) AS p8
    FROM arrived_days a
    JOIN (VALUES ('immediate'), ('completed')) AS s (stage) ON a.stage IS NULL OR a.stage = s.stage
    CROSS JOIN rules
    CROSS JOIN LATERAL (SELECT CASE WHEN only_good_counts THEN a.good ELSE -1 END AS counted) AS k
    GROUP BY a.outlet, a.factor, a.day, s.stage
), dry AS (  -- hours in which the flow of an outlet of water came and is zero
    SELECT a.outlet, a.day, s.stage, bit_or(a.zero) & ~bit_or(a.mean & ~a.zero) AS hours
    FROM arrived_days a
    JOIN (VALUES ('immediate'), ('completed')) AS s (stage) ON a.stage IS NULL OR a.stage = s.stage
    CROSS JOIN rules
    WHERE zero_is_invalid AND flow_factors ? a.factor GROUP BY a.outlet, a.day, s.stage
), first_checks AS (
    SELECT m.outlet, m.day, m.stage,
           hj212.first_hours(bit_or(b.listed & ~m.stop & ~m.excuse & m.checking), qc_exempt_hours) AS of_point
    FROM mark_days m JOIN base_days b USING (outlet, factor, day) CROSS JOIN rules
    WHERE m.checking <> 0 AND b.medium = 'water' AND qc_factors ? b.factor AND NOT uncounted_factors ? b.factor
    GROUP BY m.outlet, m.day, m.stage, qc_exempt_hours
), shut AS (
    SELECT b.day, b.outlet, b.factor, b.fields, b.medium, b.listed, s.stage, b.listed & coalesce(m.stop, 0) AS stopped,
           b.listed & ~coalesce(m.stop, 0) & coalesce(m.excuse, 0) AS excused,
           CASE WHEN m.checking <> 0 AND b.medium = 'water' AND qc_factors ? b.factor
                THEN b.listed & ~m.stop & ~m.excuse & m.checking ELSE 0 END AS checking,
           coalesce(m.device, 0) AS device, coalesce(m.manual, 0) AS covered
    FROM base_days b
    CROSS JOIN (VALUES ('immediate'), ('completed')) AS s (stage)
    CROSS JOIN rules
    LEFT JOIN mark_days m ON m.outlet = b.outlet AND m.factor = b.factor AND m.day = b.day AND m.stage = s.stage
    WHERE NOT uncounted_factors ? b.factor
    OFFSET 0  -- here and below: what a step finds is computed once, not wherever a later one uses it
), met AS (
    SELECT b.*, coalesce(a.ever, 0) AS ever, coalesce(a.mean, 0) AS mean, coalesce(a.good, 0) AS flagged_good,
           coalesce(a.came, 0) AS came, coalesce(d.hours, 0) AS zero,
           coalesce(a.p1, 0) AS p1, coalesce(a.p2, 0) AS p2, coalesce(a.p3, 0) AS p3, coalesce(a.p4, 0) AS p4, coalesce(a.p5, 0) AS p5,
           coalesce(a.p6, 0) AS p6, coalesce(a.p7, 0) AS p7, coalesce(a.p8, 0) AS p8,
           CASE WHEN b.checking = 0 THEN 0 WHEN is_exempt_by_point THEN b.checking & f.of_point
                ELSE hj212.first_hours(b.checking, qc_exempt_hours) END AS checked
    FROM shut b
    CROSS JOIN rules
    LEFT JOIN arrived a ON a.outlet = b.outlet AND a.factor = b.factor AND a.day = b.day AND a.stage = b.stage
    LEFT JOIN dry d ON b.medium = 'water' AND d.outlet = b.outlet AND d.day = b.day AND d.stage = b.stage
    LEFT JOIN first_checks f ON b.checking <> 0 AND f.outlet = b.outlet AND f.day = b.day AND f.stage = b.stage
    OFFSET 0
), owed AS (
    SELECT m.*, listed & ~stopped & ~excused & ~checked AS due,
           listed & ~stopped & ~(excused & ~excused_values) & ~checked AS due_values,
           CASE WHEN only_whole_is_valid
                THEN (SELECT bit_and(p) FROM unnest((ARRAY[p1, p2, p3, p4, p5, p6, p7, p8])[1:fields]) AS p)
                ELSE -1 END AS whole, is_gross
    FROM met m CROSS JOIN rules
    OFFSET 0
), judged AS (
    SELECT day, outlet, factor, stage, fields, listed, stopped, excused, checked, due, due_values, is_gross, ever,
           p1, p2, p3, p4, p5, p6, p7, p8, (mean | covered) & due AS got, flagged_good & ~zero & due AS good,
           (device | checking) & due AS marked, covered & due AS manual, zero & due AS dry,
           -- A check beyond the exempt ones spoils its hour, however short it is (marks.csv).
           ((mean & flagged_good & ~zero & whole & ~device & ~checking) | covered) & due AS valid,
           came & ~mean & due_values & ~(covered & due) AS refused
    FROM owed
    OFFSET 0
)
SELECT day, outlet, factor, stage, fields::smallint, listed, stopped, excused, checked, due, got, good, marked, manual, valid,
       ever, ARRAY[p1, p2, p3, p4, p5, p6, p7, p8] AS planes, fields * hj212.hour_count(due_values) AS expected_values,
       hj212.hour_count((p1 | manual) & due_values)
         + CASE WHEN fields < 2 THEN 0 ELSE hj212.hour_count((p2 | manual) & due_values) END
         + CASE WHEN fields < 3 THEN 0 ELSE hj212.hour_count((p3 | manual) & due_values) END
         + CASE WHEN fields < 4 THEN 0 ELSE hj212.hour_count((p4 | manual) & due_values) END
         + CASE WHEN fields < 5 THEN 0 ELSE hj212.hour_count((p5 | manual) & due_values) END
         + CASE WHEN fields < 6 THEN 0 ELSE hj212.hour_count((p6 | manual) & due_values) END
         + CASE WHEN fields < 7 THEN 0 ELSE hj212.hour_count((p7 | manual) & due_values) END
         + CASE WHEN fields < 8 THEN 0 ELSE hj212.hour_count((p8 | manual) & due_values) END
         AS reported_values,
       hj212.hour_count(CASE WHEN is_gross THEN listed ELSE due END) AS expected_groups,
       hj212.hour_count(stopped | excused | checked) AS groups_not_taking_part,
       hj212.hour_count(got) AS groups_received, hj212.hour_count(valid) AS valid_groups, dry, refused
FROM judged
