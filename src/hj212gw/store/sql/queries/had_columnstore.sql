-- Purpose: whether readings ever were to go into the columnstore. Parameters: none. TimescaleDB.
SELECT coalesce(bool_or(compression_enabled), false) FROM timescaledb_information.hypertables
WHERE hypertable_schema = 'hj212'
