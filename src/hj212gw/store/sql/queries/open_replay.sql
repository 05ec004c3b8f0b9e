-- Purpose: the run of this range that is not finished, or a new one.
-- Parameters: $1 from, $2 to, $3 mn or NULL. Index: replays_open.
INSERT INTO hj212.replays AS r (from_at, to_at, mn, position_at) VALUES ($1, $2, $3, $1)
ON CONFLICT (from_at, to_at, coalesce(mn, '')) WHERE finished_at IS NULL DO UPDATE SET updated_at = now()
RETURNING r.replay_id, r.position_at, r.position_digest, r.packets, r.written, r.replaced, r.restored, r.skipped
