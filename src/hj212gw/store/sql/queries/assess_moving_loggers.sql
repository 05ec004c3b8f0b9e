-- Purpose: data loggers whose readings are not mapped the same way all through a range: a label that is not start, or a
-- row of the registry that begins or ends within it.
-- Parameters: $1 and $2 first moment and moment after the last.
SELECT coalesce(array_agg(logger_id), '{}') FROM hj212.loggers WHERE mn IN (
    SELECT mn FROM (
        SELECT mn, valid_from, valid_to FROM hj212.current_data_loggers
        UNION ALL SELECT mn, valid_from, valid_to FROM hj212.current_channels
        UNION ALL SELECT mn, valid_from, valid_to FROM hj212.units WHERE superseded_at IS NULL
    ) AS rows
    WHERE (valid_from > $1 AND valid_from < $2) OR (valid_to > $1 AND valid_to < $2)
    UNION
    SELECT mn FROM hj212.time_labels WHERE superseded_at IS NULL AND cn = '2061'
        AND (label <> 'start' OR (valid_from > $1 AND valid_from < $2) OR (valid_to > $1 AND valid_to < $2))
)
