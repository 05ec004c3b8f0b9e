-- Purpose: codes as sent that a factor of the catalogue can come under. Parameters: $1 factor, $2 array of mn.
-- Sequential scans: catalogue and registry are small.
SELECT lower($1::text) AS code
UNION SELECT lower(code) FROM hj212.factors WHERE alias_of = $1
UNION SELECT lower(code) FROM hj212.units WHERE factor = $1 AND mn = ANY ($2::text[])
