-- Purpose: which figures are computed: periods in which a shorter one changed.
-- Parameters: $1 the period, $2 the shorter one.
INSERT INTO rate_scope SELECT DISTINCT level, id, date_trunc($1, period_start::timestamp)::date
FROM changed_rates WHERE period = $2
