-- Purpose: masks of data loggers as masks of outlets and factors of the catalogue, by the registry at the range's
-- beginning: the data loggers it changes for within the range are not among them. As v_readings tells them.
-- Parameter: $1 first moment.
CREATE TEMP TABLE arrived_days ON COMMIT DROP AS
WITH series AS (SELECT DISTINCT logger_id, st, factor FROM series_days), mapped AS (
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
SELECT m.outlet, m.catalogue_factor AS factor, s.day, s.ever,
       s.mean_i, s.good_i, s.zero_i, s.mean_i AS p1_i, s.cou_i AS p2_i, s.zs_i AS p3_i,
       0 AS p4_i, 0 AS p5_i, 0 AS p6_i, 0 AS p7_i, 0 AS p8_i,
       s.mean_c, s.good_c, s.zero_c, s.mean_c AS p1_c, s.cou_c AS p2_c, s.zs_c AS p3_c,
       0 AS p4_c, 0 AS p5_c, 0 AS p6_c, 0 AS p7_c, 0 AS p8_c
FROM series_days s JOIN mapped m USING (logger_id, st, factor)
WHERE m.catalogue_factor IS NOT NULL
