-- Purpose: the schema, the four roles, and the tables the gateway writes.
-- Time series tables are hypertables where TimescaleDB is installed, else range partitioned.
-- All moments are timestamptz; the wire runs on UTC+8.

CREATE SCHEMA IF NOT EXISTS hj212; -- the list of migrations stands in it already
COMMENT ON SCHEMA hj212 IS 'HJ 212 gateway: packets, readings, registry. Analysts read the views (v_*).';

-- Roles are shared by all databases of a server, so another one may have made them already.
DO $$
DECLARE
    role_name text;
BEGIN
    FOREACH role_name IN ARRAY ARRAY['hj212_owner', 'hj212_gateway', 'hj212_aggregator', 'hj212_analyst'] LOOP
        BEGIN
            EXECUTE format('CREATE ROLE %I NOLOGIN', role_name);
        EXCEPTION WHEN duplicate_object OR unique_violation THEN
            NULL;
        END;
    END LOOP;
END
$$;

GRANT USAGE ON SCHEMA hj212 TO hj212_owner, hj212_gateway, hj212_aggregator, hj212_analyst;

-- The catalogue of time series: which table, cut by which column, in which steps, how far back from now.
CREATE TABLE hj212.series (
    table_name text PRIMARY KEY,
    time_column text NOT NULL,
    step interval NOT NULL,
    back interval,               -- NULL: from the fixed lower bound on
    catches_future boolean NOT NULL DEFAULT false
);

-- The partitions that exist, kept by the functions of 0002 (plain PostgreSQL only).
CREATE TABLE hj212.partitions (
    table_name text NOT NULL REFERENCES hj212.series,
    partition_name text PRIMARY KEY,
    from_at timestamptz NOT NULL,
    to_at timestamptz NOT NULL,
    CHECK (from_at < to_at)
);

-- The schema TimescaleDB's functions stand in, quoted; NULL on plain PostgreSQL. Named in every call of them,
-- because the extension may stand outside the search path, and others may create functions in public.
CREATE FUNCTION hj212.timescale_schema() RETURNS text LANGUAGE sql STABLE SET search_path = pg_catalog AS $$
    SELECT quote_ident(n.nspname) FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace
    WHERE e.extname = 'timescaledb'
$$;

-- Creates a time series table out of its column list.
CREATE FUNCTION hj212.create_series(
    new_table text, columns text, time_column text, step interval, back interval, catches_future boolean
) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO hj212.series VALUES (new_table, time_column, step, back, catches_future);
    IF hj212.timescale_schema() IS NOT NULL THEN
        EXECUTE format('CREATE TABLE hj212.%I (%s)', new_table, columns);
        EXECUTE format(
            'SELECT %s.create_hypertable(%L, %L, chunk_time_interval => %L::interval, create_default_indexes => false)',
            hj212.timescale_schema(), 'hj212.' || new_table, time_column, step);
    ELSE
        EXECUTE format('CREATE TABLE hj212.%I (%s) PARTITION BY RANGE (%I)', new_table, columns, time_column);
    END IF;
END
$$;

-- One row a data logger that ever had readings; readings carry its number, not its text.
CREATE TABLE hj212.loggers (
    logger_id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    mn text COLLATE "C" NOT NULL UNIQUE,
    first_seen_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON COLUMN hj212.loggers.mn IS 'data logger id as sent';

-- Written at most every few seconds a logger, not with each packet.
CREATE TABLE hj212.logger_activity (
    mn text COLLATE "C" PRIMARY KEY,
    last_packet_at timestamptz NOT NULL,
    last_data_time timestamptz,
    clock_skew_secs double precision
) WITH (fillfactor = 50);
COMMENT ON COLUMN hj212.logger_activity.clock_skew_secs IS 'QN minus arrival of the last packet, seconds';

-- Every accepted packet once. Identity: the digest of the data segment (it holds MN, CN, QN, PNO and the data)
-- within the moment that qn_at gives, so a repeat finds its first whenever it comes.
SELECT hj212.create_series('packets', $columns$
    qn_at timestamptz NOT NULL,
    received_at timestamptz NOT NULL,
    flag smallint,
    pnum smallint,
    pno smallint,
    digest bytea NOT NULL,
    mn text COLLATE "C" NOT NULL,
    st text COLLATE "C" NOT NULL,
    cn text COLLATE "C" NOT NULL,
    qn text,
    edition text NOT NULL,
    peer text NOT NULL,
    state text NOT NULL,
    warnings text[],
    key_id text,
    raw bytea NOT NULL,
    PRIMARY KEY (qn_at, digest)
$columns$, 'qn_at', '1 day', NULL, true);
COMMENT ON COLUMN hj212.packets.qn_at IS
    'moment of QN (2000 to 2099); without a readable QN the arrival cut to 5 minutes';
COMMENT ON COLUMN hj212.packets.digest IS 'BLAKE2b, 16 bytes, of the data segment as sent';
COMMENT ON COLUMN hj212.packets.raw IS 'the whole frame as it came';
CREATE INDEX packets_received_at ON hj212.packets USING brin (received_at);
CREATE INDEX packets_apart ON hj212.packets (mn, received_at) WHERE state <> 'stored';

-- Frames refused at the door, with the reason.
CREATE TABLE hj212.rejects (
    received_at timestamptz NOT NULL,
    peer text NOT NULL,
    reason text NOT NULL,
    detail text NOT NULL,
    raw bytea NOT NULL
);
CREATE INDEX rejects_received_at ON hj212.rejects USING brin (received_at);

-- One factor of one logger at one DataTime under one CN; a table a grain, because retention differs.
-- Units are those the logger sends. The key's order keeps one packet's rows on one index page.
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
        factor text COLLATE "C" NOT NULL,
        rtd double precision,
        min double precision,
        avg double precision,
        max double precision,
        cou double precision,
        zs_rtd double precision,
        zs_min double precision,
        zs_avg double precision,
        zs_max double precision,
        data_flag text,
        extra jsonb,
        PRIMARY KEY (logger_id, cn, data_time, factor, st, nth)
    $columns$;
BEGIN
    PERFORM hj212.create_series('readings_rtd', columns, 'data_time', '1 day', '401 days', false);
    PERFORM hj212.create_series('readings_minute', columns, 'data_time', '7 days', '401 days', false);
    PERFORM hj212.create_series('readings_hour', columns, 'data_time', '28 days', '401 days', false);
    PERFORM hj212.create_series('readings_day', columns, 'data_time', '364 days', '401 days', false);
END
$$;
COMMENT ON COLUMN hj212.readings_hour.received_at IS 'first arrival';
COMMENT ON COLUMN hj212.readings_hour.updated_at IS 'arrival of the value that stands now; NULL: the first one';
COMMENT ON COLUMN hj212.readings_hour.nth IS 'counts repetitions of the factor inside one packet, from 0';
COMMENT ON COLUMN hj212.readings_hour.data_time IS 'DataTime as sent';
COMMENT ON COLUMN hj212.readings_hour.qn IS 'QN of the packet whose value stands';

-- Readings whose DataTime is missing, unreadable, over 400 days old or over a day ahead.
CREATE TABLE hj212.odd_readings (
    logger_id integer NOT NULL REFERENCES hj212.loggers,
    nth smallint NOT NULL,
    data_time timestamptz,
    received_at timestamptz NOT NULL,
    qn bigint,
    st text COLLATE "C" NOT NULL,
    cn text COLLATE "C" NOT NULL,
    factor text COLLATE "C" NOT NULL,
    rtd double precision,
    min double precision,
    avg double precision,
    max double precision,
    cou double precision,
    zs_rtd double precision,
    zs_min double precision,
    zs_avg double precision,
    zs_max double precision,
    data_flag text,
    extra jsonb,
    data_time_text text NOT NULL
);
CREATE INDEX odd_readings_logger ON hj212.odd_readings (logger_id, received_at);

-- Values that a later packet replaced, or that came too late to stand.
CREATE TABLE hj212.reading_history (
    logger_id integer NOT NULL,
    nth smallint NOT NULL,
    data_time timestamptz NOT NULL,
    received_at timestamptz NOT NULL,
    replaced_at timestamptz NOT NULL,
    qn bigint,
    st text COLLATE "C" NOT NULL,
    cn text COLLATE "C" NOT NULL,
    factor text COLLATE "C" NOT NULL,
    rtd double precision,
    min double precision,
    avg double precision,
    max double precision,
    cou double precision,
    zs_rtd double precision,
    zs_min double precision,
    zs_avg double precision,
    zs_max double precision,
    data_flag text,
    extra jsonb,
    origin text NOT NULL CHECK (origin IN ('live', 'resent', 'asked', 'manual'))
);
COMMENT ON COLUMN hj212.reading_history.received_at IS 'arrival of this value';
COMMENT ON COLUMN hj212.reading_history.replaced_at IS 'arrival of the value that stands instead';
CREATE INDEX reading_history_key ON hj212.reading_history (logger_id, cn, data_time);

-- What the aggregator has to look at again. version grows with every write, so that a write that commits
-- after the aggregator read is seen next time.
CREATE TABLE hj212.dirty (
    logger_id integer NOT NULL,
    cn text COLLATE "C" NOT NULL,
    day date NOT NULL,
    version bigint NOT NULL DEFAULT 1,
    PRIMARY KEY (logger_id, cn, day)
) WITH (fillfactor = 50);
COMMENT ON COLUMN hj212.dirty.day IS 'day of DataTime in UTC+8';

-- How far each journal is in the database; moved in the transaction that stores the rows.
CREATE TABLE hj212.journals (
    journal uuid PRIMARY KEY,
    position bigint NOT NULL,
    drained_through timestamptz NOT NULL,
    updated_at timestamptz NOT NULL DEFAULT now()
) WITH (fillfactor = 50);
COMMENT ON COLUMN hj212.journals.drained_through IS 'every packet received before this is stored';
