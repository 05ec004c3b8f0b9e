-- Purpose: partitions that the list has and the tables have not, the newest first, and whether such a table stands apart.
-- Parameters: none. Uses pg_inherits_relid_seqno_index. Plain PostgreSQL: on TimescaleDB the list is empty.
SELECT p.table_name, p.partition_name, p.from_at, p.to_at,
       to_regclass(format('hj212.%I', p.partition_name)) IS NOT NULL AS stands_apart
FROM hj212.partitions p
WHERE NOT EXISTS (
    SELECT FROM pg_inherits i
    WHERE i.inhrelid = to_regclass(format('hj212.%I', p.partition_name))
      AND i.inhparent = to_regclass(format('hj212.%I', p.table_name))
)
ORDER BY p.from_at DESC, p.table_name
