-- Purpose: how often each packet of one data logger is stored, to name what is missing.
-- Parameters: $1 MN, $2 and $3 bounds of the QNs' moments.
SELECT digest, count(*) AS times FROM hj212.v_packets WHERE mn = $1 AND qn_at >= $2 AND qn_at < $3 GROUP BY digest
