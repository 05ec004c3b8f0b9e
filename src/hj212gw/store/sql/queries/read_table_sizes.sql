-- Purpose: size of each time series with its partitions, indexes and long values. Plain PostgreSQL.
SELECT s.table_name, coalesce(sum(pg_total_relation_size(t.relid)), 0)::bigint AS bytes
FROM hj212.series s CROSS JOIN LATERAL pg_partition_tree(format('hj212.%I', s.table_name)::regclass) t
GROUP BY s.table_name ORDER BY s.table_name
