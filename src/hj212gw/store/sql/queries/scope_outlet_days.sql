-- Purpose: which figures are computed: days of outlets.
INSERT INTO rate_scope SELECT 'outlet', outlet, day FROM changed_days
