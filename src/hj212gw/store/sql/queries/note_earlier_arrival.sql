-- Purpose: an arrival before the first one known (from another journal) becomes the first; the value stays.
-- {table} is one of the four reading tables. Index: its primary key.
UPDATE hj212.{table} r SET received_at = s.first_at, updated_at = coalesce(r.updated_at, r.received_at)
FROM staged_readings s
WHERE s.is_winner AND s.first_at < r.received_at
  AND (r.logger_id, r.cn, r.data_time, r.factor, r.st, r.nth) = (s.logger_id, s.cn, s.data_time, s.factor, s.st, s.nth)
