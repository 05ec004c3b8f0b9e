-- Purpose: packets that contradict what another live peer of their MN sent are kept apart.
-- Parameters: arrays $1 qn_at, $2 digest; $3 the state, $4 the warning. Index: primary key of packets.
UPDATE hj212.packets p SET state = $3, warnings = array_append(coalesce(p.warnings, '{}'), $4)
FROM unnest($1::timestamptz[], $2::bytea[]) AS t (qn_at, digest)
WHERE p.qn_at = t.qn_at AND p.digest = t.digest
