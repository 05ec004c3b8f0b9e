-- Purpose: first arrivals of packets without a QN in the five-minute slot before theirs.
-- Parameters: arrays $1 qn_at of that slot, $2 digest. Index: primary key of packets.
SELECT p.digest, p.received_at FROM hj212.packets p
JOIN unnest($1::timestamptz[], $2::bytea[]) AS t (qn_at, digest) ON p.qn_at = t.qn_at AND p.digest = t.digest
