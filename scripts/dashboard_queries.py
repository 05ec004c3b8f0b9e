"""What the panels of the City and Outlet dashboards ask the views, with Grafana's macros and variables.

`$__timeFrom()` and `$__timeTo()` are the dashboard's range as text, `$__interval` the width of a pixel or so. A variable
of several values is a list of texts in quotes.
"""

_TODAY = "($__timeTo()::timestamptz AT TIME ZONE 'Asia/Shanghai')::date"
_FROM_DAY = "($__timeFrom()::timestamptz AT TIME ZONE 'Asia/Shanghai')::date"
_DAYS = f"BETWEEN {_FROM_DAY} AND {_TODAY}"
_CITY_RATES = f"""
FROM hj212.v_rates
WHERE level = 'city' AND policy = 'national_platform_v2' AND stage = '$stage'
  AND (period, period_start) IN (('day', {_TODAY}), ('month', date_trunc('month', {_TODAY}::timestamp)::date),
                                 ('year', date_trunc('year', {_TODAY}::timestamp)::date))"""
_OUTLETS = """
SELECT outlet FROM hj212.v_outlets WHERE county IN ($county) AND enterprise IN ($enterprise)"""
# A rate is cut after the second decimal of its percentage, never rounded up (assessment.md section 4); Grafana rounds.
_CUT = "(floor(({})::numeric * 10000) / 10000)::double precision"
_RATES = ", ".join(f"{_CUT.format(name)} AS {name}" for name in ("effective", "transmission", "validity"))
_EFFECTIVE = _CUT.format("max(effective) FILTER (WHERE {})")
_ABOVE = _CUT.format("max(effective - threshold / 100) FILTER (WHERE {})")
_BIN = "date_bin(greatest('$__interval'::interval, '30 s'), {}, timestamptz '2000-01-01 00:00+08')"

VARIABLES = {
    "county": "SELECT DISTINCT county FROM hj212.v_outlets WHERE county IS NOT NULL ORDER BY 1",
    "enterprise": """SELECT enterprise AS __value, max(enterprise_name) AS __text FROM hj212.v_outlets
WHERE county IN ($county) GROUP BY enterprise ORDER BY 2""",
    "outlet": """SELECT outlet AS __value, outlet || ' ' || max(name) AS __text FROM hj212.v_outlets
WHERE county IN ($county) AND enterprise IN ($enterprise) GROUP BY outlet ORDER BY 1""",
    "factor": """SELECT DISTINCT factor AS __value, factor || ' ' || coalesce(factor_name, '') AS __text
FROM hj212.v_hourly WHERE outlet = '$outlet' AND data_time > now() - interval '7 days' ORDER BY 1""",
}

CITY = {
    "loggers online": f"""SELECT count(*) FILTER (WHERE connected) AS "online · 在线", count(*) AS "registered · 登记"
FROM hj212.v_loggers WHERE registered AND outlet IN ({_OUTLETS})""",
    "rates": f"""SELECT {_EFFECTIVE.format("period = 'day'")} AS "today · 今日",
       {_EFFECTIVE.format("period = 'month'")} AS "month · 本月",
       {_EFFECTIVE.format("period = 'year'")} AS "year · 本年"{_CITY_RATES}""",
    "above target": f"""SELECT {_ABOVE.format("period = 'day'")} AS "today · 今日",
       {_ABOVE.format("period = 'month'")} AS "month · 本月",
       {_ABOVE.format("period = 'year'")} AS "year · 本年"{_CITY_RATES}""",
    "rates of days": f"""SELECT hj212.day_start(period_start) AS time, {_RATES},
       (threshold / 100)::double precision AS target
FROM hj212.v_rates
WHERE level = 'city' AND policy = 'national_platform_v2' AND stage = '$stage' AND period = 'day'
  AND period_start {_DAYS}
ORDER BY 1""",
    "counties": f"""SELECT id AS county, {_RATES}, expected_groups, valid_groups
FROM hj212.v_rates
WHERE level = 'county' AND policy = 'national_platform_v2' AND stage = '$stage' AND period = 'month'
  AND period_start = date_trunc('month', {_TODAY}::timestamp)::date AND id IN ($county)
ORDER BY v_rates.effective""",
    "worst outlets": f"""SELECT id AS outlet, name, {_RATES},
       expected_groups - valid_groups AS lost_groups
FROM hj212.v_rates
WHERE level = 'outlet' AND policy = 'national_platform_v2' AND stage = '$stage' AND period = 'month'
  AND period_start = date_trunc('month', {_TODAY}::timestamp)::date AND expected_groups > 0 AND id IN ({_OUTLETS})
ORDER BY v_rates.effective LIMIT 20""",
    "lost hours by reason": f"""SELECT hj212.day_start(day) AS time, state AS metric, count(*) AS value
FROM hj212.v_lost_hours
WHERE stage = '$stage' AND day {_DAYS} AND outlet IN ({_OUTLETS})
GROUP BY day, state ORDER BY 1, 2""",
    # What to do follows from state and stage: it is asked once a row of the table, not once an hour that is lost.
    "what can be saved": f"""SELECT hj212.remedy_zh_of('$stage', state, is_dry) AS remedy, state, hours, outlets, until
FROM (
    SELECT state, is_dry, count(*) AS hours, count(DISTINCT outlet) AS outlets, min(closes_at) AS until
    FROM hj212.v_lost_hours
    WHERE stage = '$stage' AND day BETWEEN {_TODAY} - 11 AND {_TODAY} AND closes_at >= now() AND outlet IN ({_OUTLETS})
    GROUP BY 1, 2
) AS open
ORDER BY hours DESC""",
    "silent loggers": f"""SELECT l.mn, l.outlet, o.name, o.enterprise_name, o.county, l.last_packet_at, l.clock_skew_secs
FROM hj212.v_loggers l
JOIN (SELECT DISTINCT ON (outlet) * FROM hj212.v_outlets ORDER BY outlet, valid_from DESC) o USING (outlet)
WHERE l.registered AND NOT l.connected AND outlet IN ({_OUTLETS})
ORDER BY l.last_packet_at NULLS FIRST LIMIT 100""",
}

OUTLET = {
    "who": """SELECT o.outlet, o.name, o.enterprise_name, o.county, o.medium, l.mn, l.connected, l.last_packet_at,
       l.clock_skew_secs
FROM hj212.v_outlets o LEFT JOIN hj212.v_loggers l USING (outlet)
WHERE o.outlet = '$outlet' ORDER BY o.valid_from DESC NULLS LAST LIMIT 5""",
    "rates": f"""SELECT {_EFFECTIVE.format("stage = 'immediate'")} AS "immediate · 即时",
       {_EFFECTIVE.format("stage = 'completed'")} AS "completed · 补全"
FROM hj212.v_rates
WHERE level = 'outlet' AND id = '$outlet' AND policy = 'national_platform_v2' AND period = 'month'
  AND period_start = date_trunc('month', {_TODAY}::timestamp)::date""",
    # Texts are put together after the means are taken: of two days there are tens of thousands of values.
    "real-time data": f"""SELECT time, coalesce(factor_name, factor) || coalesce(' ' || unit, '') AS metric, value
FROM (
    SELECT {_BIN.format("data_time")} AS time, factor, factor_name, unit, avg(rtd * scale) AS value
    FROM hj212.v_readings
    WHERE cn = '2011' AND outlet = '$outlet' AND coalesce(catalogue_factor, factor) IN ($factor)
      AND $__timeFilter(data_time)
    GROUP BY 1, 2, 3, 4
) AS means
ORDER BY 1""",
    "hours": """SELECT hour AS time, coalesce(factor_name, factor) || coalesce(' ' || unit, '') AS metric, mean AS value
FROM hj212.v_hourly
WHERE outlet = '$outlet' AND factor IN ($factor) AND $__timeFilter(data_time)
UNION ALL
SELECT m.time, coalesce(l.factor_name, l.factor) || ' limit · 限值', l.high
FROM hj212.v_limits l, (VALUES ($__timeFrom()::timestamptz), ($__timeTo()::timestamptz)) AS m (time)
WHERE l.outlet = '$outlet' AND l.factor IN ($factor) AND l.high IS NOT NULL
  AND (l.valid_from IS NULL OR l.valid_from <= m.time) AND (l.valid_to IS NULL OR l.valid_to > m.time)
ORDER BY 1""",
    "flags": """SELECT hour AS time, coalesce(factor_name, factor) AS metric, coalesce(data_flag, 'N') AS value
FROM hj212.v_hourly
WHERE outlet = '$outlet' AND factor IN ($factor) AND $__timeFilter(data_time)
ORDER BY 1""",
    # Of readings, which are found by data logger; packets are found by day alone.
    "uploads": """SELECT date_bin(greatest('$__interval'::interval, '10 min'), received_at, timestamptz '2000-01-01 00:00+08') AS time,
       cn AS metric, count(DISTINCT (mn, data_time)) AS value
FROM hj212.v_readings
WHERE cn IN ('2011', '2031', '2051', '2061') AND outlet = '$outlet' AND $__timeFilter(data_time)
GROUP BY 1, 2 ORDER BY 1""",
    "delays": """SELECT hour AS time, 'hours · 小时' AS metric,
       max(extract(epoch FROM received_at - hour - interval '1 hour'))::double precision AS value
FROM hj212.v_hourly
WHERE outlet = '$outlet' AND factor IN ($factor) AND source = 'measured' AND $__timeFilter(data_time)
GROUP BY 1 ORDER BY 1""",
    "gaps": f"""SELECT hour, factor, factor_name, state, reason_zh AS reason, remedy_zh AS remedy, remedy_until
FROM hj212.v_lost_hours
WHERE outlet = '$outlet' AND factor IN ($factor) AND stage = '$stage' AND day {_DAYS}
ORDER BY hour DESC, factor LIMIT 500""",
}
