-- Purpose: the position of a journal; a journal seen for the first time starts at 0.
-- Parameters: $1 journal uuid, $2 now. Index: primary key.
INSERT INTO hj212.journals AS j (journal, position, drained_through) VALUES ($1, 0, $2)
ON CONFLICT (journal) DO UPDATE SET updated_at = now()
RETURNING j.position
