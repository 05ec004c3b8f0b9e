-- Purpose: size of each time series with its chunks, indexes and long values. TimescaleDB.
SELECT s.table_name, hj212.hypertable_bytes(s.table_name) AS bytes
FROM hj212.series s ORDER BY s.table_name
