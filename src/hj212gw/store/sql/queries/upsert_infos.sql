-- Purpose: store infos: the value of the newest arrival stands, the others go to history, received_at stays the first.
-- {table} is states or infos; parameters: an array a column, no key twice. Index: primary key; sorted against deadlocks.
-- A value that is in the history already, as when its packet is written again, changes nothing. Past WHERE, an arrival
-- that is not before the standing value's brings another value.
INSERT INTO hj212.{table} AS r (logger_id, nth, data_time, received_at, qn, st, cn, subject, name, value, number, data_time_text)
SELECT * FROM unnest($1::integer[], $2::smallint[], $3::timestamptz[], $4::timestamptz[], $5::bigint[], $6::text[], $7::text[],
                     $8::text[], $9::text[], $10::text[], $11::double precision[], $12::text[])
    AS t (logger_id, nth, data_time, received_at, qn, st, cn, subject, name, value, number, data_time_text)
ORDER BY t.logger_id, t.cn, t.data_time, t.subject, t.name, t.st, t.nth
ON CONFLICT (logger_id, cn, data_time, subject, name, st, nth) DO UPDATE SET
    received_at = least(r.received_at, excluded.received_at),
    updated_at = CASE
        WHEN excluded.received_at >= coalesce(r.updated_at, r.received_at) THEN excluded.received_at
        WHEN excluded.received_at < r.received_at THEN coalesce(r.updated_at, r.received_at)
        ELSE r.updated_at END,
    qn = CASE WHEN excluded.received_at >= coalesce(r.updated_at, r.received_at) THEN excluded.qn ELSE r.qn END,
    value = CASE WHEN excluded.received_at >= coalesce(r.updated_at, r.received_at) THEN excluded.value ELSE r.value END,
    number = CASE WHEN excluded.received_at >= coalesce(r.updated_at, r.received_at) THEN excluded.number ELSE r.number END,
    data_time_text = CASE WHEN excluded.received_at >= coalesce(r.updated_at, r.received_at)
        THEN excluded.data_time_text ELSE r.data_time_text END,
    history = CASE
        WHEN excluded.value = r.value THEN r.history
        WHEN excluded.received_at >= coalesce(r.updated_at, r.received_at)
        THEN hj212.add_history(r.history, r.value, coalesce(r.updated_at, r.received_at))
        ELSE hj212.add_history(r.history, excluded.value, excluded.received_at) END
WHERE (excluded.received_at < r.received_at
    OR excluded.value <> r.value AND (excluded.received_at >= coalesce(r.updated_at, r.received_at)
        OR r.history IS DISTINCT FROM hj212.add_history(r.history, excluded.value, excluded.received_at)))
  AND NOT coalesce(r.history, '[]') @> jsonb_build_array(hj212.history_entry(excluded.value, excluded.received_at))
