-- Purpose: end the newest figures that are not the newest any more; those of the same day that are provisional, and that
-- nothing but hours and data made, vanish.
-- A figure that nothing stands behind any more ends without another.
-- Parameters: $1 now, $2 the period, $3 reason where none is known of the figure alone. Index: rate_counts_newest,
-- rate_counts_period.
WITH newest AS (  -- each half by its own index: of years of figures few are looked at
    SELECT r.ctid, r.* FROM rate_scope s
    JOIN hj212.rate_counts r ON r.level = s.level AND r.id = s.id AND r.period = $2 AND r.period_start = s.period_start
    WHERE r.replaced_at IS NULL
    UNION ALL
    SELECT r.ctid, r.* FROM rate_scope s
    JOIN hj212.rate_counts r ON r.period = $2 AND r.period_start = s.period_start AND r.level = s.level
    WHERE s.id IS NULL AND r.replaced_at IS NULL
), scope AS (
    SELECT r.ctid, r.period, r.period_start, r.level, r.id, r.stage, r.computed_at,
           r.provisional AND hj212.local_day(r.computed_at) = hj212.local_day($1)
             AND string_to_array(r.reason || '; ' || coalesce(w.reasons, $3), '; ') <@ '{an hour is over,data came}' AS is_passing
    FROM newest r
    LEFT JOIN new_rates n USING (period, period_start, level, id, stage, basis)
    LEFT JOIN rate_reasons w USING (period, period_start, level, id)
    WHERE (r.expected_values, r.reported_values, r.expected_groups, r.groups_not_taking_part, r.groups_received, r.valid_groups)
        IS DISTINCT FROM (n.expected_values, n.reported_values, n.expected_groups, n.groups_not_taking_part, n.groups_received, n.valid_groups)
), vanished AS (
    DELETE FROM hj212.rate_counts r USING scope s WHERE r.ctid = s.ctid AND r.replaced_at IS NULL
      AND s.is_passing
    RETURNING s.level, s.id, s.period, s.period_start
), ended AS (
    UPDATE hj212.rate_counts r SET replaced_at = $1 FROM scope s WHERE r.ctid = s.ctid AND r.replaced_at IS NULL
      AND NOT s.is_passing
    RETURNING s.level, s.id, s.period, s.period_start
)
INSERT INTO changed_rates SELECT * FROM vanished UNION SELECT * FROM ended
