-- Purpose: one change of the registry at a time, to the end of the transaction.
-- Parameters: none. Index: none.
SELECT pg_advisory_xact_lock(hashtext('hj212.registry'))
