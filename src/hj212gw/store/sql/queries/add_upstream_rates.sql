-- Purpose: new versions of a source's rates; what stands there already is not written again.
-- Parameters: $1 source, $2 to $7 arrays of outlets, days, stages, transmission, validity, effective, $8 now.
INSERT INTO hj212.upstream_rates
SELECT $1, n.outlet, n.day, n.stage, n.transmission_pct, n.validity_pct, n.effective_pct, $8
FROM unnest($2::text[], $3::date[], $4::text[], $5::numeric[], $6::numeric[], $7::numeric[])
    AS n (outlet, day, stage, transmission_pct, validity_pct, effective_pct)
LEFT JOIN hj212.standing_upstream_rates s ON s.source = $1 AND s.outlet = n.outlet AND s.day = n.day AND s.stage = n.stage
WHERE (n.transmission_pct, n.validity_pct, n.effective_pct)
    IS DISTINCT FROM (s.transmission_pct, s.validity_pct, s.effective_pct)
