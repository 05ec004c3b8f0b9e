-- Purpose: the digest of each minute of a stretch of arrival: rejects. Index: rejects_received_at.
-- Parameters: $1 from, $2 to; $3 and $4 are not used, so that all three parts are asked for alike.
SELECT date_bin('1 minute', r.received_at, $1) AS minute, count(*) AS rows, NULL::timestamptz AS oldest_qn_at,
       sha256(string_agg(r.fingerprint, ''::bytea ORDER BY r.fingerprint)) AS digest
FROM (SELECT received_at, hj212.reject_fingerprint(received_at, peer, reason, detail, raw) AS fingerprint
      FROM hj212.rejects
      WHERE received_at >= $1 AND received_at < $2 AND $3::timestamptz < $4::timestamptz) AS r
GROUP BY 1 ORDER BY 1
