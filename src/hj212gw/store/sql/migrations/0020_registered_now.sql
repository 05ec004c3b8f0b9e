-- Purpose: a data logger whose registration ended, or begins later, does not count as registered, as for the alarms'
-- numbers (read_gauges.sql). Of several rows the one that holds now is shown, else the newest.

CREATE OR REPLACE VIEW hj212.v_loggers AS
SELECT coalesce(d.mn, a.mn) AS mn, d.outlet, o.enterprise, coalesce(d.holds, false) AS registered,
       coalesce(a.last_packet_at > now() - greatest(interval '15 minutes', 3 * make_interval(secs => d.rtd_interval_secs)),
                false) AS connected,
       a.last_packet_at, a.last_data_time, a.clock_skew_secs, d.origin, d.st
FROM hj212.logger_activity a
FULL JOIN (
    SELECT DISTINCT ON (c.mn) c.*, h.holds
    FROM hj212.current_data_loggers c
    CROSS JOIN LATERAL (SELECT c.valid_from <= now() AND (c.valid_to IS NULL OR c.valid_to > now()) AS holds) h
    ORDER BY c.mn, h.holds DESC, c.valid_from DESC
) d USING (mn)
LEFT JOIN LATERAL (
    SELECT c.enterprise FROM hj212.current_outlets c WHERE c.outlet = d.outlet ORDER BY c.valid_from DESC LIMIT 1
) o ON true;
COMMENT ON VIEW hj212.v_loggers IS
    'every data logger that is or was registered, or was heard; registered by the registry of now, connected by packet age';
