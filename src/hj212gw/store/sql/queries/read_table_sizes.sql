-- Purpose: size of each time series with its partitions, indexes and long values, and of the assessment's tables. Plain PostgreSQL.
SELECT s.table_name, coalesce(sum(pg_total_relation_size(t.relid)), 0)::bigint AS bytes
FROM hj212.series s CROSS JOIN LATERAL pg_partition_tree(format('hj212.%I', s.table_name)::regclass) t
GROUP BY s.table_name
UNION ALL SELECT name, pg_total_relation_size(to_regclass('hj212.' || name)) FROM unnest('{assessed_days,rate_counts}'::text[]) AS name
WHERE to_regclass('hj212.' || name) IS NOT NULL
ORDER BY 1
