-- Purpose: partitions ahead of a moment; tells how many were made and how far they reach (NULL: not needed).
-- Parameters: $1 now.
SELECT hj212.ensure_partitions($1) AS made, $1 + hj212.partitions_ahead($1) AS ahead_until
