-- Purpose: about how many bytes a day are stored: what the newest partition that is a day old or older took of its time.
-- Parameters: $1 now. Plain PostgreSQL.
SELECT coalesce(sum(pg_total_relation_size(format('hj212.%I', n.partition_name)::regclass)
                    / extract(epoch FROM least(n.to_at, $1) - n.from_at) * 86400), 0)::double precision
FROM (
    SELECT DISTINCT ON (p.table_name) p.partition_name, p.from_at, p.to_at FROM hj212.partitions p
    WHERE p.from_at <= $1::timestamptz - interval '1 day' AND p.to_at - p.from_at < interval '400 days'
    ORDER BY p.table_name, p.from_at DESC
) AS n
