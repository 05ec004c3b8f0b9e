-- Purpose: rejects of a range that came over known connections or name known data loggers.
-- Parameters: $1 from, $2 to (arrival), $3 array of peers, $4 array of what a frame of theirs holds (MN=...).
-- Index: rejects_received_at.
SELECT received_at, peer, reason, detail, raw FROM hj212.rejects r
WHERE received_at >= $1 AND received_at < $2
  AND (peer = ANY ($3::text[]) OR EXISTS (SELECT FROM unnest($4::bytea[]) AS t (mark) WHERE position(t.mark IN r.raw) > 0))
ORDER BY received_at, peer, raw
