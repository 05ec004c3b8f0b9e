-- Purpose: the newest names of outlets and enterprises.
(SELECT DISTINCT ON (outlet) 'outlet' AS level, outlet AS id, name FROM hj212.current_outlets
 ORDER BY outlet, valid_from DESC)
UNION ALL
(SELECT DISTINCT ON (enterprise) 'enterprise', enterprise, name FROM hj212.current_enterprises
 ORDER BY enterprise, valid_from DESC)
