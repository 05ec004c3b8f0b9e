-- Purpose: which figures are computed: days of all that outlets belong to, because they may have changed places.
INSERT INTO rate_scope SELECT l.level, NULL, c.day FROM (SELECT DISTINCT day FROM changed_days) AS c
CROSS JOIN (VALUES ('enterprise'), ('county'), ('city')) AS l (level)
