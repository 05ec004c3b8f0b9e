-- Purpose: the journal that is drained least far, of those that were heard of lately. A dead one blocks no day.
-- Parameters: $1 how long ago a journal counts as heard of. Sequential scan: a row a journal.
SELECT journal, drained_through FROM hj212.journals WHERE updated_at > now() - $1::interval
ORDER BY drained_through LIMIT 1
