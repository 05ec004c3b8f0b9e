-- Purpose: what is stored of a load run, summed up a data logger so that it can be compared without being fetched.
-- Parameters: $1 MNs, $2 and $3 bounds of the QNs' moments, $4 digests left out of account.
-- The sum of distinct digests' first halves, with their count, stands for the set.
SELECT mn, count(*) AS packets, count(DISTINCT digest) AS different,
       coalesce(sum(('x' || encode(substr(digest, 1, 8), 'hex'))::bit(64)::bigint), 0)::text AS total,
       count(*) FILTER (WHERE state <> 'stored') AS held
FROM hj212.v_packets
WHERE mn = ANY ($1::text[]) AND qn_at >= $2 AND qn_at < $3 AND digest <> ALL ($4::bytea[])
GROUP BY mn
