-- Purpose: count what makes one suspicious of a peer that sends for an MN.
-- $1 mn, $2 what, $3 peer, $4 evidence, $5 times, $6 first seen, $7 last seen: arrays of one length, no key twice,
-- sorted by key so that two gateways never wait for each other in a ring.
-- Index: suspicions_pkey.
INSERT INTO hj212.suspicions AS s (mn, what, peer, evidence, times, first_seen_at, last_seen_at)
SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::bigint[], $6::timestamptz[],
                     $7::timestamptz[])
ON CONFLICT (mn, what, peer) DO UPDATE SET
    times = s.times + excluded.times,
    evidence = CASE WHEN excluded.last_seen_at >= s.last_seen_at THEN excluded.evidence ELSE s.evidence END,
    first_seen_at = least(s.first_seen_at, excluded.first_seen_at),
    last_seen_at = greatest(s.last_seen_at, excluded.last_seen_at)
