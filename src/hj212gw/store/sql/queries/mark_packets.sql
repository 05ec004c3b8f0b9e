-- Purpose: packets kept apart get another state; arrival and frame stay.
-- Parameters: arrays $1 qn_at, $2 digest; $3 the state they have, $4 the new one. Index: primary key of packets.
UPDATE hj212.packets p SET state = $4
FROM unnest($1::timestamptz[], $2::bytea[]) AS t (qn_at, digest)
WHERE p.qn_at = t.qn_at AND p.digest = t.digest AND p.state = $3
