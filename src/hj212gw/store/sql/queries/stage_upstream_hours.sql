-- Purpose: room for hours of files, to the end of the transaction.
CREATE TEMP TABLE staged_hours (LIKE hj212.upstream_hours INCLUDING DEFAULTS) ON COMMIT DROP
