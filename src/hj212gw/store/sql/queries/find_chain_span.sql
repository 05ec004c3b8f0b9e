-- Purpose: the span of the chain that covers some days of arrival. Parameters: $1 first day, $2 last day.
-- Index: day_digests_day.
SELECT min(seq) AS first, max(seq) AS last FROM hj212.day_digests WHERE day BETWEEN $1 AND $2
