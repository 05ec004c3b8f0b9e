-- Purpose: how much of a load run is stored by now.
-- Parameters: $1 MNs, $2 and $3 bounds of the QNs' moments.
SELECT count(*) FROM hj212.v_packets WHERE mn = ANY ($1::text[]) AND qn_at >= $2 AND qn_at < $3
