-- Purpose: partitions made ahead and dropped by retention, on plain PostgreSQL. Owner-run (SECURITY DEFINER)
-- so that the gateway's role needs no right to create tables. On TimescaleDB chunks come by themselves.

-- Creates one partition [from_at, to_at) and notes it.
CREATE FUNCTION hj212.create_partition(target text, from_at timestamptz, to_at timestamptz)
RETURNS text LANGUAGE plpgsql SET search_path = pg_catalog, hj212 AS $$
DECLARE
    child text := format('%s_%s', target, to_char(from_at AT TIME ZONE 'UTC', 'YYYYMMDD'));
BEGIN
    EXECUTE format('CREATE TABLE hj212.%I PARTITION OF hj212.%I FOR VALUES FROM (%L) TO (%L)',
                   child, target, from_at, to_at);
    INSERT INTO hj212.partitions VALUES (target, child, from_at, to_at);
    RETURN child;
END
$$;

-- Creates a run of partitions that covers [from_at, to_at): what is over 60 steps before the end in one piece.
CREATE FUNCTION hj212.create_partitions(target text, step interval, from_at timestamptz, to_at timestamptz)
RETURNS integer LANGUAGE plpgsql SET search_path = pg_catalog, hj212 AS $$
DECLARE
    lower_at timestamptz := from_at;
    upper_at timestamptz;
    created integer := 0;
BEGIN
    WHILE lower_at < to_at LOOP
        upper_at := CASE WHEN lower_at + 60 * step < to_at
                         THEN date_bin(step, to_at - 40 * step, lower_at) ELSE lower_at + step END;
        PERFORM hj212.create_partition(target, lower_at, upper_at);
        created := created + 1;
        lower_at := upper_at;
    END LOOP;
    RETURN created;
END
$$;

-- Makes room in front of a series whose last partition catches all of the future: that one is taken off,
-- the new partitions take what it holds of theirs, and it comes back behind them.
CREATE FUNCTION hj212.extend_before_future(target text, step interval, time_column text, to_at timestamptz)
RETURNS integer LANGUAGE plpgsql SET search_path = pg_catalog, hj212 AS $$
DECLARE
    future text := target || '_future';
    bounds record;
    reached timestamptz;
    created integer;
BEGIN
    SELECT p.from_at, p.to_at INTO STRICT bounds FROM hj212.partitions p WHERE p.partition_name = future;
    EXECUTE format('ALTER TABLE hj212.%I DETACH PARTITION hj212.%I', target, future);
    DELETE FROM hj212.partitions p WHERE p.partition_name = future;
    created := hj212.create_partitions(target, step, bounds.from_at, to_at);
    SELECT max(p.to_at) INTO reached FROM hj212.partitions p WHERE p.table_name = target;
    EXECUTE format('WITH moved AS (DELETE FROM hj212.%I WHERE %I < %L RETURNING *) INSERT INTO hj212.%I SELECT * FROM moved',
                   future, time_column, reached, target);
    EXECUTE format('ALTER TABLE hj212.%I ATTACH PARTITION hj212.%I FOR VALUES FROM (%L) TO (%L)',
                   target, future, reached, bounds.to_at);
    INSERT INTO hj212.partitions VALUES (target, future, reached, bounds.to_at);
    RETURN created;
END
$$;

-- Brings one series to where partitions cover [now_at - back, now_at + ahead).
CREATE FUNCTION hj212.ensure_series(target hj212.series, now_at timestamptz, ahead interval)
RETURNS integer LANGUAGE plpgsql SET search_path = pg_catalog, hj212 AS $$
DECLARE
    today timestamptz := date_trunc('day', now_at, 'UTC');
    lowest timestamptz := coalesce(today - target.back, '1999-12-31 00:00:00+00');
    wanted timestamptz := today + greatest(ahead, 2 * target.step);
    have record;
    created integer := 0;
BEGIN
    SELECT min(p.from_at) AS from_at, max(p.to_at) FILTER (WHERE p.partition_name <> target.table_name || '_future') AS to_at
    INTO have FROM hj212.partitions p WHERE p.table_name = target.table_name;
    IF have.from_at IS NULL THEN
        -- What is past on the first day is one partition: late data is sparse.
        PERFORM hj212.create_partition(target.table_name, lowest, today - target.step);
        created := 1 + hj212.create_partitions(target.table_name, target.step, today - target.step, wanted);
        IF target.catches_future THEN
            SELECT max(p.to_at) INTO wanted FROM hj212.partitions p WHERE p.table_name = target.table_name;
            EXECUTE format('CREATE TABLE hj212.%I PARTITION OF hj212.%I FOR VALUES FROM (%L) TO (%L)',
                           target.table_name || '_future', target.table_name, wanted, '2100-01-01 00:00:00+00');
            INSERT INTO hj212.partitions VALUES
                (target.table_name, target.table_name || '_future', wanted, '2100-01-01 00:00:00+00');
        END IF;
        RETURN created;
    END IF;
    IF lowest < have.from_at THEN
        PERFORM hj212.create_partition(target.table_name, lowest, have.from_at);
        created := 1;
    END IF;
    IF wanted > have.to_at AND target.catches_future THEN
        created := created + hj212.extend_before_future(target.table_name, target.step, target.time_column, wanted);
    ELSIF wanted > have.to_at THEN
        created := created + hj212.create_partitions(target.table_name, target.step, have.to_at, wanted);
    END IF;
    RETURN created;
END
$$;

-- Makes partitions ahead for all series; safe to call from several processes at once.
CREATE FUNCTION hj212.ensure_partitions(now_at timestamptz, ahead interval DEFAULT '30 days')
RETURNS integer LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, hj212 AS $$
DECLARE
    target hj212.series;
    created integer := 0;
BEGIN
    IF hj212.timescale_schema() IS NOT NULL THEN
        RETURN 0;
    END IF;
    PERFORM pg_advisory_xact_lock(hashtext('hj212.partitions'));
    FOR target IN SELECT * FROM hj212.series ORDER BY table_name LOOP
        created := created + hj212.ensure_series(target, now_at, ahead);
    END LOOP;
    RETURN created;
END
$$;

-- Drops what lies wholly before a moment; returns how many partitions or chunks went.
CREATE FUNCTION hj212.drop_partitions(target text, before_at timestamptz)
RETURNS integer LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, hj212 AS $$
DECLARE
    old record;
    is_filled boolean;
    dropped integer := 0;
BEGIN
    IF NOT EXISTS (SELECT FROM hj212.series s WHERE s.table_name = target) THEN
        RAISE EXCEPTION 'no time series is called %', target;
    END IF;
    IF hj212.timescale_schema() IS NOT NULL THEN
        EXECUTE format('SELECT count(*) FROM %s.drop_chunks(%L, older_than => %L::timestamptz)',
                       hj212.timescale_schema(), 'hj212.' || target, before_at)
        INTO dropped;
        RETURN dropped;
    END IF;
    PERFORM pg_advisory_xact_lock(hashtext('hj212.partitions'));
    FOR old IN SELECT p.partition_name, count(*) OVER () AS in_all FROM hj212.partitions p
               WHERE p.table_name = target AND p.to_at <= before_at ORDER BY p.from_at LOOP
        -- Alone it is the one that late data falls into, made again after each drop: while empty it stays.
        IF old.in_all = 1 THEN
            EXECUTE format('SELECT EXISTS (SELECT FROM hj212.%I)', old.partition_name) INTO is_filled;
            EXIT WHEN NOT is_filled;
        END IF;
        EXECUTE format('DROP TABLE hj212.%I', old.partition_name);
        DELETE FROM hj212.partitions p WHERE p.partition_name = old.partition_name;
        dropped := dropped + 1;
    END LOOP;
    RETURN dropped;
END
$$;

-- Size of a series with its chunks, indexes and long values, on TimescaleDB.
CREATE FUNCTION hj212.hypertable_bytes(target text)
RETURNS bigint LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, hj212 AS $$
DECLARE
    bytes bigint;
BEGIN
    EXECUTE format('SELECT %s.hypertable_size(%L)', hj212.timescale_schema(), 'hj212.' || target) INTO bytes;
    RETURN coalesce(bytes, 0);
END
$$;

-- How far ahead of a moment the partitions reach; NULL where they need not be made.
CREATE FUNCTION hj212.partitions_ahead(now_at timestamptz)
RETURNS interval LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, hj212 AS $$
    SELECT min(reached) - now_at FROM (
        SELECT max(p.to_at) AS reached FROM hj212.partitions p
        WHERE p.partition_name <> p.table_name || '_future' GROUP BY p.table_name
    ) AS series
$$;

REVOKE ALL ON FUNCTION hj212.ensure_partitions, hj212.drop_partitions, hj212.create_partition,
    hj212.create_partitions, hj212.extend_before_future, hj212.ensure_series, hj212.create_series FROM PUBLIC;
GRANT EXECUTE ON FUNCTION hj212.ensure_partitions, hj212.drop_partitions, hj212.partitions_ahead
    TO hj212_gateway, hj212_aggregator;
