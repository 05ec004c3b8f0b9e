-- Purpose: an hour may be lost to a standard-sample check beyond the exempt ones, and is not lost before it is over.

CREATE OR REPLACE VIEW hj212.v_lost_hours AS
SELECT l.outlet, o.name AS outlet_name, o.enterprise, e.name AS enterprise_name, l.factor, f.name_zh AS factor_name,
       l.hour, l.day, l.stage, l.state,
       CASE l.state
           WHEN 'missing' THEN 'no hour record came'
           WHEN 'late' THEN 'the hour record came too late for this stage'
           WHEN 'flag' THEN CASE WHEN l.dry THEN 'no flow in this hour' ELSE 'came with a flag that is not good' END
           WHEN 'mark' THEN 'device marks leave too few minutes of the hour, or a further check lies in it'
           ELSE CASE WHEN l.has_mean THEN format('%s of %s values did not come', l.values_lost, l.fields)
                     ELSE 'came without its mean' END END
           || CASE WHEN l.is_marked AND l.state <> 'mark' THEN '; device marks cover the hour' ELSE '' END AS reason,
       CASE l.state
           WHEN 'missing' THEN '未收到小时数据'
           WHEN 'late' THEN '小时数据晚于本阶段截止时间到达'
           WHEN 'flag' THEN CASE WHEN l.dry THEN '流量无效（流量为零）' ELSE '数据标记不正常' END
           WHEN 'mark' THEN '设备标记后有效分钟数不足，或有再次标样核查'
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

CREATE OR REPLACE FUNCTION hj212.lost_hours(from_day date, to_day date, moment timestamptz) RETURNS SETOF hj212.v_lost_hours
LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT l.outlet, l.outlet_name, l.enterprise, l.enterprise_name, l.factor, l.factor_name, l.hour, l.day, l.stage, l.state,
           l.reason, l.reason_zh,
           CASE WHEN moment <= l.closes_at THEN hj212.remedy_of(l.stage, l.state, l.is_dry) END,
           CASE WHEN moment <= l.closes_at THEN hj212.remedy_zh_of(l.stage, l.state, l.is_dry) END,
           CASE WHEN moment <= l.closes_at THEN l.closes_at END,
           l.closes_at, l.is_dry, l.values_lost, l.group_lost
    FROM hj212.v_lost_hours l WHERE l.day >= from_day AND l.day < to_day AND l.hour + interval '1 hour' <= moment
$$;
