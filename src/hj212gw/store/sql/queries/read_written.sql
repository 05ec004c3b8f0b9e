-- Purpose: rows the journals wrote, by day. Parameters: $1 first day, $2 last day. Index: primary key of archive_days.
SELECT day, sum(packets)::bigint AS packets, sum(strays)::bigint AS strays, sum(rejects)::bigint AS rejects
FROM hj212.archive_days WHERE day BETWEEN $1 AND $2 GROUP BY day
