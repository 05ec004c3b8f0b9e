-- Purpose: what analysts read, and the rights of the four roles.

CREATE VIEW hj212.current_data_loggers AS SELECT * FROM hj212.data_loggers WHERE superseded_at IS NULL;
CREATE VIEW hj212.current_outlets AS SELECT * FROM hj212.outlets WHERE superseded_at IS NULL;
CREATE VIEW hj212.current_enterprises AS SELECT * FROM hj212.enterprises WHERE superseded_at IS NULL;

CREATE VIEW hj212.all_readings AS
    SELECT * FROM hj212.readings_rtd
    UNION ALL SELECT * FROM hj212.readings_minute
    UNION ALL SELECT * FROM hj212.readings_hour
    UNION ALL SELECT * FROM hj212.readings_day;

-- The medium that decides what a factor code of 2005 means: the outlet's, else the system's.
CREATE FUNCTION hj212.medium_of(st text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE
        WHEN st IN ('21', '24', '26', '32', '33', '34', '52') THEN 'water'
        WHEN st IN ('22', '27', '31', '39', '51') THEN 'gas'
        WHEN st IN ('23', '36') THEN 'noise'
        ELSE 'other' END
$$;

-- The code a factor stands under in the catalogue: process codes end in two unit digits there shown as xx.
CREATE FUNCTION hj212.catalogue_code(sent text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE WHEN sent ~ '^[eg][0-9]{5}$' THEN left(sent, 4) || 'xx' ELSE sent END
$$;

CREATE VIEW hj212.v_readings AS
SELECT r.data_time, l.mn, d.outlet, o.enterprise, r.st, r.cn, r.factor,
       f.name_zh AS factor_name, f.unit, r.rtd, r.min, r.avg, r.max, r.cou,
       r.zs_rtd, r.zs_min, r.zs_avg, r.zs_max, r.data_flag, r.received_at,
       coalesce(r.updated_at, r.received_at) AS updated_at, r.qn::text AS qn,
       r.nth, r.extra, f.name_en AS factor_name_en, f.unit_cou, o.name AS outlet_name, e.name AS enterprise_name
FROM hj212.all_readings r
JOIN hj212.loggers l USING (logger_id)
LEFT JOIN hj212.current_data_loggers d ON d.mn = l.mn AND r.data_time >= d.valid_from
    AND (d.valid_to IS NULL OR r.data_time < d.valid_to)
LEFT JOIN hj212.current_outlets o ON o.outlet = d.outlet AND r.data_time >= o.valid_from
    AND (o.valid_to IS NULL OR r.data_time < o.valid_to)
LEFT JOIN hj212.current_enterprises e ON e.enterprise = o.enterprise AND r.data_time >= e.valid_from
    AND (e.valid_to IS NULL OR r.data_time < e.valid_to)
LEFT JOIN hj212.factors f ON f.code = hj212.catalogue_code(r.factor)
    AND (f.alias_of IS NULL OR f.medium = coalesce(o.medium, hj212.medium_of(r.st)));
COMMENT ON VIEW hj212.v_readings IS
    'one factor of one data logger at one data_time under one CN; value and code as sent, the newest that came';

-- Masks the values of PW and NewPW inside a frame; the rest of the bytes stay as they came.
CREATE FUNCTION hj212.mask_pw(frame bytea) RETURNS bytea LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT decode(regexp_replace(encode(frame, 'escape'), 'PW=[^;,&]*', 'PW=******', 'g'), 'escape')
$$;

CREATE VIEW hj212.v_packets AS
SELECT p.received_at, p.mn, p.st, p.cn, p.qn, p.pnum, p.pno, p.flag, p.edition, p.peer, p.state,
       coalesce(p.warnings, '{}') AS warnings,
       CASE WHEN pg_has_role(current_user, 'hj212_gateway', 'member') THEN p.raw ELSE hj212.mask_pw(p.raw) END AS raw,
       p.qn_at, p.digest, p.key_id
FROM hj212.packets p;
COMMENT ON VIEW hj212.v_packets IS
    'every accepted packet once; state: stored, unregistered (kept apart until the MN is registered), quarantined';

CREATE VIEW hj212.v_rejects AS
SELECT r.received_at, r.peer, r.reason, r.detail,
       CASE WHEN pg_has_role(current_user, 'hj212_gateway', 'member') THEN r.raw ELSE hj212.mask_pw(r.raw) END AS raw
FROM hj212.rejects r;
COMMENT ON VIEW hj212.v_rejects IS 'frames refused at the door; they were not acknowledged';

CREATE VIEW hj212.v_odd_readings AS
SELECT r.data_time, r.data_time_text, l.mn, r.st, r.cn, r.factor, r.rtd, r.min, r.avg, r.max, r.cou,
       r.zs_rtd, r.zs_min, r.zs_avg, r.zs_max, r.data_flag, r.received_at, r.qn::text AS qn, r.nth, r.extra
FROM hj212.odd_readings r JOIN hj212.loggers l USING (logger_id);
COMMENT ON VIEW hj212.v_odd_readings IS
    'readings whose DataTime is missing, unreadable, over 400 days before or over a day after their arrival';

CREATE VIEW hj212.v_history AS
SELECT h.data_time, l.mn, h.st, h.cn, h.factor, h.rtd, h.min, h.avg, h.max, h.cou,
       h.zs_rtd, h.zs_min, h.zs_avg, h.zs_max, h.data_flag, h.received_at, h.replaced_at, h.origin,
       h.qn::text AS qn, h.nth, h.extra
FROM hj212.reading_history h JOIN hj212.loggers l USING (logger_id);
COMMENT ON VIEW hj212.v_history IS 'values that a later packet replaced, or that came too late to stand';

CREATE VIEW hj212.v_loggers AS
SELECT coalesce(d.mn, a.mn) AS mn, d.outlet, o.enterprise, d.mn IS NOT NULL AS registered,
       coalesce(a.last_packet_at > now() - greatest(interval '15 minutes', 3 * make_interval(secs => d.rtd_interval_secs)),
                false) AS connected,
       a.last_packet_at, a.last_data_time, a.clock_skew_secs, d.origin, d.st
FROM hj212.logger_activity a
FULL JOIN (SELECT DISTINCT ON (mn) * FROM hj212.current_data_loggers ORDER BY mn, valid_from DESC) d USING (mn)
LEFT JOIN LATERAL (
    SELECT c.enterprise FROM hj212.current_outlets c WHERE c.outlet = d.outlet ORDER BY c.valid_from DESC LIMIT 1
) o ON true;
COMMENT ON VIEW hj212.v_loggers IS 'every data logger that is registered or was heard; connected by packet age';

GRANT SELECT ON hj212.v_readings, hj212.v_packets, hj212.v_rejects, hj212.v_odd_readings, hj212.v_history,
    hj212.v_loggers TO hj212_analyst, hj212_gateway, hj212_aggregator;
GRANT EXECUTE ON FUNCTION hj212.mask_pw, hj212.medium_of, hj212.catalogue_code TO PUBLIC;

GRANT SELECT, INSERT, UPDATE ON hj212.packets, hj212.readings_rtd, hj212.readings_minute, hj212.readings_hour,
    hj212.readings_day, hj212.logger_activity, hj212.journals, hj212.dirty TO hj212_gateway;
GRANT SELECT, INSERT ON hj212.loggers, hj212.rejects, hj212.odd_readings, hj212.reading_history TO hj212_gateway;
GRANT SELECT ON hj212.migrations, hj212.enterprises, hj212.outlets, hj212.factors, hj212.series, hj212.partitions,
    hj212.current_data_loggers, hj212.current_outlets, hj212.current_enterprises TO hj212_gateway;
GRANT SELECT, INSERT ON hj212.data_loggers TO hj212_gateway;
GRANT USAGE ON ALL SEQUENCES IN SCHEMA hj212 TO hj212_gateway;

GRANT SELECT ON ALL TABLES IN SCHEMA hj212 TO hj212_aggregator;
GRANT DELETE, UPDATE ON hj212.dirty TO hj212_aggregator;

GRANT ALL ON ALL TABLES IN SCHEMA hj212 TO hj212_owner;
