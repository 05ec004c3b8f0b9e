-- Purpose: note which parts of split uploads came; one that is known stays as it was.
-- Parameters: an array a column. Index: primary key; sorted against deadlocks.
INSERT INTO hj212.sub_packets (data_time, received_at, pnum, pno, mn, st, cn, data_time_text, qn)
SELECT * FROM unnest($1::timestamptz[], $2::timestamptz[], $3::smallint[], $4::smallint[], $5::text[], $6::text[], $7::text[],
                     $8::text[], $9::text[]) AS t (data_time, received_at, pnum, pno, mn, st, cn, data_time_text, qn)
ORDER BY t.mn, t.cn, t.data_time, t.st, t.data_time_text, t.pnum, t.pno, t.received_at
ON CONFLICT (mn, cn, data_time, st, data_time_text, pnum, pno) DO NOTHING
