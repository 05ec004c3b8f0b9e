-- Purpose: packets of some data loggers by arrival. Parameters: $1 array of mn, $2 first and $3 last arrival.
-- Index: packets_received_at.
SELECT received_at, peer, mn, st, cn, qn, pnum, pno, flag, edition, state, warnings, key_id, raw, digest
FROM hj212.packets WHERE mn = ANY ($1::text[]) AND received_at >= $2 AND received_at <= $3
ORDER BY received_at, digest
