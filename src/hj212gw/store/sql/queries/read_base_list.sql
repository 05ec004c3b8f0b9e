-- Purpose: the base list as it stands, with the medium of each outlet.
SELECT b.outlet, coalesce((SELECT max(o.medium) FROM hj212.current_outlets o WHERE o.outlet = b.outlet), '') AS medium,
       b.factor, b.fields, nullif(b.valid_from, '-infinity') AS from_at, b.valid_to AS to_at
FROM hj212.base_list b WHERE b.superseded_at IS NULL
ORDER BY b.outlet, b.factor, b.valid_from
