-- Purpose: store what is new of the staged packets; a repeat changes nothing.
-- Returns the keys of the new ones. Index: primary key of packets; sorted against deadlocks.
INSERT INTO hj212.packets SELECT * FROM staged_packets ORDER BY qn_at, digest
ON CONFLICT (qn_at, digest) DO NOTHING
RETURNING qn_at, digest
