-- Purpose: data loggers whose readings are not mapped the same way all through a range, because a row of the registry
-- begins or ends within it or a label is of one ST alone; and, of the others, those that label hours by their end.
-- Parameters: $1 and $2 first moment and moment after the last.
WITH labels AS (
    SELECT mn, st, valid_from, valid_to FROM hj212.time_labels
    WHERE superseded_at IS NULL AND cn = '2061' AND label <> 'start'
      AND valid_from < $2::timestamptz + interval '2 hours' AND (valid_to IS NULL OR valid_to > $1)
), moving AS (
    -- What is labelled by its end is mapped by its label, up to two hours after the range.
    SELECT r.mn FROM (
        SELECT mn, valid_from, valid_to FROM hj212.current_data_loggers
        UNION ALL SELECT mn, valid_from, valid_to FROM hj212.current_channels
        UNION ALL SELECT mn, valid_from, valid_to FROM hj212.units WHERE superseded_at IS NULL
        UNION ALL SELECT mn, valid_from, valid_to FROM hj212.time_labels WHERE superseded_at IS NULL AND cn = '2061'
    ) AS r
    CROSS JOIN LATERAL (SELECT $2::timestamptz + CASE WHEN r.mn IN (SELECT mn FROM labels) THEN interval '2 hours'
                                                      ELSE interval '0' END AS until) AS u
    WHERE (r.valid_from > $1 AND r.valid_from < u.until) OR (r.valid_to > $1 AND r.valid_to < u.until)
    UNION SELECT mn FROM labels WHERE st <> ''
)
SELECT coalesce(array_agg(logger_id) FILTER (WHERE mn IN (SELECT mn FROM moving)), '{}') AS moving,
       coalesce(array_agg(logger_id) FILTER (WHERE mn IN (SELECT mn FROM labels) AND mn NOT IN (SELECT mn FROM moving)), '{}')
           AS ending
FROM hj212.loggers
