-- Purpose: the registry whole: which outlet a reading is of, how a data logger deviates, what its codes, units and
-- time labels mean, its keys, limits, and data that no retention may touch. Dated rows like those of 0003.
-- In key columns an empty text means any.

ALTER TABLE hj212.outlets
    ADD COLUMN permit_number text,
    ADD COLUMN county text,
    ADD COLUMN longitude double precision CHECK (longitude BETWEEN -180 AND 180),
    ADD COLUMN latitude double precision CHECK (latitude BETWEEN -90 AND 90);
COMMENT ON COLUMN hj212.outlets.permit_number IS 'number of the discharge permit (排污许可证)';
COMMENT ON COLUMN hj212.outlets.county IS 'where it differs from the enterprise''s; NULL: the enterprise''s';
COMMENT ON COLUMN hj212.outlets.longitude IS
    'degrees east as registered; whether WGS-84, CGCS2000 or GCJ-02 is not known: the last is up to 700 m off the others';
COMMENT ON COLUMN hj212.outlets.latitude IS 'degrees north as registered, in the same unknown system as longitude';

ALTER TABLE hj212.data_loggers
    ADD COLUMN role text NOT NULL DEFAULT 'main' CHECK (role IN ('main', 'standby'));
COMMENT ON COLUMN hj212.data_loggers.role IS 'standby: a second data logger of an outlet that has a main one';

CREATE TABLE hj212.channels (
    row_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    mn text COLLATE "C" NOT NULL,
    st text COLLATE "C" NOT NULL DEFAULT '',
    factor text COLLATE "C" NOT NULL DEFAULT '',
    outlet text COLLATE "C" NOT NULL,
    valid_from timestamptz NOT NULL DEFAULT '-infinity',
    valid_to timestamptz CHECK (valid_to > valid_from),
    recorded_at timestamptz NOT NULL DEFAULT now(),
    superseded_at timestamptz
);
COMMENT ON TABLE hj212.channels IS
    'outlet of a data logger''s readings; the most specific row wins: st and factor, factor, st, neither, data_loggers';
COMMENT ON COLUMN hj212.channels.factor IS 'code as sent; empty: any';
CREATE UNIQUE INDEX channels_current ON hj212.channels (mn, st, factor, valid_from) WHERE superseded_at IS NULL;

CREATE TABLE hj212.dialects (
    row_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    mn text COLLATE "C" NOT NULL,
    dialect text COLLATE "C" NOT NULL CHECK (dialect IN ('crc_modbus', 'crc_modbus_swapped', 'crc_short',
        'length_characters', 'closing_missing', 'single_ampersand')),
    valid_from timestamptz NOT NULL DEFAULT '-infinity',
    valid_to timestamptz CHECK (valid_to > valid_from),
    recorded_at timestamptz NOT NULL DEFAULT now(),
    superseded_at timestamptz
);
COMMENT ON TABLE hj212.dialects IS 'deviations from the frame of the standard a data logger is allowed';
CREATE UNIQUE INDEX dialects_current ON hj212.dialects (mn, dialect, valid_from) WHERE superseded_at IS NULL;

CREATE TABLE hj212.time_labels (
    row_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    mn text COLLATE "C" NOT NULL,
    st text COLLATE "C" NOT NULL DEFAULT '',
    cn text COLLATE "C" NOT NULL,
    label text NOT NULL CHECK (label IN ('start', 'end', 'sent')),
    valid_from timestamptz NOT NULL DEFAULT '-infinity',
    valid_to timestamptz CHECK (valid_to > valid_from),
    recorded_at timestamptz NOT NULL DEFAULT now(),
    superseded_at timestamptz
);
COMMENT ON TABLE hj212.time_labels IS 'which moment DataTime means; what was sent stays as it is';
CREATE UNIQUE INDEX time_labels_current ON hj212.time_labels (mn, cn, st, valid_from) WHERE superseded_at IS NULL;

CREATE TABLE hj212.units (
    row_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    mn text COLLATE "C" NOT NULL,
    code text COLLATE "C" NOT NULL,
    factor text COLLATE "C" NOT NULL,
    unit text NOT NULL CHECK (unit <> ''),
    scale double precision NOT NULL CHECK (scale > 0 AND scale < 'Infinity'),
    valid_from timestamptz NOT NULL DEFAULT '-infinity',
    valid_to timestamptz CHECK (valid_to > valid_from),
    recorded_at timestamptz NOT NULL DEFAULT now(),
    superseded_at timestamptz
);
COMMENT ON TABLE hj212.units IS 'what a code as sent means: its factor of the catalogue and its unit';
COMMENT ON COLUMN hj212.units.scale IS 'value as sent times scale is the value in unit';
CREATE UNIQUE INDEX units_current ON hj212.units (mn, code, valid_from) WHERE superseded_at IS NULL;

CREATE TABLE hj212.cipher_keys (
    row_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    mn text COLLATE "C" NOT NULL,
    key_id text COLLATE "C" NOT NULL,
    secret bytea NOT NULL CHECK (octet_length(secret) = 16),
    valid_from timestamptz NOT NULL DEFAULT '-infinity',
    valid_to timestamptz CHECK (valid_to > valid_from),
    recorded_at timestamptz NOT NULL DEFAULT now(),
    superseded_at timestamptz
);
COMMENT ON COLUMN hj212.cipher_keys.secret IS 'SM4 key. A secret: only the gateway and the owner may read it';
CREATE UNIQUE INDEX cipher_keys_current ON hj212.cipher_keys (mn, key_id, valid_from) WHERE superseded_at IS NULL;

CREATE TABLE hj212.limits (
    row_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    outlet text COLLATE "C" NOT NULL,
    factor text COLLATE "C" NOT NULL,
    low double precision,
    high double precision CHECK (low <= high),
    unit text NOT NULL CHECK (unit <> ''),
    basis text,
    valid_from timestamptz NOT NULL DEFAULT '-infinity',
    valid_to timestamptz CHECK (valid_to > valid_from),
    recorded_at timestamptz NOT NULL DEFAULT now(),
    superseded_at timestamptz,
    CHECK (low IS NOT NULL OR high IS NOT NULL)
);
COMMENT ON TABLE hj212.limits IS 'what a factor of an outlet may be, both bounds included';
COMMENT ON COLUMN hj212.limits.factor IS 'code of the catalogue';
COMMENT ON COLUMN hj212.limits.basis IS 'the standard or permit that says so';
CREATE UNIQUE INDEX limits_current ON hj212.limits (outlet, factor, valid_from) WHERE superseded_at IS NULL;

CREATE TABLE hj212.legal_holds (
    row_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    outlet text COLLATE "C" NOT NULL,
    reason text NOT NULL,
    valid_from timestamptz NOT NULL DEFAULT '-infinity',
    valid_to timestamptz CHECK (valid_to > valid_from),
    recorded_at timestamptz NOT NULL DEFAULT now(),
    superseded_at timestamptz
);
COMMENT ON TABLE hj212.legal_holds IS 'data of an outlet that no retention touches: DataTime or arrival in the period';
CREATE UNIQUE INDEX legal_holds_current ON hj212.legal_holds (outlet, valid_from) WHERE superseded_at IS NULL;

DO $$
DECLARE
    changed text;
BEGIN
    FOREACH changed IN ARRAY ARRAY['channels', 'dialects', 'time_labels', 'units', 'cipher_keys'] LOOP
        EXECUTE format('CREATE TRIGGER %I AFTER INSERT OR UPDATE OR DELETE ON hj212.%I FOR EACH STATEMENT'
            ' EXECUTE FUNCTION hj212.notify_registry()', changed || '_changed', changed);
    END LOOP;
END
$$;

CREATE OR REPLACE VIEW hj212.current_data_loggers AS SELECT * FROM hj212.data_loggers WHERE superseded_at IS NULL;
CREATE OR REPLACE VIEW hj212.current_outlets AS SELECT * FROM hj212.outlets WHERE superseded_at IS NULL;

-- The code a factor stands under in the catalogue: letter case of water, gas and process codes aside, and process
-- codes, which end in two unit digits, there shown as xx.
CREATE OR REPLACE FUNCTION hj212.catalogue_code(sent text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE
        WHEN sent ~ '^[eEgG][0-9]{5}$' THEN lower(left(sent, 4)) || 'xx'
        WHEN sent ~ '^[A-Z][0-9]{5}$' THEN lower(sent)
        ELSE sent END
$$;

-- The number a text is, NULL where it is no plain decimal number (1e5, NaN, texts, over 300 characters).
CREATE FUNCTION hj212.number_of(value text) RETURNS double precision LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE WHEN length(value) <= 300 AND value ~ '^-?([0-9]+\.?[0-9]*|\.[0-9]+)$' THEN value::double precision END
$$;

-- How long the period of an upload is; NULL where DataTime is a moment. A day is 24 hours: UTC+8 knows no other.
CREATE FUNCTION hj212.period_of(cn text, min_interval_mins integer) RETURNS interval
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE cn
        WHEN '2051' THEN coalesce(min_interval_mins, 10) * interval '1 minute'
        WHEN '2061' THEN interval '1 hour'
        WHEN '2031' THEN interval '24 hours'
        WHEN '2041' THEN interval '24 hours'
        WHEN '2111' THEN interval '5 minutes' END
$$;

-- When the period of an upload began. Hours and days are those of UTC+8.
CREATE FUNCTION hj212.period_start(data_time timestamptz, label text, period interval) RETURNS timestamptz
LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT CASE label
        WHEN 'end' THEN data_time - period
        WHEN 'sent' THEN date_bin(period, data_time, timestamptz '2000-01-01 00:00+08') - period
        ELSE data_time END
$$;

CREATE VIEW hj212.current_channels AS SELECT * FROM hj212.channels WHERE superseded_at IS NULL;

-- Which outlet readings may be of: by a channel, or, numbered 0, by the data logger itself. A relation of its own, so
-- that a query for one outlet begins here and not with the readings.
CREATE VIEW hj212.outlet_candidates AS
SELECT 0::bigint AS row_id, d.mn, d.outlet, d.valid_from, d.valid_to FROM hj212.current_data_loggers d
UNION ALL
SELECT c.row_id, c.mn, c.outlet, c.valid_from, c.valid_to FROM hj212.current_channels c;

-- The columns of 0004 come first and stay as they were, so that views others made of it go on.
CREATE OR REPLACE VIEW hj212.v_readings AS
SELECT r.data_time, l.mn, a.outlet, o.enterprise, r.st, r.cn, r.factor,
       f.name_zh AS factor_name, coalesce(u.unit, f.unit) AS unit, r.rtd, r.min, r.avg, r.max, r.cou,
       r.zs_rtd, r.zs_min, r.zs_avg, r.zs_max, r.data_flag, r.received_at,
       coalesce(r.updated_at, r.received_at) AS updated_at, r.qn::text AS qn,
       r.nth, r.extra, f.name_en AS factor_name_en, f.unit_cou, o.name AS outlet_name, e.name AS enterprise_name,
       d.role,
       CASE WHEN u.factor IS NOT NULL THEN u.factor
            WHEN f.alias_of IS NOT NULL THEN f.alias_of
            WHEN f.code LIKE '%xx' THEN lower(r.factor)
            ELSE f.code END AS catalogue_factor,
       coalesce(u.scale, 1) AS scale,
       CASE WHEN u.factor IS NOT NULL THEN 'confirmed'
            WHEN f.code IS NULL THEN 'unknown'
            WHEN f.alias_of IS NULL THEN 'catalogue'
            ELSE 'unit_unconfirmed' END AS unit_state,
       t.label AS time_label,
       hj212.period_start(r.data_time, t.label, t.period) AS period_start,
       hj212.number_of(r.extra ->> 'Data') AS data,
       hj212.number_of(r.extra ->> 'DayData') AS day_data,
       hj212.number_of(r.extra ->> 'NightData') AS night_data,
       hj212.number_of(r.extra ->> 'RawAvg') AS raw_avg,
       r.extra ->> 'SampleTime' AS sample_time,
       r.extra ->> 'EFlag' AS e_flag,
       r.extra ->> 'Rtd' AS text_value
FROM hj212.all_readings r
JOIN hj212.loggers l USING (logger_id)
LEFT JOIN hj212.current_channels csf ON csf.mn = l.mn AND csf.factor = r.factor AND csf.st = r.st
    AND r.data_time >= csf.valid_from AND (csf.valid_to IS NULL OR r.data_time < csf.valid_to)
LEFT JOIN hj212.current_channels cf ON cf.mn = l.mn AND cf.factor = r.factor AND cf.st = ''
    AND r.data_time >= cf.valid_from AND (cf.valid_to IS NULL OR r.data_time < cf.valid_to)
LEFT JOIN hj212.current_channels cs ON cs.mn = l.mn AND cs.factor = '' AND cs.st = r.st
    AND r.data_time >= cs.valid_from AND (cs.valid_to IS NULL OR r.data_time < cs.valid_to)
LEFT JOIN hj212.current_channels ca ON ca.mn = l.mn AND ca.factor = '' AND ca.st = ''
    AND r.data_time >= ca.valid_from AND (ca.valid_to IS NULL OR r.data_time < ca.valid_to)
LEFT JOIN hj212.outlet_candidates a ON a.mn = l.mn AND a.row_id = coalesce(csf.row_id, cf.row_id, cs.row_id, ca.row_id, 0)
    AND r.data_time >= a.valid_from AND (a.valid_to IS NULL OR r.data_time < a.valid_to)
LEFT JOIN hj212.current_outlets o ON o.outlet = a.outlet AND r.data_time >= o.valid_from
    AND (o.valid_to IS NULL OR r.data_time < o.valid_to)
LEFT JOIN hj212.current_enterprises e ON e.enterprise = o.enterprise AND r.data_time >= e.valid_from
    AND (e.valid_to IS NULL OR r.data_time < e.valid_to)
LEFT JOIN hj212.current_data_loggers d ON d.mn = l.mn AND r.data_time >= d.valid_from
    AND (d.valid_to IS NULL OR r.data_time < d.valid_to)
LEFT JOIN hj212.units u ON u.superseded_at IS NULL AND u.mn = l.mn AND u.code = r.factor
    AND r.data_time >= u.valid_from AND (u.valid_to IS NULL OR r.data_time < u.valid_to)
LEFT JOIN hj212.factors f ON f.code = hj212.catalogue_code(coalesce(u.factor, r.factor))
    AND (f.alias_of IS NULL OR f.medium = coalesce(o.medium, hj212.medium_of(r.st)))
LEFT JOIN hj212.time_labels ts ON ts.superseded_at IS NULL AND ts.mn = l.mn AND ts.cn = r.cn AND ts.st = r.st
    AND r.data_time >= ts.valid_from AND (ts.valid_to IS NULL OR r.data_time < ts.valid_to)
LEFT JOIN hj212.time_labels ta ON ta.superseded_at IS NULL AND ta.mn = l.mn AND ta.cn = r.cn AND ta.st = ''
    AND r.data_time >= ta.valid_from AND (ta.valid_to IS NULL OR r.data_time < ta.valid_to)
CROSS JOIN LATERAL (SELECT hj212.period_of(r.cn, d.min_interval_mins) AS period) p
CROSS JOIN LATERAL (
    SELECT p.period, CASE WHEN p.period IS NULL THEN 'moment' ELSE coalesce(ts.label, ta.label, 'start') END AS label
) t;
COMMENT ON VIEW hj212.v_readings IS
    'one factor of one data logger at one data_time under one CN; value and code as sent, the newest that came';
COMMENT ON COLUMN hj212.v_readings.unit IS 'of value times scale, as far as unit_state says';
COMMENT ON COLUMN hj212.v_readings.catalogue_factor IS 'code of 2017, or of 2005 where 2017 has none';
COMMENT ON COLUMN hj212.v_readings.unit_state IS
    'confirmed: by a row of units; catalogue: a 2017 code; unit_unconfirmed: a 2005 code, do not judge; unknown';
COMMENT ON COLUMN hj212.v_readings.time_label IS 'what data_time is of the period: start, end, sent; moment: no period';
COMMENT ON COLUMN hj212.v_readings.period_start IS 'beginning of the period, by the label; data_time where it is a moment';
COMMENT ON COLUMN hj212.v_readings.text_value IS 'Rtd as sent where it is no number';

CREATE VIEW hj212.v_outlets AS
SELECT o.outlet, o.name, o.medium, o.enterprise, e.name AS enterprise_name, e.level,
       coalesce(o.county, e.county) AS county, o.permit_number, o.longitude, o.latitude,
       nullif(o.valid_from, '-infinity') AS valid_from, o.valid_to
FROM hj212.current_outlets o
LEFT JOIN LATERAL (
    SELECT c.name, c.level, c.county FROM hj212.current_enterprises c
    WHERE c.enterprise = o.enterprise AND (o.valid_to IS NULL OR c.valid_from < o.valid_to)
        AND (c.valid_to IS NULL OR c.valid_to > o.valid_from)
    ORDER BY c.valid_from DESC LIMIT 1
) e ON true;
COMMENT ON VIEW hj212.v_outlets IS 'the registry''s outlets with their periods; enterprise as of the end of the period';

CREATE VIEW hj212.v_limits AS
SELECT m.outlet, m.factor, f.name_zh AS factor_name, m.low, m.high, m.unit, m.basis,
       nullif(m.valid_from, '-infinity') AS valid_from, m.valid_to
FROM hj212.limits m
LEFT JOIN hj212.factors f ON f.code = hj212.catalogue_code(m.factor) AND f.alias_of IS NULL
WHERE m.superseded_at IS NULL;
COMMENT ON VIEW hj212.v_limits IS 'what a factor of an outlet may be, both bounds included, with its period';

GRANT SELECT ON hj212.v_readings, hj212.v_outlets, hj212.v_limits
    TO hj212_analyst, hj212_gateway, hj212_aggregator, hj212_owner;
GRANT SELECT ON hj212.outlet_candidates, hj212.current_channels TO hj212_gateway, hj212_aggregator, hj212_owner;

GRANT EXECUTE ON FUNCTION hj212.number_of, hj212.period_of, hj212.period_start TO PUBLIC;

GRANT SELECT ON hj212.channels, hj212.dialects, hj212.time_labels, hj212.units, hj212.limits, hj212.legal_holds
    TO hj212_gateway, hj212_aggregator;
GRANT SELECT ON hj212.cipher_keys TO hj212_gateway;

GRANT ALL ON hj212.channels, hj212.dialects, hj212.time_labels, hj212.units, hj212.limits, hj212.legal_holds,
    hj212.cipher_keys TO hj212_owner;
GRANT USAGE ON ALL SEQUENCES IN SCHEMA hj212 TO hj212_owner;
