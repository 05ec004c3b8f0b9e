-- Purpose: the winner of each key among the staged readings (last arrival, then last staged) and the key's first arrival.
WITH ranked AS (
    SELECT staged_id, min(received_at) OVER same AS first_at,
           row_number() OVER (same ORDER BY received_at DESC, staged_id DESC) = 1 AS is_winner
    FROM staged_readings WINDOW same AS (PARTITION BY logger_id, cn, data_time, factor, st, nth)
)
UPDATE staged_readings s SET first_at = ranked.first_at, is_winner = ranked.is_winner
FROM ranked WHERE ranked.staged_id = s.staged_id
