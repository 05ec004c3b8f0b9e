-- Purpose: move a journal's position by compare-and-set; no row comes back when somebody else moved it.
-- Parameters: $1 journal, $2 position before, $3 position after, $4 drained through. Index: primary key.
UPDATE hj212.journals SET position = $3, drained_through = greatest(drained_through, $4), updated_at = now()
WHERE journal = $1 AND position = $2
RETURNING position
