-- Purpose: what uploads bring beside readings (states, run times, alarms, parameters, logs), and which parts of
-- a split upload came.

-- One name of one packet. `states` is what equipment did (2021, 2041, 2081); `infos` is all else.
-- A packet without a DataTime within 400 days of its arrival stands under its arrival.
DO $$
DECLARE
    columns text := $columns$
        logger_id integer NOT NULL,
        nth smallint NOT NULL,
        data_time timestamptz NOT NULL,
        received_at timestamptz NOT NULL,
        updated_at timestamptz,
        qn bigint,
        st text COLLATE "C" NOT NULL,
        cn text COLLATE "C" NOT NULL,
        subject text COLLATE "C" NOT NULL,
        name text COLLATE "C" NOT NULL,
        value text NOT NULL,
        number double precision,
        data_time_text text NOT NULL,
        history jsonb,
        PRIMARY KEY (logger_id, cn, data_time, subject, name, st, nth)
    $columns$;
BEGIN
    PERFORM hj212.create_series('states', columns, 'data_time', '28 days', '401 days', false);
    PERFORM hj212.create_series('infos', columns, 'data_time', '28 days', '401 days', false);
END
$$;
COMMENT ON COLUMN hj212.infos.data_time IS 'DataTime as sent (of 2072 AlarmTime); the arrival where that is missing or odd';
COMMENT ON COLUMN hj212.infos.data_time_text IS 'DataTime as sent, empty where absent';
COMMENT ON COLUMN hj212.infos.received_at IS 'first arrival';
COMMENT ON COLUMN hj212.infos.updated_at IS 'arrival of the value that stands now; NULL: the first one';
COMMENT ON COLUMN hj212.infos.subject IS 'code of a factor, PolId, or SBn; empty for the data logger itself';
COMMENT ON COLUMN hj212.infos.name IS 'suffix, field, or field information code: RS, CTime, i12001';
COMMENT ON COLUMN hj212.infos.nth IS 'counts repetitions of subject and name inside one packet, from 0';
COMMENT ON COLUMN hj212.infos.value IS 'text as sent, a log without its fences';
COMMENT ON COLUMN hj212.infos.number IS 'the value where it is a plain decimal';
COMMENT ON COLUMN hj212.infos.history IS
    'values that do not stand, each with its received_at (UTC), by arrival, the last hundred; NULL: none';

CREATE FUNCTION hj212.history_entry(value text, received_at timestamptz)
RETURNS jsonb LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT jsonb_build_object('value', value, 'received_at',
                              to_char(received_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'))
$$;

-- Adds a value that does not stand to a row's history. Once is enough, and a data logger whose clock stands still
-- must not grow a row for ever.
CREATE FUNCTION hj212.add_history(history jsonb, value text, received_at timestamptz)
RETURNS jsonb LANGUAGE sql STABLE PARALLEL SAFE SET search_path = pg_catalog AS $$
    SELECT jsonb_agg(newest.entry ORDER BY newest.entry ->> 'received_at', newest.entry ->> 'value') FROM (
        SELECT both_of.entry FROM (
            SELECT jsonb_array_elements(coalesce(history, '[]')) AS entry
            UNION SELECT hj212.history_entry(value, received_at)
        ) both_of ORDER BY both_of.entry ->> 'received_at' DESC, both_of.entry ->> 'value' DESC LIMIT 100
    ) newest
$$;

-- Parts of split uploads, under their DataTime, else under the hour of their arrival.
SELECT hj212.create_series('sub_packets', $columns$
    data_time timestamptz NOT NULL,
    received_at timestamptz NOT NULL,
    pnum smallint NOT NULL,
    pno smallint NOT NULL,
    mn text COLLATE "C" NOT NULL,
    st text COLLATE "C" NOT NULL,
    cn text COLLATE "C" NOT NULL,
    data_time_text text COLLATE "C" NOT NULL,
    qn text,
    PRIMARY KEY (mn, cn, data_time, st, data_time_text, pnum, pno)
$columns$, 'data_time', '28 days', '401 days', false);
COMMENT ON COLUMN hj212.sub_packets.received_at IS 'first arrival';
COMMENT ON COLUMN hj212.sub_packets.qn IS 'of the first arrival; every part has its own';

-- What short codes mean, from the tables of the standards: 2017, else 2025, else 2005.
CREATE TABLE hj212.meanings (
    name text COLLATE "C" NOT NULL,
    value text COLLATE "C" NOT NULL,
    meaning_zh text,
    meaning text NOT NULL,
    PRIMARY KEY (name, value)
);
INSERT INTO hj212.meanings VALUES
    ('AlarmType', '0', '恢复正常', 'Back to normal'),
    ('AlarmType', '1', '超标', 'Over limit'),
    ('RS', '0', NULL, 'Off'),
    ('RS', '1', NULL, 'Running'),
    ('RS', '2', NULL, 'Calibrating'),
    ('RS', '3', NULL, 'Maintenance'),
    ('RS', '4', NULL, 'Alarm'),
    ('RS', '5', NULL, 'Blow-back'),
    ('ResultType', '0', '未通过', 'Failed'),
    ('ResultType', '1', '通过', 'Passed'),
    ('i12001', '0', '运行', 'Running'),
    ('i12001', '1', '维护', 'Maintenance'),
    ('i12001', '2', '故障', 'Fault'),
    ('i12001', '3', '校准', 'Calibrating'),
    ('i12001', '5', '反吹', 'Blow-back'),
    ('i12001', '6', '电源故障', 'Power fault'),
    ('i12001', '7', '测量', 'Measuring'),
    ('i12001', '8', '标定', 'Standardising'),
    ('i12001', '9', '待机', 'Standby'),
    ('i12001', '10', '运维', 'Operation and maintenance'),
    ('i12002', '0', '正常', 'Normal'),
    ('i12002', '1', '异常', 'Abnormal'),
    ('i12003', '0', '正常', 'Normal'),
    ('i12003', '1', '报警', 'Alarm'),
    ('i22001', '0', '运行', 'Running'),
    ('i22001', '1', '停机', 'Stopped'),
    ('i22001', '2', '故障', 'Fault'),
    ('i22001', '3', '维护', 'Maintenance'),
    ('i22002', '0', '普通用户', 'User'),
    ('i22002', '1', '管理员', 'Administrator'),
    ('i22002', '2', '维护人员', 'Maintenance staff'),
    ('i22003', '0', '正常', 'Normal'),
    ('i22003', '1', '异常', 'Abnormal'),
    ('i22101', '0', '正常', 'Normal'),
    ('i22101', '1', '异常', 'Abnormal'),
    ('i22101', '2', '通道未接设备', 'No device on the channel'),
    ('i32001', '0', '运行', 'Running'),
    ('i32001', '1', '停机', 'Stopped'),
    ('i32001', '2', '故障', 'Fault'),
    ('i32001', '3', '维护', 'Maintenance');

-- i22101 and up are one list, a code a channel.
CREATE FUNCTION hj212.meanings_of(name text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE WHEN name ~ '^i221[0-9]{2}$' THEN 'i22101' ELSE name END
$$;

CREATE VIEW hj212.v_states AS
SELECT s.data_time, l.mn, d.outlet, o.enterprise, s.st, s.cn, s.subject, s.name, s.value, s.number, m.meaning,
       s.received_at, coalesce(s.updated_at, s.received_at) AS updated_at, s.qn::text AS qn, s.history,
       s.nth, s.data_time_text, m.meaning_zh
FROM hj212.states s
JOIN hj212.loggers l USING (logger_id)
LEFT JOIN hj212.current_data_loggers d ON d.mn = l.mn AND s.data_time >= d.valid_from
    AND (d.valid_to IS NULL OR s.data_time < d.valid_to)
LEFT JOIN hj212.current_outlets o ON o.outlet = d.outlet AND s.data_time >= o.valid_from
    AND (o.valid_to IS NULL OR s.data_time < o.valid_to)
LEFT JOIN hj212.meanings m ON m.name = s.name AND m.value = s.value;
COMMENT ON VIEW hj212.v_states IS 'states (RS), hours run (RT) and boot times of equipment, as sent: 2021, 2041, 2081';

CREATE VIEW hj212.v_infos AS
SELECT i.data_time, l.mn, d.outlet, o.enterprise, i.st, i.cn, i.subject, i.name, i.value, i.number, m.meaning,
       i.received_at, coalesce(i.updated_at, i.received_at) AS updated_at, i.qn::text AS qn, i.history,
       i.nth, i.data_time_text, m.meaning_zh
FROM hj212.infos i
JOIN hj212.loggers l USING (logger_id)
LEFT JOIN hj212.current_data_loggers d ON d.mn = l.mn AND i.data_time >= d.valid_from
    AND (d.valid_to IS NULL OR i.data_time < d.valid_to)
LEFT JOIN hj212.current_outlets o ON o.outlet = d.outlet AND i.data_time >= o.valid_from
    AND (o.valid_to IS NULL OR i.data_time < o.valid_to)
LEFT JOIN hj212.meanings m ON m.name = hj212.meanings_of(i.name) AND m.value = i.value;
COMMENT ON VIEW hj212.v_infos IS 'parameters, logs, serials, alarms and checks as sent: 1001 to 1063, 2062 to 2072, 3015 to 3020';

CREATE VIEW hj212.v_sub_packets AS
SELECT p.mn, p.st, p.cn, p.data_time, p.data_time_text, p.pnum, p.parts, missing.parts AS missing,
       missing.parts = '{}' AS is_complete, p.first_received_at, p.last_received_at
FROM (
    SELECT s.mn, s.st, s.cn, s.data_time, s.data_time_text, s.pnum::integer AS pnum,
           array_agg(s.pno::integer ORDER BY s.pno) AS parts,
           min(s.received_at) AS first_received_at, max(s.received_at) AS last_received_at
    FROM hj212.sub_packets s GROUP BY s.mn, s.st, s.cn, s.data_time, s.data_time_text, s.pnum
) p
CROSS JOIN LATERAL (
    SELECT ARRAY(SELECT n FROM generate_series(1, p.pnum) n WHERE n <> ALL (p.parts) ORDER BY n) AS parts
) missing;
COMMENT ON VIEW hj212.v_sub_packets IS
    'split uploads: the parts that came and those that are missing; data_time is the hour of arrival where DataTime is no moment';

-- A key that a host sends to a data logger (2025, 1014) is as secret as a password.
CREATE OR REPLACE FUNCTION hj212.mask_pw(frame bytea) RETURNS bytea LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT decode(regexp_replace(encode(frame, 'escape'), '(PW=)[^;,&]*|(NewSK=)[^;&]*', '\1\2******', 'g'), 'escape')
$$;

GRANT SELECT ON hj212.v_states, hj212.v_infos, hj212.v_sub_packets TO hj212_analyst, hj212_gateway, hj212_aggregator;
GRANT EXECUTE ON FUNCTION hj212.meanings_of, hj212.history_entry, hj212.add_history TO PUBLIC;
GRANT SELECT, INSERT, UPDATE ON hj212.states, hj212.infos TO hj212_gateway;
GRANT SELECT, INSERT ON hj212.sub_packets TO hj212_gateway;
GRANT SELECT ON hj212.meanings TO hj212_gateway;
GRANT SELECT ON hj212.states, hj212.infos, hj212.sub_packets, hj212.meanings TO hj212_aggregator;
GRANT ALL ON hj212.states, hj212.infos, hj212.sub_packets, hj212.meanings TO hj212_owner;
