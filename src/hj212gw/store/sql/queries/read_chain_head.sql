-- Purpose: the newest entry of the chain. Parameters: none. Index: primary key.
SELECT seq, day, part, rows, written, oldest_qn_at, digest, previous, chained, sealed_at
FROM hj212.day_digests ORDER BY seq DESC LIMIT 1
