-- Purpose: count what the gateway proposes; what a person decided stays decided and keeps counting.
-- $1 mn, $2 st, $3 cn, $4 what, $5 value, $6 evidence, $7 times, $8 first seen, $9 last seen: arrays of one length,
-- no key twice, sorted by key so that two gateways never wait for each other in a ring.
-- Index: proposals_pkey.
INSERT INTO hj212.proposals AS p (mn, st, cn, what, value, evidence, times, first_seen_at, last_seen_at)
SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::bigint[],
                     $8::timestamptz[], $9::timestamptz[])
ON CONFLICT (mn, st, cn, what, value) DO UPDATE SET
    times = p.times + excluded.times,
    evidence = CASE WHEN excluded.last_seen_at >= p.last_seen_at THEN excluded.evidence ELSE p.evidence END,
    first_seen_at = least(p.first_seen_at, excluded.first_seen_at),
    last_seen_at = greatest(p.last_seen_at, excluded.last_seen_at)
