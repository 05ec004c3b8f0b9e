-- Purpose: masks of data loggers as masks of outlets and factors of the catalogue, by the registry at the range's
-- beginning: the data loggers it changes for within the range are mapped already. As v_readings tells them. A row without
-- a stage is of both.
-- Parameter: $1 first moment.
CREATE TEMP TABLE arrived_days ON COMMIT DROP AS
WITH series AS (
    SELECT logger_id, st, factor FROM plain_days UNION SELECT logger_id, st, code FROM stood_days WHERE outlet IS NULL
), mapped AS (
    SELECT s.logger_id, s.st, s.factor, a.outlet,
           CASE WHEN u.factor IS NOT NULL THEN u.factor
                WHEN f.alias_of IS NOT NULL THEN f.alias_of
                WHEN f.code LIKE '%xx' THEN lower(s.factor)
                ELSE f.code END AS catalogue_factor
    FROM series s
    JOIN hj212.loggers l USING (logger_id)
    LEFT JOIN hj212.current_channels csf ON csf.mn = l.mn AND csf.factor = s.factor AND csf.st = s.st
        AND $1 >= csf.valid_from AND (csf.valid_to IS NULL OR $1 < csf.valid_to)
    LEFT JOIN hj212.current_channels cf ON cf.mn = l.mn AND cf.factor = s.factor AND cf.st = ''
        AND $1 >= cf.valid_from AND (cf.valid_to IS NULL OR $1 < cf.valid_to)
    LEFT JOIN hj212.current_channels cs ON cs.mn = l.mn AND cs.factor = '' AND cs.st = s.st
        AND $1 >= cs.valid_from AND (cs.valid_to IS NULL OR $1 < cs.valid_to)
    LEFT JOIN hj212.current_channels ca ON ca.mn = l.mn AND ca.factor = '' AND ca.st = ''
        AND $1 >= ca.valid_from AND (ca.valid_to IS NULL OR $1 < ca.valid_to)
    JOIN hj212.outlet_candidates a ON a.mn = l.mn
        AND a.row_id = coalesce(csf.row_id, cf.row_id, cs.row_id, ca.row_id, 0)
        AND $1 >= a.valid_from AND (a.valid_to IS NULL OR $1 < a.valid_to)
    LEFT JOIN hj212.current_outlets o ON o.outlet = a.outlet AND $1 >= o.valid_from
        AND (o.valid_to IS NULL OR $1 < o.valid_to)
    LEFT JOIN hj212.units u ON u.superseded_at IS NULL AND u.mn = l.mn AND u.code = s.factor
        AND $1 >= u.valid_from AND (u.valid_to IS NULL OR $1 < u.valid_to)
    LEFT JOIN hj212.factors f ON f.code = hj212.catalogue_code(coalesce(u.factor, s.factor))
        AND (f.alias_of IS NULL OR f.medium = coalesce(o.medium, hj212.medium_of(s.st)))
    WHERE a.outlet IS NOT NULL
)
SELECT m.outlet, m.catalogue_factor AS factor, p.day, NULL AS stage, p.mean AS ever, p.mean, p.mean AS good, p.zero,
       p.mean AS p1, p.cou AS p2, p.zs AS p3, 0 AS p4, 0 AS p5, 0 AS p6, 0 AS p7, 0 AS p8
FROM plain_days p JOIN mapped m USING (logger_id, st, factor)
WHERE m.catalogue_factor IS NOT NULL
UNION ALL
SELECT coalesce(t.outlet, m.outlet), coalesce(t.factor, m.catalogue_factor), t.day, t.stage, t.ever, t.mean, t.good, t.zero,
       t.mean, t.cou, t.zs, 0, 0, 0, 0, 0
FROM stood_days t LEFT JOIN mapped m ON t.outlet IS NULL AND (m.logger_id, m.st, m.factor) = (t.logger_id, t.st, t.code)
WHERE coalesce(t.factor, m.catalogue_factor) IS NOT NULL
