-- Purpose: what every outlet belongs to on the days that changed, by the registry at the end of the day; where its row ended
-- before, by the last that was. Once an outlet and day, for all that is pooled of them.
INSERT INTO day_owners (outlet, day, medium, enterprise, county)
SELECT DISTINCT ON (o.outlet, d.day) o.outlet, d.day, o.medium, o.enterprise, coalesce(o.county, e.county)
FROM (SELECT day, hj212.day_start(day) AS start_at, hj212.day_start(day + 1) AS end_at
      FROM (SELECT DISTINCT day FROM changed_days) AS c) AS d
JOIN hj212.current_outlets o ON o.valid_from < d.end_at AND (o.valid_to IS NULL OR o.valid_to > d.start_at)
LEFT JOIN hj212.current_enterprises e ON e.enterprise = o.enterprise AND e.valid_from < d.end_at
    AND (e.valid_to IS NULL OR e.valid_to > d.start_at)
ORDER BY o.outlet, d.day, o.valid_from DESC, e.valid_from DESC
