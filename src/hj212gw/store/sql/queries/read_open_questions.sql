-- Purpose: which open settings can matter to which outlet, by the marks and hours there are (assessment.md section 10).
-- Parameters: $1 origin of the marks, $2 flow factors, $3 first moment, $4 moment after the last, $5 source of
-- upstream_hours or NULL, $6 factors that some choice leaves out, $7 and $8 earliest and latest end of the immediate stage
-- after the day's that some choice has, $9 and $10 of the completed stage. Reads base_days and arrived_days.
-- Index: reading_history_key, primary key of upstream_hours; readings_hour sequentially.
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
), came_late AS (  -- by data logger: readings know no outlet
    SELECT r.logger_id, bool_or(v.at > e.end_at + $7::interval AND v.at <= e.end_at + $8::interval) AS immediate,
           bool_or(v.at > e.end_at + $9::interval AND v.at <= e.end_at + $10::interval) AS completed
    FROM hj212.readings_hour r
    -- A data logger may label an hour by its end, so that midnight's is of the day before.
    CROSS JOIN LATERAL (VALUES (hj212.day_start(hj212.local_day(r.data_time) + 1)),
                               (hj212.day_start(hj212.local_day(r.data_time - interval '1 hour') + 1))) AS e (end_at)
    CROSS JOIN LATERAL (
        SELECT r.received_at AS at UNION ALL SELECT r.updated_at UNION ALL
        SELECT p.received_at FROM hj212.reading_history p
        WHERE r.updated_at IS NOT NULL  -- else nothing is read
          AND p.logger_id = r.logger_id AND p.cn = '2061' AND p.data_time = r.data_time AND p.factor = r.factor
          AND p.st = r.st AND p.nth = r.nth
    ) AS v
    WHERE $5::text IS NULL AND r.cn = '2061' AND r.data_time >= $3 AND r.data_time < $4::timestamptz + interval '2 hours'
      AND coalesce(r.updated_at, r.received_at) > r.data_time + least($7::interval, $9::interval)
    GROUP BY r.logger_id
), between_ends AS (
    SELECT outlet, bool_or(immediate) AS immediate, bool_or(completed) AS completed
    FROM (
        SELECT a.outlet, c.immediate, c.completed
        FROM came_late c JOIN hj212.loggers l USING (logger_id) JOIN hj212.outlet_candidates a USING (mn)
        UNION ALL
        SELECT t.outlet, t.at > t.end_at + $7::interval AND t.at <= t.end_at + $8::interval,
               t.at > t.end_at + $9::interval AND t.at <= t.end_at + $10::interval
        FROM (
            SELECT u.outlet, u.arrived_at AS at, hj212.day_start(hj212.local_day(u.hour_at) + 1) AS end_at
            FROM hj212.upstream_hours u WHERE u.source = $5 AND u.hour_at >= $3 AND u.hour_at < $4
            UNION ALL
            SELECT m.outlet, m.recorded_at, d.end_at
            FROM (SELECT DISTINCT outlet, hj212.day_start(day) AS start_at, hj212.day_start(day + 1) AS end_at FROM base_days) AS d
            JOIN hj212.standing_marks m ON m.outlet = d.outlet AND m.from_at < d.end_at
                AND (m.to_at IS NULL OR m.to_at > d.start_at)
            WHERE m.origin = $1 AND m.effect <> 'none' AND m.state NOT IN ('rejected', 'void')
        ) AS t
    ) AS found
    GROUP BY outlet
)
SELECT l.outlet, coalesce(m.stop, false) AS stop_partial, coalesce(m.manual, false) AS manual,
       coalesce(m.interruption, false) AS interruption, coalesce(m.excuse OR m.interruption, false) AS not_responsible,
       l.has_uncounted AS uncounted_factors, coalesce(m.checking AND l.medium = 'water', false) AS qc_exempt_scope,
       coalesce(m.checking AND l.medium = 'water', false) AS qc_exempt_hours,
       coalesce(e.immediate, false) AS immediate_cutoff_hours, coalesce(e.completed, false) AS completed_days,
       l.medium = 'water' AND d.outlet IS NOT NULL AS zero_flow, coalesce(c.bad, false) AS invalid_received,
       coalesce(c.part, false) AS unconverted, f.outlet IS NOT NULL AS immediate_by,
       coalesce(m.stop OR m.excuse OR m.interruption OR m.checking, false) AS expected_groups
FROM listed l LEFT JOIN marked m USING (outlet) LEFT JOIN came c USING (outlet)
LEFT JOIN flowless d USING (outlet) LEFT JOIN filled f USING (outlet) LEFT JOIN between_ends e USING (outlet)
