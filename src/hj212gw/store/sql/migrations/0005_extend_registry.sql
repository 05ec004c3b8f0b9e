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

GRANT SELECT ON hj212.channels, hj212.dialects, hj212.time_labels, hj212.units, hj212.limits, hj212.legal_holds
    TO hj212_gateway, hj212_aggregator;
GRANT SELECT ON hj212.cipher_keys TO hj212_gateway;

GRANT ALL ON hj212.channels, hj212.dialects, hj212.time_labels, hj212.units, hj212.limits, hj212.legal_holds,
    hj212.cipher_keys TO hj212_owner;
GRANT USAGE ON ALL SEQUENCES IN SCHEMA hj212 TO hj212_owner;
