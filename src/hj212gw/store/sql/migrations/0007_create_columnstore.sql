-- Purpose: TimescaleDB's columnstore for old readings, and retention that leaves alone what is under a legal hold.
-- Functions are owner-run (SECURITY DEFINER): the gateway's role may neither alter tables nor delete.

-- As in 0001, but NULL also where the tables were made before the extension came: they stay native partitions.
CREATE OR REPLACE FUNCTION hj212.timescale_schema() RETURNS text LANGUAGE sql STABLE SET search_path = pg_catalog AS $$
    SELECT quote_ident(n.nspname) FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace
    WHERE e.extname = 'timescaledb'
      AND NOT EXISTS (SELECT FROM pg_class c WHERE c.oid = to_regclass('hj212.packets') AND c.relkind = 'p')
$$;

-- Why there is no columnstore; NULL where there can be one.
CREATE FUNCTION hj212.columnstore_obstacle() RETURNS text LANGUAGE sql STABLE SET search_path = pg_catalog AS $$
    SELECT CASE
        WHEN NOT EXISTS (SELECT FROM pg_extension WHERE extname = 'timescaledb') THEN 'plain_postgresql'
        WHEN hj212.timescale_schema() IS NULL THEN 'native_partitions'
        WHEN current_setting('timescaledb.license', true) = 'apache' THEN 'apache_licence'
        WHEN to_regproc(hj212.timescale_schema() || '.add_columnstore_policy') IS NULL THEN 'old_timescaledb'
    END
$$;

-- Lets chunks of readings older than after_days go into the columnstore; called again it applies another number.
-- A segment is one data logger: a batch of 1000 rows is then mostly one factor, and a late row touches few of them.
-- Packets are not among them: the release of held packets locks and updates rows, which compressed ones do not allow.
-- Returns NULL when it is in force, else what is in the way.
CREATE FUNCTION hj212.apply_columnstore(after_days integer) RETURNS text
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog SET client_min_messages = error AS $$
DECLARE
    obstacle text := hj212.columnstore_obstacle();
    after_text text := format('%s days', after_days);
    target text;
    is_on boolean;
    has_job boolean;
BEGIN
    IF obstacle IS NOT NULL THEN
        RETURN obstacle;
    END IF;
    PERFORM pg_advisory_xact_lock(hashtext('hj212.columnstore'));
    FOR target IN SELECT s.table_name FROM hj212.series s WHERE s.table_name LIKE 'readings\_%' ORDER BY 1 LOOP
        EXECUTE 'SELECT compression_enabled FROM timescaledb_information.hypertables'
            ' WHERE hypertable_schema = ''hj212'' AND hypertable_name = $1' INTO is_on USING target;
        IF NOT is_on THEN
            EXECUTE format('ALTER TABLE hj212.%I SET (timescaledb.enable_columnstore,'
                ' timescaledb.segmentby = ''logger_id'', timescaledb.orderby = ''factor, cn, data_time'')', target);
        END IF;
        EXECUTE 'SELECT EXISTS (SELECT FROM timescaledb_information.jobs WHERE hypertable_schema = ''hj212'''
            ' AND hypertable_name = $1 AND proc_name = ''policy_compression'''
            ' AND (config ->> ''compress_after'')::interval = $2::interval)' INTO has_job USING target, after_text;
        CONTINUE WHEN has_job;
        BEGIN
            EXECUTE format('CALL %s.remove_columnstore_policy(%L, if_exists => true)',
                           hj212.timescale_schema(), 'hj212.' || target);
            EXECUTE format('CALL %s.add_columnstore_policy(%L, after => %L::interval)',
                           hj212.timescale_schema(), 'hj212.' || target, after_text);
        EXCEPTION WHEN invalid_authorization_specification OR insufficient_privilege THEN
            RETURN 'owner_without_login'; -- TimescaleDB runs a job as the table's owner
        END;
    END LOOP;
    RETURN NULL;
END
$$;

-- Partitions and chunks that were swept: only what is held is left in them. holds says under which holds.
CREATE TABLE hj212.swept (
    table_name text NOT NULL REFERENCES hj212.series,
    from_at timestamptz NOT NULL,
    to_at timestamptz NOT NULL,
    holds text NOT NULL,
    swept_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (table_name, from_at, to_at)
);

-- MNs that were, or may have been, at an outlet held at some moment of [from_at, to_at). Superseded rows of the
-- registry count too: in doubt a packet is kept.
CREATE FUNCTION hj212.held_mns(from_at timestamptz, to_at timestamptz)
RETURNS text[] LANGUAGE sql STABLE SET search_path = pg_catalog AS $$
    SELECT coalesce(array_agg(DISTINCT m.mn ORDER BY m.mn), '{}') FROM hj212.legal_holds h
    JOIN (SELECT d.mn, d.outlet, d.valid_from, d.valid_to FROM hj212.data_loggers d
          UNION ALL SELECT c.mn, c.outlet, c.valid_from, c.valid_to FROM hj212.channels c) m
      ON m.outlet = h.outlet AND m.valid_from < coalesce(h.valid_to, 'infinity')
     AND (m.valid_to IS NULL OR h.valid_from < m.valid_to)
    WHERE h.superseded_at IS NULL AND h.valid_from < $2 AND (h.valid_to IS NULL OR $1 < h.valid_to)
$$;

-- Whether a data logger's outlet is held at a moment.
CREATE FUNCTION hj212.is_held(mn text, moment timestamptz)
RETURNS boolean LANGUAGE sql STABLE SET search_path = pg_catalog AS $$
    SELECT $1 = ANY (hj212.held_mns($2, $2 + interval '1 microsecond'))
$$;

-- The condition under which a row between two moments is held; NULL where none can be. A reading counts by its
-- DataTime, a packet by QN and by arrival, which may lie years apart.
CREATE FUNCTION hj212.held_condition(target text, from_at timestamptz, to_at timestamptz)
RETURNS text LANGUAGE plpgsql STABLE SET search_path = pg_catalog AS $$
DECLARE
    now_held text[] := hj212.held_mns(from_at, to_at);
    ever_held text[];
BEGIN
    IF target = 'packets' THEN
        ever_held := hj212.held_mns('-infinity', 'infinity');
        RETURN CASE WHEN cardinality(ever_held) > 0 THEN format(
            'mn = ANY (%L::text[]) OR (mn = ANY (%L::text[]) AND hj212.is_held(mn, received_at))', now_held, ever_held)
        END;
    END IF;
    RETURN CASE WHEN cardinality(now_held) > 0 THEN format('logger_id = ANY (%L::integer[])',
        ARRAY(SELECT l.logger_id FROM hj212.loggers l WHERE l.mn = ANY (now_held) ORDER BY 1)) END;
END
$$;

-- The partitions or chunks that lie wholly before a moment, oldest first.
CREATE FUNCTION hj212.list_old_pieces(target text, before_at timestamptz)
RETURNS TABLE (piece text, from_at timestamptz, to_at timestamptz)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog AS $$
BEGIN
    IF hj212.timescale_schema() IS NULL THEN
        RETURN QUERY SELECT format('hj212.%I', p.partition_name), p.from_at, p.to_at FROM hj212.partitions p
                     WHERE p.table_name = target AND p.to_at <= before_at ORDER BY p.from_at;
    ELSE
        RETURN QUERY EXECUTE
            'SELECT format(''%I.%I'', chunk_schema, chunk_name), range_start, range_end FROM timescaledb_information.chunks'
            ' WHERE hypertable_schema = ''hj212'' AND hypertable_name = $1 AND range_end <= $2 ORDER BY range_start'
            USING target, before_at;
    END IF;
END
$$;

-- Drops one partition or chunk.
CREATE FUNCTION hj212.drop_piece(target text, old_piece text, piece_from timestamptz, piece_to timestamptz)
RETURNS void LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN
    IF hj212.timescale_schema() IS NULL THEN
        EXECUTE format('DROP TABLE %s', old_piece);
        DELETE FROM hj212.partitions p WHERE p.table_name = target AND p.from_at = piece_from;
    ELSE
        EXECUTE format('SELECT count(*) FROM %s.drop_chunks(%L, older_than => %L::timestamptz, newer_than => %L::timestamptz)',
                       hj212.timescale_schema(), 'hj212.' || target, piece_to, piece_from);
    END IF;
    DELETE FROM hj212.swept s WHERE s.table_name = target AND s.from_at = piece_from AND s.to_at = piece_to;
END
$$;

-- Leaves in one partition or chunk only what a condition holds. What is held is little: it is put aside and put back,
-- which costs by what is kept, not by what goes, and meets no limit on decompression.
CREATE FUNCTION hj212.sweep_piece(target text, old_piece text, piece_from timestamptz, piece_to timestamptz, condition text)
RETURNS void LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN
    EXECUTE format('CREATE TEMPORARY TABLE hj212_kept ON COMMIT DROP AS SELECT * FROM %s WHERE %s', old_piece, condition);
    IF hj212.timescale_schema() IS NULL THEN
        EXECUTE format('TRUNCATE %s', old_piece);
    ELSE
        PERFORM hj212.drop_piece(target, old_piece, piece_from, piece_to);
    END IF;
    EXECUTE format('INSERT INTO hj212.%I SELECT * FROM pg_temp.hj212_kept', target);
    DROP TABLE pg_temp.hj212_kept;
END
$$;

-- Sweeps a partition or chunk that holds something under these holds, unless that was done; tells whether it was now.
CREATE FUNCTION hj212.sweep_once(target text, old_piece text, piece_from timestamptz, piece_to timestamptz, condition text)
RETURNS boolean LANGUAGE plpgsql SET search_path = pg_catalog AS $$
DECLARE
    fingerprint text := md5(condition || (
        SELECT string_agg(h.row_id::text, ',' ORDER BY h.row_id) FROM hj212.legal_holds h WHERE h.superseded_at IS NULL));
    is_mixed boolean;
BEGIN
    IF EXISTS (SELECT FROM hj212.swept s WHERE s.table_name = target AND s.from_at = piece_from
               AND s.to_at = piece_to AND s.holds = fingerprint) THEN
        RETURN false;
    END IF;
    EXECUTE format('SELECT EXISTS (SELECT FROM %s WHERE NOT (%s))', old_piece, condition) INTO is_mixed;
    IF is_mixed THEN
        PERFORM hj212.sweep_piece(target, old_piece, piece_from, piece_to, condition);
    END IF;
    INSERT INTO hj212.swept (table_name, from_at, to_at, holds) VALUES (target, piece_from, piece_to, fingerprint)
    ON CONFLICT (table_name, from_at, to_at) DO UPDATE SET holds = excluded.holds, swept_at = now();
    RETURN is_mixed;
END
$$;

-- Drops what lies wholly before a moment and is not held; returns how many partitions or chunks went. What a held
-- one holds beside is swept out of it, of at most four a call, so that a call stays short.
-- Native partitions above a held one are emptied and stay: a gap between partitions would refuse late data.
CREATE OR REPLACE FUNCTION hj212.drop_partitions(target text, before_at timestamptz)
RETURNS integer LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
DECLARE
    is_native boolean := hj212.timescale_schema() IS NULL;
    old record;
    lowest record;
    condition text;
    has_rows boolean;
    below integer := 0;   -- native ones under the lowest that is held
    has_held boolean := false;
    swept integer := 0;
    dropped integer := 0;
BEGIN
    IF NOT EXISTS (SELECT FROM hj212.series s WHERE s.table_name = target) THEN
        RAISE EXCEPTION 'no time series is called %', target;
    END IF;
    PERFORM pg_advisory_xact_lock(hashtext('hj212.partitions'));
    FOR old IN SELECT * FROM hj212.list_old_pieces(target, before_at) LOOP
        condition := hj212.held_condition(target, old.from_at, old.to_at);
        has_rows := false;
        IF condition IS NOT NULL THEN
            EXECUTE format('SELECT EXISTS (SELECT FROM %s WHERE %s)', old.piece, condition) INTO has_rows;
        END IF;
        IF has_rows THEN
            has_held := true;
            IF swept < 4 AND hj212.sweep_once(target, old.piece, old.from_at, old.to_at, condition) THEN
                swept := swept + 1;
            END IF;
        ELSIF is_native AND has_held THEN
            EXECUTE format('SELECT EXISTS (SELECT FROM %s)', old.piece) INTO has_rows;
            IF has_rows THEN
                EXECUTE format('TRUNCATE %s', old.piece);
            END IF;
        ELSIF is_native AND below = 0 THEN
            lowest := old;
            below := 1;
        ELSE
            PERFORM hj212.drop_piece(target, old.piece, old.from_at, old.to_at);
            below := below + 1;
            dropped := dropped + 1;
        END IF;
    END LOOP;
    IF is_native AND below > 0 THEN
        -- Alone it is the one that late data falls into, made again after each drop: while empty it stays.
        EXECUTE format('SELECT EXISTS (SELECT FROM %s)', lowest.piece) INTO has_rows;
        IF has_rows OR below > 1 THEN
            PERFORM hj212.drop_piece(target, lowest.piece, lowest.from_at, lowest.to_at);
            dropped := dropped + 1;
        END IF;
    END IF;
    RETURN dropped;
END
$$;

REVOKE ALL ON FUNCTION hj212.apply_columnstore, hj212.held_mns, hj212.is_held, hj212.held_condition,
    hj212.list_old_pieces, hj212.drop_piece, hj212.sweep_piece, hj212.sweep_once FROM PUBLIC;
GRANT EXECUTE ON FUNCTION hj212.apply_columnstore TO hj212_gateway;
GRANT EXECUTE ON FUNCTION hj212.columnstore_obstacle TO PUBLIC;
GRANT SELECT ON hj212.swept TO hj212_gateway, hj212_aggregator;
GRANT ALL ON hj212.swept TO hj212_owner;

SELECT hj212.apply_columnstore(45);
