-- Purpose: an arrival before the first one known (from another journal) becomes the first; the value stays.
-- {table} is one of the four reading tables. An INSERT because in the columnstore an UPDATE by a join would unpack
-- all there is, and this unpacks what it meets. Index: its primary key; sorted against deadlocks.
INSERT INTO hj212.{table} AS r (logger_id, nth, data_time, received_at, st, cn, factor)
SELECT logger_id, nth, data_time, first_at, st, cn, factor FROM staged_readings
WHERE is_winner AND is_earlier ORDER BY logger_id, cn, data_time, factor, st, nth
ON CONFLICT (logger_id, cn, data_time, factor, st, nth) DO UPDATE SET
    received_at = excluded.received_at, updated_at = coalesce(r.updated_at, r.received_at)
WHERE excluded.received_at < r.received_at
