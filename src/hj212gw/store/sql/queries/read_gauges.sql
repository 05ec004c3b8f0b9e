-- Purpose: numbers of the whole city. A data logger is silent after three of its intervals, an hour at least.
-- A clock counts as skewed by the newest packet of the last day: an older one says nothing of it.
-- Parameter: $1 now.
SELECT (SELECT count(*) FROM hj212.stale_days) AS stale,
       count(*) AS registered,
       count(*) FILTER (WHERE a.last_packet_at IS NULL OR a.last_packet_at < $1::timestamptz - greatest(
           interval '1 hour', 3 * coalesce(d.rtd_interval_secs, 0) * interval '1 second')) AS silent,
       count(*) FILTER (WHERE a.last_packet_at >= $1 - interval '1 day' AND abs(a.clock_skew_secs) > 60) AS skewed,
       (SELECT threshold::double precision / 100 FROM hj212.policies WHERE policy = 'national_platform_v2') AS target
FROM hj212.current_data_loggers d
LEFT JOIN hj212.logger_activity a USING (mn)
WHERE d.origin = 'registry' AND d.valid_from <= $1 AND (d.valid_to IS NULL OR d.valid_to > $1)
