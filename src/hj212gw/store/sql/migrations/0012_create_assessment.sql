-- Purpose: what the province assesses a city by (assessment.md): the base list, marks with their life, and the counts
-- and rates the aggregator makes of them. A day's hours are the bits of an integer: bit 0 is the hour from 00:00 UTC+8.

-- Who and what is assessed; only what is listed here is due (参与联网统计排污单位信息).
CREATE TABLE hj212.base_list (
    row_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    outlet text COLLATE "C" NOT NULL,
    factor text COLLATE "C" NOT NULL,
    fields smallint NOT NULL DEFAULT 1 CHECK (fields BETWEEN 1 AND 8),
    valid_from timestamptz NOT NULL DEFAULT '-infinity',
    valid_to timestamptz CHECK (valid_to > valid_from),
    recorded_at timestamptz NOT NULL DEFAULT now(),
    superseded_at timestamptz
);
COMMENT ON COLUMN hj212.base_list.factor IS 'code of the catalogue';
COMMENT ON COLUMN hj212.base_list.fields IS 'values due an hour: 1 mean; 2 mean and amount; 3 mean, amount, converted mean';
CREATE UNIQUE INDEX base_list_current ON hj212.base_list (outlet, factor, valid_from) WHERE superseded_at IS NULL;

-- The kinds of marks (marks.csv) and what each does to an hour.
CREATE TABLE hj212.mark_kinds (
    kind text COLLATE "C" PRIMARY KEY,
    name_zh text NOT NULL,
    effect text NOT NULL CHECK (effect IN
        ('stop', 'device', 'standard_check', 'not_responsible', 'manual', 'interruption', 'none')),
    needs_voucher boolean NOT NULL DEFAULT false
);
INSERT INTO hj212.mark_kinds VALUES
    ('stop', '停运', 'stop', true),
    ('device', '自动监测设备维护', 'device', false),
    ('maintenance', '自动监测设备维护(污染物)', 'device', false),
    ('parameter_maintenance', '自动监测设备维护(工况参数)', 'device', false),
    ('cems_maintenance', 'CEMS维护', 'device', false),
    ('standard_check', '自动标样核查', 'standard_check', false),
    ('not_responsible', '非排污单位责任造成数据缺失无效: 其他', 'not_responsible', true),
    ('force_majeure', '非排污单位责任造成数据缺失无效: 不可抗力', 'not_responsible', true),
    ('long_stop', '非排污单位责任造成数据缺失无效: 长期停运关闭自动监测设备', 'not_responsible', true),
    ('manual', '手工监测值录入', 'manual', false),
    ('interruption', '通讯中断', 'interruption', false),
    ('switch', 'CEMS主备切换', 'none', false),
    ('treatment', '治理设施工况', 'none', false),
    ('production', '生产设施工况', 'none', false),
    ('start_up', '启动(启炉/启窑)', 'none', false),
    ('shut_down', '停运过程(停炉/停窑)', 'none', false),
    ('facility_fault', '故障/事故', 'none', false),
    ('furnace_drying', '烘炉', 'none', false),
    ('furnace_start_up', '启炉', 'none', false),
    ('furnace_shut_down', '停炉', 'none', false),
    ('furnace_cooling', '停炉降温', 'none', false),
    ('furnace_stop', '停运', 'stop', true),
    ('furnace_fault', '故障', 'none', false),
    ('furnace_accident', '事故', 'none', false),
    ('furnace_temperature', '炉温异常', 'none', false),
    ('thermocouple_fault', '热电偶故障', 'none', false);

-- What somebody declares of a stretch of an outlet. Nothing is overwritten: what becomes of a mark is an event.
CREATE TABLE hj212.marks (
    mark_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    outlet text COLLATE "C" NOT NULL,
    factor text COLLATE "C" NOT NULL DEFAULT '*',
    kind text COLLATE "C" NOT NULL REFERENCES hj212.mark_kinds,
    from_at timestamptz NOT NULL,
    to_at timestamptz CHECK (to_at > from_at),
    value double precision,
    note text,
    source text NOT NULL DEFAULT 'enterprise' CHECK (source IN ('enterprise', 'city', 'province', 'national')),
    origin text COLLATE "C" NOT NULL DEFAULT 'local',
    author text NOT NULL,
    recorded_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON COLUMN hj212.marks.factor IS 'code of the catalogue; *: all of the outlet';
COMMENT ON COLUMN hj212.marks.to_at IS 'exclusive; NULL: it runs on until an event ends it';
COMMENT ON COLUMN hj212.marks.origin IS 'local, or upstream:NAME where a higher platform recorded it';
CREATE INDEX marks_outlet ON hj212.marks (outlet, from_at);

CREATE TABLE hj212.mark_events (
    event_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    mark_id bigint NOT NULL REFERENCES hj212.marks,
    event text NOT NULL CHECK (event IN ('accepted', 'rejected', 'void', 'ended', 'proof')),
    by_whom text NOT NULL,
    at timestamptz NOT NULL DEFAULT now(),
    to_at timestamptz CHECK ((event = 'ended') = (to_at IS NOT NULL)),
    proof_sha256 bytea CHECK ((event = 'proof') = (proof_sha256 IS NOT NULL) AND octet_length(proof_sha256) = 32),
    proof_name text,
    note text
);
CREATE INDEX mark_events_mark ON hj212.mark_events (mark_id, event_id);

-- The first moment of a day of UTC+8.
CREATE FUNCTION hj212.day_start(day date) RETURNS timestamptz LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT (day::timestamp - interval '8 hours') AT TIME ZONE 'UTC'
$$;

-- The hours of a day whose beginning lies in [from_at, to_at).
CREATE FUNCTION hj212.hour_mask(day date, from_at timestamptz, to_at timestamptz) RETURNS integer
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT ((1 << hi) - 1) & ~((1 << lo) - 1) FROM (SELECT
        CASE WHEN from_at <= hj212.day_start(day) THEN 0 WHEN from_at > hj212.day_start(day + 1) THEN 24
             ELSE ceil(extract(epoch FROM from_at - hj212.day_start(day)) / 3600)::integer END AS lo,
        CASE WHEN to_at >= hj212.day_start(day + 1) THEN 24 WHEN to_at <= hj212.day_start(day) THEN 0
             ELSE ceil(extract(epoch FROM to_at - hj212.day_start(day)) / 3600)::integer END AS hi) AS bounds
$$;

-- How many hours a mask has.
CREATE FUNCTION hj212.hour_count(mask integer) RETURNS integer LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT bit_count(mask::bit(24))::integer
$$;

-- The first hours of a mask, so many.
CREATE FUNCTION hj212.first_hours(mask integer, how_many integer) RETURNS integer
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT coalesce(bit_or(1 << hour), 0) FROM (
        SELECT hour FROM generate_series(0, 23) AS h (hour) WHERE mask & (1 << hour) <> 0 ORDER BY hour LIMIT how_many
    ) AS firsts
$$;

-- The hours of a day that are covered for longer than so long, all ranges together.
CREATE FUNCTION hj212.covered_hours(ranges tstzmultirange, day date, longer_than interval) RETURNS integer
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE WHEN ranges IS NULL THEN 0
        WHEN longer_than < interval '1 hour' AND ranges @> tstzrange(hj212.day_start(day), hj212.day_start(day + 1))
            THEN (1 << 24) - 1
        ELSE (SELECT coalesce(bit_or(1 << hour), 0) FROM (
            SELECT hour FROM generate_series(0, 23) AS h (hour), unnest(ranges * tstzmultirange(tstzrange(
                hj212.day_start(day) + hour * interval '1 hour', hj212.day_start(day) + (hour + 1) * interval '1 hour'
            ))) AS part
            GROUP BY hour HAVING sum(upper(part) - lower(part)) > longer_than
        ) AS covered) END
$$;

-- Marks as they stand: with their end, state and voucher.
CREATE VIEW hj212.standing_marks AS
SELECT m.mark_id, m.outlet, m.factor, m.kind, k.effect, m.from_at, coalesce(e.to_at, m.to_at) AS to_at, m.value, m.note,
       m.source, m.origin, m.author, m.recorded_at, coalesce(s.event, 'declared') AS state, s.at AS decided_at,
       s.by_whom AS decided_by, p.proof_sha256, p.proof_name, p.at AS proof_at,
       CASE WHEN k.needs_voucher THEN
           hj212.day_start((date_trunc('month', hj212.local_day(m.from_at)::timestamp) + interval '1 month 10 days')::date)
       END AS voucher_due
FROM hj212.marks m
JOIN hj212.mark_kinds k USING (kind)
LEFT JOIN LATERAL (SELECT v.event, v.at, v.by_whom FROM hj212.mark_events v
    WHERE v.mark_id = m.mark_id AND v.event IN ('accepted', 'rejected', 'void') ORDER BY v.event_id DESC LIMIT 1) s ON true
LEFT JOIN LATERAL (SELECT v.to_at FROM hj212.mark_events v
    WHERE v.mark_id = m.mark_id AND v.event = 'ended' ORDER BY v.event_id DESC LIMIT 1) e ON true
LEFT JOIN LATERAL (SELECT v.proof_sha256, v.proof_name, v.at FROM hj212.mark_events v
    WHERE v.mark_id = m.mark_id AND v.event = 'proof' ORDER BY v.event_id LIMIT 1) p ON true;
COMMENT ON COLUMN hj212.standing_marks.voucher_due IS
    'the voucher (凭证) has to be there before: the end of the 10th of the month after; NULL: none is needed';

-- Hours as a higher platform recorded them, or as files give them; a later arrival replaces an earlier one.
CREATE TABLE hj212.upstream_hours (
    source text COLLATE "C" NOT NULL,
    outlet text COLLATE "C" NOT NULL,
    factor text COLLATE "C" NOT NULL,
    hour_at timestamptz NOT NULL,
    arrived_at timestamptz NOT NULL,
    fields smallint NOT NULL CHECK (fields BETWEEN 0 AND 8),
    mean_present boolean NOT NULL,
    data_flag text,
    is_filled boolean NOT NULL DEFAULT false,
    PRIMARY KEY (source, outlet, factor, hour_at, arrived_at)
);
COMMENT ON COLUMN hj212.upstream_hours.is_filled IS 'provenance: true for 6 filled in (补缺), false for 0 reported (上报)';

-- What the aggregator has to compute again beside the dirty rows. outlet NULL: all.
CREATE TABLE hj212.stale_days (
    stale_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    outlet text COLLATE "C",
    first_day date NOT NULL,
    last_day date NOT NULL,
    reason text NOT NULL,
    noted_at timestamptz NOT NULL DEFAULT now()
);

-- One row: how far the aggregator is.
CREATE TABLE hj212.assessment_state (
    is_only boolean PRIMARY KEY DEFAULT true CHECK (is_only),
    passed_at timestamptz,
    rules jsonb,
    first_day date,
    immediate_through date,
    completed_through date
);
INSERT INTO hj212.assessment_state (first_day)
SELECT hj212.local_day(min(data_time)) FROM hj212.readings_hour WHERE cn = '2061';
COMMENT ON COLUMN hj212.assessment_state.first_day IS 'of the hour data there is: from when a base list without a date is due';
COMMENT ON COLUMN hj212.assessment_state.passed_at IS 'what time alone changes is noted up to here';
COMMENT ON COLUMN hj212.assessment_state.immediate_through IS 'last day whose immediate stage is frozen';

-- One factor of one outlet on one day at one stage: which hours are due, came, count; and their sums.
CREATE TABLE hj212.assessed_days (
    day date NOT NULL,
    outlet text COLLATE "C" NOT NULL,
    factor text COLLATE "C" NOT NULL,
    stage text NOT NULL CHECK (stage IN ('immediate', 'completed')),
    fields smallint NOT NULL,
    listed integer NOT NULL,
    stopped integer NOT NULL,
    excused integer NOT NULL,
    checked integer NOT NULL,
    due integer NOT NULL,
    got integer NOT NULL,
    good integer NOT NULL,
    marked integer NOT NULL,
    manual integer NOT NULL,
    valid integer NOT NULL,
    ever integer NOT NULL,
    planes integer[] NOT NULL,
    expected_values integer NOT NULL,
    reported_values integer NOT NULL,
    expected_groups integer NOT NULL,
    groups_not_taking_part integer NOT NULL,
    groups_received integer NOT NULL,
    valid_groups integer NOT NULL,
    PRIMARY KEY (outlet, day, factor, stage)
);
COMMENT ON TABLE hj212.assessed_days IS 'masks of hours by assessment.md section 3, and the counts of section 2 made of them';
COMMENT ON COLUMN hj212.assessed_days.excused IS 'not the enterprise''s fault';
COMMENT ON COLUMN hj212.assessed_days.got IS 'the mean came by the stage''s cut-off, or a manual value covers it';
COMMENT ON COLUMN hj212.assessed_days.good IS 'came with a good flag; zero flow is not good';
COMMENT ON COLUMN hj212.assessed_days.marked IS 'fewer than 45 minutes free of device marks';
COMMENT ON COLUMN hj212.assessed_days.ever IS 'the mean came, whenever';
COMMENT ON COLUMN hj212.assessed_days.planes IS 'by field, the hours it came in: local mean, amount, converted mean';
CREATE INDEX assessed_days_day ON hj212.assessed_days (day);

-- The day after a period's last one.
CREATE FUNCTION hj212.period_end(period text, period_start date) RETURNS date LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT (period_start::timestamp + CASE period WHEN 'day' THEN interval '1 day' WHEN 'month' THEN interval '1 month'
        WHEN 'quarter' THEN interval '3 months' ELSE interval '1 year' END)::date
$$;

-- The policies of assessment.md section 7. basis: which counts, see rate_counts.
CREATE TABLE hj212.policies (
    policy text COLLATE "C" PRIMARY KEY,
    t_unit text NOT NULL CHECK (t_unit IN ('value', 'group', 'none')),
    v_denominator text NOT NULL CHECK (v_denominator IN ('expected', 'received', 'none')),
    combine text NOT NULL CHECK (combine IN ('product', 'single', 't_only')),
    threshold numeric NOT NULL,
    basis text NOT NULL,
    periods text[] NOT NULL
);
INSERT INTO hj212.policies VALUES
    ('national_platform_v2', 'value', 'expected', 'product', 95, 'all', '{day,month,quarter,year}'),
    ('gfsw_2014', 'group', 'received', 'product', 75, 'gfsw', '{day,month,quarter,year}'),
    ('product_received_denominator', 'group', 'received', 'product', 95, 'all', '{day,month,quarter,year}'),
    ('product_expected_denominator', 'group', 'expected', 'product', 95, 'all', '{day,month,quarter,year}'),
    ('single_ratio_zibo', 'group', 'expected', 'single', 95, 'all', '{day,month,quarter,year}'),
    ('transmission_only', 'group', 'none', 't_only', 90, 'all', '{day,month,quarter,year}'),
    ('hj75_capture_quarter', 'none', 'expected', 'single', 75, 'gas', '{quarter}'),
    ('hj355_monthly_90', 'none', 'expected', 'single', 90, 'water', '{month}');

-- Pooled counts of a period, every version. basis: all; gfsw: the pollutants of the 2014 software; gas, water: a medium.
CREATE TABLE hj212.rate_counts (
    period text NOT NULL CHECK (period IN ('day', 'month', 'quarter', 'year')),
    period_start date NOT NULL,
    level text NOT NULL CHECK (level IN ('outlet', 'enterprise', 'county', 'city')),
    id text COLLATE "C" NOT NULL,
    stage text NOT NULL CHECK (stage IN ('immediate', 'completed')),
    basis text NOT NULL CHECK (basis IN ('all', 'gfsw', 'gas', 'water')),
    expected_values bigint NOT NULL,
    reported_values bigint NOT NULL,
    expected_groups bigint NOT NULL,
    groups_not_taking_part bigint NOT NULL,
    groups_received bigint NOT NULL,
    valid_groups bigint NOT NULL,
    provisional boolean NOT NULL,
    computed_at timestamptz NOT NULL,
    replaced_at timestamptz,
    reason text NOT NULL
);
COMMENT ON COLUMN hj212.rate_counts.replaced_at IS 'when another version took its place; NULL: the newest';
COMMENT ON COLUMN hj212.rate_counts.reason IS 'why it was computed';
CREATE UNIQUE INDEX rate_counts_newest ON hj212.rate_counts (level, id, period, period_start, stage, basis)
    WHERE replaced_at IS NULL;
CREATE INDEX rate_counts_versions ON hj212.rate_counts (level, id, period, period_start, stage, basis, computed_at);
CREATE INDEX rate_counts_period ON hj212.rate_counts (period, period_start, level) WHERE replaced_at IS NULL;

-- Fractions of counts under a policy, as numbers; NULL where nothing is due. Passing is told of the exact fraction.
CREATE VIEW hj212.v_rate_versions AS
SELECT c.period, c.period_start, c.level, c.id,
       CASE c.level WHEN 'outlet' THEN (SELECT o.name FROM hj212.current_outlets o WHERE o.outlet = c.id
                                        ORDER BY o.valid_from DESC LIMIT 1)
                    WHEN 'enterprise' THEN (SELECT e.name FROM hj212.current_enterprises e WHERE e.enterprise = c.id
                                            ORDER BY e.valid_from DESC LIMIT 1)
                    ELSE c.id END AS name,
       c.stage, p.policy, c.expected_values, c.reported_values, c.expected_groups, c.groups_not_taking_part,
       c.groups_received, c.valid_groups,
       CASE WHEN p.t_unit <> 'none' THEN (t.over / t.under)::double precision END AS transmission,
       (v.over / v.under)::double precision AS validity,
       (e.over / e.under)::double precision AS effective,
       e.over * 100 >= e.under * p.threshold AS passed,
       c.provisional, c.computed_at, c.replaced_at, c.reason, p.threshold,
       CASE WHEN c.expected_groups > 0 THEN NULL WHEN c.groups_not_taking_part > 0 THEN 'stopped or excused all the time'
            ELSE 'nothing is due' END AS no_rate_reason
FROM hj212.rate_counts c
JOIN hj212.policies p ON p.basis = c.basis AND c.period = ANY (p.periods)
CROSS JOIN LATERAL (SELECT
    CASE p.t_unit WHEN 'value' THEN c.reported_values WHEN 'group' THEN c.groups_received ELSE 1 END::numeric AS over,
    nullif(CASE p.t_unit WHEN 'value' THEN c.expected_values ELSE c.expected_groups END, 0)::numeric AS under) t
CROSS JOIN LATERAL (SELECT
    CASE WHEN p.v_denominator = 'none' THEN c.expected_groups ELSE c.valid_groups END::numeric AS over,
    nullif(CASE WHEN p.v_denominator = 'received' AND c.groups_received > 0 THEN c.groups_received
                ELSE c.expected_groups END, 0)::numeric AS under) v
CROSS JOIN LATERAL (SELECT
    CASE p.combine WHEN 'product' THEN t.over * v.over WHEN 'single' THEN c.valid_groups ELSE t.over END AS over,
    CASE p.combine WHEN 'product' THEN t.under * v.under WHEN 'single' THEN nullif(c.expected_groups, 0)
                   ELSE t.under END AS under) e;
COMMENT ON VIEW hj212.v_rate_versions IS 'every figure there was, with when and why it was computed and replaced';
COMMENT ON COLUMN hj212.v_rate_versions.no_rate_reason IS 'why there is no rate';

CREATE VIEW hj212.v_rates AS
SELECT period, period_start, level, id, name, stage, policy, expected_values, reported_values, expected_groups,
       groups_not_taking_part, groups_received, valid_groups, transmission, validity, effective, passed, provisional,
       computed_at, no_rate_reason, threshold
FROM hj212.v_rate_versions WHERE replaced_at IS NULL;
COMMENT ON VIEW hj212.v_rates IS
    'transmission and validity rates of the newest version, as fractions; local arrivals: an estimate of the province''s';

-- What changes in the registry or the marks makes days stale.
CREATE FUNCTION hj212.note_stale(of_outlet text, from_at timestamptz, to_at timestamptz, why text) RETURNS void
LANGUAGE sql SET search_path = pg_catalog AS $$
    INSERT INTO hj212.stale_days (outlet, first_day, last_day, reason)
    VALUES (of_outlet,
            CASE WHEN from_at < '1990-01-01' THEN '1990-01-01' ELSE hj212.local_day(from_at) - 1 END,
            CASE WHEN to_at IS NULL OR to_at > '2199-01-01' THEN '2199-01-01' ELSE hj212.local_day(to_at) + 1 END, why)
$$;

CREATE FUNCTION hj212.note_stale_rows() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN
    CASE TG_TABLE_NAME
    WHEN 'base_list' THEN
        PERFORM hj212.note_stale(outlet, min(valid_from), max(coalesce(valid_to, 'infinity')), 'base list changed')
        FROM changed GROUP BY outlet;
    WHEN 'outlets' THEN
        PERFORM hj212.note_stale(outlet, min(valid_from), max(coalesce(valid_to, 'infinity')), 'outlet changed')
        FROM changed GROUP BY outlet;
    WHEN 'enterprises' THEN
        PERFORM hj212.note_stale(o.outlet, min(c.valid_from), max(coalesce(c.valid_to, 'infinity')), 'enterprise changed')
        FROM changed c JOIN hj212.outlets o USING (enterprise) GROUP BY o.outlet;
    WHEN 'marks' THEN
        PERFORM hj212.note_stale(outlet, from_at, coalesce(to_at, 'infinity'), 'mark ' || mark_id || ' declared')
        FROM changed WHERE origin = 'local';
    WHEN 'mark_events' THEN
        PERFORM hj212.note_stale(m.outlet, m.from_at, coalesce(m.to_at, 'infinity'), 'mark ' || c.mark_id || ' ' || c.event)
        FROM changed c JOIN hj212.marks m USING (mark_id) WHERE m.origin = 'local';
    WHEN 'channels', 'data_loggers' THEN
        PERFORM hj212.note_stale(outlet, min(valid_from), max(coalesce(valid_to, 'infinity')), 'registry changed')
        FROM changed WHERE outlet IS NOT NULL GROUP BY outlet;
    ELSE  -- time_labels and units, by MN
        PERFORM hj212.note_stale(a.outlet, min(c.valid_from), max(coalesce(c.valid_to, 'infinity')), 'registry changed')
        FROM changed c JOIN hj212.outlet_candidates a USING (mn) WHERE a.outlet IS NOT NULL GROUP BY a.outlet;
    END CASE;
    PERFORM pg_notify('hj212_assessment', TG_TABLE_NAME);
    RETURN NULL;
END
$$;

DO $$
DECLARE
    target text;
BEGIN
    FOREACH target IN ARRAY ARRAY['base_list', 'outlets', 'enterprises', 'marks', 'mark_events', 'channels',
                                  'data_loggers', 'time_labels', 'units'] LOOP
        EXECUTE format('CREATE TRIGGER %I AFTER INSERT ON hj212.%I REFERENCING NEW TABLE AS changed'
            ' FOR EACH STATEMENT EXECUTE FUNCTION hj212.note_stale_rows()', target || '_stale_new', target);
        EXECUTE format('CREATE TRIGGER %I AFTER UPDATE ON hj212.%I REFERENCING NEW TABLE AS changed'
            ' FOR EACH STATEMENT EXECUTE FUNCTION hj212.note_stale_rows()', target || '_stale_old', target);
    END LOOP;
END
$$;

GRANT SELECT ON hj212.v_rates, hj212.v_rate_versions TO hj212_analyst, hj212_gateway, hj212_aggregator, hj212_owner;
GRANT SELECT ON hj212.base_list, hj212.mark_kinds, hj212.marks, hj212.mark_events, hj212.standing_marks,
    hj212.upstream_hours, hj212.policies TO hj212_aggregator;
GRANT SELECT, INSERT, UPDATE, DELETE ON hj212.stale_days, hj212.assessment_state, hj212.assessed_days,
    hj212.rate_counts TO hj212_aggregator;
GRANT USAGE ON ALL SEQUENCES IN SCHEMA hj212 TO hj212_aggregator;
GRANT ALL ON ALL TABLES IN SCHEMA hj212 TO hj212_owner;
GRANT USAGE ON ALL SEQUENCES IN SCHEMA hj212 TO hj212_owner;
