-- Purpose: count what a journal wrote, by day of arrival, so that late rows of a sealed day are noticed.
-- Parameters: $1 journal; arrays $2 day, $3 packets, $4 strays, $5 rejects, days without repeats. Index: primary key.
INSERT INTO hj212.archive_days AS a (day, journal, packets, strays, rejects)
SELECT t.day, $1, t.packets, t.strays, t.rejects
FROM unnest($2::date[], $3::bigint[], $4::bigint[], $5::bigint[]) AS t (day, packets, strays, rejects) ORDER BY 1
ON CONFLICT (day, journal) DO UPDATE SET packets = a.packets + excluded.packets,
    strays = a.strays + excluded.strays, rejects = a.rejects + excluded.rejects
