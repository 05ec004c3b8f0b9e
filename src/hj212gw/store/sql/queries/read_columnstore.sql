-- Purpose: after how long readings go into the columnstore (NULL: there is no job), and why there is none.
-- Parameters: none. TimescaleDB.
SELECT hj212.columnstore_obstacle() AS obstacle, min(j.config ->> 'compress_after') AS after
FROM timescaledb_information.jobs j
WHERE j.hypertable_schema = 'hj212' AND j.proc_name = 'policy_compression'
