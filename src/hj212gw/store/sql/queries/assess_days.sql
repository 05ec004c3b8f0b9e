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
           bit_or(a.mean) AS came, bit_or(a.mean & a.good) AS good, bit_or(a.zero) AS zero, bit_or(a.mean & ~a.zero) AS flowing,
           bit_or(a.p1 & k.counted) AS p1, bit_or(a.p2 & k.counted) AS p2, bit_or(a.p3 & k.counted) AS p3,
           bit_or(a.p4 & k.counted) AS p4, bit_or(a.p5 & k.counted) AS p5, bit_or(a.p6 & k.counted) AS p6,
           bit_or(a.p7 & k.counted) AS p7, bit_or(a.p8 & k.counted) AS p8
    FROM arrived_days a
    JOIN (VALUES ('immediate'), ('completed')) AS s (stage) ON a.stage IS NULL OR a.stage = s.stage
    CROSS JOIN rules
    CROSS JOIN LATERAL (SELECT CASE WHEN only_good_counts THEN a.good ELSE -1 END AS counted) AS k
    GROUP BY a.outlet, a.factor, a.day, s.stage
), dry AS (  -- hours in which the flow of an outlet of water came and is zero
    SELECT a.outlet, a.day, a.stage, bit_or(a.zero) & ~bit_or(a.flowing) AS hours FROM arrived a CROSS JOIN rules
    WHERE zero_is_invalid AND flow_factors ? a.factor GROUP BY a.outlet, a.day, a.stage
), shut AS (
    SELECT b.day, b.outlet, b.factor, b.fields, b.medium, b.listed, s.stage, b.listed & coalesce(m.stop, 0) AS stopped,
           b.listed & ~coalesce(m.stop, 0) & coalesce(m.excuse, 0) AS excused,
           CASE WHEN m.checking <> 0 AND b.medium = 'water' AND qc_factors ? b.factor
                THEN b.listed & ~m.stop & ~m.excuse & m.checking ELSE 0 END AS checking,
           coalesce(m.device, 0) AS device, coalesce(m.manual, 0) AS manual
    FROM base_days b
    CROSS JOIN (VALUES ('immediate'), ('completed')) AS s (stage)
    CROSS JOIN rules
    LEFT JOIN mark_days m ON m.outlet = b.outlet AND m.factor = b.factor AND m.day = b.day AND m.stage = s.stage
    WHERE NOT uncounted_factors ? b.factor
), first_checks AS (
    SELECT outlet, day, stage, hj212.first_hours(bit_or(checking), qc_exempt_hours) AS of_point
    FROM shut CROSS JOIN rules WHERE checking <> 0 GROUP BY outlet, day, stage, qc_exempt_hours
)
SELECT b.day, b.outlet, b.factor, b.stage, b.fields::smallint, b.listed, b.stopped, b.excused, x.checked, due, g.got, g.good,
       b.device & due AS marked, h.manual, w.valid, coalesce(a.ever, 0) AS ever,
       CASE WHEN a.p1 IS NULL THEN '{0,0,0,0,0,0,0,0}' ELSE ARRAY[a.p1, a.p2, a.p3, a.p4, a.p5, a.p6, a.p7, a.p8] END AS planes,
       b.fields * hj212.hour_count(due_values) AS expected_values,
       hj212.hour_count((coalesce(a.p1, 0) | h.manual) & due_values)
         + CASE WHEN b.fields < 2 THEN 0 ELSE hj212.hour_count((coalesce(a.p2, 0) | h.manual) & due_values) END
         + CASE WHEN b.fields < 3 THEN 0 ELSE hj212.hour_count((coalesce(a.p3, 0) | h.manual) & due_values) END
         + CASE WHEN b.fields < 4 THEN 0 ELSE hj212.hour_count((coalesce(a.p4, 0) | h.manual) & due_values) END
         + CASE WHEN b.fields < 5 THEN 0 ELSE hj212.hour_count((coalesce(a.p5, 0) | h.manual) & due_values) END
         + CASE WHEN b.fields < 6 THEN 0 ELSE hj212.hour_count((coalesce(a.p6, 0) | h.manual) & due_values) END
         + CASE WHEN b.fields < 7 THEN 0 ELSE hj212.hour_count((coalesce(a.p7, 0) | h.manual) & due_values) END
         + CASE WHEN b.fields < 8 THEN 0 ELSE hj212.hour_count((coalesce(a.p8, 0) | h.manual) & due_values) END
         AS reported_values,
       hj212.hour_count(CASE WHEN is_gross THEN b.listed ELSE due END) AS expected_groups,
       hj212.hour_count(b.stopped | b.excused | x.checked) AS groups_not_taking_part,
       hj212.hour_count(g.got) AS groups_received, hj212.hour_count(w.valid) AS valid_groups,
       coalesce(d.hours, 0) & due AS dry, coalesce(a.came & ~a.mean, 0) & due_values & ~h.manual AS refused
FROM shut b
CROSS JOIN rules
LEFT JOIN arrived a ON a.outlet = b.outlet AND a.factor = b.factor AND a.day = b.day AND a.stage = b.stage
LEFT JOIN dry d ON b.medium = 'water' AND d.outlet = b.outlet AND d.day = b.day AND d.stage = b.stage
LEFT JOIN first_checks f ON b.checking <> 0 AND f.outlet = b.outlet AND f.day = b.day AND f.stage = b.stage
CROSS JOIN LATERAL (SELECT CASE
    WHEN b.checking = 0 THEN 0
    WHEN is_exempt_by_point THEN b.checking & f.of_point
    ELSE hj212.first_hours(b.checking, qc_exempt_hours) END AS checked) AS x
CROSS JOIN LATERAL (SELECT b.listed & ~b.stopped & ~b.excused & ~x.checked AS due,
    b.listed & ~b.stopped & ~(b.excused & ~excused_values) & ~x.checked AS due_values) AS u
CROSS JOIN LATERAL (SELECT b.manual & due AS manual) AS h
CROSS JOIN LATERAL (SELECT CASE WHEN only_whole_is_valid
    THEN (SELECT bit_and(p) FROM unnest((ARRAY[a.p1, a.p2, a.p3, a.p4, a.p5, a.p6, a.p7, a.p8])[1:b.fields]) AS p)
    ELSE -1 END AS whole) AS c
CROSS JOIN LATERAL (SELECT (coalesce(a.mean, 0) & due) | h.manual AS got,
    coalesce(a.good, 0) & ~coalesce(d.hours, 0) & due AS good) AS g
CROSS JOIN LATERAL (SELECT (g.got & g.good & coalesce(c.whole, 0) & ~b.device) | h.manual AS valid) AS w
