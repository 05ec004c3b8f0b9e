-- Purpose: how much of a load run is stored by now.
-- Parameters: $1 MNs, $2 and $3 bounds of the QNs' moments, $4 digests left out of account.
SELECT count(*) FROM hj212.v_packets WHERE mn = ANY ($1::text[]) AND qn_at >= $2 AND qn_at < $3
  AND digest <> ALL ($4::bytea[])
