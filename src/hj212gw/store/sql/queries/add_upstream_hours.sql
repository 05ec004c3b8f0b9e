-- Purpose: staged hours into their table; those that are there stay.
-- Index: primary key of upstream_hours.
INSERT INTO hj212.upstream_hours SELECT * FROM staged_hours ON CONFLICT DO NOTHING
