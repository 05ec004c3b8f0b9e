-- Purpose: mark days for the aggregator. The version grows even for a known day, so that the row stays locked
-- until this transaction ends and the aggregator cannot take it before the data is visible.
-- Parameters: arrays $1 logger_id, $2 cn, $3 day, without repeats. Index: primary key; sorted against deadlocks.
INSERT INTO hj212.dirty AS d (logger_id, cn, day)
SELECT * FROM unnest($1::integer[], $2::text[], $3::date[]) AS t (logger_id, cn, day) ORDER BY 1, 2, 3
ON CONFLICT (logger_id, cn, day) DO UPDATE SET version = d.version + 1
