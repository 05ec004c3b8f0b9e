-- Purpose: an idle journal tells that nothing older than this moment is waiting in it.
-- Parameters: $1 journal, $2 position it must be at, $3 drained through. Index: primary key.
UPDATE hj212.journals SET drained_through = greatest(drained_through, $3), updated_at = now()
WHERE journal = $1 AND position = $2
