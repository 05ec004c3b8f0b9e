-- Purpose: packets with hour data of some data loggers that may have carried an hour: those whose values stand or stood,
-- those of the time when it was due, and those that were kept apart since.
-- Parameters: $1 array of mn, $2 array of qn_at, $3 hour, $4 how long after it kept-apart ones are looked for.
-- Index: packets' primary key, packets_apart.
SELECT DISTINCT ON (received_at, digest) received_at, digest, qn_at, peer, mn, st, cn, qn, flag, edition, state,
       coalesce(warnings, '{}') AS warnings, key_id, raw
FROM (
    SELECT * FROM hj212.packets WHERE qn_at = ANY ($2::timestamptz[]) AND mn = ANY ($1::text[]) AND cn = '2061'
    UNION ALL
    SELECT * FROM hj212.packets WHERE qn_at >= $3 AND qn_at < $3::timestamptz + interval '2 hours' AND mn = ANY ($1::text[])
        AND cn = '2061'
    UNION ALL
    SELECT * FROM hj212.packets WHERE state <> 'stored' AND mn = ANY ($1::text[]) AND cn = '2061'
        AND received_at >= $3 AND received_at < $3::timestamptz + $4::interval
) AS p
ORDER BY received_at, digest
