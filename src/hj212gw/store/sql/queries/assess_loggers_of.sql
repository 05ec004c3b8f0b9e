-- Purpose: data loggers that ever were at some outlets, in short or by a channel.
-- Parameter: $1 array of outlets.
SELECT coalesce(array_agg(DISTINCT l.logger_id), '{}') FROM hj212.outlet_candidates a JOIN hj212.loggers l USING (mn)
WHERE a.outlet = ANY ($1)
