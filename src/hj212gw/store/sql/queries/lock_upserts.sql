-- Purpose: one writer at a time for the readings of a data logger, to the end of the transaction. Not row locks:
-- rows in the columnstore cannot be locked. 64 slots, because each lock takes room in shared memory.
-- Parameters: $1 array of logger_id. In order of the slots against deadlocks.
SELECT count(pg_advisory_xact_lock(hashtext('hj212.readings'), slot)) FROM (
    SELECT DISTINCT logger_id % 64 AS slot FROM unnest($1::integer[]) AS t (logger_id) ORDER BY slot
) AS slots
