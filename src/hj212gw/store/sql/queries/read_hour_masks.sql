-- Purpose: the masks of both stages of a day. Parameters: $1 outlet, $2 factor, $3 day. {table} is computed_days, of
-- this transaction, or hj212.assessed_days. Index: primary key.
SELECT stage, fields, listed, stopped, excused, checked, due, got, good, marked, manual, valid, ever, planes, dry, refused
FROM {table} WHERE outlet = $1 AND factor = $2 AND day = $3 ORDER BY stage DESC
