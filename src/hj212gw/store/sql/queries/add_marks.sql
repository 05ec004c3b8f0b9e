-- Purpose: declare marks; returns their numbers in the order given.
-- Parameters: an array a column, as long as each other. Index: none.
INSERT INTO hj212.marks (outlet, factor, kind, from_at, to_at, value, note, source, author, recorded_at)
SELECT outlet, factor, kind, from_at, to_at, value, note, source, author, recorded_at
FROM unnest($1::text[], $2::text[], $3::text[], $4::timestamptz[], $5::timestamptz[], $6::double precision[], $7::text[],
            $8::text[], $9::text[], $10::timestamptz[])
    WITH ORDINALITY AS given (outlet, factor, kind, from_at, to_at, value, note, source, author, recorded_at, nth)
ORDER BY nth
RETURNING mark_id
