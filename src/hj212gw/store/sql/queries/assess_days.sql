-- Purpose: the state of every group and its sums (assessment.md section 3), a row an outlet, factor, day and stage.
-- Parameters: $1 rules as JSON. The first rule that matches an hour wins: stopped, not responsible, standard check, due.
CREATE TEMP TABLE computed_days ON COMMIT DROP AS
WITH rules AS (SELECT $1::jsonb AS r), arrived AS (
    SELECT outlet, factor, day, bit_or(ever) AS ever, bit_or(zero) AS zero,
           bit_or(mean_i) AS mean_i, bit_or(good_i) AS good_i, ARRAY[bit_or(p1_i), bit_or(p2_i), bit_or(p3_i), bit_or(p4_i), bit_or(p5_i), bit_or(p6_i), bit_or(p7_i), bit_or(p8_i)] AS planes_i,
           bit_or(mean_c) AS mean_c, bit_or(good_c) AS good_c, ARRAY[bit_or(p1_c), bit_or(p2_c), bit_or(p3_c), bit_or(p4_c), bit_or(p5_c), bit_or(p6_c), bit_or(p7_c), bit_or(p8_c)] AS planes_c
    FROM arrived_days GROUP BY outlet, factor, day
), dry AS (  -- hours in which an outlet of water has no flow
    SELECT a.outlet, a.day, bit_or(a.zero) AS zero FROM arrived a CROSS JOIN rules
    WHERE r ->> 'zero_flow' = 'invalid' AND r -> 'flow_factors' ? a.factor GROUP BY a.outlet, a.day
), shut AS (
    SELECT b.day, b.outlet, b.factor, b.fields, b.medium, b.listed, s.stage, b.listed & coalesce(m.stop, 0) AS stopped,
           b.listed & ~coalesce(m.stop, 0) & coalesce(m.excuse, 0) AS excused,
           CASE WHEN b.medium = 'water' AND r -> 'qc_factors' ? b.factor
                THEN b.listed & ~coalesce(m.stop, 0) & ~coalesce(m.excuse, 0) & coalesce(m.checking, 0) ELSE 0 END AS checking,
           coalesce(m.device, 0) AS device, coalesce(m.manual, 0) AS manual
    FROM base_days b
    CROSS JOIN (VALUES ('immediate'), ('completed')) AS s (stage)
    CROSS JOIN rules
    LEFT JOIN mark_days m ON m.outlet = b.outlet AND m.factor = b.factor AND m.day = b.day AND m.stage = s.stage
    WHERE NOT r -> 'uncounted_factors' ? b.factor
), first_checks AS (
    SELECT outlet, day, stage, hj212.first_hours(bit_or(checking), (r ->> 'qc_exempt_hours')::integer) AS of_point
    FROM shut CROSS JOIN rules WHERE checking <> 0 GROUP BY outlet, day, stage, r
)
SELECT b.day, b.outlet, b.factor, b.stage, b.fields::smallint, b.listed, b.stopped, b.excused, x.checked, due, g.got, g.good,
       b.device & due AS marked, h.manual, w.valid, v.ever, v.planes,
       b.fields * hj212.hour_count(due_values) AS expected_values,
       hj212.hour_count(((v.planes[1] & c.counted) | h.manual) & due_values) * (b.fields >= 1)::integer
         + hj212.hour_count(((v.planes[2] & c.counted) | h.manual) & due_values) * (b.fields >= 2)::integer
         + hj212.hour_count(((v.planes[3] & c.counted) | h.manual) & due_values) * (b.fields >= 3)::integer
         + CASE WHEN b.fields < 4 THEN 0 ELSE hj212.hour_count(((v.planes[4] & c.counted) | h.manual) & due_values) * (b.fields >= 4)::integer 
           + hj212.hour_count(((v.planes[5] & c.counted) | h.manual) & due_values) * (b.fields >= 5)::integer 
           + hj212.hour_count(((v.planes[6] & c.counted) | h.manual) & due_values) * (b.fields >= 6)::integer 
           + hj212.hour_count(((v.planes[7] & c.counted) | h.manual) & due_values) * (b.fields >= 7)::integer 
           + hj212.hour_count(((v.planes[8] & c.counted) | h.manual) & due_values) * (b.fields >= 8)::integer END AS reported_values,
       hj212.hour_count(CASE r ->> 'expected_groups' WHEN 'gross' THEN b.listed ELSE due END) AS expected_groups,
       hj212.hour_count(b.stopped | b.excused | x.checked) AS groups_not_taking_part,
       hj212.hour_count(g.got) AS groups_received, hj212.hour_count(w.valid) AS valid_groups,
       coalesce(d.zero, 0) & due AS dry
FROM shut b
CROSS JOIN rules
LEFT JOIN arrived a ON a.outlet = b.outlet AND a.factor = b.factor AND a.day = b.day
LEFT JOIN dry d ON b.medium = 'water' AND d.outlet = b.outlet AND d.day = b.day
LEFT JOIN first_checks f ON b.checking <> 0 AND f.outlet = b.outlet AND f.day = b.day AND f.stage = b.stage
CROSS JOIN LATERAL (SELECT coalesce(a.ever, 0) AS ever,
    CASE b.stage WHEN 'immediate' THEN coalesce(a.mean_i, 0) ELSE coalesce(a.mean_c, 0) END AS mean,
    CASE b.stage WHEN 'immediate' THEN coalesce(a.good_i, 0) ELSE coalesce(a.good_c, 0) END & ~coalesce(d.zero, 0) AS good,
    CASE b.stage WHEN 'immediate' THEN coalesce(a.good_i, 0) ELSE coalesce(a.good_c, 0) END AS flagged_good,
    coalesce(CASE b.stage WHEN 'immediate' THEN a.planes_i ELSE a.planes_c END, '{0,0,0,0,0,0,0,0}') AS planes) AS v
CROSS JOIN LATERAL (SELECT CASE
    WHEN b.checking = 0 THEN 0
    WHEN r ->> 'qc_exempt_scope' = 'point' THEN b.checking & f.of_point
    ELSE hj212.first_hours(b.checking, (r ->> 'qc_exempt_hours')::integer) END AS checked) AS x
CROSS JOIN LATERAL (SELECT b.listed & ~b.stopped & ~b.excused & ~x.checked AS due,
    b.listed & ~b.stopped & ~x.checked & CASE WHEN r ->> 'not_responsible' = 'validity' THEN -1 ELSE ~b.excused END
        AS due_values) AS u
CROSS JOIN LATERAL (SELECT b.manual & due AS manual) AS h
CROSS JOIN LATERAL (SELECT
    CASE r ->> 'invalid_received' WHEN 'missing' THEN v.flagged_good ELSE -1 END AS counted,
    CASE WHEN r ->> 'unconverted' = 'valid' THEN -1 ELSE (SELECT bit_and(plane) FROM unnest(v.planes[1:b.fields]) AS plane)
        END AS whole) AS c
CROSS JOIN LATERAL (SELECT (v.mean & c.counted & due) | h.manual AS got, v.good & due AS good) AS g
CROSS JOIN LATERAL (SELECT (g.got & g.good & c.whole & ~b.device) | h.manual AS valid) AS w
