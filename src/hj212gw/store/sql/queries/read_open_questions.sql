-- Purpose: which open settings can matter to which outlet, by the marks and hours there are (assessment.md section 10).
-- Parameters: $1 origin of the marks, $2 flow factors, $3 first moment, $4 moment after the last, $5 source of
-- upstream_hours or NULL, $6 factors that some choice leaves out. Reads base_days and arrived_days.
WITH listed AS (
    SELECT outlet, max(medium) AS medium, bool_or(factor = ANY ($6::text[])) AS has_uncounted FROM base_days GROUP BY outlet
), marked AS (
    SELECT m.outlet, bool_or(m.effect = 'stop') AS stop, bool_or(m.effect = 'interruption') AS interruption,
           bool_or(m.effect = 'not_responsible') AS excuse, bool_or(m.effect = 'standard_check') AS checking,
           bool_or(m.effect = 'manual' AND m.state = 'accepted') AS manual
    FROM hj212.standing_marks m
    WHERE m.origin = $1 AND m.state NOT IN ('rejected', 'void') AND m.from_at < $4 AND (m.to_at IS NULL OR m.to_at > $3)
    GROUP BY m.outlet
), came AS (
    SELECT a.outlet, bool_or(a.mean & ~a.good <> 0) AS bad,
           bool_or(a.mean & ~(a.p1 & (a.p2 | n.f2) & (a.p3 | n.f3) & (a.p4 | n.f4) & (a.p5 | n.f5) & (a.p6 | n.f6)
               & (a.p7 | n.f7) & (a.p8 | n.f8)) <> 0) AS part
    FROM arrived_days a
    JOIN base_days b USING (outlet, factor, day)
    CROSS JOIN LATERAL (SELECT -(b.fields < 2)::integer AS f2, -(b.fields < 3)::integer AS f3, -(b.fields < 4)::integer AS f4,
        -(b.fields < 5)::integer AS f5, -(b.fields < 6)::integer AS f6, -(b.fields < 7)::integer AS f7,
        -(b.fields < 8)::integer AS f8) AS n
    GROUP BY a.outlet
), flowless AS (  -- the flow need not be on the base list itself
    SELECT DISTINCT outlet FROM arrived_days WHERE zero <> 0 AND factor = ANY ($2::text[])
), filled AS (
    SELECT DISTINCT outlet FROM hj212.upstream_hours WHERE is_filled AND source = $5 AND hour_at >= $3 AND hour_at < $4
)
SELECT l.outlet, coalesce(m.stop, false) AS stop_partial, coalesce(m.manual, false) AS manual,
       coalesce(m.interruption, false) AS interruption, coalesce(m.excuse OR m.interruption, false) AS not_responsible,
       l.has_uncounted AS uncounted_factors, coalesce(m.checking AND l.medium = 'water', false) AS qc_exempt_scope,
       l.medium = 'water' AND d.outlet IS NOT NULL AS zero_flow, coalesce(c.bad, false) AS invalid_received,
       coalesce(c.part, false) AS unconverted, f.outlet IS NOT NULL AS immediate_by,
       coalesce(m.stop OR m.excuse OR m.interruption OR m.checking, false) AS expected_groups
FROM listed l LEFT JOIN marked m USING (outlet) LEFT JOIN came c USING (outlet)
LEFT JOIN flowless d USING (outlet) LEFT JOIN filled f USING (outlet)
