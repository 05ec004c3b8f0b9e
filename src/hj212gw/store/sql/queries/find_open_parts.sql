-- Purpose: parts of past days that were written to since they were sealed, or never sealed; oldest first.
-- Parameters: $1 the last day that may be sealed. Index: primary key of archive_days, day_digests_day.
SELECT w.day, p.part, p.written
FROM (SELECT day, sum(packets)::bigint AS packets, sum(strays)::bigint AS strays, sum(rejects)::bigint AS rejects
      FROM hj212.archive_days WHERE day <= $1 GROUP BY day) AS w
CROSS JOIN LATERAL (VALUES ('packets', w.packets), ('strays', w.strays), ('rejects', w.rejects)) AS p (part, written)
LEFT JOIN LATERAL (SELECT d.written FROM hj212.day_digests d WHERE d.day = w.day AND d.part = p.part
                   ORDER BY d.seq DESC LIMIT 1) AS sealed ON true
WHERE p.written > coalesce(sealed.written, 0) ORDER BY w.day, p.part
