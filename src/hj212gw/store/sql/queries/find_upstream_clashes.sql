-- Purpose: staged hours that cannot stand beside others of the same arrival: those the table has otherwise, and those
-- that come repeatedly. Up to 10,000 of each.
-- Index: primary key of upstream_hours.
SELECT outlet, factor, hour_at, arrived_at, bool_or(is_stored) AS is_stored FROM (
    (SELECT outlet, factor, hour_at, arrived_at, false AS is_stored FROM staged_hours
     GROUP BY source, outlet, factor, hour_at, arrived_at HAVING count(*) > 1 LIMIT 10000)
    UNION ALL
    (SELECT s.outlet, s.factor, s.hour_at, s.arrived_at, true
     FROM staged_hours s JOIN hj212.upstream_hours u USING (source, outlet, factor, hour_at, arrived_at)
     WHERE (s.fields, s.mean_present, coalesce(s.data_flag, ''), s.is_filled)
        <> (u.fields, u.mean_present, coalesce(u.data_flag, ''), u.is_filled) LIMIT 10000)) AS found
GROUP BY outlet, factor, hour_at, arrived_at
