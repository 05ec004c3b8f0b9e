-- Purpose: when each data logger was last heard.
-- Parameters: arrays $1 mn, $2 last_packet_at, $3 last_data_time, $4 clock_skew_secs. Index: primary key.
INSERT INTO hj212.logger_activity AS a (mn, last_packet_at, last_data_time, clock_skew_secs)
SELECT * FROM unnest($1::text[], $2::timestamptz[], $3::timestamptz[], $4::double precision[])
    AS t (mn, last_packet_at, last_data_time, clock_skew_secs) ORDER BY 1
ON CONFLICT (mn) DO UPDATE SET
    last_packet_at = greatest(a.last_packet_at, excluded.last_packet_at),
    last_data_time = greatest(a.last_data_time, excluded.last_data_time),
    clock_skew_secs = coalesce(excluded.clock_skew_secs, a.clock_skew_secs)
