-- Purpose: what marks do to the hours of the base list, a row an outlet, factor, day and stage that any mark touches.
-- Parameters: $1 rules as JSON, $2 and $3 how long after the day the stages end, $4 origin of the marks, $5 now.
CREATE TEMP TABLE mark_days ON COMMIT DROP AS
WITH rules AS (SELECT $1::jsonb AS r), known AS (
    SELECT b.outlet, b.factor, b.day, s.stage, m.effect, m.from_at, m.to_at,
           tstzrange(greatest(m.from_at, hj212.day_start(b.day)),
                     least(coalesce(m.to_at, 'infinity'), hj212.day_start(b.day + 1))) AS span
    FROM hj212.standing_marks m
    JOIN base_days b ON b.outlet = m.outlet AND (m.factor = '*' OR m.factor = b.factor)
        AND m.from_at < hj212.day_start(b.day + 1) AND (m.to_at IS NULL OR m.to_at > hj212.day_start(b.day))
    CROSS JOIN (VALUES ('immediate', $2::interval), ('completed', $3::interval)) AS s (stage, after)
    CROSS JOIN rules
    WHERE m.origin = $4 AND m.effect <> 'none' AND m.state NOT IN ('rejected', 'void')
      AND m.recorded_at <= hj212.day_start(b.day + 1) + s.after
      AND (m.effect <> 'manual' OR (m.state = 'accepted' AND s.stage = 'completed' AND r ->> 'manual' = 'completed'
           AND m.to_at - m.from_at <= (r ->> 'manual_max_hours')::integer * interval '1 hour'))
      -- The voucher of a mark that lets hours out is late for this day: what was sent stands again, at the stage that waits
      -- for vouchers; the immediate one is final long before (assessment.md section 5).
      AND (s.stage = 'immediate' OR r ->> 'vouchers' <> 'required' OR m.voucher_due IS NULL OR hj212.voucher_end(b.day) > $5
           OR m.proof_at < hj212.voucher_end(b.day))
), covered AS (
    SELECT outlet, factor, day, stage,
           range_agg(span) FILTER (WHERE effect = 'stop') AS stop,
           range_agg(span) FILTER (WHERE effect = 'not_responsible'
               OR (effect = 'interruption' AND r ->> 'interruption' = 'excuses')) AS excuse,
           range_agg(span) FILTER (WHERE effect = 'standard_check') AS checking,
           range_agg(span) FILTER (WHERE effect IN ('device', 'standard_check')) AS device,
           -- A sample is told by when it was taken; entered again it is no other one.
           CASE WHEN count(DISTINCT from_at) FILTER (WHERE effect = 'manual') >= (r ->> 'manual_min_per_day')::integer
                THEN range_agg(span) FILTER (WHERE effect = 'manual') END AS manual
    FROM known CROSS JOIN rules GROUP BY outlet, factor, day, stage, r
)
SELECT outlet, factor, day, stage,
       CASE r ->> 'stop_partial'
           WHEN 'under_45_running' THEN hj212.covered_hours(stop, day, lost)
           WHEN 'whole_hour' THEN hj212.covered_hours(stop, day, interval '1 hour - 1 us')
           WHEN 'any_minute' THEN hj212.covered_hours(stop, day, interval '0')
           ELSE 0 END AS stop,
       CASE r ->> 'not_responsible' WHEN 'none' THEN 0 ELSE hj212.covered_hours(
           excuse, day, (r ->> 'not_responsible_minutes')::integer * interval '1 minute') END AS excuse,
       hj212.covered_hours(checking, day, interval '0') AS checking,
       hj212.covered_hours(device, day, lost) AS device,
       hj212.covered_hours(manual, day, (r ->> 'valid_minutes')::integer * interval '1 minute' - interval '1 us') AS manual
FROM covered CROSS JOIN rules
CROSS JOIN LATERAL (SELECT (60 - (r ->> 'valid_minutes')::integer) * interval '1 minute' AS lost) AS x
