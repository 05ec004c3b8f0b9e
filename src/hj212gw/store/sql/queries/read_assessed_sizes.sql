-- Purpose: size of the assessment's tables with indexes and long values; those that no migration made yet are left out.
SELECT name AS table_name, pg_total_relation_size(to_regclass('hj212.' || name)) AS bytes
FROM unnest('{assessed_days,rate_counts}'::text[]) AS name
WHERE to_regclass('hj212.' || name) IS NOT NULL ORDER BY name
