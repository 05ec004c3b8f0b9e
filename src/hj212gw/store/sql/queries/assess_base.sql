-- Purpose: which hours of which factor of which outlet are on the base list and over, a row a day that has any. Fields due are
-- one number a day, the largest of the rows that list an hour of it.
-- Parameters: $1 first day, $2 day after the last, $3 array of outlets or NULL for all, $4 now.
CREATE TEMP TABLE base_days ON COMMIT DROP AS
SELECT b.outlet, b.factor, d.day, max(b.fields)::integer AS fields, max(o.medium) AS medium, bit_or(m.hours) AS listed
FROM (SELECT t::date AS day, hj212.day_start(t::date) AS start_at, hj212.day_start(t::date + 1) AS end_at
      FROM generate_series($1::date::timestamp, $2::date::timestamp - interval '1 day', interval '1 day') AS t) AS d
JOIN hj212.base_list b ON b.superseded_at IS NULL AND b.valid_from < d.end_at
    AND (b.valid_to IS NULL OR b.valid_to > d.start_at) AND ($3::text[] IS NULL OR b.outlet = ANY ($3))
-- An hour is over when it has ended, so its beginning lies an hour back or more.
CROSS JOIN LATERAL (SELECT least(coalesce(b.valid_to, 'infinity'), $4::timestamptz - interval '1 hour' + interval '1 us')
                    AS to_at) AS p
CROSS JOIN LATERAL (SELECT
    CASE WHEN b.valid_from <= d.start_at AND p.to_at >= d.end_at THEN (1 << 24) - 1
         ELSE hj212.hour_mask(d.day, b.valid_from, p.to_at) END AS hours) AS m
LEFT JOIN hj212.current_outlets o ON o.outlet = b.outlet AND o.valid_from < d.end_at
    AND (o.valid_to IS NULL OR o.valid_to > d.start_at)
WHERE d.start_at < $4 AND m.hours <> 0
GROUP BY b.outlet, b.factor, d.day
