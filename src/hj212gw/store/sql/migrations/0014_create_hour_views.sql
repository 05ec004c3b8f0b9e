-- Purpose: what hours were lost to the rates and what can still be done, and hour, day and month means by the rules of
-- data-validity.md section 1.

ALTER TABLE hj212.assessed_days ADD COLUMN dry integer NOT NULL DEFAULT 0, ADD COLUMN refused integer NOT NULL DEFAULT 0;
COMMENT ON COLUMN hj212.assessed_days.dry IS 'due, but its outlet of water has no flow: an hour that is not good for it';
COMMENT ON COLUMN hj212.assessed_days.refused IS 'came in time, but by its flag it counts as if it had not (invalid_received)';

-- Accepted manual values are few; v_hourly looks for all of them.
CREATE INDEX assessed_days_manual ON hj212.assessed_days (outlet, day) WHERE manual <> 0;

-- The bit of the hour a moment lies in.
CREATE FUNCTION hj212.hour_bit(moment timestamptz) RETURNS integer LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT 1 << extract(hour FROM moment AT TIME ZONE interval '08:00')::integer
$$;

-- The last moment at which a stage of a day takes data. The aggregator notes the lengths it works by.
CREATE FUNCTION hj212.stage_end(day date, stage text, rules jsonb) RETURNS timestamptz
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT hj212.day_start(day + 1) + CASE stage
        WHEN 'immediate' THEN make_interval(secs => coalesce((rules ->> 'immediate_after_secs')::double precision, 43200))
        ELSE make_interval(secs => coalesce((rules ->> 'completed_after_secs')::double precision, 863999.999999)) END
$$;

-- What somebody can still do about a lost hour while its stage is open.
CREATE FUNCTION hj212.remedy_of(stage text, state text, dry boolean) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE
        WHEN state = 'flag' AND dry THEN 'declare the stop if the plant stood'
        WHEN state = 'flag' THEN 'send the hour again with corrected values'
        WHEN state = 'mark' THEN 'end or void the device mark if it is wrong'
        WHEN state = 'late' THEN 'declare a stop, or a loss that is not the enterprise''s fault, if it was one'
        WHEN state = 'partial' THEN 'send the hour again with all its values'
        ELSE 'send the hour again; declare a stop, or a loss that is not the enterprise''s fault, if it was one' END
        || CASE WHEN stage = 'completed' THEN '; or enter manual values' ELSE '' END
$$;

CREATE FUNCTION hj212.remedy_zh_of(stage text, state text, dry boolean) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE
        WHEN state = 'flag' AND dry THEN '如已停运，补报停运标记'
        WHEN state = 'flag' THEN '更正后补传该小时数据'
        WHEN state = 'mark' THEN '标记有误的，结束或作废该标记'
        WHEN state = 'late' THEN '如属停运或非排污单位责任，申报标记'
        WHEN state = 'partial' THEN '补传该小时全部数值'
        ELSE '补传该小时数据；如属停运或非排污单位责任，申报标记' END
        || CASE WHEN stage = 'completed' THEN '；或录入手工监测值' ELSE '' END
$$;

-- The first `how_many` planes laid over each other: the hours in which all fields came. Without a subquery it is inlined.
CREATE FUNCTION hj212.whole_hours(planes integer[], how_many integer) RETURNS integer
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT planes[1] & CASE WHEN how_many < 2 THEN -1 ELSE planes[2] END & CASE WHEN how_many < 3 THEN -1 ELSE planes[3] END
        & CASE WHEN how_many < 4 THEN -1 ELSE planes[4] & CASE WHEN how_many < 5 THEN -1 ELSE planes[5] END
            & CASE WHEN how_many < 6 THEN -1 ELSE planes[6] END & CASE WHEN how_many < 7 THEN -1 ELSE planes[7] END
            & CASE WHEN how_many < 8 THEN -1 ELSE planes[8] END END
$$;

-- Every group that lowers a rate. An hour others are to blame for can still be due in transmission (not_responsible =
-- validity): then more values are due than the due hours have.
CREATE VIEW hj212.v_lost_hours AS
SELECT l.outlet, o.name AS outlet_name, o.enterprise, e.name AS enterprise_name, l.factor, f.name_zh AS factor_name,
       l.hour, l.day, l.stage, l.state,
       CASE l.state
           WHEN 'missing' THEN 'no hour record came'
           WHEN 'late' THEN 'the hour record came too late for this stage'
           WHEN 'flag' THEN CASE WHEN l.dry THEN 'no flow in this hour' ELSE 'came with a flag that is not good' END
           WHEN 'mark' THEN 'device marks leave too few minutes of the hour'
           ELSE CASE WHEN l.has_mean THEN format('%s of %s values did not come', l.values_lost, l.fields)
                     ELSE 'came without its mean' END END
           || CASE WHEN l.is_marked AND l.state <> 'mark' THEN '; device marks cover the hour' ELSE '' END AS reason,
       CASE l.state
           WHEN 'missing' THEN '未收到小时数据'
           WHEN 'late' THEN '小时数据晚于本阶段截止时间到达'
           WHEN 'flag' THEN CASE WHEN l.dry THEN '流量无效（流量为零）' ELSE '数据标记不正常' END
           WHEN 'mark' THEN '设备标记后有效分钟数不足'
           ELSE CASE WHEN l.has_mean THEN format('应收%s个数值，缺%s个', l.fields, l.values_lost) ELSE '缺少小时均值' END END
           || CASE WHEN l.is_marked AND l.state <> 'mark' THEN '；该小时有设备标记' ELSE '' END AS reason_zh,
       CASE WHEN now() <= c.closes_at THEN hj212.remedy_of(l.stage, l.state, l.dry) END AS remedy,
       CASE WHEN now() <= c.closes_at THEN hj212.remedy_zh_of(l.stage, l.state, l.dry) END AS remedy_zh,
       CASE WHEN now() <= c.closes_at THEN c.closes_at END AS remedy_until,
       c.closes_at, l.dry AS is_dry, l.values_lost, l.group_lost
FROM (
    SELECT s.*, hj212.day_start(s.day) + h.hour * interval '1 hour' AS hour,
           s.dry_hours & b.bit <> 0 AS dry, s.planes[1] & b.bit <> 0 AS has_mean, s.marked & b.bit <> 0 AS is_marked,
           s.due & ~s.valid & b.bit <> 0 AS group_lost, v.values_lost,
           CASE WHEN s.got & b.bit <> 0 THEN
                    CASE WHEN s.marked & ~s.valid & b.bit <> 0 THEN 'mark'
                         WHEN ~s.good & ~s.valid & b.bit <> 0 THEN 'flag' ELSE 'partial' END
                WHEN s.due & b.bit = 0 AND s.planes[1] & b.bit <> 0 THEN 'partial'
                WHEN s.refused & b.bit <> 0 THEN 'flag'
                WHEN s.ever & b.bit <> 0 THEN 'late'
                WHEN v.values_lost < s.fields THEN 'partial'
                ELSE 'missing' END AS state
    FROM (
        SELECT a.day, a.outlet, a.factor, a.stage, a.fields, a.due, a.got, a.good, a.marked, a.manual, a.valid, a.ever,
               a.planes, a.dry AS dry_hours, a.refused, (a.due & ~a.valid) | (t.due & ~t.whole) AS lost, t.due AS due_values
        FROM hj212.assessed_days a
        CROSS JOIN LATERAL (SELECT
            a.due | CASE WHEN a.expected_values > a.fields * hj212.hour_count(a.due) THEN a.excused ELSE 0 END AS due,
            hj212.whole_hours(a.planes, a.fields) | a.manual AS whole) t
    ) s
    CROSS JOIN generate_series(0, 23) AS h (hour)
    CROSS JOIN LATERAL (SELECT 1 << h.hour AS bit) b
    CROSS JOIN LATERAL (SELECT CASE
        WHEN s.manual & b.bit <> 0 OR s.due_values & b.bit = 0 THEN 0
        ELSE (SELECT count(*) FROM unnest(s.planes[1:s.fields]) AS plane WHERE plane & b.bit = 0)::integer END AS values_lost
    ) v
    WHERE s.lost <> 0 AND s.lost & b.bit <> 0
) l
LEFT JOIN hj212.current_outlets o ON o.outlet = l.outlet AND l.hour >= o.valid_from
    AND (o.valid_to IS NULL OR l.hour < o.valid_to)
LEFT JOIN hj212.current_enterprises e ON e.enterprise = o.enterprise AND l.hour >= e.valid_from
    AND (e.valid_to IS NULL OR l.hour < e.valid_to)
LEFT JOIN hj212.factors f ON f.code = hj212.catalogue_code(l.factor) AND f.alias_of IS NULL
CROSS JOIN (SELECT rules FROM hj212.assessment_state) r
CROSS JOIN LATERAL (SELECT hj212.stage_end(l.day, l.stage, r.rules) AS closes_at) c;
COMMENT ON VIEW hj212.v_lost_hours IS
    'every hour of a factor that lowers a rate, why, and what can still be done; of a range ask with conditions on day';
COMMENT ON COLUMN hj212.v_lost_hours.hour IS 'its beginning';
COMMENT ON COLUMN hj212.v_lost_hours.state IS
    'missing: nothing came; late: after the cut-off; flag: a flag that is not good, or no flow; mark: under device marks;'
    ' partial: some values did not come';
COMMENT ON COLUMN hj212.v_lost_hours.remedy IS 'NULL: the stage is closed';
COMMENT ON COLUMN hj212.v_lost_hours.closes_at IS 'the last moment at which the stage takes data and marks';
COMMENT ON COLUMN hj212.v_lost_hours.values_lost IS 'values that transmission lacks';
COMMENT ON COLUMN hj212.v_lost_hours.group_lost IS 'whether validity lacks the group';

-- The lost hours of some days with what can be done at a moment: v_lost_hours with another clock.
CREATE FUNCTION hj212.lost_hours(from_day date, to_day date, moment timestamptz) RETURNS SETOF hj212.v_lost_hours
LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT l.outlet, l.outlet_name, l.enterprise, l.enterprise_name, l.factor, l.factor_name, l.hour, l.day, l.stage, l.state,
           l.reason, l.reason_zh,
           CASE WHEN moment <= l.closes_at THEN hj212.remedy_of(l.stage, l.state, l.is_dry) END,
           CASE WHEN moment <= l.closes_at THEN hj212.remedy_zh_of(l.stage, l.state, l.is_dry) END,
           CASE WHEN moment <= l.closes_at THEN l.closes_at END,
           l.closes_at, l.is_dry, l.values_lost, l.group_lost
    FROM hj212.v_lost_hours l WHERE l.day >= from_day AND l.day < to_day
$$;
COMMENT ON FUNCTION hj212.lost_hours IS 'v_lost_hours of [from_day, to_day) as of a moment';

-- Hours with one row each: of several readings of an hour that of the main data logger, with a mean, the newest. What
-- is in parentheses has two levels because a condition on data_time, which finds the partitions, passes DISTINCT ON
-- only as one of its columns.
CREATE VIEW hj212.v_hourly AS
SELECT r.outlet, r.outlet_name, r.enterprise, r.factor, r.factor_name, r.unit, r.hour, r.mean, r.converted_mean, r.amount,
       r.amount_unit, r.min, r.max, r.data_flag,
       r.mean IS NOT NULL AND CASE WHEN a.listed & hj212.hour_bit(r.hour) <> 0 THEN a.valid & hj212.hour_bit(r.hour) <> 0
            ELSE coalesce(r.data_flag, 'N') = 'N' END AS is_valid,
       CASE WHEN a.listed & hj212.hour_bit(r.hour) <> 0 THEN 'assessment' ELSE 'flag' END AS validity_basis,
       r.received_at, r.updated_at, 'measured' AS source, r.unit_state, o.medium, r.mn, r.data_time,
       24 - a.groups_not_taking_part AS day_hours_due, hj212.hour_count(a.stopped) AS day_hours_stopped
FROM (
    SELECT DISTINCT ON (w.outlet, w.factor, w.hour, w.data_time) w.*
    FROM (
        SELECT v.outlet, v.outlet_name, v.enterprise, coalesce(v.catalogue_factor, v.factor) AS factor, v.factor_name, v.unit,
               date_bin('1 hour', v.period_start, timestamptz '2000-01-01 00:00+00') AS hour, v.avg * v.scale AS mean,
               v.zs_avg * v.scale AS converted_mean, v.cou AS amount, v.unit_cou AS amount_unit, v.min * v.scale AS min,
               v.max * v.scale AS max, v.data_flag, v.received_at, v.updated_at, v.unit_state, v.mn, v.data_time, v.role, v.nth
        FROM hj212.v_readings v
        WHERE v.cn = '2061' AND v.outlet IS NOT NULL
    ) w
    ORDER BY w.outlet, w.factor, w.hour, w.data_time, w.mean IS NULL, w.role, w.nth, w.updated_at DESC, w.mn
) r
LEFT JOIN hj212.assessed_days a ON a.outlet = r.outlet AND a.day = hj212.local_day(r.hour) AND a.factor = r.factor
    AND a.stage = 'completed'
LEFT JOIN hj212.current_outlets o ON o.outlet = r.outlet AND r.hour >= o.valid_from
    AND (o.valid_to IS NULL OR r.hour < o.valid_to)
WHERE coalesce(a.manual, 0) & hj212.hour_bit(r.hour) = 0
UNION ALL
SELECT a.outlet, o.name, o.enterprise, a.factor, f.name_zh, f.unit, h.hour, m.value, NULL, NULL, f.unit_cou, NULL, NULL, NULL,
       m.value IS NOT NULL, 'assessment', m.recorded_at, coalesce(m.decided_at, m.recorded_at), 'manual', 'catalogue', o.medium,
       NULL, h.hour, 24 - a.groups_not_taking_part, hj212.hour_count(a.stopped)
FROM hj212.assessed_days a
CROSS JOIN generate_series(0, 23) AS n (hour)
CROSS JOIN LATERAL (SELECT hj212.day_start(a.day) + n.hour * interval '1 hour' AS hour) h
LEFT JOIN LATERAL (
    SELECT s.value, s.recorded_at, s.decided_at FROM hj212.standing_marks s
    WHERE s.outlet = a.outlet AND s.factor IN (a.factor, '*') AND s.effect = 'manual' AND s.state = 'accepted'
      AND s.origin = 'local' AND s.from_at < h.hour + interval '1 hour' AND s.to_at > h.hour
    ORDER BY least(s.to_at, h.hour + interval '1 hour') - greatest(s.from_at, h.hour) DESC, s.mark_id DESC LIMIT 1
) m ON true
LEFT JOIN hj212.current_outlets o ON o.outlet = a.outlet AND h.hour >= o.valid_from
    AND (o.valid_to IS NULL OR h.hour < o.valid_to)
LEFT JOIN hj212.factors f ON f.code = hj212.catalogue_code(a.factor) AND f.alias_of IS NULL
WHERE a.manual <> 0 AND a.stage = 'completed' AND a.manual & (1 << n.hour) <> 0;
COMMENT ON VIEW hj212.v_hourly IS
    'hour means of outlets in the unit shown, and whether each is valid; of a range ask with conditions on data_time, too';
COMMENT ON COLUMN hj212.v_hourly.factor IS 'code of the catalogue; as sent where it has none';
COMMENT ON COLUMN hj212.v_hourly.hour IS 'beginning of the hour, by the data logger''s time label';
COMMENT ON COLUMN hj212.v_hourly.amount IS 'as sent, in amount_unit';
COMMENT ON COLUMN hj212.v_hourly.is_valid IS 'at the completed stage of the assessment, or by the flag: see validity_basis';
COMMENT ON COLUMN hj212.v_hourly.source IS 'measured; manual: the accepted manual value that stands for the hour';
COMMENT ON COLUMN hj212.v_hourly.unit_state IS 'as in v_readings: unit_unconfirmed and unknown are no base of a judgement';
COMMENT ON COLUMN hj212.v_hourly.day_hours_due IS
    'hours of its day without those that do not take part; NULL: not assessed';

-- Day means of a range of days by data-validity.md section 1. Water: the flow that weighs is w00000, its amounts where
-- they are there for as many valid hours as its means, else its means. Factors without amounts (temperature) are not
-- weighed. gas_day_rule: hj76_20h, on days with a stop 75 % of the running hours; running_75: always the latter.
CREATE FUNCTION hj212.daily_means(from_day date, to_day date, gas_day_rule text DEFAULT 'hj76_20h')
RETURNS TABLE (outlet text, outlet_name text, enterprise text, factor text, factor_name text, unit text, day date,
    mean double precision, converted_mean double precision, median double precision, method text, is_valid boolean,
    reason text, rule text, valid_hours integer, needed_hours numeric, hours_due integer, hours integer,
    plain_mean double precision, medium text)
LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT d.outlet, d.outlet_name, d.enterprise, d.factor, d.factor_name, d.unit, d.day,
           CASE WHEN y.reason IS NULL AND d.factor <> 'w01001' THEN m.mean END,
           CASE WHEN y.reason IS NULL AND d.medium = 'gas' THEN d.converted_mean END,
           CASE WHEN y.reason IS NULL AND d.factor = 'w01001' THEN d.median END,
           m.method, y.reason IS NULL, y.reason, n.rule, m.valid_hours, n.needed, d.hours_due, d.hours, d.plain_mean, d.medium
    FROM (
        SELECT x.outlet, max(x.outlet_name) AS outlet_name, max(x.enterprise) AS enterprise, x.factor,
               max(x.factor_name) AS factor_name, max(x.unit) AS unit, hj212.local_day(x.hour) AS day, max(x.medium) AS medium,
               bool_and(x.unit_state IN ('catalogue', 'confirmed')) AS is_known, max(x.amount_unit) AS amount_unit,
               coalesce(max(x.day_hours_due), 24) AS hours_due, coalesce(max(x.day_hours_stopped), 0) AS stopped,
               count(*)::integer AS hours, count(*) FILTER (WHERE x.is_usable)::integer AS valid_hours,
               bool_or(x.flow_amount IS NOT NULL OR x.flow_mean IS NOT NULL) AS has_flow,
               count(x.flow_amount) FILTER (WHERE x.is_usable)::integer AS with_amount,
               count(x.flow_mean) FILTER (WHERE x.is_usable)::integer AS with_flow,
               sum(x.mean * x.flow_amount) FILTER (WHERE x.is_usable)
                   / nullif(sum(x.flow_amount) FILTER (WHERE x.is_usable), 0) AS by_amount,
               sum(x.mean * x.flow_mean) FILTER (WHERE x.is_usable)
                   / nullif(sum(x.flow_mean) FILTER (WHERE x.is_usable), 0) AS by_flow,
               avg(x.mean) FILTER (WHERE x.is_usable) AS plain, avg(x.converted_mean) FILTER (WHERE x.is_usable) AS converted_mean,
               percentile_cont(0.5) WITHIN GROUP (ORDER BY x.mean) FILTER (WHERE x.is_usable AND x.factor = 'w01001') AS median,
               avg(x.mean) AS plain_mean
        FROM (
            -- An hour without flow is no valid value (HJ 356).
            SELECT w.*, w.is_valid AND (w.medium <> 'water' OR coalesce(w.flow_amount, w.flow_mean, 1) > 0) AS is_usable
            FROM (
                SELECT v.*,
                       max(v.amount) FILTER (WHERE v.factor = 'w00000') OVER (PARTITION BY v.outlet, v.hour) AS flow_amount,
                       max(v.mean) FILTER (WHERE v.factor = 'w00000') OVER (PARTITION BY v.outlet, v.hour) AS flow_mean
                FROM (
                    SELECT DISTINCT ON (u.outlet, u.hour, u.factor) u.* FROM hj212.v_hourly u
                    WHERE u.data_time >= hj212.day_start(from_day)
                      AND u.data_time < hj212.day_start(to_day) + interval '2 hours'
                      AND u.hour >= hj212.day_start(from_day) AND u.hour < hj212.day_start(to_day)
                    ORDER BY u.outlet, u.hour, u.factor, u.mean IS NULL, u.updated_at DESC
                ) v
            ) w
        ) x GROUP BY x.outlet, x.factor, hj212.local_day(x.hour)
    ) d
    CROSS JOIN LATERAL (SELECT
        CASE WHEN d.medium IS NULL OR d.medium NOT IN ('gas', 'water') OR d.factor = 'w01001' THEN 'none'
             WHEN d.medium = 'gas' THEN 'mean of valid hours'
             WHEN d.factor = 'w00000' OR d.amount_unit IS NULL THEN 'mean of valid values'
             WHEN NOT d.has_flow THEN 'mean of valid values: no flow'
             WHEN d.with_amount >= d.with_flow THEN 'weighted by flow amounts'
             ELSE 'weighted by flow means' END AS method) p
    CROSS JOIN LATERAL (SELECT p.method,
        CASE p.method WHEN 'weighted by flow amounts' THEN d.by_amount WHEN 'weighted by flow means' THEN d.by_flow
                      WHEN 'none' THEN NULL ELSE d.plain END AS mean,
        CASE p.method WHEN 'weighted by flow amounts' THEN d.with_amount WHEN 'weighted by flow means' THEN d.with_flow
                      ELSE d.valid_hours END AS valid_hours) m
    CROSS JOIN LATERAL (SELECT
        CASE d.medium WHEN 'water' THEN 'hj356_75' WHEN 'gas' THEN
             CASE WHEN gas_day_rule = 'running_75' OR d.stopped > 0 THEN 'running_75' ELSE 'hj76_20h' END END AS rule) k
    CROSS JOIN LATERAL (SELECT k.rule,
        CASE k.rule WHEN 'hj356_75' THEN 0.75 * d.hours_due WHEN 'running_75' THEN 0.75 * (24 - d.stopped)
                    WHEN 'hj76_20h' THEN 20 END AS needed) n
    CROSS JOIN LATERAL (SELECT CASE
        WHEN n.rule IS NULL THEN 'no rule for this medium'
        WHEN NOT d.is_known THEN 'unit not confirmed'
        WHEN n.needed = 0 THEN 'nothing is due'
        WHEN d.valid_hours < n.needed THEN format('%s valid hours, %s needed', d.valid_hours, ceil(n.needed))
        WHEN m.valid_hours < n.needed THEN format('%s valid hours with flow, %s needed', m.valid_hours, ceil(n.needed))
        END AS reason) y
$$;
COMMENT ON FUNCTION hj212.daily_means IS 'v_daily of [from_day, to_day): reads those days alone';

-- Month means of a range of months: the mean of its valid days.
CREATE FUNCTION hj212.monthly_means(from_month date, to_month date, gas_day_rule text DEFAULT 'hj76_20h')
RETURNS TABLE (outlet text, outlet_name text, enterprise text, factor text, factor_name text, unit text, month date,
    mean double precision, converted_mean double precision, method text, is_valid boolean, reason text, rule text,
    valid_days integer, needed_days numeric, days integer, plain_mean double precision, medium text)
LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT d.outlet, d.outlet_name, d.enterprise, d.factor, d.factor_name, d.unit, d.month,
           CASE WHEN y.reason IS NULL THEN d.mean END, CASE WHEN y.reason IS NULL THEN d.converted_mean END,
           CASE WHEN d.factor = 'w01001' OR n.needed IS NULL THEN 'none' ELSE 'mean of valid days' END,
           y.reason IS NULL, y.reason,
           CASE d.medium WHEN 'gas' THEN 'hj76_25d' WHEN 'water' THEN 'hj356_75' END,
           d.valid_days, n.needed, d.days, d.plain_mean, d.medium
    FROM (
        SELECT v.outlet, max(v.outlet_name) AS outlet_name, max(v.enterprise) AS enterprise, v.factor,
               max(v.factor_name) AS factor_name, max(v.unit) AS unit, date_trunc('month', v.day::timestamp)::date AS month,
               max(v.medium) AS medium, avg(v.mean) FILTER (WHERE v.is_valid) AS mean,
               avg(v.converted_mean) FILTER (WHERE v.is_valid) AS converted_mean,
               count(*) FILTER (WHERE v.is_valid)::integer AS valid_days, count(*)::integer AS days,
               coalesce(bool_or(v.reason = 'unit not confirmed'), false) AS is_unknown,
               sum(v.plain_mean * v.hours) / nullif(sum(v.hours) FILTER (WHERE v.plain_mean IS NOT NULL), 0) AS plain_mean
        FROM hj212.daily_means(from_month, to_month, gas_day_rule) v
        GROUP BY v.outlet, v.factor, date_trunc('month', v.day::timestamp)::date
    ) d
    CROSS JOIN LATERAL (SELECT extract(day FROM d.month + interval '1 month - 1 day') AS days) c
    CROSS JOIN LATERAL (SELECT CASE
        WHEN d.medium = 'water' THEN 0.75 * c.days
        WHEN d.medium = 'gas' AND extract(month FROM d.month) = 2 THEN 23
        WHEN d.medium = 'gas' THEN 25 END AS needed) n
    CROSS JOIN LATERAL (SELECT CASE
        WHEN n.needed IS NULL THEN 'no rule for this medium'
        WHEN d.factor = 'w01001' THEN 'pH has no month mean'
        WHEN d.valid_days < n.needed AND d.is_unknown THEN 'unit not confirmed'
        WHEN d.valid_days < n.needed THEN format('%s valid days, %s needed', d.valid_days, ceil(n.needed)) END AS reason) y
$$;
COMMENT ON FUNCTION hj212.monthly_means IS 'v_monthly of [from_month, to_month), first days of months: reads those alone';

CREATE VIEW hj212.v_daily AS SELECT * FROM hj212.daily_means('-infinity', 'infinity');
COMMENT ON VIEW hj212.v_daily IS
    'day means of outlets that have hours; for all outlets ask hj212.daily_means(from, to), which reads those days alone';
COMMENT ON COLUMN hj212.v_daily.mean IS 'NULL where the day is not valid, with the reason; pH has a median';
COMMENT ON COLUMN hj212.v_daily.valid_hours IS 'valid hours, where the mean is weighted those with a flow';
COMMENT ON COLUMN hj212.v_daily.hours_due IS '24 where the factor is not assessed';
COMMENT ON COLUMN hj212.v_daily.plain_mean IS 'of all hours there are, valid or not; no base of a judgement';

CREATE VIEW hj212.v_monthly AS SELECT * FROM hj212.monthly_means('-infinity', 'infinity');
COMMENT ON VIEW hj212.v_monthly IS
    'month means of outlets that have hours; for all outlets ask hj212.monthly_means(from, to), which reads those alone';
COMMENT ON COLUMN hj212.v_monthly.mean IS 'NULL where the month is not valid, with the reason';
COMMENT ON COLUMN hj212.v_monthly.days IS 'that have an hour';
COMMENT ON COLUMN hj212.v_monthly.plain_mean IS 'of all hours there are, valid or not; no base of a judgement';

GRANT SELECT ON hj212.v_lost_hours, hj212.v_hourly, hj212.v_daily, hj212.v_monthly
    TO hj212_analyst, hj212_gateway, hj212_aggregator, hj212_owner;
-- hj212gw why runs the calculation with the gateway's login, too.
GRANT SELECT ON hj212.base_list, hj212.mark_kinds, hj212.marks, hj212.mark_events, hj212.standing_marks,
    hj212.assessed_days TO hj212_gateway;
