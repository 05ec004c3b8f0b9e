-- Purpose: which peers brought an MN's packets of some QNs.
-- Parameters: $1 mn, arrays $2 qn_at, $3 qn. Index: primary key of packets.
SELECT DISTINCT p.peer FROM hj212.packets p JOIN unnest($2::timestamptz[], $3::text[]) AS t (qn_at, qn)
    ON p.qn_at = t.qn_at AND p.qn = t.qn
WHERE p.mn = $1 AND p.state = 'stored'
