-- Purpose: entries of the chain in order. Parameters: $1 the first seq, $2 the last one. Index: primary key.
SELECT seq, day, part, rows, written, oldest_qn_at, digest, previous, chained, sealed_at
FROM hj212.day_digests WHERE seq BETWEEN $1 AND $2 ORDER BY seq
