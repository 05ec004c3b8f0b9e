-- Purpose: why each figure is computed again: the reasons of the changed days of its outlets.
-- Parameters: arrays $1 outlet, NULL for all, $2 day and $3 reasons, parted by "; ", of what was stale, $4 name of the city,
-- $5 most reasons told.
WITH given AS (
    SELECT DISTINCT c.outlet, c.day, part.reason
    FROM unnest($1::text[], $2::date[], $3::text[]) AS s (outlet, day, reasons)
    JOIN changed_days c ON c.day = s.day AND (s.outlet IS NULL OR c.outlet = s.outlet)
    CROSS JOIN LATERAL unnest(string_to_array(s.reasons, '; ')) AS part (reason)
), summed AS (
    SELECT p.period, date_trunc(p.period, g.day::timestamp)::date AS period_start, b.level, b.id,
           array_agg(DISTINCT g.reason ORDER BY g.reason) AS reasons
    FROM given g
    LEFT JOIN day_owners o ON o.outlet = g.outlet AND o.day = g.day
    CROSS JOIN LATERAL (VALUES ('outlet', g.outlet), ('enterprise', o.enterprise), ('county', o.county),
                               ('city', $4)) AS b (level, id)
    CROSS JOIN (VALUES ('day'), ('month'), ('quarter'), ('year')) AS p (period)
    WHERE b.id IS NOT NULL
    GROUP BY 1, 2, b.level, b.id
)
INSERT INTO rate_reasons (period, period_start, level, id, reasons)
SELECT period, period_start, level, id, CASE WHEN cardinality(reasons) <= $5 THEN array_to_string(reasons, '; ')
    ELSE array_to_string(reasons[1:$5], '; ') || '; and ' || cardinality(reasons) - $5 || ' more' END
FROM summed
