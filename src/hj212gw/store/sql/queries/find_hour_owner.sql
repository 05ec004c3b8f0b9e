-- Purpose: an outlet at a moment, the newest row where none holds then; a factor of the catalogue by its code.
-- Parameters: $1 outlet, $2 moment, $3 factor. Sequential scans: a registry is small.
SELECT o.outlet, o.name AS outlet_name, o.medium, o.enterprise, e.name AS enterprise_name,
       coalesce(o.county, e.county) AS county, f.code AS factor, f.name_zh AS factor_name, f.name_en AS factor_name_en, f.unit
FROM (
    SELECT * FROM hj212.current_outlets WHERE outlet = $1
    ORDER BY ($2 >= valid_from AND (valid_to IS NULL OR $2 < valid_to)) DESC, valid_from DESC LIMIT 1
) o
LEFT JOIN LATERAL (
    SELECT name, county FROM hj212.current_enterprises WHERE enterprise = o.enterprise
    ORDER BY ($2 >= valid_from AND (valid_to IS NULL OR $2 < valid_to)) DESC, valid_from DESC LIMIT 1
) e ON true
LEFT JOIN hj212.factors f ON f.code = hj212.catalogue_code($3::text) AND f.alias_of IS NULL
