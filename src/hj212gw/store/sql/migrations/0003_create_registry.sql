-- Purpose: who is watched, as dated rows. A row holds in [valid_from, valid_to); a correction never overwrites:
-- the old row gets superseded_at and stays. valid_from '-infinity' and valid_to NULL mean open ends.

CREATE TABLE hj212.enterprises (
    row_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    enterprise text COLLATE "C" NOT NULL,
    name text NOT NULL,
    credit_code text,
    county text,
    level text NOT NULL DEFAULT 'other' CHECK (level IN ('national', 'other')),
    valid_from timestamptz NOT NULL DEFAULT '-infinity',
    valid_to timestamptz CHECK (valid_to > valid_from),
    recorded_at timestamptz NOT NULL DEFAULT now(),
    superseded_at timestamptz
);
COMMENT ON COLUMN hj212.enterprises.level IS 'national: key enterprise watched by the state (国控)';
CREATE UNIQUE INDEX enterprises_current ON hj212.enterprises (enterprise, valid_from) WHERE superseded_at IS NULL;

CREATE TABLE hj212.outlets (
    row_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    outlet text COLLATE "C" NOT NULL,
    enterprise text COLLATE "C" NOT NULL,
    name text NOT NULL,
    medium text NOT NULL CHECK (medium IN ('water', 'gas', 'noise', 'other')),
    valid_from timestamptz NOT NULL DEFAULT '-infinity',
    valid_to timestamptz CHECK (valid_to > valid_from),
    recorded_at timestamptz NOT NULL DEFAULT now(),
    superseded_at timestamptz
);
CREATE UNIQUE INDEX outlets_current ON hj212.outlets (outlet, valid_from) WHERE superseded_at IS NULL;

CREATE TABLE hj212.data_loggers (
    row_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    mn text COLLATE "C" NOT NULL,
    pw text,
    st text,
    outlet text COLLATE "C",
    cns text[] NOT NULL DEFAULT '{}',
    rtd_interval_secs integer CHECK (rtd_interval_secs > 0),
    min_interval_mins integer CHECK (min_interval_mins > 0),
    factors text[] NOT NULL DEFAULT '{}',
    origin text NOT NULL DEFAULT 'registry' CHECK (origin IN ('registry', 'found')),
    valid_from timestamptz NOT NULL DEFAULT '-infinity',
    valid_to timestamptz CHECK (valid_to > valid_from),
    recorded_at timestamptz NOT NULL DEFAULT now(),
    superseded_at timestamptz
);
COMMENT ON COLUMN hj212.data_loggers.pw IS 'the password expected; NULL: any. A secret: analysts do not see it';
COMMENT ON COLUMN hj212.data_loggers.origin IS 'found: made by the gateway from the first packet of an unknown MN';
COMMENT ON COLUMN hj212.data_loggers.cns IS 'CNs the logger is expected to send';
CREATE UNIQUE INDEX data_loggers_current ON hj212.data_loggers (mn, valid_from) WHERE superseded_at IS NULL;

-- Names and units of factor codes as sent, filled from the catalogue that ships with the program.
CREATE TABLE hj212.factors (
    code text COLLATE "C" PRIMARY KEY,
    medium text NOT NULL,
    name_zh text NOT NULL,
    name_en text NOT NULL,
    unit text,
    unit_cou text,
    alias_of text
);
COMMENT ON COLUMN hj212.factors.alias_of IS 'the 2017 code of a 2005 code, whose unit may differ; such a code counts in its own medium only';

-- Tells the gateway that the registry changed.
CREATE FUNCTION hj212.notify_registry() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('hj212_registry', TG_TABLE_NAME);
    RETURN NULL;
END
$$;
CREATE TRIGGER data_loggers_changed AFTER INSERT OR UPDATE OR DELETE ON hj212.data_loggers
    FOR EACH STATEMENT EXECUTE FUNCTION hj212.notify_registry();
