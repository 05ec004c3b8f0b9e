-- Purpose: what a source's hours and marks of a day hold that the settings of the assessment may turn on, a row an outlet
-- and day; of factors that are due.
-- Parameters: $1 source, $2 origin of its marks, $3 good flags, $4 factors that may be left out, $5 and $6 earliest and
-- latest end of the immediate stage after the day's, $7 and $8 of the completed stage.
-- Index: primary key of upstream_hours; marks_outlet. Reads base_days.
SELECT outlet, day, array_agg(DISTINCT trait) AS traits FROM (
    SELECT b.outlet, b.day, t.trait
    FROM base_days b
    JOIN hj212.upstream_hours u ON u.source = $1 AND u.outlet = b.outlet AND u.factor = b.factor
        AND u.hour_at >= hj212.day_start(b.day) AND u.hour_at < hj212.day_start(b.day + 1)
    CROSS JOIN LATERAL (VALUES
        ('hours', true),
        ('bad_flag', NOT coalesce(nullif(u.data_flag, ''), 'N') = ANY ($3::text[])),
        ('partial', u.fields < b.fields),
        ('filled', u.is_filled),
        ('late_immediate', u.arrived_at - hj212.day_start(b.day + 1) > $5::interval
            AND u.arrived_at - hj212.day_start(b.day + 1) <= $6::interval),
        ('late_completed', u.arrived_at - hj212.day_start(b.day + 1) > $7::interval
            AND u.arrived_at - hj212.day_start(b.day + 1) <= $8::interval)) AS t (trait, holds)
    WHERE t.holds
    UNION ALL
    SELECT b.outlet, b.day, t.trait
    FROM base_days b
    JOIN hj212.standing_marks m ON m.origin = $2 AND m.outlet = b.outlet AND (m.factor = '*' OR m.factor = b.factor)
        AND m.from_at < hj212.day_start(b.day + 1) AND (m.to_at IS NULL OR m.to_at > hj212.day_start(b.day))
    CROSS JOIN LATERAL (VALUES
        (m.effect, true),
        ('voucher', m.voucher_due IS NOT NULL),
        ('late_immediate', m.recorded_at - hj212.day_start(b.day + 1) > $5::interval
            AND m.recorded_at - hj212.day_start(b.day + 1) <= $6::interval),
        ('late_completed', m.recorded_at - hj212.day_start(b.day + 1) > $7::interval
            AND m.recorded_at - hj212.day_start(b.day + 1) <= $8::interval)) AS t (trait, holds)
    WHERE t.holds
    UNION ALL
    SELECT outlet, day, 'uncounted' FROM base_days WHERE factor = ANY ($4::text[])
) AS found
GROUP BY outlet, day
