-- Purpose: size of each time series with its chunks, indexes and long values, and of the assessment's tables. TimescaleDB.
SELECT s.table_name, hj212.hypertable_bytes(s.table_name) AS bytes
FROM hj212.series s
UNION ALL SELECT name, pg_total_relation_size(to_regclass('hj212.' || name)) FROM unnest('{assessed_days,rate_counts}'::text[]) AS name
WHERE to_regclass('hj212.' || name) IS NOT NULL
ORDER BY 1
