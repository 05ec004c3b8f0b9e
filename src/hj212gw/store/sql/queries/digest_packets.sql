-- Purpose: the digest of each minute of a stretch of arrival: packets whose QN lies near it.
-- Parameters: $1 from, $2 to, $3 and $4 the bounds of qn_at. Index: packets_received_at of the partitions of $3 to $4.
SELECT date_bin('1 minute', p.received_at, $1) AS minute, count(*) AS rows, min(p.qn_at) AS oldest_qn_at,
       sha256(string_agg(p.fingerprint, ''::bytea ORDER BY p.fingerprint)) AS digest
FROM (SELECT received_at, qn_at, hj212.packet_fingerprint(received_at, peer, key_id, mn, cn, qn, raw) AS fingerprint
      FROM hj212.packets
      WHERE received_at >= $1 AND received_at < $2 AND qn_at >= $3 AND qn_at < $4) AS p
GROUP BY 1 ORDER BY 1
