-- Purpose: size of each time series with its chunks, indexes and long values. TimescaleDB.
SELECT s.table_name, coalesce(hypertable_size(format('hj212.%I', s.table_name)::regclass), 0)::bigint AS bytes
FROM hj212.series s ORDER BY s.table_name
