-- Purpose: one process at a time adds to the chain, to the end of the transaction; false: another one does.
-- Parameters: none. Index: none.
SELECT pg_try_advisory_xact_lock(hashtext('hj212.chain'))
