-- Purpose: move a run on by compare-and-set, with what it did; no row comes back when another process moved it.
-- Parameters: $1 replay_id, $2 and $3 the position before, $4 and $5 after, $6 to $10 counts, $11 whether it is done.
UPDATE hj212.replays SET position_at = $4, position_digest = $5, packets = packets + $6, written = written + $7,
    replaced = replaced + $8, restored = restored + $9, skipped = skipped + $10, updated_at = now(),
    finished_at = CASE WHEN $11 THEN now() END
WHERE replay_id = $1 AND position_at = $2 AND position_digest = $3
RETURNING replay_id
