-- Purpose: packets of a slice of arrivals in order, behind a position.
-- Parameters: $1 from, $2 to, $3 and $4 the position's arrival and digest, $5 mn or NULL.
-- Index: packets_received_at (BRIN), so a slice is short.
SELECT p.qn_at, p.digest, p.received_at, p.mn, p.st, p.cn, p.qn, p.pnum, p.pno, p.flag, p.edition, p.peer,
       p.state, p.warnings, p.key_id, p.raw
FROM hj212.packets p
WHERE p.received_at >= $1 AND p.received_at < $2 AND (p.received_at, p.digest) > ($3, $4)
  AND ($5::text IS NULL OR p.mn = $5)
ORDER BY p.received_at, p.digest
