-- Purpose: a higher platform's marks that are not there yet; manual values stand accepted, since it lists them.
-- Parameters: $1 origin, $2 by whom, $3 to $9 arrays of outlets, factors, kinds, beginnings, ends, when recorded, values.
-- Index: marks_outlet.
WITH added AS (
    INSERT INTO hj212.marks (outlet, factor, kind, from_at, to_at, recorded_at, value, source, origin, author)
    SELECT n.outlet, n.factor, n.kind, n.from_at, n.to_at, n.recorded_at, n.value, 'national', $1, $2
    FROM unnest($3::text[], $4::text[], $5::text[], $6::timestamptz[], $7::timestamptz[], $8::timestamptz[], $9::float8[])
        AS n (outlet, factor, kind, from_at, to_at, recorded_at, value)
    WHERE NOT EXISTS (SELECT FROM hj212.marks m WHERE m.origin = $1 AND m.outlet = n.outlet AND m.factor = n.factor
        AND m.kind = n.kind AND m.from_at = n.from_at AND m.recorded_at = n.recorded_at
        AND (m.to_at, m.value) IS NOT DISTINCT FROM (n.to_at, n.value))
    RETURNING mark_id, kind, recorded_at
), accepted AS (
    INSERT INTO hj212.mark_events (mark_id, event, by_whom, at)
    SELECT a.mark_id, 'accepted', $2, a.recorded_at FROM added a JOIN hj212.mark_kinds k USING (kind)
    WHERE k.effect = 'manual'
)
SELECT count(*) FROM added
