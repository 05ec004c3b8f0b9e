-- Purpose: days of outlets whose figures are pooled again though no group of them changed: what they belong to may have.
-- Parameters: arrays $1 outlet, NULL for all, and $2 day.
INSERT INTO changed_days
SELECT DISTINCT a.outlet, a.day FROM unnest($1::text[], $2::date[]) AS f (outlet, day)
JOIN hj212.assessed_days a ON a.day = f.day AND (f.outlet IS NULL OR a.outlet = f.outlet)
ON CONFLICT DO NOTHING
