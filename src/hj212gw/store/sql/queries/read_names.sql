-- Purpose: the newest names of outlets and enterprises, and those of the factors on the base list.
(SELECT DISTINCT ON (outlet) 'outlet' AS level, outlet AS id, name FROM hj212.current_outlets
 ORDER BY outlet, valid_from DESC)
UNION ALL
(SELECT DISTINCT ON (enterprise) 'enterprise', enterprise, name FROM hj212.current_enterprises
 ORDER BY enterprise, valid_from DESC)
UNION ALL
SELECT 'factor', b.factor, f.name_zh
FROM (SELECT DISTINCT factor FROM hj212.base_list) AS b
JOIN hj212.factors f ON f.code = hj212.catalogue_code(b.factor) AND f.alias_of IS NULL
